import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildInput, type Seen } from '../../../src/decide/input.ts'
import { buildTaskInput } from '../../../src/decide/opening.ts'
import { repeatDigest } from '../../../src/decide/repeat.ts'
import { Reading } from '../../../src/match/json-keys.ts'
import { Refusal } from '../../../src/refusal.ts'
import type { JudgedBody } from '../../../src/match/match.ts'
import {
  sketchAgent,
  sketchCall,
  sketchCaller,
  sketchFacts,
  sketchIntent,
  sketchQuestion,
  sketchRoute,
  sketchRow,
  sketchTarget,
  sketchTool,
  type CallSketch,
  type QuestionSketch,
} from '../../support/question.ts'

/** Not JSON.parse: it may take an escaped key for one it saw before (nodejs/node#63785). */
const parse = (text: string): any => new Reading(text).value() // oxlint-disable-line typescript/no-explicit-any

const setting = { mode: 'enforce', environment: 'test' } as const
const seen = (facts = sketchFacts()): Seen => ({ facts, now: 1_790_000_000_000, revision: 'r1' })
const build = (question: QuestionSketch = {}, facts = sketchFacts()) => buildInput(sketchQuestion(question), seen(facts), setting)
const parsed = (question: QuestionSketch = {}, facts = sketchFacts()) => parse(build(question, facts).record)
const asked = (call: CallSketch) => parsed({ call: sketchCall(call) })
const codeOf = (attempt: () => unknown): string => {
  try {
    attempt()
    return 'built'
  } catch (error) {
    return Refusal.from(error).code
  }
}

/** Every path to a member, with arrays and free-form objects taken as leaves. */
function shape(value: unknown, free: readonly string[], path = ''): string[] {
  if (value === null || typeof value !== 'object' || Array.isArray(value) || free.includes(path)) return [path]
  return Object.entries(value).flatMap(([key, inner]) => shape(inner, free, path === '' ? key : `${path}.${key}`))
}

const freeForm = [
  'request.query',
  'request.headers',
  'request.body.parsed',
  'caller.claims',
  'agent.labels',
  'task.budget.limit',
  'task.budget.spent',
  'task.budget.debit',
  'sequence.counts',
  'sequence.steps',
  'sequence.sources',
  'sequence.denials',
  'task.inherited',
  'agent.owners',
  'task.on_behalf_of',
]

const closedShape = [
  'v',
  ...['id', 'method', 'scheme', 'host', 'port', 'path', 'segments', 'query', 'headers', 'protocol'].map((key) => `request.${key}`),
  ...['kind', 'sha256', 'size', 'judged'].map((key) => `request.body.${key}`),
  ...['spiffe_id', 'trust_domain', 'method', 'confirmed', 'issuer', 'expires', 'claims'].map((key) => `caller.${key}`),
  ...['id', 'purpose', 'owners', 'autonomy', 'lifecycle', 'hosting', 'labels', 'bounds'].map((key) => `agent.${key}`),
  ...['id', 'state', 'implicit', 'on_behalf_of', 'started', 'expires', 'sensitivity', 'inherited'].map((key) => `task.${key}`),
  ...['purpose', 'tools', 'resources', 'data', 'egress', 'prompt'].map((key) => `task.intent.${key}`),
  ...['limit', 'spent', 'debit'].map((key) => `task.budget.${key}`),
  ...['depth', 'root', 'chain', 'verified'].map((key) => `delegation.${key}`),
  ...[
    'name',
    'kind',
    'route',
    'effect',
    'risk',
    'data',
    'egress',
    'resource',
    'accepts',
    'args_sha256',
    'catalogued',
    'prompt',
    'bound',
  ].map((key) => `tool.${key}`),
  ...['step', 'last', 'counts', 'steps', 'taint', 'sources', 'brought', 'hosts', 'repeats', 'sums', 'failures', 'denials', 'diverged'].map(
    (key) => `sequence.${key}`,
  ),
  ...['tool', 'host', 'resource', 'class'].map((key) => `sequence.seen.${key}`),
  ...['score', 'reasons'].map((key) => `sequence.divergence.${key}`),
  'approval',
  ...['now', 'mode', 'policy_revision', 'environment'].map((key) => `context.${key}`),
].sort()

