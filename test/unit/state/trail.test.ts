import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openDatabase } from '../../../src/state/database.ts'
import { openSqlite, type SqliteState } from '../../../src/state/sqlite.ts'
import { agentId, mintOn, noon, sketchRow } from '../../support/task-rig.ts'

const row = sketchRow()
const pathIn = (name: string): string => join(mkdtempSync(join(tmpdir(), 'countersign-trail-')), name)

function opened(path = ':memory:'): SqliteState {
  const state = openSqlite({ path, clock: () => noon })
  state.openTask(row)
  return state
}

function call(state: SqliteState, tool: string, data: readonly string[] = [], at = noon): void {
  const request = mintOn(state, row, noon, { data, step: { tool, effect: 'read', egress: 'internal', at } })
  expect(state.mint(request)).toEqual({ minted: true })
}

const factsOf = (state: SqliteState) => state.facts(row.id, row.caller).task

describe('the steps of a task', () => {
  it('are the first and the last of each tool, counted from 1', () => {
    const state = opened()
    for (const tool of ['a', 'b', 'a', 'c', 'a']) call(state, tool)
    expect(factsOf(state).steps).toEqual({ a: [1, 5], b: [2, 2], c: [4, 4] })
  })

  it('fold together past 512 tools, as the counts do', () => {
    const state = openSqlite({ path: ':memory:', clock: () => noon })
    state.openTask({ ...row, intent: { ...row.intent, budget: {} } })
    for (let at = 1; at <= 515; at++) call(state, `t${at}`)
    call(state, 't1')
    const { steps, counts } = factsOf(state)
    expect(Object.keys(steps)).toEqual(Object.keys(counts))
    expect(steps['t1']).toEqual([1, 516])
    expect(steps['*']).toEqual([513, 515])
  })
})

describe('the sources of what was read', () => {
  it('are the latest read of each class, and say whether one tool made all of them', () => {
    const state = opened()
    call(state, 'crm', ['personal', 'public'], noon - 5)
    call(state, 'crm', ['personal', 'internal'], noon - 4)
    expect(factsOf(state).sources).toEqual({
      personal: { tool: 'crm', at: noon - 4, step: 2, only: true, reads: 2 },
      internal: { tool: 'crm', at: noon - 4, step: 2, only: true, reads: 1 },
    })
    call(state, 'hr', ['personal'], noon - 3)
    call(state, 'crm', ['personal'], noon - 2)
    expect(factsOf(state).sources['personal']).toEqual({ tool: 'crm', at: noon - 2, step: 4, only: false, reads: 4 })
  })

  it('are no longer of one tool alone once a class was raised without a read', () => {
    const state = opened()
    call(state, 'crm', ['personal'])
    const { version } = factsOf(state)
    state.raise(row.id, agentId, ['personal', 'secret'])
    expect(factsOf(state)).toMatchObject({ version: version + 1, sources: { personal: { tool: 'crm', step: 1, only: false } } })
    expect(factsOf(state).sources).not.toHaveProperty('secret')
    state.raise(row.id, agentId, ['personal'])
    expect(factsOf(state).version).toBe(version + 1)
  })

  it('are forgotten when a person clears what was read', () => {
    const state = opened()
    call(state, 'crm', ['personal'])
    state.clearSensitivity(agentId)
    expect(factsOf(state).sources).toEqual({})
  })

  it('are at most 64 classes: another has none', () => {
    const state = opened()
    const classes = Array.from({ length: 65 }, (_, at) => `c${at}`)
    call(state, 'crm', classes)
    call(state, 'crm', ['c64', 'c0'])
    expect(Object.keys(factsOf(state).sources)).toEqual(classes.slice(0, 64))
    expect(factsOf(state).sources['c0']?.step).toBe(2)
  })
})

describe('what policy refused', () => {
  it('is counted by rule, mints nothing and says whether the task left its intent', () => {
    const state = opened()
    const before = factsOf(state)
    state.denied(row.id, ['budget.exceeded'])
    expect(factsOf(state)).toEqual({ ...before, version: 1, denials: { 'budget.exceeded': 1 } })
    state.denied(row.id, ['intent.tool', 'budget.exceeded'])
    expect(factsOf(state)).toMatchObject({ step: 0, spent: {}, denials: { 'budget.exceeded': 2, 'intent.tool': 1 }, diverged: true })
  })

  it('never grows: past 16 rules the rest is one, and at a thousand nothing is written any more', () => {
    const state = opened()
    state.denied(
      row.id,
      Array.from({ length: 40 }, (_, at) => `acme.r${at}`),
    )
    expect(Object.keys(factsOf(state).denials)).toHaveLength(17)
    expect(factsOf(state).denials['*']).toBe(24)
    for (let times = 0; times < 1100; times++) state.denied(row.id, ['acme.r0'])
    const { version, denials } = factsOf(state)
    expect(denials['acme.r0']).toBe(1000)
    state.denied(row.id, ['acme.r0'])
    expect(factsOf(state).version).toBe(version)
  })

  it('of an intent counts as left even where the rule has no name of its own any more', () => {
    const state = opened()
    state.denied(
      row.id,
      Array.from({ length: 16 }, (_, at) => `acme.r${at}`),
    )
    state.denied(row.id, ['intent.egress'])
    expect(factsOf(state)).toMatchObject({ diverged: true, denials: { '*': 1 } })
  })

  it('under a task that is not live is nothing', () => {
    const state = opened()
    expect(() => state.denied('t_none', ['intent.tool'])).not.toThrow()
  })
})

describe('a restart', () => {
  it('keeps steps, sources and refusals as they were flushed', () => {
    const path = pathIn('state.db')
    const state = opened(path)
    call(state, 'crm', ['personal'])
    state.denied(row.id, ['intent.tool'])
    state.close()
    const again = openSqlite({ path, clock: () => noon })
    call(again, 'crm', ['personal'])
    expect(factsOf(again)).toMatchObject({
      steps: { crm: [1, 2] },
      sources: { personal: { step: 2, only: true } },
      denials: { 'intent.tool': 1 },
      diverged: true,
    })
    again.close()
  })

  it('on a file from before there were steps takes each tool for called at any, and knows no sole source', () => {
    const path = pathIn('state.db')
    const state = opened(path)
    for (const tool of ['crm', 'hr', 'crm']) call(state, tool, ['personal'])
    state.close()
    const db = openDatabase({ path, synced: false, wait: 1000 })
    const kept = JSON.parse(String(db.prepare('SELECT facts FROM facts').get()?.['facts']))
    for (const member of ['steps', 'sources', 'denials', 'diverged']) delete kept[member]
    db.prepare('UPDATE facts SET facts = ?').run(JSON.stringify(kept))
    db.close()
    const again = openSqlite({ path, clock: () => noon })
    expect(factsOf(again)).toMatchObject({ steps: { crm: [1, 3], hr: [1, 3] }, sources: {}, denials: {}, diverged: false })
    call(again, 'crm', ['personal'])
    expect(factsOf(again).sources['personal']).toMatchObject({ step: 4, only: false })
    again.close()
  })
})
