import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text as readText } from 'node:stream/consumers'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { PolicyHost } from '../../src/decide/module.ts'
import { maskSpoken, type Spoken } from '../../src/record/mask.ts'
import { Reading } from '../../src/match/json-keys.ts'
import { applyMaskRules, readMaskRules, type Maskable } from '../../src/record/mask-rules.ts'
import { openHost } from '../support/policy-rig.ts'
import { pseudonymsOf } from '../../src/record/pseudonym.ts'

const pseudonym = pseudonymsOf(Buffer.alloc(32, 7))

/** Our masking against that of `opa run`: generated events, and rules that a policy takes from its data, as a list or as a set. */

const opa = join(import.meta.dirname, '../../.engines/bin/opa')
const seed = 20_261_126

interface Case {
  readonly input: unknown
  readonly result: unknown
  readonly rules: unknown
  readonly set: boolean
}

/** What OPA logged of one case; null: it threw the event away. */
type Logged = { readonly input?: unknown; readonly result?: unknown; readonly erased?: string[]; readonly masked?: string[] } | null

const keys = [
  ...'a|b|token|a b|a%20b|a/b|x~1y|~0|100%|%zz|%2F|é|漢字|\u{1f511}|"|\u2028|\\|<&>||.|..|0|1|2|-1|-0|+1|01|1e0|0x1| 1|١'.split('|'),
  ..."$ & + : = @ ; , ? # ! ' ( ) * - _ __proto__ constructor toString length".split(' '),
  '0000000000000000000001',
  '9'.repeat(25),
]

const oddRules = [
  ...'|input|input/a|/|/inputs|/Input|//input|/labels/id|/erased|/input/%|/input/%2|/input/a%zz/b|/input/|/result|/input'.split('|'),
  7,
  null,
  true,
  [],
  {},
  { op: 'remove' },
  { path: '/input' },
  { op: '', path: '/input' },
  { op: 'REMOVE', path: '/input' },
  { op: 'replace', path: '/input' },
  { op: 7, path: '/input' },
  { op: 'remove', path: '' },
  { op: 'remove', path: ['input'] },
  { op: 'upsert', path: null, value: 1 },
  { op: 'remove', path: '/input/a', value: 1, more: true },
]

/** As the ledger reads: V8 gives a key that is spelled with escapes the name of another. */
const parse = (text: string): unknown => new Reading(text).value()

const keepAlive = new Agent({ keepAlive: true, maxSockets: 1 })
// as they are read from a line: no value is there twice as one
const cases = parse(JSON.stringify(fc.sample(maskings(), { numRuns: 2000, seed }))) as readonly Case[]
let scratch = ''
let server: ChildProcess | null = null
let host: PolicyHost
let theirs: readonly Logged[] = []