describe('the input of policy', () => {
  it('has the closed shape of v1 and nothing else', () => {
    expect(shape(parsed(), freeForm).sort()).toEqual(closedShape)
  })

  it('says what the call is', () => {
    const route = sketchRoute({ selects: ['x-op'], policyHeaders: ['accept'] })
    const call = sketchCall({
      method: 'POST',
      target: '/customers/a%2Fb?a=1&b=x+y&a=%C3%A9&c&=d&&e=f=g',
      headers: [
        ['X-Op', 'get'],
        ['Accept', 'a/b'],
        ['Accept', 'c/d'],
        ['Content-Type', 'text/plain'],
        ['Authorization', 'Bearer canary'],
      ],
    })
    const { request } = parsed({ call, target: sketchTarget({ route }) })
    expect(request).toMatchObject({ method: 'POST', path: '/customers/a%2Fb', segments: ['customers', 'a/b'], port: 7420 })
    expect(request.query).toEqual({ a: ['1', 'é'], b: ['x y'], c: [''], '': ['d'], e: ['f=g'] })
    expect(request.headers).toEqual({ 'content-type': 'text/plain', 'x-op': 'get', accept: 'a/b, c/d' })
  })

  it('says what the reviewers of the agent put out of bounds, and not who they are', () => {
    const outOfBounds = { data: ['health'], tools: ['payroll.*'], effects: ['delete'] }
    const agent = sketchAgent({ reviewers: [{ role: 'legal', name: 'lea', outOfBounds }] })
    expect(parsed({ task: { row: sketchRow(), agent } }).agent.bounds).toEqual([{ by: 'legal', ...outOfBounds }])
  })

  it('has the judged document for the engine and its digest for the record', () => {
    const body: JudgedBody = {
      kind: 'json',
      parsed: { amount: 12, __proto__: null },
      bytes: Buffer.from('{"amount":12}'),
      sha256: 'ab',
      size: 13,
      judged: true,
    }
    const { engine, record } = build({ target: sketchTarget({ body }) })
    const whole = parse(engine)
    expect(whole.request.body).toEqual({ kind: 'json', sha256: 'ab', size: 13, judged: true, parsed: { amount: 12 } })
    expect(whole.tool.args_sha256).toBe('ab')
    delete whole.request.body.parsed
    expect(parse(record)).toEqual(whole)
    expect(() => JSON.parse(record)).not.toThrow()
  })

  it.each([
    [{ kind: 'json', parsed: undefined, bytes: null, sha256: null, size: 9e6, judged: false }],
    [{ kind: 'json', parsed: { late: 1 }, bytes: null, sha256: 'ab', size: 9e6, judged: false }],
    [{ kind: 'stream', parsed: { late: 1 }, bytes: null, sha256: null, size: null, judged: false }],
    [{ kind: 'none', parsed: undefined, bytes: null, sha256: null, size: 0, judged: true }],
  ] as const)('has no document that was not judged: %o', (body) => {
    const { engine, record } = build({ target: sketchTarget({ body }) })
    expect(engine).toBe(record)
    expect(parse(engine)).toMatchObject({ request: { body: { kind: body.kind, judged: body.judged } }, tool: { args_sha256: null } })
    expect(engine).not.toContain('late')
  })

  it('tells a document that is null from one that is not there', () => {
    const body: JudgedBody = { kind: 'json', parsed: null, bytes: Buffer.from('null'), sha256: 'ab', size: 4, judged: true }
    expect(parse(build({ target: sketchTarget({ body }) }).engine).request.body).toHaveProperty('parsed', null)
  })

  it('joins what the task read with what its caller read before, and keeps the taint of the task apart', () => {
    const facts = sketchFacts({ sensitivity: ['personal', 'internal'] }, { sensitivity: { secret: 1, personal: 2 } })
    expect(parsed({}, facts)).toMatchObject({
      task: { sensitivity: ['internal', 'personal', 'secret'] },
      sequence: { taint: ['personal', 'internal'] },
    })
  })

  it('says what came before: five steps with their age, counts, repeats of this very call', () => {
    const question = sketchQuestion()
    const step = (at: number) => ({ tool: `t${at}`, effect: 'read', egress: 'internal', at: 1_790_000_000_000 - at })
    const facts = sketchFacts({
      step: 9,
      last: [7, 6, 5, 4, 3, -2].map(step),
      counts: { 'crm.customer.read': 4 },
      hosts: { size: 2, times: (host) => (host === 'crm.acme.example' ? 8 : 0) },
      resources: { 'customer:42': 5 },
      repeats: { [repeatDigest(question)]: 3, other: 9 },
      failures: 2,
      spent: { calls: 9, eur: 1.5 },
    })
    const { sequence, task } = parse(buildInput(question, seen(facts), setting).record)
    expect(sequence).toMatchObject({ step: 9, counts: { 'crm.customer.read': 4 }, hosts: 2, repeats: 3, failures: 2, diverged: false })
    expect(sequence.seen).toEqual({ tool: 4, host: 8, resource: 5, class: 0 })
    expect(sequence.last).toEqual(
      [6, 5, 4, 3, 0].map((ago, index) => ({ tool: ['t6', 't5', 't4', 't3', 't-2'][index], effect: 'read', egress: 'internal', ago })),
    )
    expect(task.budget).toEqual({ limit: { calls: 200 }, spent: { calls: 9, eur: 1.5 }, debit: { calls: 1 } })
  })

  it('counts the tool at hand by name however many there are, and the rest together', () => {
    const counts = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`t${at}`, 1]))
    const { sequence } = parsed({}, sketchFacts({ counts: { ...counts, 'crm.customer.read': 7 } }))
    expect(sequence.counts['crm.customer.read']).toBe(7)
    expect(Object.keys(sequence.counts)).toHaveLength(65)
    expect(Object.values<number>(sequence.counts).reduce((sum, count) => sum + count, 0)).toBe(107)
  })

  it('says at which steps each tool was called, and folds the same tools together as the counts', () => {
    const tools = Array.from({ length: 100 }, (_, at) => `t${at}`)
    const counts = Object.fromEntries(tools.map((name) => [name, 1]))
    const steps = Object.fromEntries(tools.map((name, at) => [name, [at + 1, at + 1] as const]))
    const { sequence } = parsed({}, sketchFacts({ step: 100, counts, steps }))
    expect(sequence.steps['t0']).toEqual([1, 1])
    expect(Object.keys(sequence.steps)).toEqual(Object.keys(sequence.counts))
    expect(sequence.steps['*']).toEqual([64, 100])
  })

  it('takes a tool whose steps nobody kept for one that was called at any', () => {
    const { sequence } = parsed({}, sketchFacts({ step: 9, counts: { a: 2, 'crm.customer.read': 1 } }))
    expect(sequence.steps).toEqual({ a: [1, 9], 'crm.customer.read': [1, 9] })
  })

  it('says where each class came from and how long ago, in this task and in others of the caller', () => {
    const now = 1_790_000_000_000
    const source = { tool: 'crm.read', at: now - 500, step: 2, only: true, reads: 3 }
    const facts = sketchFacts(
      { sources: { personal: source, secret: { ...source, at: now - 9000, only: false } } },
      { sensitivity: { personal: now, internal: now - 60_000, secret: now - 3000 } },
    )
    expect(parsed({}, facts)).toMatchObject({
      sequence: {
        sources: {
          personal: { tool: 'crm.read', ago: 500, step: 2, only: true, reads: 3 },
          secret: { tool: 'crm.read', ago: 9000, step: 2, only: false, reads: 3 },
        },
      },
      task: { inherited: { internal: 60_000, secret: 3000 } },
    })
    expect(parsed({}, facts).task.inherited).not.toHaveProperty('personal')
  })

  it('says what policy refused before, and whether the task left its intent', () => {
    expect(parsed({}, sketchFacts({ denials: { 'intent.tool': 2 }, diverged: true })).sequence).toMatchObject({
      denials: { 'intent.tool': 2 },
      diverged: true,
    })
  })

  it('names the person at the root of a delegation, or else the agent', () => {
    expect(parsed().delegation).toEqual({
      depth: 0,
      root: 'agent:spiffe://acme.example/ns/support/sa/refund-agent',
      chain: [],
      verified: true,
    })
    const row = sketchRow({ root: 'user:u-7', onBehalfOf: { subject: 'u-7', issuer: 'https://login.acme.example' } })
    expect(parsed({ task: { row, agent: sketchAgent() } })).toMatchObject({
      delegation: { root: 'user:u-7' },
      task: { on_behalf_of: { subject: 'u-7', issuer: 'https://login.acme.example' } },
    })
  })

  it('has no number that JSON has not', () => {
    expect(parsed({ caller: sketchCaller({ expires: Infinity }) }).caller.expires).toBeNull()
    expect(codeOf(() => build({}, sketchFacts({ spent: { calls: NaN } })))).toBe('decide.unavailable')
    expect(codeOf(() => build({ target: sketchTarget({ debit: { calls: Infinity } }) }))).toBe('decide.unavailable')
  })

  it('stays small without a body', () => {
    expect(build().record.length).toBeLessThan(3072)
  })
})

