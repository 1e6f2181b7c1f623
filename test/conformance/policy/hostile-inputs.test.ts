import { afterAll, describe, expect, test } from 'vitest'
import { makeDecide, type Decide, type Question } from '../../../src/decide/decide.ts'
import { EngineFailure } from '../../../src/decide/engine.ts'
import type { Call } from '../../../src/listen/call.ts'
import { jsonCaps } from '../../../src/match/json.ts'
import { makeMatch } from '../../../src/match/match.ts'
import { Refusal, type Code } from '../../../src/refusal.ts'
import { builtinsPolicyBytes, defaultPolicyBytes, openHost, quietLog } from '../../support/policy-rig.ts'
import {
  sketchAgent,
  sketchCall,
  sketchCaller,
  sketchFacts,
  sketchIntent,
  sketchQuestion,
  sketchRoute,
  sketchRow,
  sketchTool,
  type CallSketch,
} from '../../support/question.ts'
import { Random, seedOf } from '../../support/random.ts'

/** In all, over the three ways in. */
const [calls, texts, aborting] = [1200, 400, 400]

const seed = seedOf(process.env)
const random = new Random(seed)
const now = 1_790_000_000_000
const note = sketchTool({ name: 'crm.note', match: 'POST /notes/{+rest}', effect: 'write', data: [], resource: null, args: 'json' })
const pay = sketchTool({ ...note, name: 'crm.pay', match: 'POST /payments/{+rest}', debit: { eur: '/amount' } })
const search = sketchTool({ name: 'crm.search', match: 'GET /search/{+rest}', effect: 'read', data: [], resource: 'customer:{rest}' })
const route = sketchRoute({ tools: [note, pay, search], policyHeaders: ['x-note'] })
const match = makeMatch({ routes: new Map([['crm', route]]), judgedBody: 256 * 1024 })
/** A task that declared the tools, and one that did not: whatever an agent sends under that, the answer is no. */
const [wide, narrow] = [['crm.note', 'crm.pay', 'crm.search'], ['crm.nothing']].map((tools) => {
  const intent = { ...sketchIntent, tools, resources: ['*'], budget: { calls: 1_000_000, eur: 100 } }
  return { row: sketchRow({ intent, expires: now + 1000 }), agent: sketchAgent() }
}) as [Question['task'], Question['task']]

/** The code that a call ends with; null when policy allows it. */
async function codeOf(decide: Decide, call: Call, task: Question['task'], caller = sketchCaller()): Promise<Code | null> {
  try {
    const { effect } = decide(sketchQuestion({ call, task, caller, target: await match(call, task) }))
    return effect === 'allow' ? null : effect === 'deny' ? 'decide.denied' : 'approve.required'
  } catch (error) {
    // what is no refusal would end as `internal`: a bug
    if (!(error instanceof Refusal)) throw error
    return error.code
  }
}

const post = (body: string | Uint8Array, more: CallSketch = {}): Call =>
  sketchCall({ method: 'POST', target: '/notes/1', headers: [['content-type', 'application/json']], body: [body], ...more })

const odd = [
  '\u0000',
  '\u0001',
  '\u007f',
  '\u00a0',
  '\u2028',
  '\u2029',
  '\u202e',
  '\u200b',
  '\ufeff',
  '\ufffe',
  '\uffff',
  '\u{10ffff}',
  '\u{1f468}\u200d\u{1f469}',
  'e\u0301',
  '\ud7ff',
  '\ue000',
  '"',
  '\\',
  '\\u0000',
  'ſ',
  'İ',
  '/',
  '*',
  '%',
]
const keys = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '',
  ' ',
  '*',
  'v',
  'effect',
  'input',
  'data',
  '/',
  '~1',
  '$ref',
  ...odd,
]
const numbers = [
  '1e308',
  '1e309',
  '-1e400',
  '9'.repeat(400),
  '0.'.padEnd(400, '1'),
  '-0',
  '1e-400',
  '5e-324',
  '9007199254740993',
  '18446744073709551616',
  '1E+2',
  '01',
  '+1',
  '.5',
  '1.',
  'NaN',
  'Infinity',
  '0x10',
  '1_000',
  '--1',
]
const sound = ['0', '-0', '1e308', '-1e-300', '5e-324', '9007199254740993', '1E+2', '0.1', '123456789.123456789']

