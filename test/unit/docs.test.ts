import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { rulesPage } from '../../scripts/rules-page.ts'
import { commands } from '../../src/cli/commands.ts'
import { approveConfig } from '../../src/config/approve.ts'
import { decideConfig } from '../../src/config/decide.ts'
import { loadConfig, parseConfig } from '../../src/config/load.ts'
import { taskConfig } from '../../src/config/task.ts'
import { readKillLines } from '../../src/kill/kill-lines.ts'
import { codes } from '../../src/refusal.ts'
import { Course } from '../../src/task/divergence.ts'
import { faultsOf } from '../support/json-schema.ts'
import { metricNames } from '../support/metric-names.ts'
import { defaultPolicyBytes, openHost } from '../support/policy-rig.ts'

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

test('the complete example passes check and shows every setting of task, decide and approve once', () => {
  const file = join(root, 'examples/complete/countersign.yaml')
  const { config, findings } = loadConfig(file, { HOOK_SECRET: 'none', OPENAI_KEY: 'none' })
  expect(findings.filter(({ code }) => code !== 'CS1901')).toEqual([])
  const shown = parse(readFileSync(file, 'utf8'))
  for (const [name, { shape }] of Object.entries({ task: taskConfig, decide: decideConfig, approve: approveConfig }))
    expect(Object.keys(shown[name]).sort(), name).toEqual(Object.keys(shape).sort())
  expect(shown.admin.sign_in.oidc.approvers).toBe('group:approvers')
  expect(config.task.agents.map(({ id }) => id.slice(id.lastIndexOf('/') + 1))).toEqual(['refund-agent', 'order-reader'])
  expect(config.forward.routes['crm']).toMatchObject({ owner: 'crm-team@acme.example', approved: { by: 'risk@acme.example' } })
  expect(config.forward.routes['openai']?.tools[0]?.prompt).toBe(true)
  expect(config.forward.routes['crm']?.tools[0]?.answer).toBe('json')
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

test('the page of rules has each rule as its annotation has it, and none that is gone', () => {
  expect(read('docs/rules.md')).toBe(rulesPage(join(root, 'rego/countersign')))
})

test('the page of the library has each function that is annotated, and no other', () => {
  const sources = globSync('rego/countersign/lib/*.rego', { cwd: root }).filter((path) => !path.endsWith('_test.rego'))
  const annotated = sources.flatMap((path) =>
    Array.from(read(path).matchAll(/^# METADATA\n(?:#.*\n)+(?:default )?([a-z]\w*)\(/gm), ([, name]) => name),
  )
  const rows = read('docs/library.md').match(/^\| `.*/gm) ?? []
  const written = rows.flatMap((row) => Array.from((row.split('|')[1] ?? '').matchAll(/`(\w+)\(/g), ([, name]) => name))
  const left = ['effect', 'decision', 'controls', 'precedence', 'weighed', 'contextual']
  expect(new Set(written)).toEqual(new Set(annotated.filter((name) => !left.includes(name ?? ''))))
})

test('the settings on the page of defer pass check', () => {
  const blocks = Array.from(read('docs/defer.md').matchAll(/^```yaml\n([\s\S]*?)^```/gm), (match): unknown => parse(match[1] ?? ''))
  expect(blocks).toHaveLength(2)
  for (const block of blocks) {
    const config = { ...parse(read('examples/minimal/countersign.yaml')), ...Object(block) }
    expect(parseConfig(stringify(config), 'countersign.yaml', {}).findings).toEqual([])
  }
})

test('the settings on the page of policy pass check', () => {
  const blocks = Array.from(read('docs/policy.md').matchAll(/^```yaml\n([\s\S]*?)^```/gm), (match): unknown => parse(match[1] ?? ''))
  const decide = blocks.map((block) => Object(block).decide).filter((one) => one?.settings !== undefined)
  expect(decide).toHaveLength(1)
  const config = { ...parse(read('examples/minimal/countersign.yaml')), decide: decide[0] }
  const { findings } = parseConfig(stringify(config), 'countersign.yaml', {})
  expect(findings.filter(({ severity }) => severity !== 'note')).toEqual([])
})

test('the settings and the kill file on the page of kills are good', () => {
  const page = read('docs/kill.md')
  const blocks = Array.from(page.matchAll(/^```yaml\n([\s\S]*?)^```/gm), (match) => parse(match[1] ?? '').task)
  expect(blocks).toHaveLength(2)
  const config = parse(read('examples/minimal/countersign.yaml'))
  for (const block of blocks) Object.assign(config.task, block)
  const { findings } = parseConfig(stringify(config), 'countersign.yaml', {})
  expect(findings.filter(({ severity }) => severity !== 'note')).toEqual([])
  const [, lines = ''] = /^```text\n([\s\S]*?)^```/m.exec(page) ?? []
  expect(readKillLines(lines, false)).toMatchObject({ faults: [], stops: [{}, {}, { scope: 'everything' }] })
})

test('the page of sequences has settings and tools that pass check, and each kind of divergence with its points', () => {
  const blocks = Array.from(read('docs/sequence.md').matchAll(/^```yaml\n([\s\S]*?)^```/gm), (match): unknown => parse(match[1] ?? ''))
  const settings = Object.assign({}, ...blocks.map((block) => Object(block).decide?.settings))
  expect(Object.keys(settings).sort()).toEqual(['divergence', 'split'])
  const config = { ...parse(read('examples/minimal/countersign.yaml')), decide: { settings } }
  const [route = ''] = Object.keys(config.forward.routes)
  const tools = blocks.flatMap((block) => Object(block).tools ?? [])
  expect(tools).toHaveLength(2)
  config.forward.routes[route].tools.push(...tools)
  const { findings } = parseConfig(stringify(config), 'countersign.yaml', {})
  expect(findings.filter(({ severity }) => severity !== 'note')).toEqual([])

  const rows = Array.from(read('docs/sequence.md').matchAll(/^\| `([a-z-]+)` \| .* \| (\d+) \| (\d+) \|$/gm))
  const written = rows.map(([, kind, points, most]) => ({ kind, count: Number(most), points: Number(points) * Number(most) }))
  const { reasons } = new Course(rows.map(([, kind = '']) => ({ kind, count: 99, points: 0 })))
  expect(written).toEqual(reasons)
  expect(reasons).toHaveLength(14)
})

test('the open work on the page of policy is an input of the schema, and is refused as the page says', () => {
  const [, section = ''] = read('docs/policy.md').split('## When facts change\n')
  const [, text = ''] = /^```json\n([\s\S]*?)^```/m.exec(section) ?? []
  expect(faultsOf(JSON.parse(read('rego/schemas/continue.json')), JSON.parse(text))).toEqual([])
  const host = openHost(defaultPolicyBytes)
  const reasons = [expect.objectContaining({ rule: 'data.beyond-destination', detail: { egress: 'partner', beyond: ['personal'] } })]
  expect(host.evaluate('countersign/continue', text.trim())).toMatchObject({ effect: 'deny', reasons })
  host.close()
})

test('the page on operating names every metric and no other', async () => {
  const made = await metricNames()
  const written = Array.from(read('docs/operate.md').matchAll(/^\| `((?:countersign|process)_[a-z_]+)` \|/gm), (match) => match[1] ?? '')
  expect(written.toSorted()).toEqual(made.toSorted())
  const used = Array.from(read('docs/operate.md').matchAll(/\bcountersign_[a-z_]+/g), (match) => match[0])
  expect(used.filter((name) => !made.includes(name))).toEqual([])
})
