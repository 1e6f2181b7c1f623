import { describe, expect, it } from 'vitest'
import { left, overBudget } from '../../../src/task/budget.ts'
import { bytesMeter } from '../../../src/task/bytes-out.ts'
import { mintOn, noon, sketchAgent, sketchIntent, sketchRow, taskRig } from '../../support/task-rig.ts'

const intent = sketchIntent({ budget: { calls: 10, bytes_out: 100 } })

describe('a budget', () => {
  it('is not paid back, nor spent, by an amount that is none', () => {
    for (const amount of [-1, Number.NaN, Number.POSITIVE_INFINITY]) expect(overBudget({ eur: 10 }, {}, { eur: amount })).not.toBeNull()
    const state = taskRig().state
    state.openTask(sketchRow({ intent }))
    for (const amount of [-1, Number.NaN]) expect(state.spend(sketchRow().id, { bytes_out: amount })).not.toBeNull()
    expect(state.facts(sketchRow().id, sketchRow().caller).task.spent).toEqual({})
  })

  it('of what counts of itself is without end where nobody limited it, any other is nothing', () => {
    expect(overBudget({}, {}, { calls: 1e9, bytes_out: 1e12 })).toBeNull()
    expect(overBudget({}, {}, { eur: 0 })).toBe('eur: the task has no such budget')
  })

  it('shows what is left, never less than nothing', () => {
    expect(left({ calls: 5, eur: 3 }, { calls: 2, eur: 4, other: 1 })).toEqual({ calls: 3, eur: 0 })
  })

  it('of bytes is shared by all that streams under the task, and passed by nothing', () => {
    const { state } = taskRig()
    const row = sketchRow({ intent })
    state.openTask(row)
    const task = { row, agent: sketchAgent() }
    const [one, two] = [bytesMeter(state, task), bytesMeter(state, task)]
    expect([one?.(40), two?.(40), one?.(21)?.code, two?.(20), one?.(1)?.code]).toEqual([null, null, 'task.budget', null, 'task.budget'])
    expect(state.facts(row.id, row.caller).task.spent).toEqual({ bytes_out: 100 })
    expect(state.mint(mintOn(state, row, noon, { debit: { calls: 1, bytes_out: 1 } }))).toMatchObject({ why: 'task.budget' })
    state.endTask(row.id, 'completed', { at: noon, cause: 'done', by: 'x' })
    expect(two?.(0)?.code).toBe('task.budget')
    expect(bytesMeter(state, { ...task, row: sketchRow() })).toBeNull()
  })

  it('spent on the way stays spent, and the latest model call stays known, through the calls that follow', () => {
    const { state } = taskRig()
    const row = sketchRow({ intent })
    state.openTask(row)
    state.spend(row.id, { bytes_out: 7 })
    const failures = state.facts(row.id, row.caller).task.failures
    state.observe(row.id, { failed: false, model: { call: 'c_1', request: 'aa', answer: 'bb' } })
    expect(state.facts(row.id, row.caller).task).toMatchObject({ failures, spent: { bytes_out: 7 }, model: { call: 'c_1' } })
    state.mint(mintOn(state, row, noon))
    expect(state.facts(row.id, row.caller).task).toMatchObject({ spent: { calls: 1, bytes_out: 7 }, model: { call: 'c_1' } })
  })
})