function word(): string {
  return Array.from({ length: 1 + random.below(6) }, () => random.pick(odd)).join('')
}

/** Any JSON, now and then of what JSON is not. */
function value(depth: number): string {
  const kind = random.below(40) === 0 ? 2 : random.pick(depth > 6 ? [0, 1, 3] : [0, 1, 3, 4, 5, 6])
  if (kind === 0) return random.pick(random.below(10) === 0 ? numbers : sound)
  if (kind === 1) return JSON.stringify(word())
  if (kind === 2)
    return random.pick(['"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\uDBFF"', '"\\u0000"', '"\\x41"', '"\t"', '"'])
  if (kind === 3)
    return random.pick(random.below(20) === 0 ? ['nul', 'undefined', '[,]', '{"a"}', '{,}'] : ['null', 'true', 'false', '""', '[]', '{}'])
  const items = Array.from({ length: random.below(5) }, () => value(depth + 1))
  if (kind === 4) return `[${items.join(',')}]`
  return `{${items.map((item) => `${random.below(60) === 0 ? '"\\ud800"' : JSON.stringify(word() + random.pick(keys))}:${item}`).join(',')}}`
}

/** A body at or past a cap. */
function capped(): string {
  const over = random.below(3) - 1
  const deep = random.pick([62, 63, 64, 65, 256, 1000, 100_000])
  return random.pick([
    () => `{"a":${'['.repeat(deep)}${']'.repeat(deep)}}`,
    () => `${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}`,
    () => '['.repeat(deep),
    () => JSON.stringify({ a: 'x'.repeat(jsonCaps.string + over) }),
    () => JSON.stringify({ ['k'.repeat(jsonCaps.string + over)]: 1 }),
    () => JSON.stringify(Array.from({ length: jsonCaps.items + over }, () => 1)),
    () => JSON.stringify(Object.fromEntries(Array.from({ length: jsonCaps.members + over }, (_, at) => [`k${at}`, at]))),
    () => `[${'1e20,'.repeat(random.pick([1000, 8000]))}1]`,
    () => `{"a":"${'\\u0000'.repeat(10_000)}"}`,
    () => `"${'\u{1f600}'.repeat(32_000)}"`,
    () => `{"a":"${'x'.repeat(256 * 1024)}"}`,
  ])()
}

function bodyCall(): Call {
  const text = random.below(12) === 0 ? capped() : value(0)
  const bytes = Buffer.from(text)
  const kind = random.below(10)
  if (kind === 0) return post(bytes.subarray(0, random.below(bytes.length + 1)))
  if (kind === 1) return post(Buffer.concat([bytes, Buffer.from(random.pick(['', ' ', '{}', '\u0000', ',', ']', '\ufeff']))]))
  if (kind === 3) return post(`{"amount":${value(4)},"text":${text}}`, { target: '/payments/1' })
  if (kind === 2) return post(bytes.map((byte) => (random.below(20) === 0 ? random.below(256) : byte)))
  return post(bytes)
}

function headCall(): Call {
  const query = Array.from(
    { length: random.pick([1, 3, 49, 50, 51, 100, 101]) },
    () =>
      `${encodeURIComponent(random.pick(keys))}=${random.pick(['', '%', '%ff', '%ed%a0%80', '+', encodeURIComponent(word()), 'x'.repeat(random.pick([1, 4095, 4096]))])}`,
  )
  const path = random.pick([
    () => `/search/${Array.from({ length: 1 + random.below(70) }, () => encodeURIComponent(word())).join('/')}`,
    () => `/search/${'a'.repeat(2040 + random.below(12))}`,
    () => '/search/__proto__',
    () => `/search/${encodeURIComponent('*')}`,
  ])()
  const held = random.pick([word(), 'h'.repeat(1024), 'h'.repeat(1025), '\ud800', '\udc00x', '{"a":1}', '"'])
  return sketchCall({
    target: `${path}?${query.join('&')}`,
    headers: [
      ['x-note', held],
      ['content-type', word()],
    ],
  })
}