describe('a part that policy could not see whole', () => {
  it.each<[string, CallSketch]>([
    ['a path', { target: `/${'a'.repeat(2048)}` }],
    ['segments', { target: '/a'.repeat(65) }],
    ['a query', { target: `/a?b=${'c'.repeat(4096)}` }],
    ['query names', { target: `/a?${Array.from({ length: 51 }, (_, at) => `n${at}=1`).join('&')}` }],
    ['query values', { target: `/a?${'n=1&'.repeat(101)}` }],
    ['a header', { headers: [['content-type', 'x'.repeat(1025)]] }],
  ])('such as %s beyond its cap refuses the call and is never cut', (_case, call) => {
    expect(codeOf(() => asked(call))).toBe('listen.too-large')
  })

  it('such as a query that is no UTF-8 refuses the call', () => {
    expect(codeOf(() => asked({ target: '/a?b=%ff' }))).toBe('listen.malformed')
    expect(codeOf(() => asked({ target: '/a?%zz' }))).toBe('listen.malformed')
  })

  it.each<[string, QuestionSketch]>([
    ['an intent', { task: { row: sketchRow({ intent: { ...sketchIntent, tools: Array<string>(257).fill('a') } }), agent: sketchAgent() } }],
    ['a purpose', { task: { row: sketchRow(), agent: sketchAgent({ purpose: 'a'.repeat(1025) }) } }],
    [
      'labels',
      {
        task: {
          row: sketchRow(),
          agent: sketchAgent({ labels: Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`l${at}`, ''])) }),
        },
      },
    ],
    ['claims', { caller: sketchCaller({ claims: { deep: [[[[[[1]]]]]] } }) }],
    ['a claim', { caller: sketchCaller({ claims: { long: 'a'.repeat(513) } }) }],
    ['classes', { target: sketchTarget({ tool: sketchTool({ data: Array<string>(65).fill('a') }) }) }],
  ])('such as %s beyond its cap is the operator’s to mend', (_case, question) => {
    expect(codeOf(() => build(question))).toBe('decide.unavailable')
  })
})

