import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { digestOf } from '../../../src/config/agents-from.ts'
import { ConfigFault } from '../../../src/config/findings.ts'
import { loadConfig, type Loaded } from '../../../src/config/load.ts'
import { isPlaceholder } from '../../../src/config/placeholders.ts'
import { watchConfig } from '../../../src/config/reload.ts'
import { stampOf } from '../../../src/config/stamp.ts'
import { configText, freeAgent } from '../../support/running.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

/** A configuration with a folder of agents, and what stands in that. */
function written(files: Readonly<Record<string, string>>, from = './agents/', agents = [freeAgent()]): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-agents-'))
  folders.push(folder)
  mkdirSync(join(folder, 'agents'))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'agents', name), text)
  writeFileSync(join(folder, 'countersign.yaml'), configText({ routes: {}, agents, settings: { task: { agents_from: from } } }))
  return folder
}

const load = (folder: string, env = {}): Loaded => loadConfig(join(folder, 'countersign.yaml'), env)

function findingsOf(folder: string): string[] {
  try {
    load(folder)
  } catch (error) {
    if (error instanceof ConfigFault)
      return error.findings
        .filter(({ severity }) => severity === 'error')
        .map(({ file = '', line, column, code, path }) => `${file.slice(folder.length)}:${line}:${column} ${code} ${path}`)
    throw error
  }
  return []
}

const other = (name: string): string => `spiffe://acme.example/ns/test/sa/${name}`
const text = (name: string, more = {}): string => stringify(freeAgent({ id: other(name), ...more }))

describe('a folder of agents', () => {
  test('is read file by file behind the agents of the configuration, each with its digests', () => {
    const folder = written({ 'b.yaml': text('b'), 'a.yml': text('${NAME}'), 'README.md': 'not yaml: [', '.hidden.yaml': '[' })
    const { config, declared } = load(folder, { NAME: 'a' })
    expect(config.task.agents.map(({ id }) => id)).toEqual([other('agent'), other('a'), other('b')])
    expect(declared.map(({ file }) => file)).toEqual(['countersign.yaml', 'agents/a.yml', 'agents/b.yaml'])
    expect(new Set(declared.map(({ sha256 }) => sha256)).size).toBe(3)
    expect(declared[2]?.digest).toBe(digestOf(freeAgent({ id: other('b') })))
  })

  test('says all that is wrong in all of its files at once, with file, line and column', () => {
    const folder = written({
      'a.yaml': `${text('a')}purpse: x\n`,
      'b.yaml': 'id: [\n',
      'c.yaml': text('c').replace('purpose: test', 'purpose: ${NOPE}'),
      'd.yaml': '',
      'e.yaml': text('e').replace('autonomy: autonomous', 'autonomy: wild'),
      'f.yaml': text('good'),
      'g.yaml': stringify([freeAgent({ id: other('g') })]),
    })
    expect(findingsOf(folder).map((finding) => finding.replace(/:\d+:\d+ /, ' '))).toEqual([
      '/agents/a.yaml CS1204 purpse',
      '/agents/b.yaml CS1101 ',
      '/agents/c.yaml CS1110 purpose',
      '/agents/c.yaml CS1201 purpose',
      '/agents/d.yaml CS1202 ',
      '/agents/e.yaml CS1201 autonomy',
      '/agents/g.yaml CS1201 ',
    ])
    expect(findingsOf(folder)[0]).toMatch(/^\/agents\/a\.yaml:\d\d:1 CS1204/)
  })

  test('declares no id twice, neither among its files nor beside the configuration', () => {
    const twice = written({ 'a.yaml': text('a'), 'b.yaml': text('a') })
    expect(findingsOf(twice)).toEqual(['/agents/b.yaml:1:1 CS1402 id'])
    expect(findingsOf(written({ 'a.yaml': text('agent') }))).toEqual(['/agents/a.yaml:1:1 CS1402 id'])
  })

  test('has to be there, and may be the only place where agents are', () => {
    expect(findingsOf(written({}, './nowhere'))).toEqual([expect.stringContaining('CS1001 task.agents_from')])
    expect(load(written({ 'a.yaml': text('a') }, './agents', [])).config.task.agents).toHaveLength(1)
  })

  test('is watched: whoever adds, changes, takes away or mends a file has it read again', async () => {
    const folder = written({ 'a.yaml': text('a') })
    const file = join(folder, 'countersign.yaml')
    const read: string[] = []
    const first = load(folder)
    const watching = watchConfig({
      file,
      env: {},
      seen: stampOf(file),
      watched: first.watched,
      swap: async () => undefined,
      done: (result) =>
        read.push(result.ok ? result.loaded.config.task.agents.map(({ id }) => id.slice(other('').length)).join(' ') : 'bad'),
    })
    try {
      writeFileSync(join(folder, 'agents', 'b.yaml'), text('b'))
      await expect.poll(() => read, { timeout: 5000 }).toEqual(['agent a b'])
      writeFileSync(join(folder, 'agents', 'b.yaml'), 'id: [')
      await expect.poll(() => read, { timeout: 5000 }).toEqual(['agent a b', 'bad'])
      rmSync(join(folder, 'agents', 'b.yaml'))
      await expect.poll(() => read, { timeout: 5000 }).toEqual(['agent a b', 'bad', 'agent a'])
    } finally {
      watching.close()
    }
  })
})

describe('what check says of agents', () => {
  const remarks = (more: object): string[] =>
    load(written({ 'a.yaml': text('a', more) })).findings.map(({ code, severity, message }) => `${severity} ${code} ${message}`)

  test('names an intent that a reviewer put out of bounds', () => {
    const intent = { tools: ['*'], data: ['public', 'health'] }
    expect(remarks({ intent, reviewers: { legal: { name: 'lea', out_of_bounds: { data: ['health'] } } } })).toContain(
      'warning CS1604 legal has put data "health" out of bounds: such calls are refused',
    )
  })

  test('notes that an agent is registered for elsewhere', () => {
    expect(remarks({ environment: 'staging' })).toContain(
      'note CS1601 it is registered for staging, and this is test: its calls are refused',
    )
  })

  test('names owners that nobody filled in, of agents, routes and providers', () => {
    const { placeholders } = load(
      written({ 'a.yaml': text('a', { owners: { business: 'TODO', security: 'sam@real.company', incident: 'ida' } }) }),
    )
    expect(
      placeholders.map(({ code, severity, file = '', message }) => `${severity} ${code} ${file.split('/').at(-1)} ${message}`),
    ).toEqual([
      'warning CS1603  nobody answers under a placeholder: business business@acme.example, security security@acme.example, incident incident@acme.example',
      'warning CS1603 a.yaml nobody answers under a placeholder: business TODO',
    ])
  })

  test.each([
    'refunds@acme.example',
    'a@example.com',
    'team@shop.test',
    'Example.org',
    'changeme',
    '<owner>',
    '???',
    ' tbd ',
    'root@localhost',
  ])('takes %j for a placeholder', (name) => {
    expect(isPlaceholder(name)).toBe(true)
  })

  test.each(['refunds@acme.com', 'team-example', 'latest@company.io', 'contest', 'group:approvers', 'Ada'])(
    'takes %j for somebody',
    (name) => {
      expect(isPlaceholder(name)).toBe(false)
    },
  )
})
