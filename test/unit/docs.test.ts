import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { makeMetrics } from '../../src/admin/metrics.ts'
import { commands } from '../../src/cli/commands.ts'
import { parseConfig } from '../../src/config/load.ts'
import { codes } from '../../src/refusal.ts'

const root = resolve(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const pages = ['*.md', 'docs/**/*.md', 'deploy/**/*.md', 'bench/*.md'].flatMap((pattern) => globSync(pattern, { cwd: root })).sort()

/** The text without fenced blocks, in which brackets mean something else. */
const prose = (text: string): string => text.replaceAll(/^```[\s\S]*?^```/gm, '')

/** What a heading is called in a link. */
function anchor(heading: string): string {
  const plain = heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '')
  return plain.trim().replaceAll(' ', '-')
}

const anchorsOf = (path: string): string[] => Array.from(prose(read(path)).matchAll(/^#+ (.*)$/gm), (match) => anchor(match[1] ?? ''))

describe('every page', () => {
  test.each(pages)('%s links to what exists', (page) => {
    const dead: string[] = []
    for (const [, target = ''] of prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      const [path = '', heading] = target.split('#')
      const file = path === '' ? page : join(dirname(page), path)
      if (!existsSync(join(root, file))) dead.push(target)
      else if (heading !== undefined && !anchorsOf(file).includes(heading)) dead.push(target)
    }
    expect(dead).toEqual([])
  })

  test.each(pages)('%s names only commands that exist', (page) => {
    const known = commands.map(({ name }) => name)
    const blocks = Array.from(read(page).matchAll(/^```sh\n([\s\S]*?)^```/gm), (match) => match[1] ?? '').join('\n')
    const named = Array.from(blocks.matchAll(/^(?:countersign|npm run -s cs --) ([a-z-]+)/gm), (match) => match[1] ?? '')
    expect(named.filter((name) => !known.includes(name))).toEqual([])
  })
})

test('the configuration in the README is the minimal example', () => {
  const [, text = ''] = /^```yaml\n([\s\S]*?)^```/m.exec(read('README.md')) ?? []
  expect(parse(text)).toEqual(parse(read('examples/minimal/countersign.yaml')))
})

test('the sources on the page of OpenID Connect pass check, all of them in one configuration', () => {
  const blocks = Array.from(read('docs/oidc.md').matchAll(/^```yaml\n([\s\S]*?)^```/gm), (match): unknown => parse(match[1] ?? ''))
  const sources = blocks.filter((block) => Array.isArray(block)).flat()
  expect(sources.length).toBeGreaterThanOrEqual(7)
  const config = parse(read('examples/minimal/countersign.yaml'))
  config.identify.sources = sources
  const { findings } = parseConfig(stringify(config), 'countersign.yaml', {})
  expect(findings.filter(({ severity }) => severity !== 'note')).toEqual([])
})

test('the page of refusals has each status, fault and title as the table has them', () => {
  const written = Array.from(read('docs/refusals.md').matchAll(/^## `(.+)`\n\n(.+)\. Status (\d+), fault: (\w+)\.$/gm), (match) =>
    match.slice(1),
  )
  expect(written).toEqual(Object.entries(codes).map(([code, { status, fault, title }]) => [code, title, String(status), fault]))
})

describe('the page of policy', () => {
  interface Custom {
    readonly id: string
    readonly effect: string
    readonly severity: string
    readonly observable: boolean
    readonly facts: readonly string[]
    readonly frameworks: Readonly<Record<string, readonly string[]>>
  }

  /** Rows of the table under a heading, without its head. */
  function rows(heading: string): string[] {
    const after = read('docs/policy.md').split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
    const lines = after.split('\n')
    const first = lines.findIndex((line) => line.startsWith('| rule |'))
    const rest = lines.slice(first + 2)
    return rest.slice(
      0,
      rest.findIndex((line) => !line.startsWith('|')),
    )
  }

  function rules(paths: readonly string[]): Custom[] {
    const blocks = paths.flatMap((path) =>
      Array.from(read(`rego/countersign/${path}`).matchAll(/^# METADATA\n((?:#.*\n)+)/gm), (match) => match[1] ?? ''),
    )
    return blocks.map((block) => parse(block.replaceAll(/^# ?/gm, '')).custom).filter((custom) => custom !== undefined)
  }

  function row({ id, effect, severity, observable, facts, frameworks }: Custom): readonly string[] {
    const named = (frameworks['csa_maestro'] ?? []).map((layer) => `MAESTRO ${layer}`)
    const ids = ['owasp_agentic', 'owasp_nhi', 'mitre_atlas', 'nist_csf', 'nist_ai_rmf'].flatMap((framework) => frameworks[framework] ?? [])
    return [
      `\`${id}\``,
      effect,
      severity,
      observable ? 'yes' : 'no',
      facts.map((fact) => `\`${fact}\``).join(', ') || 'all of it',
      [...ids, ...named].join(', '),
    ]
  }

  const shared = globSync('agent/*.rego', { cwd: join(root, 'rego/countersign') })
  const ofCalls = [...shared, ...globSync('call/*.rego', { cwd: join(root, 'rego/countersign') }), 'decision.rego']
  const ofTasks = [...shared, ...globSync('opening/*.rego', { cwd: join(root, 'rego/countersign') }), 'task.rego']
  const ofAnswers = [...globSync('answer/*.rego', { cwd: join(root, 'rego/countersign') }), 'response.rego']

  test.each([
    ['The rules of a call', ofCalls],
    ['The rules of a task', ofTasks],
    ['The rules of an answer', ofAnswers],
  ])('has under "%s" each rule as its metadata has it, and none that is gone', (heading, paths) => {
    const written = rows(heading).map((line) => {
      const [id, effect, severity, observable, , facts, controls] = line
        .split('|')
        .slice(1)
        .map((cell) => cell.trim())
      return [id, effect, severity, observable, facts, controls]
    })
    const made = rules(paths.filter((path) => !path.endsWith('_test.rego'))).map(row)
    expect(new Set(written.map((cells) => cells.join(' | ')))).toEqual(new Set(made.map((cells) => cells.join(' | '))))
    expect(written.length).toBe(made.length)
  })
})

test('the page on operating names every metric and no other', async () => {
  const metrics = makeMetrics({
    version: '0',
    inFlight: () => 0,
    ready: () => true,
    ledgerSize: () => 0,
    policyRevision: () => '',
    svid: () => null,
    sources: () => [],
  })
  const made = Array.from((await metrics.text()).matchAll(/^# TYPE (\S+)/gm), (match) => match[1] ?? '')
  const written = Array.from(read('docs/operate.md').matchAll(/^\| `((?:countersign|process)_[a-z_]+)` \|/gm), (match) => match[1] ?? '')
  expect(written.toSorted()).toEqual(made.toSorted())
  const used = Array.from(read('docs/operate.md').matchAll(/\bcountersign_[a-z_]+/g), (match) => match[0])
  expect(used.filter((name) => !made.includes(name))).toEqual([])
})
