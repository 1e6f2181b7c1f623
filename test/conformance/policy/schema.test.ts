import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { buildAnswerInput } from '../../../src/decide/answer-input.ts'
import { buildContinueInput, type OpenLease, type OpenStream } from '../../../src/decide/continue.ts'
import { buildInput } from '../../../src/decide/input.ts'
import { buildTaskInput } from '../../../src/decide/opening.ts'
import { named } from '../../../src/task/question.ts'
import { answerOf, sketchApproval, sketchObjective } from '../../support/approvals.ts'
import { sketchDecision } from '../../support/decision.ts'
import { faultsOf, type JsonSchema } from '../../support/json-schema.ts'
import { allowedInput, defaultPolicyBytes, openHost } from '../../support/policy-rig.ts'
import {
  sketchAgent,
  sketchCall,
  sketchCaller,
  sketchFacts,
  sketchIntent,
  sketchLeaseRow,
  sketchQuestion,
  sketchRoute,
  sketchRow,
  sketchTarget,
  sketchTool,
} from '../../support/question.ts'

const schemaOf = (name: string): JsonSchema =>
  JSON.parse(readFileSync(new URL(`../../../rego/schemas/${name}.json`, import.meta.url), 'utf8'))
const input = schemaOf('input')
const task = schemaOf('task')
const response = schemaOf('response')
const open = schemaOf('continue')
const setting = { mode: 'enforce', environment: 'test' } as const
const seen = { now: 1_790_000_000_000, revision: 'r1' }

