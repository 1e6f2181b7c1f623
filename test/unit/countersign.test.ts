import { describe, expect, test } from 'vitest'
import type { Stages } from '../../src/countersign.ts'
import { countersign } from '../../src/countersign.ts'
import type { Call } from '../../src/listen/call.ts'
import type { Outcome } from '../../src/forward/forward.ts'
import type { Entry } from '../../src/record/record.ts'
import { Refusal } from '../../src/refusal.ts'
import { sketchDecision, sketchOwnLease, sketchOutcome, sketchPermit } from '../support/decision.ts'
import { sketchCaller, sketchQuestion } from '../support/question.ts'

/** Stages that write down what happens, in order. */
function rig(change: Partial<Stages> = {}, admit: () => void = () => {}) {
  const happened: string[] = []
  const refused: Refusal[] = []
  const question = sketchQuestion()
  const decision = sketchDecision(question)
  const permit = sketchPermit(decision)
  const told =
    <Value>(what: string) =>
    (value: Value): Value => {
      happened.push(`entry ${what}`)
      return value
    }
  const entry: Entry = {
    identified: told('identified'),
    tasked: told('tasked'),
    matched: told('matched'),
    decided: told('decided'),
    rejudged: () => undefined,
    permitted: told('permitted'),
    commit: async () => void happened.push('commit'),
    leased: told('leased'),
    close: () => void happened.push('close'),
    refuse: async (refusal) => {
      happened.push(`record ${refusal.code}`)
      return refusal
    },
  }
  const call: Call = {
    ...question.call,
    admit: () => {
      happened.push('admit')
      admit()
    },
    occupy: () => void happened.push('occupy'),
    refuse: (refusal) => {
      happened.push(`answer ${refusal.code}`)
      refused.push(refusal)
    },
  }
  const stage =
    <Value>(name: string, value: Value) =>
    (): Value => {
      happened.push(name)
      return value
    }
  const stages: Stages = {
    record: stage('record', entry),
    identify: stage('identify', sketchCaller()),
    task: stage('task', question.task),
    match: stage('match', question.target),
    decide: stage('decide', decision),
    approve: stage('approve', permit),
    credential: stage('credential', sketchOwnLease()),
    forward: stage('forward', Promise.resolve<Outcome>(sketchOutcome())),
    done: () => void happened.push('done'),
    ...change,
  }
  return { happened, refused, run: () => countersign(call, stages) }
}

const throwing = (error: unknown) => (): never => {
  throw error
}

describe('the request path', () => {
  test('takes its stages in one order, and the decision is committed before any credential is had', async () => {
    const { happened, run } = rig()
    await run()
    expect(happened.filter((what) => !what.startsWith('entry'))).toEqual([
      'record',
      'admit',
      'identify',
      'occupy',
      'task',
      'match',
      'decide',
      'approve',
      'commit',
      'credential',
      'forward',
      'close',
      'done',
    ])
  })

  test('opens the record first, so that a malformed call leaves an entry and is not identified', async () => {
    const { happened, run } = rig({}, throwing(new Refusal('listen.malformed')))
    await run()
    expect(happened).toEqual(['record', 'admit', 'record listen.malformed', 'answer listen.malformed', 'done'])
  })

  test('a denied call gets no credential, and its refusal is written before it is answered', async () => {
    const { happened, run } = rig({ approve: throwing(new Refusal('decide.denied')) })
    await run()
    expect(happened.slice(-3)).toEqual(['record decide.denied', 'answer decide.denied', 'done'])
    expect(happened).not.toContain('credential')
  })

  test('nothing leaves when the decision cannot be written', async () => {
    const failing = rig({ record: () => ({ ...plainEntry(), commit: () => Promise.reject(new Refusal('record.failed')) }) })
    await failing.run()
    expect(failing.happened).not.toContain('credential')
    expect(failing.happened).not.toContain('forward')
    expect(failing.refused.map(({ code }) => code)).toEqual(['record.failed'])
  })

  test.each(['identify', 'task', 'match', 'decide', 'approve', 'credential', 'forward'] as const)(
    'a bug in %s refuses the call as internal, and its text reaches nobody',
    async (stage) => {
      const { refused, happened, run } = rig({ [stage]: throwing(new Error('secret detail')) })
      await run()
      expect(refused).toHaveLength(1)
      expect(refused[0]?.code).toBe('internal')
      expect(JSON.stringify({ ...refused[0], message: refused[0]?.message })).not.toContain('secret detail')
      expect(happened.at(-1)).toBe('done')
    },
  )
})

function plainEntry(): Entry {
  const same = <Value>(value: Value): Value => value
  return {
    identified: same,
    tasked: same,
    matched: same,
    decided: same,
    rejudged: () => undefined,
    permitted: same,
    commit: async () => {},
    leased: same,
    close: () => {},
    refuse: async (refusal) => refusal,
  }
}
