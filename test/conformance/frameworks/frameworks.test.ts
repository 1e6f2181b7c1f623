import { existsSync, globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { frameworkData, frameworkText } from '../../../scripts/framework-files.ts'
import { aarmPage, frameworksPage } from '../../../scripts/framework-pages.ts'
import { readCatalogue } from '../../../src/author/catalogue.ts'
import { knownControls } from '../../../src/author/controls.ts'
import { isRecord, textsAt } from '../../../src/author/json-path.ts'
import { frameworksCommand } from '../../../src/cli/frameworks.ts'
import { allFrameworks, frameworks, ownControls } from '../../../src/evidence/frameworks.ts'
import { codes } from '../../../src/refusal.ts'
import { readScenarios } from '../../support/scenario/scenario.ts'

const root = resolve(import.meta.dirname, '../../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const data = frameworkData()
const rows = data.frameworks.flatMap((one) => one.rows)
const own = new Map(data.controls.map((one) => [one.id, one]))
const catalogue = readCatalogue(
  new Map(
    globSync('rego/countersign/**/*.rego', { cwd: root })
      .filter((path) => !path.endsWith('_test.rego'))
      .map((path) => [path, read(path)]),
  ),
)
const ruleIds = new Set(catalogue.rules.map(({ id }) => id))
const scenarios = readScenarios(new URL('../../scenarios/', import.meta.url))
const invariants = new Set(Array.from(read('docs/invariants.md').matchAll(/`(test\/[^`]+\.ts)`/g), ([, path = '']) => path))
const vendored: Readonly<Record<string, { readonly ids: unknown }>> = JSON.parse(
  readFileSync(join(import.meta.dirname, 'ids.json'), 'utf8'),
)
/** Ids → official titles; a title is empty where the list has none. */
const known = (framework: string): ReadonlyMap<string, string> => {
  const ids = vendored[framework]?.ids
  return new Map(
    isRecord(ids) ? Object.entries(ids).map(([id, title]) => [id, String(title)]) : textsAt({ ids }, 'ids').map((id) => [id, '']),
  )
}

/** Every `'noun.verb'` of the source, with the templates that make several written out. */
const events = new Set(
  globSync('src/**/*.ts', { cwd: root }).flatMap((path) => {
    const text = read(path)
    const plain = Array.from(text.matchAll(/'([a-z]+\.[a-z-]+)'/g), ([, name = '']) => name)
    const made = Array.from(text.matchAll(/`([a-z]+)\.\$\{((?:\s*\|?\s*'[a-z-]+')+)\s*\}`/g), ([, noun, verbs = '']) =>
      Array.from(verbs.matchAll(/'([a-z-]+)'/g), ([, verb]) => `${noun}.${verb}`),
    )
    return [...plain, ...made.flat()]
  }),
)

describe('the ids of a framework', () => {
  test.each(data.frameworks.map(({ framework }) => framework))('%s are known to it, each stands once, under its own title', (name) => {
    const framework = data.frameworks.find((one) => one.framework === name)
    const ids = known(name)
    expect(ids.size).toBeGreaterThan(0)
    for (const { id, title } of framework?.rows ?? []) {
      expect(ids.has(id), id).toBe(true)
      if (ids.get(id) !== '') expect(title).toBe(ids.get(id))
    }
    const written = framework?.rows.map(({ id }) => id) ?? []
    expect(new Set(written).size).toBe(written.length)
    if (framework?.whole === true) expect(written.toSorted()).toEqual([...ids.keys()].sort())
  })

  test('that annotations may name have a row each, and no other', () => {
    for (const [annotation, ids] of knownControls()) {
      const framework = data.frameworks.find((one) => one.annotation === annotation)
      expect(framework?.rows.map(({ id }) => id).toSorted(), annotation).toEqual([...ids].sort())
    }
  })

  test('of a rule lead to rows that name the rule, and back', () => {
    const named = data.frameworks.flatMap(({ annotation, rows: all }) =>
      annotation === null ? [] : all.flatMap(({ id, rules }) => rules.map((rule) => `${annotation} ${id} ${rule}`)),
    )
    const annotated = catalogue.rules.flatMap(({ id: rule, frameworks: of }) =>
      Object.keys(of).flatMap((annotation) => textsAt(of, annotation).map((id) => `${annotation} ${id} ${rule}`)),
    )
    expect(named.toSorted()).toEqual([...new Set(annotated)].sort())
  })
})

describe('what a row names', () => {
  test.each([...rows.map((row) => [row.label, row] as const), ...data.controls.map((one) => [one.id, one] as const)])(
    '%s exists',
    (_name, { rules, tests }) => {
      expect(rules.filter((rule) => !ruleIds.has(rule))).toEqual([])
      expect(tests.filter((path) => !existsSync(join(root, path)))).toEqual([])
    },
  )

  test('are controls of ours, with pages, codes, events and cases that exist', () => {
    expect(rows.flatMap(({ controls }) => controls.filter((id) => !own.has(id)))).toEqual([])
    const refs = new Set(scenarios.flatMap((one) => one.refs))
    for (const control of data.controls) {
      expect(existsSync(join(root, 'docs', control.page)), control.page).toBe(true)
      expect(control.codes.filter((code) => !Object.hasOwn(codes, code))).toEqual([])
      expect(control.events.filter((event) => !events.has(event))).toEqual([])
    }
    expect([...rows, ...data.controls].flatMap(({ cases }) => cases.filter((ref) => !refs.has(ref)))).toEqual([])
  })

  test('are commands that filter by rules, codes and events that exist', () => {
    const matches = (pattern: string, all: Iterable<string>): boolean =>
      [...all].some((one) => (pattern.endsWith('*') ? one.startsWith(pattern.slice(0, -1)) : one === pattern))
    for (const { label, query } of rows) {
      if (query === null) continue
      expect(query, label).toMatch(/^countersign (logs|evidence verify|doctor|check)\b/)
      for (const [, , rule = ''] of query.matchAll(/--rule ('?)([^' ]+)\1/g)) expect(matches(rule, ruleIds), `${label} ${rule}`).toBe(true)
      for (const [, , code = ''] of query.matchAll(/--code ('?)([^' ]+)\1/g))
        expect(matches(code, Object.keys(codes)), `${label} ${code}`).toBe(true)
      const named = Array.from(query.matchAll(/"([a-z]+\.[a-z-]+)"/g), ([, event = '']) => event)
      expect(named.filter((event) => !events.has(event), label)).toEqual([])
      for (const [, id = ''] of query.matchAll(/index\("([^"]+)"\)/g)) expect(id).toBe(label)
    }
  })
})

describe('a row that is called', () => {
  const casesOf = (row: (typeof rows)[number]) => {
    const refs = row.cases.length > 0 ? row.cases : row.controls.flatMap((id) => own.get(id)?.cases ?? [])
    return scenarios.filter((one) => one.refs.some((ref) => refs.includes(ref)))
  }

  test.each(rows.filter(({ status }) => status === 'enforced').map((row) => [row.label, row] as const))(
    'enforced (%s) has a rule or the test of an invariant, a case that passes and one that is refused, and evidence',
    (_label, row) => {
      expect(row.rules.length > 0 || row.tests.some((path) => invariants.has(path))).toBe(true)
      expect(row.controls.length).toBeGreaterThan(0)
      expect(row.tests.length).toBeGreaterThan(0)
      expect(row.query).not.toBeNull()
      for (const shows of ['passes', 'refuses']) expect(casesOf(row).filter((one) => one.shows === shows).length, shows).toBeGreaterThan(0)
    },
  )

  test('evidenced has a test and a command that shows it', () => {
    for (const row of rows.filter(({ status }) => status === 'evidenced')) {
      expect(row.tests.length, row.label).toBeGreaterThan(0)
      expect(row.query, row.label).not.toBeNull()
    }
  })

  test('not covered rests on none of our controls', () => {
    expect(rows.filter(({ status, controls }) => status === 'none' && controls.length > 0).map(({ label }) => label)).toEqual([])
  })

  test('enforced or evidenced is not what the scenarios call open or not ours', () => {
    const open = new Set<string>()
    for (const { prefix, rows: all } of parse(read('test/scenarios/catalogue.yaml')))
      for (const [id, { status }] of Object.entries<{ status: string }>(all))
        if (status === 'open' || status === 'not-ours') open.add(`${prefix}${id}`)
    expect(open.size).toBeGreaterThan(0)
    const prefixes: Readonly<Record<string, string>> = { aarm: 'AARM-', 'owasp-aisvs': 'AISVS-', 'owasp-agentic': '' }
    const claimed = rows.filter(({ status }) => status === 'enforced' || status === 'evidenced')
    expect(claimed.filter(({ framework, id }) => open.has(`${prefixes[framework] ?? '?'}${id}`)).map(({ id }) => id)).toEqual([])
  })

  test('not covered are the gaps that are known', () => {
    const none = rows.filter(({ status }) => status === 'none').map(({ id }) => id)
    expect(none).toEqual(expect.arrayContaining(['ASI05', 'ASI06', 'L1', 'AML.T0080', 'MCP03:2025', 'R1.5']))
  })
})

describe('what is made of the files', () => {
  test('is fresh (npm run frameworks)', () => {
    expect(read('rego/frameworks.json') === frameworkText(data), 'rego/frameworks.json').toBe(true)
    expect(read('docs/frameworks.md') === frameworksPage(data), 'docs/frameworks.md').toBe(true)
    expect(read('docs/aarm.md') === aarmPage(data), 'docs/aarm.md').toBe(true)
    expect(allFrameworks()).toEqual(data.frameworks)
    expect(frameworks()).toEqual(rows)
    expect(ownControls()).toEqual(data.controls)
  })

  test('never says that anything is compliant or conformant', () => {
    const files = [...globSync('src/evidence/frameworks/*.yaml', { cwd: root }), 'docs/frameworks.md', 'docs/aarm.md']
    for (const text of [...files.map(read), frameworksCommand.usage]) expect(text).not.toMatch(/\b(compliant|conformant|certified)\b/i)
  })

  test('says of AARM what a self-assessment may say, with the date of its numbers', () => {
    const page = read('docs/aarm.md')
    expect(page).toContain('Partial conformance, self-assessed, evidence attached')
    expect(page).toContain('AARM 2026-03-26')
    expect(page).toContain('but for R1.5')
    for (const row of rows.filter(({ framework }) => framework === 'aarm')) expect(row.label).toBe(`AARM 2026-03-26 ${row.id}`)
  })
})
