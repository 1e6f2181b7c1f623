import { describe, expect, it } from 'vitest'
import { openSqlite, type SqliteState } from '../../../src/state/sqlite.ts'
import type { MintAnswer } from '../../../src/state/mint.ts'
import { agentId, mintOn, minute, noon, otherId, sketchIntent, sketchRow } from '../../support/task-rig.ts'

const day = 24 * 60 * minute

function stateAt(time: { now: number }): SqliteState {
  return openSqlite({ path: ':memory:', clock: () => time.now })
}

function why(answer: MintAnswer): string {
  return answer.minted ? 'minted' : answer.why
}

describe('minting compares and swaps in one tick', () => {
  it('lets the first of two mints on the same facts through and calls the second stale', () => {
    const state = stateAt({ now: noon })
    const row = sketchRow()
    state.openTask(row)
    const first = mintOn(state, row, noon)
    const second = mintOn(state, row, noon)
    expect(why(state.mint(first))).toBe('minted')
    expect(why(state.mint(second))).toBe('stale')
    expect(state.facts(row.id, row.caller).task.spent).toEqual({ calls: 1 })
  })

  it('calls a mint stale when another task of the caller read something meanwhile', () => {
    const state = stateAt({ now: noon })
    const reader = sketchRow({ id: 't_reader' })
    const sender = sketchRow({ id: 't_sender' })
    state.openTask(reader)
    state.openTask(sender)
    const held = mintOn(state, sender, noon)
    expect(why(state.mint(mintOn(state, reader, noon, { data: ['personal'] })))).toBe('minted')
    expect(why(state.mint(held))).toBe('stale')
  })

  it.each([
    ['task.unknown', 'a task that never was', (state: SqliteState) => mintOn(state, { id: 't_none', caller: agentId }, noon)],
    ['task.unknown', 'a task of another caller', (state: SqliteState) => mintOn(state, { ...sketchRow(), caller: otherId }, noon)],
    ['task.ended', 'a task whose time has passed', (state: SqliteState) => mintOn(state, sketchRow(), noon + 30 * minute)],
  ])('answers %s for %s', (code, _, request) => {
    const state = stateAt({ now: noon })
    state.openTask(sketchRow())
    expect(why(state.mint(request(state)))).toBe(code)
  })

  it('refuses a paused and an ended task, and tells another caller nothing of the ended one', () => {
    const state = stateAt({ now: noon })
    const row = sketchRow()
    state.openTask(row)
    const request = mintOn(state, row, noon)
    state.pauseTask(row.id, { by: 'person', at: noon, reason: 'look' })
    expect(why(state.mint(request))).toBe('task.paused')
    state.endTask(row.id, 'revoked', { at: noon, cause: 'enough', by: 'person:x' })
    expect(why(state.mint(request))).toBe('task.ended')
    expect(why(state.mint({ ...request, caller: otherId }))).toBe('task.unknown')
  })
})

describe('budgets', () => {
  const cases: readonly [string, Record<string, number>, Record<string, number>, string][] = [
    ['a debit up to the limit', { calls: 5, eur: 100 }, { calls: 1, eur: 100 }, 'minted'],
    ['a debit above the limit', { calls: 5, eur: 100 }, { calls: 1, eur: 100.01 }, 'task.budget'],
    ['calls without a limit', {}, { calls: 1 }, 'minted'],
    ['another meter without a limit', { calls: 5 }, { calls: 1, eur: 1 }, 'task.budget'],
    ['a negative amount', { calls: 5, eur: 100 }, { calls: 1, eur: -1 }, 'task.budget'],
    ['an amount that is no number', { calls: 5, eur: 100 }, { calls: 1, eur: Number.NaN }, 'task.budget'],
    ['an endless amount', { calls: 5, eur: 100 }, { calls: 1, eur: Number.POSITIVE_INFINITY }, 'task.budget'],
    ['a meter named after what every object has', { calls: 5 }, { calls: 1, constructor: 0 }, 'task.budget'],
  ]
  it.each(cases)('answer %s', (_, budget, debit, expected) => {
    const state = stateAt({ now: noon })
    const row = sketchRow({ intent: sketchIntent({ budget }) })
    state.openTask(row)
    expect(why(state.mint(mintOn(state, row, noon, { debit })))).toBe(expected)
  })

  it('spend nothing when one of several meters is over', () => {
    const state = stateAt({ now: noon })
    const row = sketchRow({ intent: sketchIntent({ budget: { calls: 5, eur: 1 } }) })
    state.openTask(row)
    state.mint(mintOn(state, row, noon, { debit: { calls: 1, eur: 2 } }))
    expect(state.facts(row.id, row.caller).task.spent).toEqual({})
  })

  it('take late debits of an outcome', () => {
    const state = stateAt({ now: noon })
    const row = sketchRow()
    state.openTask(row)
    state.observe(row.id, { failed: false, debit: { bytes_out: 7 } })
    expect(state.facts(row.id, row.caller).task.spent).toEqual({ bytes_out: 7 })
  })
})

