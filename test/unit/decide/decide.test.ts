import { describe, expect, it } from 'vitest'
import { makeDecide, type DecideOptions } from '../../../src/decide/decide.ts'
import { EngineFailure, type Engine } from '../../../src/decide/engine.ts'
import { makeJudgeTask } from '../../../src/decide/opening.ts'
import { Refusal } from '../../../src/refusal.ts'
import {
  sketchAgent,
  sketchCaller,
  sketchFacts,
  sketchIntent,
  sketchQuestion,
  sketchRoute,
  sketchTarget,
  sketchTool,
} from '../../support/question.ts'

const reason = (change: Record<string, unknown> = {}) => ({
  rule: 'intent.tool',
  severity: 'high',
  effect: 'deny',
  observable: true,
  controls: ['ASI02'],
  message_agent: 'the task did not declare this tool',
  detail: {},
  ...change,
})
const result = (effect: string, reasons: unknown[] = []) => ({ v: 1, effect, reasons, obligations: [], labels: {} })
const engine = (answer: (entrypoint: string, input: string) => unknown): Engine => ({
  revision: 'r7',
  answers: () => true,
  evaluate: answer,
})

const rig = (change: Partial<DecideOptions> = {}) => {
  const logged: string[] = []
  const options: DecideOptions = {
    engine: () => engine(() => result('allow')),
    facts: () => sketchFacts(),
    clock: () => 1_790_000_000_000,
    mode: 'enforce',
    environment: 'test',
    log: { error: (_object, message) => void logged.push(message) },
    ...change,
  }
  return { decide: makeDecide(options), judgeTask: makeJudgeTask(options), logged }
}
const codeOf = (attempt: () => unknown): string => {
  try {
    attempt()
    return 'decided'
  } catch (error) {
    return Refusal.from(error).code
  }
}

describe('decide', () => {
  it('evaluates once and gives what policy said with all it saw', () => {
    const asked: string[] = []
    const facts = sketchFacts({ version: 4 })
    const looked: unknown[] = []
    const { decide } = rig({
      engine: () => engine((entrypoint, input) => (asked.push(entrypoint, input), result('allow'))),
      facts: (...who) => (looked.push(who), facts),
    })
    const question = sketchQuestion()
    const decision = decide(question)
    expect(decision).toMatchObject({ effect: 'allow', observed: null, revision: 'r7', now: 1_790_000_000_000 })
    expect(decision.question).toBe(question)
    expect(decision.facts).toBe(facts)
    expect(asked).toEqual(['countersign/decision', decision.inputText])
    expect(looked).toEqual([[question.task.row.id, question.task.row.caller]])
    expect(decision.resultText).toBe('{"effect":"allow","labels":{},"obligations":[],"reasons":[],"v":1}')
    expect(Number.isSafeInteger(decision.evalNs)).toBe(true)
  })

  it('keeps the judged document out of what is recorded', () => {
    let given = ''
    const { decide } = rig({ engine: () => engine((_entrypoint, input) => ((given = input), result('allow'))) })
    const body = { kind: 'json', parsed: { canary: 1 }, bytes: Buffer.from('{"canary":1}'), sha256: 'ab', size: 12, judged: true } as const
    expect(decide(sketchQuestion({ target: sketchTarget({ body }) })).inputText).not.toContain('canary')
    expect(given).toContain('"parsed":{"canary":1}')
  })

  it('returns a denial and a question rather than throwing them', () => {
    expect(rig({ engine: () => engine(() => result('deny', [reason()])) }).decide(sketchQuestion()).effect).toBe('deny')
    expect(rig({ engine: () => engine(() => result('ask', [reason({ effect: 'ask' })])) }).decide(sketchQuestion()).effect).toBe('ask')
  })

  it.each<[string, () => Engine]>([
    [
      'fails',
      () =>
        engine(() => {
          throw new EngineFailure('trap')
        }),
    ],
    [
      'throws a text',
      () =>
        engine(() => {
          throw 'trap'
        }),
    ],
    [
      'throws nothing at all',
      () =>
        engine(() => {
          throw undefined
        }),
    ],
    [
      'runs out of stack',
      () =>
        engine(() => {
          throw new RangeError('stack')
        }),
    ],
    [
      'throws a refusal that is not its to make',
      () =>
        engine(() => {
          throw new Refusal('task.ended')
        }),
    ],
    [
      'is not there',
      () => {
        throw new Error('no policy')
      },
    ],
  ])('is unavailable, and says so in the log, when the engine %s', (_case, make) => {
    const { decide, judgeTask, logged } = rig({ engine: make })
    expect(codeOf(() => decide(sketchQuestion()))).toBe('decide.unavailable')
    expect(codeOf(() => judgeTask({ action: 'open', caller: sketchCaller(), agent: sketchAgent(), intent: sketchIntent, ttl: 1 }))).toBe(
      'decide.unavailable',
    )
    expect(logged).toHaveLength(2)
  })

  it.each([[undefined], [true], [result('defer', [reason({ effect: 'defer' })])], [result('allow', [reason()])]])(
    'refuses %o as malformed, and says so in the log',
    (answer) => {
      const { decide, logged } = rig({ engine: () => engine(() => answer), mode: 'observe' })
      expect(codeOf(() => decide(sketchQuestion({ target: sketchTarget({ route: sketchRoute({ credential: null }) }) })))).toBe(
        'decide.malformed',
      )
      expect(logged).toEqual(['policy gave no well-formed decision'])
    },
  )
})

