import { describe, expect, test } from 'vitest'
import { Refusal } from '../../src/refusal.ts'
import { Revoke, type OpenWork } from '../../src/revoke.ts'
import { sketchDecision } from '../support/decision.ts'
import { sketchAgent, sketchCall, sketchCaller, sketchQuestion, sketchRow } from '../support/question.ts'

const caller = 'spiffe://acme.example/agent'

function rig() {
  const happened: string[] = []
  const revoke = new Revoke(async (task, cause) => void happened.push(`leases of ${task}: ${cause}`))
  const work = (task: string, name: string, { id = caller, cut = (): void => undefined } = {}): OpenWork => {
    const call = { ...sketchCall(), cut: (reason: { code: string }) => (happened.push(`cut ${name}: ${reason.code}`), cut()) }
    const row = sketchRow({ id: task, caller: id })
    return sketchDecision(sketchQuestion({ call, caller: sketchCaller({ id }), task: { row, agent: sketchAgent() } }))
  }
  return { happened, revoke, work }
}

describe('the register of open work', () => {
  test('when a task ends its calls are cut before its leases are taken back, and no other task is touched', async () => {
    const { happened, revoke, work } = rig()
    revoke.open(work('t_1', 'one'))
    revoke.open(work('t_1', 'two'))
    revoke.open(work('t_2', 'other'))
    revoke.open(work('t_3', 'stranger', { id: 'spiffe://acme.example/other' }))
    await revoke.taskEnded('t_1', 'completed', caller)
    expect(happened).toEqual(['cut one: task.ended', 'cut two: task.ended', 'leases of t_1: completed'])
  })

  test('a call that is over is cut no more, however often it is said', async () => {
    const { happened, revoke, work } = rig()
    const one = work('t_1', 'one')
    revoke.open(one)
    revoke.close(one.question.call)
    revoke.close(one.question.call)
    expect(revoke.size).toBe(0)
    expect(revoke.isOpen(one.question.call)).toBe(false)
    await revoke.taskEnded('t_1', 'expired', caller)
    expect(happened).toEqual(['leases of t_1: expired'])
  })

  test('a call that closes itself while it is cut does not save its neighbour', async () => {
    const { happened, revoke, work } = rig()
    const first: OpenWork = work('t_1', 'one', { cut: () => revoke.close(first.question.call) })
    revoke.open(first)
    revoke.open(work('t_1', 'two'))
    await revoke.taskEnded('t_1', 'completed', caller)
    expect(happened).toContain('cut two: task.ended')
  })

  test('what is open is listed by caller, and all of it', () => {
    const { revoke, work } = rig()
    const other = 'spiffe://acme.example/other'
    const [one, two, three] = [work('t_1', 'one'), work('t_2', 'two'), work('t_3', 'three', { id: other })]
    for (const each of [one, two, three]) revoke.open(each)
    expect(revoke.list(caller)).toEqual([one, two])
    expect(revoke.list(other)).toEqual([three])
    expect(revoke.list('spiffe://acme.example/nobody')).toEqual([])
    expect(revoke.list()).toEqual([one, two, three])
    for (const each of [one, two, three]) revoke.close(each.question.call)
    expect(revoke.list(caller)).toEqual([])
    expect(revoke.list()).toEqual([])
  })

  test('shutdown cuts everything that is left', () => {
    const { happened, revoke, work } = rig()
    revoke.open(work('t_1', 'one'))
    revoke.open(work('t_2', 'two'))
    revoke.shutdown()
    expect(happened).toEqual(['cut one: listen.draining', 'cut two: listen.draining'])
  })

  test('a kill cuts what it covers, held calls too, and what nobody can tell', () => {
    const { happened, revoke, work } = rig()
    const [open, held, spared, odd] = [work('t_open', 'open'), work('t_held', 'held'), work('t_spared', 'spared'), work('t_odd', 'odd')]
    for (const each of [open, spared, odd]) revoke.open(each)
    revoke.hold(held.question)
    const covered = ({ task: { row } }: OpenWork['question']): boolean => {
      if (row.id === 't_odd') throw new Error('the state cannot be read')
      return row.id !== 't_spared'
    }
    const why = new Refusal('kill.engaged')
    expect(revoke.killed({ scope: 'everything', name: null }, covered, why)).toBe(3)
    expect(happened).toEqual(['cut open: kill.engaged', 'cut odd: kill.engaged', 'cut held: kill.engaged'])
    revoke.close(held.question.call)
    expect(revoke.killed({ scope: 'agent', name: caller }, () => true, why)).toBe(3)
  })

  test('an approval that is withdrawn cuts what was minted under it', () => {
    const { happened, revoke, work } = rig()
    const [one, two] = [work('t_1', 'one'), work('t_1', 'two')]
    const approval = { id: 'a_1' } as NonNullable<OpenWork['question']['approval']>
    revoke.open({ ...one, question: { ...one.question, approval } })
    revoke.open(two)
    expect(revoke.approvalWithdrawn('a_1')).toBe(1)
    expect(happened).toEqual(['cut one: approve.declined'])
  })
})
