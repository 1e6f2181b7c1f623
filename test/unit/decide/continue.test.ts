import { describe, expect, test } from 'vitest'
import { makeJudgeContinue, type JudgeContinueOptions, type OpenLease, type OpenStream } from '../../../src/decide/continue.ts'
import { noDuties } from '../../../src/decide/duties.ts'
import { EngineFailure, type Engine } from '../../../src/decide/engine.ts'
import { Refusal } from '../../../src/refusal.ts'
import { quietLog } from '../../support/policy-rig.ts'
import {
  sketchAgent,
  sketchCall,
  sketchCaller,
  sketchFacts,
  sketchLeaseRow,
  sketchRoute,
  sketchRow,
  sketchTarget,
} from '../../support/question.ts'

const now = 1_790_000_000_000
const task = { row: sketchRow(), agent: sketchAgent() }
const stream: OpenStream = {
  kind: 'stream',
  cause: 'policy',
  call: sketchCall(),
  caller: sketchCaller(),
  task,
  facts: sketchFacts(),
  target: sketchTarget(),
  progress: null,
  sending: false,
  since: now - 10,
  revision: 'r0',
}
const { id, trustDomain } = sketchCaller()
const lease: OpenLease = {
  kind: 'lease',
  cause: 'policy',
  caller: { id, trustDomain },
  task,
  facts: sketchFacts(),
  target: sketchTarget(),
  since: now - 10,
  revision: 'r0',
  row: sketchLeaseRow(),
}

const allowed = { v: 1, effect: 'allow', reasons: [], obligations: [], labels: {} }

function refused(rules: readonly (readonly [rule: string, observable: boolean])[], effect: 'deny' | 'ask' = 'deny'): object {
  const reason = { severity: 'high', effect, controls: ['ASI02'], detail: {} }
  return { ...allowed, effect, reasons: rules.map(([rule, observable]) => ({ ...reason, rule, observable, message_agent: `no: ${rule}` })) }
}

function rig(answer: unknown, more: Partial<JudgeContinueOptions> = {}) {
  const asked: unknown[] = []
  const log = quietLog()
  const engine: Engine = {
    revision: 'r1',
    answers: () => true,
    evaluate: (entrypoint, text) => {
      asked.push([entrypoint, JSON.parse(text)])
      if (answer instanceof Error) throw answer
      return answer
    },
  }
  const judge = makeJudgeContinue({
    engine: () => engine,
    log,
    mode: 'enforce',
    environment: 'test',
    clock: () => now,
    knows: (to) => to === 'soc',
    ...more,
  })
  return { asked, log, judge }
}

function thrown(run: () => unknown): Refusal {
  try {
    run()
  } catch (error) {
    if (error instanceof Refusal) return error
  }
  throw new Error('nothing was refused')
}

describe('open work', () => {
  test('goes on when policy says allow, by the revision in force', () => {
    const { judge, asked } = rig(allowed)
    expect(judge(stream)).toEqual({ goesOn: true, reasons: [], duties: noDuties, revision: 'r1' })
    expect(judge(lease)).toEqual({ goesOn: true, reasons: [], duties: noDuties, revision: 'r1' })
    expect(asked).toEqual([
      [
        'countersign/continue',
        expect.objectContaining({ kind: 'stream', work: { age: 10, sending: false, bytes_out: null, bytes_in: null, revision: 'r0' } }),
      ],
      [
        'countersign/continue',
        expect.objectContaining({ kind: 'lease', lease: expect.objectContaining({ provider: 'crm' }), request: null }),
      ],
    ])
  })

  test.each(['deny', 'ask'] as const)('ends when policy says %s', (effect) => {
    const { judge } = rig(refused([['intent.tool', true]], effect))
    expect(judge(stream)).toMatchObject({ goesOn: false, reasons: [{ rule: 'intent.tool' }] })
  })

  test('ends when policy cannot be evaluated, answers nothing, or answers nonsense', () => {
    expect(thrown(() => rig(new EngineFailure('a trap')).judge(stream)).code).toBe('decide.unavailable')
    expect(thrown(() => rig(undefined).judge(stream)).code).toBe('decide.malformed')
    expect(thrown(() => rig({ ...allowed, effect: 'maybe' }).judge(lease)).code).toBe('decide.malformed')
  })

  test('ends when there is no policy, or one that does not know of open work', () => {
    const gone = (): never => {
      throw new Error('expired')
    }
    expect(thrown(() => rig(allowed, { engine: gone }).judge(stream)).code).toBe('decide.unavailable')
    const silent: Engine = { revision: 'r2', answers: () => false, evaluate: () => allowed }
    const refusal = thrown(() => rig(allowed, { engine: () => silent }).judge(stream))
    expect(refusal).toMatchObject({ code: 'decide.denied', reasons: ['policy does not say whether this may go on'] })
    expect(refusal.detail).toContain('policy r2')
  })

  test('may oblige to tell somebody and to take leases back, and to nothing else', () => {
    const notify = { id: 'n', type: 'notify', properties: { to: 'soc', message: 'look' } }
    const takeBack = { id: 'r', type: 'revoke_leases', properties: {} }
    const obliged = { ...allowed, obligations: [notify, takeBack] }
    expect(rig(obliged).judge(stream)).toMatchObject({
      goesOn: true,
      duties: { revokeLeases: true, notices: [{ to: 'soc', message: 'look' }] },
    })
    const nobody = { ...notify, properties: { to: 'nobody', message: 'look' } }
    expect(thrown(() => rig({ ...allowed, obligations: [nobody] }).judge(stream)).code).toBe('decide.malformed')
    const mask = { id: 'm', type: 'mask_response', properties: { paths: ['/a'] } }
    expect(thrown(() => rig({ ...allowed, obligations: [mask] }).judge(stream)).code).toBe('decide.malformed')
  })

  test('ends when policy allows it on a condition: what was lent can no longer be narrowed', () => {
    expect(thrown(() => rig({ ...allowed, credential: { ttl: 1000 } }).judge(lease)).code).toBe('decide.malformed')
  })

  describe('in observe mode', () => {
    const observe = { mode: 'observe' } as const
    const open = { ...stream, target: { ...stream.target, route: sketchRoute({ credential: null }) } }

    test('goes on, with its reasons, when only rules that may be watched refuse it', () => {
      expect(rig(refused([['intent.tool', true]]), observe).judge(open)).toMatchObject({ goesOn: true, reasons: [{ rule: 'intent.tool' }] })
    })

    test('ends when a rule that is always enforced refuses it, or when a credential is lent', () => {
      const both = refused([
        ['intent.tool', true],
        ['task.not-active', false],
      ])
      expect(rig(both, observe).judge(open).goesOn).toBe(false)
      expect(rig(refused([['intent.tool', true]]), observe).judge(stream).goesOn).toBe(false)
      expect(rig(refused([['intent.tool', true]]), observe).judge(lease).goesOn).toBe(false)
    })

    test('is told its own mode', () => {
      const { judge, asked } = rig(allowed, { mode: 'enforce', modes: [{ tool: 'crm.*', mode: 'observe' }] })
      judge(open)
      expect(asked).toMatchObject([['countersign/continue', { context: { mode: 'observe' } }]])
    })
  })
})