describe('what was read', () => {
  it('of an ended task comes back in a new task of the same caller, and not of another', () => {
    const state = stateAt({ now: noon })
    const row = sketchRow()
    state.openTask(row)
    state.mint(mintOn(state, row, noon, { data: ['public', 'personal'] }))
    state.endTask(row.id, 'completed', { at: noon, cause: 'done', by: agentId })
    state.openTask(sketchRow({ id: 't_next' }))
    state.openTask(sketchRow({ id: 't_other', caller: otherId }))
    expect(Object.keys(state.facts('t_next', agentId).caller.sensitivity)).toEqual(['personal'])
    expect(Object.keys(state.facts('t_other', otherId).caller.sensitivity)).toEqual([])
    expect(state.facts('t_next', agentId).task.sensitivity).toEqual([])
  })

  it('stays for the whole window after the last read and fades then', () => {
    const time = { now: noon + 1 }
    const state = stateAt(time)
    const row = sketchRow({ expires: noon + 3 * day, limit: noon + 3 * day })
    state.openTask(row)
    state.mint(mintOn(state, row, time.now, { data: ['personal'] }))
    time.now += day
    expect(Object.keys(state.facts(row.id, agentId).caller.sensitivity)).toEqual(['personal'])
    time.now += 1000
    expect(Object.keys(state.facts(row.id, agentId).caller.sensitivity)).toEqual([])
    expect(state.facts(row.id, agentId).task.sensitivity).toEqual(['personal'])
  })

  it('is gone everywhere once a person cleared it, and a decision from before is stale', () => {
    const state = stateAt({ now: noon })
    const row = sketchRow()
    state.openTask(row)
    state.mint(mintOn(state, row, noon, { data: ['personal'] }))
    const held = mintOn(state, row, noon)
    state.clearSensitivity(agentId)
    const facts = state.facts(row.id, agentId)
    expect([facts.task.sensitivity, facts.caller.sensitivity]).toEqual([[], {}])
    expect(why(state.mint(held))).toBe('stale')
  })
})

describe('what an answer raises', () => {
  it('counts as read by task and caller at once, and a decision from before is stale', () => {
    const state = stateAt({ now: noon })
    const row = sketchRow()
    state.openTask(row)
    const held = mintOn(state, row, noon)
    state.raise(row.id, row.caller, ['personal', 'public', 'personal'])
    expect(state.facts(row.id, row.caller)).toMatchObject({
      task: { sensitivity: ['personal'] },
      caller: { sensitivity: { personal: noon } },
    })
    expect(why(state.mint(held))).toBe('stale')
    const again = mintOn(state, row, noon)
    state.raise(row.id, row.caller, ['personal'])
    expect(why(state.mint(again))).toBe('minted')
  })

  it('stays with the caller when its task has ended meanwhile', () => {
    const state = stateAt({ now: noon })
    const row = sketchRow()
    state.openTask(row)
    state.endTask(row.id, 'completed', { at: noon, cause: 'done', by: 'x' })
    state.raise(row.id, row.caller, ['personal'])
    expect(state.facts('t_next', row.caller).caller.sensitivity).toEqual({ personal: noon })
  })
})

describe('the history of a task is bounded', () => {
  it('to the last five steps, 256 hosts, 512 tool names and 64 repeats', () => {
    const state = stateAt({ now: noon })
    const row = sketchRow({ intent: sketchIntent({ budget: {} }) })
    state.openTask(row)
    for (let n = 0; n < 600; n++) {
      const step = { tool: `tool.${n}`, effect: 'read', egress: 'internal', at: noon }
      expect(why(state.mint(mintOn(state, row, noon, { step, host: `h${n}`, repeat: `r${n}` })))).toBe('minted')
    }
    const { step, last, hosts, counts, repeats } = state.facts(row.id, agentId).task
    expect(step).toBe(600)
    expect(last.map(({ tool }) => tool)).toEqual(['tool.595', 'tool.596', 'tool.597', 'tool.598', 'tool.599'])
    expect(hosts.size).toBe(256)
    expect(Object.keys(counts)).toHaveLength(513)
    expect(counts['*']).toBe(88)
    expect(Object.keys(repeats)).toHaveLength(64)
  })

  it('and keeps the count of a call that comes again and again', () => {
    const state = stateAt({ now: noon })
    const row = sketchRow()
    state.openTask(row)
    for (let n = 0; n < 200; n++) state.mint(mintOn(state, row, noon, { repeat: n % 2 === 0 ? 'same' : `r${n}` }))
    expect(state.facts(row.id, agentId).task.repeats['same']).toBe(100)
  })

  it('counts failures in a row and forgets them at the first success', () => {
    const state = stateAt({ now: noon })
    const row = sketchRow()
    state.openTask(row)
    state.observe(row.id, { failed: true })
    state.observe(row.id, { failed: true })
    expect(state.facts(row.id, agentId).task.failures).toBe(2)
    state.observe(row.id, { failed: false })
    expect(state.facts(row.id, agentId).task.failures).toBe(0)
  })

  it('takes tool names and classes that look like parts of an object', () => {
    const state = stateAt({ now: noon })
    const row = sketchRow()
    state.openTask(row)
    const step = { tool: '__proto__', effect: 'read', egress: 'internal', at: noon }
    state.mint(mintOn(state, row, noon, { step, data: ['__proto__', 'constructor'] }))
    const facts = state.facts(row.id, agentId)
    expect(Object.entries(facts.task.counts)).toEqual([['__proto__', 1]])
    expect(facts.task.sensitivity).toEqual(['__proto__', 'constructor'])
    expect(Object.keys(facts.caller.sensitivity)).toEqual(['__proto__', 'constructor'])
  })
})