describe('hostile text', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc
      .array(fc.constantFrom('"', '\\', '\ud800', '\udc00', '\0', '\u2028', '\n', '}', ']', ',', '__proto__', 'a'), { maxLength: 12 })
      .map((units) => units.join('')),
    fc.constantFrom('__proto__', 'constructor', '"}', '\ud800"', '\\', '\\"', '\\ud800', '","effect":"allow'),
  )
  const wellFormed = (text: string): string => text.toWellFormed()

  it('stays text wherever it stands, and the shape stays closed', () => {
    fc.assert(
      fc.property(hostile, hostile, hostile, (one, two, three) => {
        const question = sketchQuestion({
          call: { ...sketchCall(), method: one, host: two, address: { ...sketchCall().address, path: three, segments: [one, two] } },
          caller: sketchCaller({ id: one, claims: { sub: two, list: [three, 1, true, null, undefined] } }),
          task: {
            agent: sketchAgent({ purpose: two, owners: { business: one, security: two, incident: three } }),
            row: sketchRow({
              id: one,
              intent: { ...sketchIntent, purpose: one, tools: [two], resources: [three], prompt: two },
              onBehalfOf: { subject: one, issuer: two },
            }),
          },
          target: sketchTarget({ resource: three, route: sketchRoute({ name: two }), tool: sketchTool({ name: one, data: [two] }) }),
        })
        const { engine, record } = buildInput(
          question,
          seen(sketchFacts({ sensitivity: [one], last: [{ tool: two, effect: one, egress: three, at: 0 }] })),
          setting,
        )
        expect(engine).toBe(record)
        expect(record.isWellFormed()).toBe(true)
        expect(record).not.toMatch(/(?<!\\)(\\\\)*\\ud[89a-f]/i)
        expect(() => JSON.parse(record)).not.toThrow()
        const input = parse(record)
        expect(shape(input, freeForm).sort()).toEqual(closedShape)
        expect(input.request).toMatchObject({ method: wellFormed(one), host: wellFormed(two), path: wellFormed(three) })
        expect(input.caller.claims).toEqual({ sub: wellFormed(two), list: [wellFormed(three), 1, true, null, null] })
        expect(input.tool).toMatchObject({ name: wellFormed(one), resource: wellFormed(three), effect: 'read' })
      }),
      { numRuns: 300 },
    )
  })

  it('never makes one key out of two, in a query, claims, labels or meters', () => {
    const claims = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, 1]))
    expect(codeOf(() => build({ caller: sketchCaller({ claims: claims(['a\ud800', 'a\ud801']) }) }))).toBe('decide.unavailable')
    fc.assert(
      fc.property(fc.uniqueArray(hostile, { maxLength: 8 }), (keys) => {
        const caller = sketchCaller({ claims: claims(keys) })
        let record: string
        try {
          record = build({ caller }).record
        } catch {
          return
        }
        expect(Object.keys(parse(record).caller.claims).sort()).toEqual(keys.map(wellFormed).sort())
      }),
      { numRuns: 300 },
    )
    expect(Object.keys(asked({ target: '/a?__proto__=1&constructor=2&__proto__=3' }).request.query)).toEqual(['__proto__', 'constructor'])
  })

  it('that is a form-encoded query is read as forms are', () => {
    const name = fc.string({ unit: 'grapheme', maxLength: 8 })
    fc.assert(
      fc.property(fc.array(fc.tuple(name, name), { maxLength: 20 }), (pairs) => {
        const query = new URLSearchParams(pairs).toString()
        const expected: Record<string, string[]> = Object.create(null)
        for (const [key, value] of new URLSearchParams(query)) (expected[key] ??= []).push(value)
        const got = asked({ target: `/a?${query}` }).request.query
        expect(new Map(Object.entries(got))).toEqual(new Map(Object.entries(expected)))
      }),
    )
  })
})