describe('observe mode', () => {
  const observed = (
    route: Parameters<typeof sketchRoute>[0],
    reasons: unknown[],
    effect = 'deny',
    mode: 'observe' | 'enforce' = 'observe',
  ) => {
    const { decide } = rig({ mode, engine: () => engine(() => result(effect, reasons)) })
    const decision = decide(sketchQuestion({ target: sketchTarget({ route: sketchRoute(route) }) }))
    return [decision.effect, decision.observed]
  }
  const open = { credential: null }

  it('lets a watched denial or question through and keeps what policy said', () => {
    expect(observed(open, [reason()])).toEqual(['allow', 'deny'])
    expect(observed(open, [reason({ effect: 'ask' })], 'ask')).toEqual(['allow', 'ask'])
    const { decide } = rig({ mode: 'observe', engine: () => engine(() => result('deny', [reason()])) })
    expect(JSON.parse(decide(sketchQuestion({ target: sketchTarget({ route: sketchRoute(open) }) })).resultText)).toMatchObject({
      effect: 'deny',
    })
  })

  it('enforces when one rule may not be watched only', () => {
    expect(observed(open, [reason(), reason({ observable: false })])).toEqual(['deny', null])
  })

  it('enforces on a route with a credential unless the route says otherwise', () => {
    expect(observed({ credential: 'crm' }, [reason()])).toEqual(['deny', null])
    expect(observed({ credential: 'crm', observe: true }, [reason()])).toEqual(['allow', 'deny'])
  })

  it('leaves the decision to the rules that are enforced', () => {
    const modes = [{ rule: 'intent.*', mode: 'observe' as const }]
    const { decide } = rig({ modes, engine: () => engine(() => result('deny', [reason(), reason({ rule: 'risk.high', effect: 'ask' })])) })
    const decision = decide(sketchQuestion({ target: sketchTarget({ route: sketchRoute(open) }) }))
    expect([decision.effect, decision.observed, decision.reasons.length]).toEqual(['ask', 'deny', 2])
  })

  it('is set by agent, tool, risk and rule: the first entry that fits counts, and policy reads what holds for the call', () => {
    const modes = [
      { rule: 'body.*', mode: 'observe' as const },
      { tool: 'payments.*', mode: 'enforce' as const },
      { risk: ['high', 'critical'], mode: 'enforce' as const },
      { agent: 'spiffe://acme.example/ns/support/*', mode: 'observe' as const },
    ]
    const said = (caller: string, tool: { name: string; risk: 'low' | 'high' }, rule: string) => {
      let mode = ''
      const { decide } = rig({
        modes,
        engine: () =>
          engine((_entrypoint, input) => {
            mode = JSON.parse(input).context.mode
            return result('deny', [reason({ rule })])
          }),
      })
      const target = sketchTarget({ route: sketchRoute(open), tool: sketchTool(tool) })
      const { effect } = decide(sketchQuestion({ caller: sketchCaller({ id: caller }), target }))
      return [effect, mode]
    }
    const support = 'spiffe://acme.example/ns/support/sa/a'
    expect(said(support, { name: 'crm.read', risk: 'low' }, 'intent.tool')).toEqual(['allow', 'observe'])
    expect(said(support, { name: 'crm.read', risk: 'high' }, 'intent.tool')).toEqual(['deny', 'enforce'])
    expect(said(support, { name: 'payments.pay', risk: 'low' }, 'intent.tool')).toEqual(['deny', 'enforce'])
    expect(said(support, { name: 'payments.pay', risk: 'low' }, 'body.not-judged')).toEqual(['allow', 'enforce'])
    expect(said('spiffe://acme.example/ns/other/sa/a', { name: 'crm.read', risk: 'low' }, 'intent.tool')).toEqual(['deny', 'enforce'])
  })

  it('is off unless it is on, and marks no allow', () => {
    expect(observed(open, [reason()], 'deny', 'enforce')).toEqual(['deny', null])
    expect(observed(open, [], 'allow')).toEqual(['allow', null])
  })

  it('never opens a task', () => {
    const { judgeTask } = rig({ mode: 'observe', engine: () => engine(() => result('deny', [reason()])) })
    expect(judgeTask({ action: 'open', caller: sketchCaller(), agent: sketchAgent(), intent: sketchIntent, ttl: 1 })).toMatchObject({
      effect: 'deny',
      revision: 'r7',
    })
  })
})