beforeAll(async () => {
  if (!existsSync(opa)) throw new Error('opa is not installed: run `npm run engines`')
  scratch = mkdtempSync(join(tmpdir(), 'countersign-log-mask-'))
  const folder = join(scratch, 'policy')
  for (const [path, text] of Object.entries(policyOf(cases))) {
    mkdirSync(join(folder, path, '..'), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  const bundle = join(scratch, 'policy.tar.gz')
  execFileSync(opa, ['build', '-b', '.', '-t', 'wasm', '-o', bundle], { cwd: folder, stdio: 'pipe' })
  host = openHost(readFileSync(bundle))
  theirs = await loggedBy(folder)
})

afterAll(() => {
  server?.kill()
  host.close()
  rmSync(scratch, { recursive: true })
})

it('rules that OPA takes for none are none here, and no others', () => {
  const wrong = cases.filter(({ rules }, at) => isRules(rules) !== (theirs[at] !== null))
  expect(wrong).toEqual([])
  expect(theirs.filter((event) => event === null).length).toBeGreaterThan(50)
})

it('rules do to input and result what they do in OPA, and are listed as there', () => {
  let erased = 0
  let masked = 0
  for (const [at, { input, result, rules, set }] of cases.entries()) {
    const event = theirs[at]
    // a set has the order that the engine gives it: that is held below
    if (event === null || event === undefined || set || !isPlain(rules)) continue
    const parts: Maskable = { input: structuredClone(input), result: structuredClone(result) }
    const { erased: gone, masked: replaced } = applyMaskRules(readMaskRules(rules), parts, pseudonym)
    const done = { erased: gone, masked: replaced }
    expect({ ...parts, ...done }, JSON.stringify(cases[at])).toEqual({
      input: event.input,
      result: event.result,
      erased: event.erased ?? [],
      masked: event.masked ?? [],
    })
    erased += done.erased.length
    masked += done.masked.length
  }
  expect(erased).toBeGreaterThan(60)
  expect(masked).toBeGreaterThan(60)
})

it('a line that the same policy masks in our host says what the event of OPA says', () => {
  for (const [at, { input, result, rules }] of cases.entries()) {
    const spoken: Spoken = { input: textOf(input), result: textOf(result), erased: [], masked: [], hashed: [], withheld: false }
    const event = (said: Spoken): string => `{"path":"countersign/results/${at}","input":${said.input},"result":${said.result}}`
    const said = maskSpoken(spoken, event, host, {
      parse,
      log: { error: () => undefined },
      engine: () => null,
    })
    const logged = theirs[at] ?? null
    expect(said.withheld, JSON.stringify(cases[at])).toBe(logged === null)
    if (logged === null || !isPlain(rules)) continue
    const ours = { input: parse(said.input), result: parse(said.result ?? 'null'), erased: said.erased, masked: said.masked }
    const wanted = { input: logged.input ?? null, result: logged.result ?? null, erased: logged.erased ?? [], masked: logged.masked ?? [] }
    expect(ours, JSON.stringify(cases[at])).toEqual(wanted)
  }
})

it('a path that percent-encoding changes removes what OPA removes, and the key that it means, which OPA leaves', () => {
  let more = 0
  for (const [at, { input, result, rules }] of cases.entries()) {
    const event = theirs[at]
    // what one rule left to the next is another thing then
    if (event === null || event === undefined || isPlain(rules) || !Array.isArray(rules) || rules.length !== 1) continue
    const { erased } = applyMaskRules(readMaskRules(rules), { input: structuredClone(input), result: structuredClone(result) }, pseudonym)
    expect(erased, JSON.stringify(cases[at])).toEqual(expect.arrayContaining(event.erased ?? []))
    more += erased.length - (event.erased?.length ?? 0)
  }
  expect(more).toBeGreaterThan(5)
})

/** Whether no segment of a path is another one when it is encoded or decoded. */
function isPlain(rules: unknown): boolean {
  const paths = Array.isArray(rules) ? rules.map((rule: unknown) => (typeof rule === 'string' ? rule : Object(rule).path)) : []
  return paths.every((path) => /^[\w.~$&+:=@/-]*$/.test(String(path)))
}

function isRules(rules: unknown): boolean {
  try {
    readMaskRules(rules)
    return true
  } catch {
    return false
  }
}

function textOf(value: unknown): string {
  return JSON.stringify(value) ?? 'null'
}

function policyOf(all: readonly Case[]): Readonly<Record<string, string>> {
  const by = (pick: (one: Case) => unknown): object => Object.fromEntries(all.map((one, at) => [at, pick(one)]))
  return {
    '.manifest': '{"roots":["countersign","system/log"]}',
    'countersign/judge.rego': `package countersign

# METADATA
# entrypoint: true
decision := {"effect": "deny"}

# METADATA
# entrypoint: true
task := {"effect": "deny"}
`,
    'system/log/mask.rego': `package system.log

_at := split(input.path, "/")[2]

# METADATA
# entrypoint: true
mask := data.countersign.rules[_at] if not data.countersign.sets[_at]

mask := {rule | some rule in data.countersign.rules[_at]} if data.countersign.sets[_at]
`,
    'countersign/data.json': JSON.stringify({
      results: by((one) => one.result),
      rules: by((one) => one.rules),
      sets: by((one) => one.set),
    }),
  }
}

/** Asks a real OPA for every result, and reads what it logs of that. */
async function loggedBy(folder: string): Promise<readonly Logged[]> {
  const socket = join(scratch, 'opa.sock')
  const flags = ['--addr', `unix://${socket}`, '--set', 'decision_logs.console=true', '--log-format', 'json', '--skip-version-check']
  server = spawn(opa, ['run', '--server', ...flags, '-b', folder], { stdio: ['ignore', 'ignore', 'pipe'] })
  if (server.stderr === null) throw new Error('no standard error')
  const events = new Map<string, Logged>()
  let failed = 0
  const reading = (async (lines: AsyncIterable<string>) => {
    for await (const line of lines) {
      const said = parse(line) as { msg: string; decision_id: string } & NonNullable<Logged>
      if (said.msg === 'Decision Log') events.set(said.decision_id, said)
      else if (said.msg.startsWith('Log event masking failed')) failed++
      if (events.size + failed === cases.length) return
    }
    throw new Error('opa ended')
  })(createInterface({ input: server.stderr }))
  reading.catch(() => undefined)
  await vi.waitUntil(() => existsSync(socket), { timeout: 20_000 })
  const ids: string[] = []
  for (const [at, { input }] of cases.entries()) ids.push(await ask(socket, `/v1/data/countersign/results/${at}`, { input }))
  await reading
  return ids.map((id) => events.get(id) ?? null)
}

/** The id of the decision. */
async function ask(socketPath: string, path: string, body: unknown): Promise<string> {
  const sent = request({ socketPath, path, method: 'POST', agent: keepAlive }).end(JSON.stringify(body))
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  const { decision_id: id } = JSON.parse(await readText(answer)) as { decision_id: string }
  return id
}

/** Generated: values with keys and items of all kinds, and rules whose paths mostly lead somewhere in them. */
function maskings(): fc.Arbitrary<Case> {
  const key = fc.oneof(fc.constantFrom('a', 'b', 'token', '0', '1'), fc.constantFrom(...keys))
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      fc.constantFrom<unknown>(null, true, 0, 7, 'secret', '', 1.5, [], {}),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 5 }),
    ),
  }))
  const members = fc.dictionary(key, value, { minKeys: 1, maxKeys: 6 })
  const part = fc.oneof({ arbitrary: members, weight: 6 }, { arbitrary: value, weight: 1 })
  // the interface of opa takes null for no input
  const asked = part.filter((one) => one !== null)
  return fc.tuple(asked, part, fc.boolean()).chain(([input, result, set]) => {
    const there = fc.constantFrom(...pathsOf(input, ['input']), ...pathsOf(result, ['result']))
    const path = fc.oneof(
      { arbitrary: there, weight: 5 },
      { arbitrary: fc.tuple(there, fc.array(key, { minLength: 1, maxLength: 3 })).map(([one, more]) => [...one, ...more]), weight: 3 },
      { arbitrary: fc.tuple(there, key).map(([one, last]) => [...one.slice(0, -1), last]), weight: 2 },
      { arbitrary: fc.array(key, { maxLength: 3 }).map((more) => ['nd_builtin_cache', ...more]), weight: 1 },
    )
    const spelt = fc.tuple(path, fc.nat(9)).map(
      ([[first = '', ...rest], how]) =>
        // as it stands, or as a careful author would write it: both are compared in one more encoding
        `/${[first, ...rest.map((one) => (how < 2 ? encodeURIComponent(one) : how === 2 ? one.replaceAll('~', '~0').replaceAll('/', '~1') : one))].join('/')}`,
    )
    const rule = fc.oneof(
      spelt,
      fc.record({ op: fc.constant('remove'), path: spelt }),
      fc.record({ op: fc.constant('upsert'), path: spelt, value }, { requiredKeys: ['op', 'path'] }),
    )
    const odd = fc.constantFrom<unknown>(...oddRules)
    const rules = fc.oneof(
      { arbitrary: fc.array(rule, { maxLength: 6 }), weight: 12 },
      { arbitrary: fc.tuple(fc.array(rule, { maxLength: 2 }), odd).map(([some, one]) => [...some, one]), weight: 1 },
      // in a set there is nothing that is no list
      { arbitrary: fc.constantFrom<unknown>(...(set ? [[]] : [null, 'x', 1, true, {}, { op: 'remove', path: '/input' }])), weight: 1 },
    )
    return rules.map((some) => ({ input, result, rules: some, set }))
  })
}

function pathsOf(value: unknown, path: readonly string[]): (readonly string[])[] {
  const inner = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return [path, ...inner.flatMap(([key, one]) => pathsOf(one, [...path, key]))]
}