describe('the input of a task', () => {
  it('holds the asked intent beside what its agent may have', () => {
    const agent = sketchAgent({ labels: { team: 'refunds' } })
    const intent = { ...sketchIntent, tools: ['crm.*'], budget: { calls: 5 }, prompt: 'sha256:00' }
    const input = parse(
      buildTaskInput(
        { action: 'resume', caller: sketchCaller(), agent, intent, ttl: 60_000, id: 't_1' },
        { now: 5, revision: 'r1' },
        setting,
      ),
    )
    expect(input).toMatchObject({
      v: 1,
      action: 'resume',
      caller: { spiffe_id: 'spiffe://acme.example/ns/support/sa/refund-agent' },
      agent: { labels: { team: 'refunds' }, ttl: 1_800_000, intent: { tools: sketchIntent.tools, budget: { calls: 200 } } },
      task: {
        id: 't_1',
        ttl: 60_000,
        intent: { purpose: sketchIntent.purpose, tools: ['crm.*'], budget: { calls: 5 }, prompt: 'sha256:00' },
      },
      context: { now: 5, mode: 'enforce', policy_revision: 'r1', environment: 'test' },
    })
    expect(Object.keys(input)).toEqual(['v', 'action', 'caller', 'agent', 'task', 'delegation', 'approval', 'context'])
    expect(Object.keys(input.agent.intent).sort()).toEqual(['budget', 'data', 'egress', 'resources', 'tools'])
  })
})

describe('the digest of a repeated call', () => {
  it('is the same for the same call and another for another tool, method, target or body', () => {
    const digest = (call: CallSketch, sha256: string | null = null, tool = 'crm.customer.read') => {
      const body: JudgedBody = { kind: 'json', parsed: undefined, bytes: null, sha256, size: 1, judged: true }
      return repeatDigest(sketchQuestion({ call: sketchCall(call), target: sketchTarget({ body, tool: sketchTool({ name: tool }) }) }))
    }
    const digests = [
      digest({}),
      digest({ method: 'HEAD' }),
      digest({ target: '/customers/43' }),
      digest({ target: '/customers/42?' }),
      digest({}, 'ab'),
      digest({}, null, 'x'),
    ]
    expect(new Set(digests).size).toBe(digests.length)
    expect(digest({})).toBe(digests[0])
    expect(digests[0]).toMatch(/^[A-Za-z0-9_-]{22}$/)
  })
})