describe('what policy reads', () => {
  const host = openHost(defaultPolicyBytes)
  afterAll(() => host.close())

  const plain = sketchQuestion()
  const rich = sketchQuestion({
    call: sketchCall({
      method: 'POST',
      target: '/messages?a=1&a=2&b',
      headers: [
        ['Content-Type', 'application/json'],
        ['X-Op', 'send'],
      ],
    }),
    caller: sketchCaller({ issuer: 'https://login.acme.example', expires: Infinity, claims: { groups: ['a', { b: 1.5 }], ok: true } }),
    task: {
      row: sketchRow({
        implicit: true,
        onBehalfOf: { subject: 'u', issuer: 'https://login.acme.example' },
        intent: { ...sketchIntent, prompt: 'sha256:00' },
      }),
      agent: sketchAgent({ owners: null, labels: { team: 'support' } }),
    },
    target: sketchTarget({
      route: sketchRoute({ selects: ['x-op'] }),
      tool: sketchTool({ name: 'mail.send', effect: 'send', egress: 'partner', accepts: ['public'], args: 'json' }),
      resource: null,
      body: { kind: 'json', parsed: { to: ['x'] }, bytes: Buffer.from('{}'), sha256: 'ab', size: 2, judged: true },
      debit: { calls: 1, eur: 2.5 },
    }),
  })
  const people = [answerOf({ groups: ['finance'] }), answerOf({ by: 'person:ben', groups: ['group:it'] })]
  const answered = { ...rich, approval: sketchApproval({ state: 'approved', granted: 1, answers: people, objective: sketchObjective() }) }
  const facts = sketchFacts(
    {
      last: [{ tool: 'crm.customer.read', effect: 'read', egress: 'internal', at: 1_789_999_999_000 }],
      counts: { a: 1 },
      spent: { calls: 3 },
      sensitivity: ['personal'],
    },
    { sensitivity: { internal: 1 } },
  )

  it('about a call is what rego/schemas/input.json says', () => {
    for (const question of [plain, rich, answered]) {
      const text = buildInput(question, { ...seen, facts }, setting).engine
      expect(faultsOf(input, JSON.parse(text))).toEqual([])
    }
  })

  it('about a task is what rego/schemas/task.json says', () => {
    const asked = { caller: sketchCaller(), agent: sketchAgent(), intent: sketchIntent, ttl: 60_000 }
    const opener = { kind: 'orchestrator', name: 'spiffe://acme.example/orchestrator' } as const
    for (const opening of [
      { action: 'open', ...asked } as const,
      { action: 'open', ...asked, caller: named(asked.caller.id), opener } as const,
      { action: 'resume', id: 't_1', ...asked } as const,
      { action: 'resume', id: 't_1', cause: 'session', ...asked } as const,
    ]) {
      const text = buildTaskInput(opening, seen, setting)
      expect(faultsOf(task, JSON.parse(text))).toEqual([])
      expect(host.evaluate('countersign/task', text)).toMatchObject({ effect: 'allow' })
    }
  })

  it('about an answer is what rego/schemas/response.json says', () => {
    const body = { kind: 'json', parsed: { a: 1 }, sample: '{"a":1}', size: 7, judged: true, truncated: false } as const
    const none = { kind: 'none', parsed: undefined, sample: null, size: null, judged: true, truncated: false } as const
    for (const question of [plain, rich]) {
      const target = { ...question.target, tool: { ...question.target.tool, answer: 'json' as const } }
      const decision = sketchDecision({ ...question, target })
      for (const [status, shown] of [
        [200, body],
        [204, none],
      ] as const) {
        const answer = { status, headers: new Map([['content-type', 'application/json']]), body: shown }
        const text = buildAnswerInput(decision, answer, { ...seen, facts }, setting)
        expect(faultsOf(response, JSON.parse(text))).toEqual([])
        expect(host.evaluate('countersign/response', text)).toMatchObject({ effect: 'allow' })
      }
    }
  })

  /** The open work that a call became, some seconds after. */
  const streamOf = ({ call, caller, task: asked, target }: typeof plain, sending: boolean): OpenStream => ({
    kind: 'stream',
    cause: 'sensitivity',
    call,
    caller,
    task: asked,
    facts,
    target,
    progress: sending ? { bytesOut: 12, bytesIn: 0 } : null,
    sending,
    since: seen.now - 5000,
    revision: 'r0',
  })
  const leaseOf = ({ caller, task: asked, target }: typeof plain): OpenLease => ({
    kind: 'lease',
    cause: 'policy',
    caller: { id: caller.id, trustDomain: caller.trustDomain },
    task: asked,
    facts,
    target,
    since: seen.now - 5000,
    revision: 'r0',
    row: sketchLeaseRow(),
  })

  it('about open work is what rego/schemas/continue.json says', () => {
    for (const work of [streamOf(plain, false), streamOf(rich, true), leaseOf(plain), leaseOf(rich)]) {
      const document: unknown = JSON.parse(buildContinueInput(work, seen, setting))
      expect(faultsOf(open, document)).toEqual([])
      expect(document).toMatchObject({ task: { sensitivity: ['internal', 'personal'] }, work: { age: 5000, revision: 'r0' } })
    }
    const document = JSON.parse(buildContinueInput(streamOf(plain, false), seen, setting))
    expect(faultsOf(open, { ...document, extra: 1 })).toEqual(['/extra: unknown'])
    expect(faultsOf(open, { ...document, cause: 'weather' })).toEqual(['/cause: "weather" is not in the list'])
  })

  it('about open work is judged by the default policy as it was meant', () => {
    const judge = (work: OpenStream | OpenLease): string[] => {
      const { effect, reasons } = Object(host.evaluate('countersign/continue', buildContinueInput(work, seen, setting)))
      return [effect, ...reasons.map(({ rule }: { rule: string }) => rule)]
    }
    expect(judge(streamOf(plain, false))).toEqual(['allow'])
    expect(judge(leaseOf(plain))).toEqual(['allow'])
    expect(judge(streamOf(rich, true))).toEqual(['deny', 'data.beyond-destination', 'owners.missing'])
    expect(judge(streamOf(rich, false))).toEqual(['deny', 'owners.missing'])
    expect(judge(leaseOf(rich))).toEqual(['deny', 'data.beyond-destination', 'owners.missing'])
  })

  it('is judged by the default policy as it was meant', () => {
    const judge = (question: typeof plain) =>
      host.evaluate('countersign/decision', buildInput(question, { ...seen, facts }, setting).engine)
    expect(judge(plain)).toMatchObject({ effect: 'allow' })
    const rules = Object(judge(rich)).reasons.map(({ rule }: { rule: string }) => rule)
    expect(new Set(rules)).toEqual(new Set(['owners.missing', 'data.beyond-destination', 'budget.exceeded']))
  })

  it('is in no way open: an unknown, missing or wrong member is a fault', () => {
    const sample = allowedInput()
    expect(faultsOf(input, sample)).toEqual([])
    expect(faultsOf(input, { ...sample, extra: 1 })).toEqual(['/extra: unknown'])
    expect(faultsOf(input, { ...sample, agent: { ...Object(sample['agent']), autonomy: 'free' } })).toEqual([
      '/agent/autonomy: "free" is not in the list',
    ])
    const { approval: _, ...without } = sample
    expect(faultsOf(input, without)).toEqual(['/approval: missing'])
  })
})
