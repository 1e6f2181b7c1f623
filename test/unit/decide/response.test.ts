import { afterAll, describe, expect, it } from 'vitest'
import type { Decision } from '../../../src/decide/decide.ts'
import { EngineFailure, type Engine } from '../../../src/decide/engine.ts'
import { makeJudgeAnswer, type Answer, type JudgeAnswerOptions } from '../../../src/decide/response.ts'
import { Reading } from '../../../src/match/json-keys.ts'
import { Refusal } from '../../../src/refusal.ts'
import { sketchDecision } from '../../support/decision.ts'
import { defaultPolicyBytes, openHost, quietLog } from '../../support/policy-rig.ts'
import { sketchFacts, sketchQuestion, sketchRoute, sketchTarget, sketchTool } from '../../support/question.ts'

const reason = { rule: 'acme.no', severity: 'high', effect: 'deny', observable: true, controls: ['ASI02'], message_agent: 'no', detail: {} }
const allow = { v: 1, effect: 'allow', reasons: [], obligations: [], labels: {} }
const deny = { ...allow, effect: 'deny', reasons: [reason] }
const obligation = (type: string, properties: object = {}) => ({ ...allow, obligations: [{ id: 'o', type, properties }] })

interface Asked {
  readonly engine: Engine
  readonly inputs: string[]
}

/** An engine that answers the same to everything. */
function engine(result: unknown, answers = true): Asked {
  const inputs: string[] = []
  return {
    inputs,
    engine: {
      revision: 'r7',
      answers: (entrypoint) => answers && entrypoint === 'countersign/response',
      evaluate: (_, text) => {
        inputs.push(text)
        if (result instanceof Error) throw result
        return result
      },
    },
  }
}

function answer(change: Partial<Omit<Answer, 'body'>> = {}, body: Partial<Answer['body']> = {}): Answer {
  const seen = { kind: 'json', parsed: { a: 1 }, sample: '{"a":1}', size: 7, judged: true, truncated: false } as const
  return { status: 200, headers: new Map([['content-type', 'application/json']]), ...change, body: { ...seen, ...body } }
}

const options: JudgeAnswerOptions = {
  mode: 'enforce',
  environment: 'test',
  log: quietLog(),
  facts: () => sketchFacts({ sensitivity: ['personal'] }),
  clock: () => 1_790_000_000_500,
  knows: (to) => to === 'soc',
}

function decided(by: Engine, change: Partial<Decision> = {}, credential: string | null = null): Decision {
  const target = sketchTarget({ route: sketchRoute({ credential }), tool: sketchTool({ answer: 'json' }) })
  return sketchDecision(sketchQuestion({ target }), { engine: by, ...change })
}

const judge = (by: Engine, given: Answer = answer(), more: Partial<JudgeAnswerOptions> = {}) =>
  makeJudgeAnswer({ ...options, ...more })(decided(by), given)

function fault(attempt: () => unknown): string {
  try {
    attempt()
    return 'judged'
  } catch (error) {
    const refusal = Refusal.from(error)
    return `${refusal.code}: ${refusal.detail}`
  }
}

