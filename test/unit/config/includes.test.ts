import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { ConfigFault } from '../../../src/config/findings.ts'
import { loadConfig, type Loaded } from '../../../src/config/load.ts'
import { watchConfig } from '../../../src/config/reload.ts'
import { stampOf } from '../../../src/config/stamp.ts'

const scratch = mkdtempSync(join(tmpdir(), 'countersign-includes-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const main = `version: 1
include: [routes, people.yaml]
identify:
  audience: spiffe://acme.example/countersign
  sources: [{ type: jwt-svid, trust_domain: acme.example, keys: { file: bundle.json } }]
task:
  state: { path: state.db }
record:
  ledger: { path: ledger }
`
const crm = `credential: { providers: { crm: { type: jwt, audience: "https://crm.acme.example" } } }
forward:
  routes:
    crm:
      at: /crm
      to: https://crm.acme.example
      credential: crm
      tools:
        - { name: crm.read, match: "GET /{id}", effect: read, risk: low, egress: internal }
`
const agent = (name: string): string => `    - id: spiffe://acme.example/${name}
      purpose: test
      owners: { business: a, security: b, incident: c }
      autonomy: bounded
      intent: { tools: ["crm.*"] }
`
const good = { 'countersign.yaml': main, 'routes/crm.yaml': crm, 'people.yaml': `task:\n  agents:\n${agent('a')}${agent('b')}` }

/** Files in a folder of their own. */
function written(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(scratch, 'case-'))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return folder
}

const load = (folder: string): Loaded => loadConfig(join(folder, 'countersign.yaml'), {})

/** What is wrong, each with the file and line that it is about. */
function findingsOf(folder: string): string[] {
  try {
    return load(folder).findings.map(({ code, message }) => `good ${code} ${message}`)
  } catch (error) {
    if (!(error instanceof ConfigFault)) throw error
    return error.message.split('\n').map((line) => line.replaceAll(`${folder}/`, ''))
  }
}

describe('a configuration of several files', () => {
  test('is one: maps are joined by their keys, lists one behind the other', () => {
    const more = {
      'routes/mail.yaml': `forward:\n  routes:\n    mail: { at: /mail, to: "https://mail.acme.example" }\ntask:\n  agents:\n${agent('c')}`,
    }
    const { config, findings } = load(written({ ...good, ...more }))
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(Object.keys(config.forward.routes)).toEqual(['crm', 'mail'])
    expect(config.task.agents.map(({ id }) => basename(id))).toEqual(['c', 'a', 'b'])
    expect([config.task.state.path, Object.keys(config.credential.providers)]).toEqual(['state.db', ['crm']])
  })

  test('says what is wrong with the file and the line where it stands, also in an entry of a joined list', () => {
    const bad = {
      ...good,
      'routes/crm.yaml': crm.replace('risk: low', 'risk: tiny'),
      'people.yaml': `task:\n  agents:\n${agent('a')}${agent('b').replace('autonomy', 'autonomie')}`,
    }
    const more = { 'routes/z.yaml': `task:\n  agents:\n${agent('z')}` }
    expect(findingsOf(written({ ...bad, ...more }))).toEqual([
      'people.yaml:8:7  CS1202  missing: task.agents.2.autonomy',
      'people.yaml:11:7  CS1204  unknown key "autonomie", did you mean "autonomy"?',
      expect.stringMatching(/^routes\/crm\.yaml:9:63 {2}CS1201 {2}forward\.routes\.crm\.tools\.0\.risk/),
    ])
  })

  test('may say a setting in one file alone: both places are named', () => {
    const twice = {
      'routes/other.yaml': crm.replace('/crm\n', '/other\n'),
      'people.yaml': `task:\n  state: { path: other.db }\n  agents:\n${agent('a')}`,
    }
    expect(findingsOf(written({ ...good, ...twice }))).toEqual([
      'people.yaml:2:12  CS1402  task.state.path is set in the configuration too, on line 7: say it in one file',
      'routes/other.yaml:1:35  CS1402  credential.providers.crm.type is set in routes/crm.yaml too, on line 1: say it in one file',
      'routes/other.yaml:1:46  CS1402  credential.providers.crm.audience is set in routes/crm.yaml too, on line 1: say it in one file',
      'routes/other.yaml:5:7  CS1402  forward.routes.crm.at is set in routes/crm.yaml too, on line 5: say it in one file',
      'routes/other.yaml:6:7  CS1402  forward.routes.crm.to is set in routes/crm.yaml too, on line 6: say it in one file',
      'routes/other.yaml:7:7  CS1402  forward.routes.crm.credential is set in routes/crm.yaml too, on line 7: say it in one file',
    ])
  })

  test('includes files that are there, that are parts, and that include nothing themselves', () => {
    expect(findingsOf(written({ 'countersign.yaml': main }))[0]).toMatch(/countersign\.yaml:2:\d+ {2}CS1001 {2}cannot read routes: ENOENT/)
    const odd = {
      ...good,
      'routes/a.yaml': '- 1\n',
      'routes/b.yaml': 'version: 1\ninclude: [x]\n',
      'routes/c.yaml': 'a: [',
      'routes/.d.yaml': 'no: [',
    }
    expect(findingsOf(written(odd)).map((line) => line.split('  ', 2).join(' '))).toEqual([
      'routes/a.yaml:1:1 CS1201',
      'routes/b.yaml:1:1 CS1402',
      'routes/b.yaml:2:1 CS1402',
      'routes/c.yaml:1:5 CS1101',
    ])
  })

  test('names for each agent the file that declares it', () => {
    expect(load(written(good)).declared.map(({ file }) => file)).toEqual(['people.yaml', 'people.yaml'])
  })
})

/** A mounted ConfigMap: files are links through `..data`, which leads to a folder of the time and is swapped by renaming. */
function mount(folder: string, revision: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(join(folder, `..${revision}`), { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, `..${revision}`, name), text)
  symlinkSync(`..${revision}`, join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
}

test('a mounted ConfigMap that is swapped is read again, that of the file and that of a folder it includes', async () => {
  const folder = mkdtempSync(join(scratch, 'mounted-'))
  const routes = join(folder, 'routes')
  const file = join(folder, 'countersign.yaml')
  const files = { 'countersign.yaml': main, 'people.yaml': good['people.yaml'] }
  mount(folder, '2026_1', files)
  mount(routes, '2026_1', { 'crm.yaml': crm })
  for (const name of Object.keys(files)) symlinkSync(join('..data', name), join(folder, name))
  symlinkSync('..data/crm.yaml', join(routes, 'crm.yaml'))
  const read: string[] = []
  const watching = watchConfig({
    file,
    env: {},
    seen: stampOf(file),
    watched: load(folder).watched,
    swap: async () => undefined,
    done: (result) => {
      read.push(result.ok ? `${result.loaded.config.task.state.path} ${result.loaded.config.forward.routes['crm']?.to}` : 'bad')
    },
  })
  try {
    mount(routes, '2026_2', { 'crm.yaml': crm.replace('https://crm.acme.example\n', 'https://crm2.acme.example\n') })
    await expect.poll(() => read, { timeout: 5000 }).toEqual(['state.db https://crm2.acme.example'])
    mount(folder, '2026_2', { ...files, 'countersign.yaml': main.replace('state.db', 'next.db') })
    await expect.poll(() => read.at(-1), { timeout: 5000 }).toBe('next.db https://crm2.acme.example')
  } finally {
    watching.close()
  }
})