function oddCaller() {
  const claim = (depth: number): unknown =>
    depth === 0
      ? random.pick([word(), 'c'.repeat(513), NaN, -0, 1e308, undefined, '\ud800'])
      : { [random.pick(keys)]: claim(depth - 1), more: [claim(depth - 1)] }
  return sketchCaller({
    claims: Object.fromEntries([
      [random.pick(keys), claim(random.below(9))],
      ['\ud800', 1],
    ]),
  })
}

describe(`hostile input (COUNTERSIGN_SEED=${seed})`, () => {
  const host = openHost(defaultPolicyBytes, { clock: () => now })
  const decide = makeDecide({
    engine: () => host,
    facts: () => sketchFacts(),
    clock: () => now,
    mode: 'enforce',
    environment: 'test',
    log: quietLog(),
  })
  afterAll(() => host.close())

  const honest = async (): Promise<void> => expect(await codeOf(decide, post('{"text":"honest","amount":1}'), wide)).toBeNull()

  test(`in ${calls} calls ends each in a coded refusal, and honest calls between them go on`, async () => {
    const seen = new Map<string, number>()
    for (let n = 0; n < calls; n++) {
      const call = n % 3 === 0 ? headCall() : bodyCall()
      const code = await codeOf(decide, call, narrow, n % 5 === 0 ? oddCaller() : sketchCaller())
      seen.set(code ?? 'allowed', (seen.get(code ?? 'allowed') ?? 0) + 1)
      if (n % 20 === 0) await honest()
    }
    const expected: readonly string[] = [
      'decide.denied',
      'decide.unavailable',
      'listen.malformed',
      'listen.too-large',
      'match.body',
      'match.unroutable',
    ]
    expect([...seen.keys()].filter((code) => !expected.includes(code))).toEqual([])
    expect(seen.get('decide.denied')).toBeGreaterThan(calls / 5)
    expect(seen.get('match.body')).toBeGreaterThan(calls / 5)
    // nothing that passes the strict reader and the quoting reaches the engine as something it stumbles over
    expect(host.replaced).toBeLessThan(calls / 20)
    await honest()
  }, 120_000)

  test(`in ${texts} texts is refused before the engine or denied by it`, () => {
    for (let n = 0; n < texts; n++) {
      const text =
        random.below(4) === 0 ? value(0) : `{"v":1,"request":${value(0)},"task":${value(1)}${random.pick(['}', '}}', '', ' }', '}{}'])}`
      try {
        expect(host.evaluate('countersign/decision', text)).toMatchObject({ effect: 'deny' })
      } catch (error) {
        expect(error, text).toBeInstanceOf(EngineFailure)
      }
    }
  })

  test(`that makes policy abort ${aborting} times costs those calls alone`, async () => {
    const aborted = openHost(builtinsPolicyBytes, { clock: () => now })
    const unready = makeDecide({
      engine: () => aborted,
      facts: () => sketchFacts(),
      clock: () => now,
      mode: 'enforce',
      environment: 'test',
      log: quietLog(),
    })
    for (let n = 0; n < aborting; n++) {
      expect(() => aborted.evaluate('countersign/decision', '{"call":"conflict"}')).toThrow(EngineFailure)
      // an answer that is no decision is a refusal too
      if (n % 20 === 0) expect(await codeOf(unready, post('{"a":1}'), wide)).toBe('decide.malformed')
    }
    expect(aborted.evaluate('countersign/decision', '{"call":"hex.encode","args":["a"]}')).toEqual({ effect: 'deny', gives: ['61'] })
    expect(aborted.replaced).toBe(aborting)
    aborted.close()
    await honest()
  }, 60_000)
})