describe('the judge of answers', () => {
  it('shows policy the call, who made it, the facts as they are by now, and the answer', () => {
    const asked = engine(allow)
    expect(judge(asked.engine)).toMatchObject({ effect: 'allow', observed: null, reasons: [], obligations: [] })
    const input = Object(new Reading(asked.inputs[0] ?? '').value())
    expect(Object.keys(input)).toEqual(['v', 'request', 'caller', 'agent', 'task', 'tool', 'response', 'context'])
    expect(input.request).toEqual({ id: 'c_01JDZZZZZZZZZZZZZZZZZZZZZZ', method: 'GET', path: '/customers/42' })
    expect(input.task.sensitivity).toEqual(['personal'])
    expect(input.tool).toMatchObject({ name: 'crm.customer.read', answer: 'json', resource: 'customer:42' })
    expect(input.response).toEqual({
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: { kind: 'json', size: 7, judged: true, truncated: false, sample: '{"a":1}', parsed: { a: 1 } },
    })
    expect(input.context).toMatchObject({ now: 1_790_000_000_500, policy_revision: 'r7' })
  })

  it('asks nothing of a policy that says nothing about answers', () => {
    const asked = engine(deny, false)
    expect(judge(asked.engine)).toBeNull()
    expect(asked.inputs).toEqual([])
  })

  it('hands on a refusal and what is obliged', () => {
    expect(judge(engine(deny).engine)).toMatchObject({ effect: 'deny', reasons: [{ rule: 'acme.no', message_agent: 'no' }] })
    for (const [type, properties] of [
      ['mask_response', { paths: ['/a'] }],
      ['drop_response_fields', { paths: ['/a/*'] }],
      ['raise_sensitivity', { classes: ['personal'] }],
      ['notify', { to: 'soc', message: 'look' }],
      ['revoke_leases', {}],
    ] as const)
      expect(judge(engine(obligation(type, properties)).engine)?.obligations).toEqual([{ id: 'o', type, properties }])
  })

  it.each([
    ['undefined', undefined],
    ['a string', 'allow'],
    ['an ask', { ...allow, effect: 'ask', reasons: [{ ...reason, effect: 'ask' }] }],
    ['a defer', { ...allow, effect: 'defer' }],
    ['a credential', { ...allow, credential: { ttl: 1 } }],
    ['a refusal without a reason', { ...allow, effect: 'deny' }],
    ['an unknown obligation', obligation('forget')],
    ['a notice that nobody would get', obligation('notify', { to: 'nobody', message: 'look' })],
    ['an obligation that comes too late', obligation('narrow_credential', { ttl: 5 })],
    ['a debit', obligation('debit_budget', { meter: 'eur', amount: 1 })],
    ['a redaction of the request', obligation('redact_request', { paths: ['/a'] })],
    ['a path that is none', obligation('mask_response', { paths: ['a'] })],
    ['an engine that throws', new EngineFailure('stack')],
    ['an engine that throws something else', new RangeError('stack')],
  ])('refuses the answer on %s', (_, result) => {
    expect(fault(() => judge(engine(result).engine))).toMatch(/^forward\.response-refused: /)
  })

  it('refuses an answer that policy could not be shown whole', () => {
    const asked = engine(allow)
    const long = answer({ headers: new Map([['x-class', 'x'.repeat(1025)]]) })
    expect(fault(() => judge(asked.engine, long))).toMatch(/^forward\.response-refused: /)
    expect(asked.inputs).toEqual([])
  })

  it('lets through what only watched rules refuse, in observe mode alone, and not where a credential is lent', () => {
    const watching = makeJudgeAnswer({ ...options, mode: 'observe' })
    const { engine: by } = engine(deny)
    expect(watching(decided(by), answer())).toMatchObject({ effect: 'allow', observed: 'deny', reasons: [{ rule: 'acme.no' }] })
    expect(watching(decided(by, {}, 'crm'), answer())).toMatchObject({ effect: 'deny', observed: null })
    const strict = engine({ ...deny, reasons: [{ ...reason, observable: false }] })
    expect(watching(decided(strict.engine), answer())).toMatchObject({ effect: 'deny' })
  })
})

describe('the default policy on answers', () => {
  const host = openHost(defaultPolicyBytes)
  afterAll(() => host.close())
  const rules = (given: Answer) => judge(host, given)?.reasons.map(({ rule }) => rule)
  const raised = (given: Answer) =>
    judge(host, given)?.obligations.flatMap(({ type, properties }) => (type === 'raise_sensitivity' ? properties.classes : []))

  it('passes a whole document and refuses what is none', () => {
    expect(rules(answer())).toEqual([])
    expect(rules(answer({}, { judged: false, parsed: undefined }))).toEqual(['answer.not-judged'])
  })

  it('takes the classes from a header, and the worst one from a header that cannot be read', () => {
    expect(raised(answer({ headers: new Map([['x-classification', 'personal, health']]) }))).toEqual(['health', 'personal'])
    expect(raised(answer({ headers: new Map([['x-classification', '\u0000\ud800']]) }))).toEqual(['unclassified'])
  })

  it('finds what looks like a secret in the sample', () => {
    expect(raised(answer({}, { sample: `{"pem":"-----BEGIN RSA PRIVATE KEY-----\\n"}` }))).toEqual(['secret'])
  })

  it('goes on after every kind of text an upstream can send', () => {
    const hostile = [
      '\u0000',
      '\ud800',
      '\u2028',
      '"',
      '\\',
      '\\u0000',
      '😀'.repeat(4096),
      'A'.repeat(16_384),
      '-----BEGIN '.repeat(1000),
      'Bearer '.repeat(2000),
    ]
    for (const sample of hostile) {
      expect(rules(answer({}, { sample, parsed: { [sample.toWellFormed().slice(0, 64)]: sample.toWellFormed() } }))).toEqual([])
      expect(rules(answer())).toEqual([])
    }
    expect(host.replaced).toBe(0)
  })

  it('judges the largest sample in a few milliseconds', () => {
    for (const sample of ['Bearer a'.repeat(2048), `AKIA${'A'.repeat(16_380)}`, '-----BEGIN A '.repeat(1260)]) {
      const started = process.threadCpuUsage()
      judge(host, answer({}, { sample }))
      expect(process.threadCpuUsage(started).user / 1000).toBeLessThan(50)
    }
  })
})
