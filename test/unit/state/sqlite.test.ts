import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSqlite, type SqliteState } from '../../../src/state/sqlite.ts'
import type { LeaseRow } from '../../../src/state/leases.ts'
import type { PausedBy } from '../../../src/state/state.ts'
import { agentId, mintOn, minute, noon, otherId, sketchRow } from '../../support/task-rig.ts'

let folder = ''
const opened: SqliteState[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'state-'))
})

afterEach(() => {
  for (const state of opened.splice(0)) state.close()
  rmSync(folder, { recursive: true })
})

function open(name = 'state.db'): SqliteState {
  const state = openSqlite({ path: join(folder, name), clock: () => noon, wait: 0 })
  opened.push(state)
  return state
}

/** The files as a process that dies here leaves them behind. */
function crash(): void {
  for (const end of ['', '-wal']) {
    const from = join(folder, `state.db${end}`)
    if (existsSync(from)) copyFileSync(from, join(folder, `after.db${end}`))
  }
}

const ended = { at: noon, cause: 'done', by: agentId }

function sketchLease(change: Partial<LeaseRow> = {}): LeaseRow {
  return {
    id: 'l_1',
    key: 'k',
    task: 't_1',
    caller: agentId,
    tool: 'crm.customer.read',
    destination: 'https://crm.acme.example',
    provider: 'crm',
    scopes: [],
    audience: null,
    state: 'issuing',
    issued: noon,
    expires: noon + minute,
    revision: 'r1',
    revocation: 'issuer',
    digest: null,
    sealed: 's1.x',
    ...change,
  }
}

describe('the state after a crash', () => {
  it('has tasks, budgets, history and sensitivity as they were flushed', () => {
    const state = open()
    const row = sketchRow()
    state.openTask(row)
    state.openTask(sketchRow({ id: 't_paused' }))
    state.pauseTask('t_paused', { by: 'rule', at: noon, reason: 'odd' })
    for (let n = 0; n < 3; n++) {
      state.mint(mintOn(state, row, noon, { data: ['personal'], debit: { calls: 1, refunds_eur: 40 } }))
      state.observe(row.id, { failed: true })
    }
    state.flush()
    crash()
    const again = open('after.db')
    const before = state.facts(row.id, agentId)
    expect(again.facts(row.id, agentId)).toEqual(before)
    expect(before.task).toMatchObject({ step: 3, spent: { calls: 3, refunds_eur: 120 }, sensitivity: ['personal'], failures: 3 })
    expect(again.mint(mintOn(again, row, noon, { debit: { calls: 1, refunds_eur: 100 } }))).toMatchObject({ why: 'task.budget' })
    expect(again.mint(mintOn(again, row, noon))).toEqual({ minted: true })
    expect(again.facts(row.id, agentId).task.repeats).toEqual({ digest: 4 })
    expect(again.task('t_paused')).toMatchObject({ state: 'paused', paused: { by: 'rule' } })
  })

  it('has what an answer raised, without a flush of its own', () => {
    const state = open()
    const row = sketchRow()
    state.openTask(row)
    state.raise(row.id, row.caller, ['personal'])
    crash()
    const again = open('after.db').facts(row.id, row.caller)
    expect(again).toMatchObject({ task: { sensitivity: ['personal'] }, caller: { sensitivity: { personal: noon } } })
  })

  it('has what was not flushed neither in facts nor in budgets', () => {
    const state = open()
    const row = sketchRow()
    state.openTask(row)
    state.flush()
    state.mint(mintOn(state, row, noon))
    crash()
    expect(open('after.db').facts(row.id, agentId).task.step).toBe(0)
  })

  it('knows an ended task as ended, with its last facts and without its subject token', () => {
    const state = open()
    const row = sketchRow({ subjectToken: 's1.sealed-subject' })
    state.openTask(row)
    state.mint(mintOn(state, row, noon))
    state.endTask(row.id, 'completed', ended)
    crash()
    const again = open('after.db')
    expect(again.task(row.id)).toMatchObject({ state: 'completed', ended, subjectToken: null })
    expect(again.facts(row.id, agentId).task.step).toBe(1)
    expect(again.activeTasks(agentId)).toEqual([])
    again.close()
    expect(readFileSync(join(folder, 'after.db'), 'latin1')).not.toContain('sealed-subject')
  })

  it('has every lease in the state it was last written in', () => {
    const state = open()
    state.putLease(sketchLease())
    state.putLease(sketchLease({ id: 'l_2' }))
    state.changeLease('l_2', ['issuing'], { state: 'live' })
    state.putNote('ledger.offset', '7')
    crash()
    const again = open('after.db')
    expect(again.leases({ states: ['issuing', 'live'] }).map(({ id, state: at }) => `${id} ${at}`)).toEqual(['l_1 issuing', 'l_2 live'])
    expect(again.note('ledger.offset')).toBe('7')
  })
})

describe('the state file', () => {
  it('belongs to one process: a second opening says so', () => {
    open()
    expect(() => open()).toThrow('held by another process')
  })

  it('can be opened again once it was let go', () => {
    open().close()
    expect(open().tasks({})).toEqual([])
  })

  it('is readable by its owner alone', () => {
    open()
    expect(statSync(join(folder, 'state.db')).mode & 0o777).toBe(0o600)
  })

  it('of a newer version is refused', () => {
    const db = new DatabaseSync(join(folder, 'state.db'))
    db.exec('PRAGMA user_version = 99')
    db.close()
    expect(() => open()).toThrow('newer version')
  })

  it('that is no database is refused', () => {
    writeFileSync(join(folder, 'state.db'), 'hello '.repeat(1000))
    expect(() => open()).toThrow('not a database')
  })

  it('that cannot be written keeps what is dirty for the next flush', () => {
    const state = open()
    const row = sketchRow()
    state.openTask(row)
    state.mint(mintOn(state, row, noon, { data: ['personal'] }))
    state.close()
    expect(() => state.flush()).not.toThrow()
    state.observe(row.id, { failed: true })
    expect(() => state.flush()).toThrow()
    expect(() => state.flush()).toThrow()
  })
})

describe('tasks', () => {
  it('end exactly once, and are listed after as what they became', () => {
    const state = open()
    state.openTask(sketchRow())
    expect(state.endTask(sketchRow().id, 'completed', ended)?.state).toBe('completed')
    expect(state.endTask(sketchRow().id, 'revoked', ended)).toBeNull()
    expect(state.tasks({ state: 'completed' })).toHaveLength(1)
    expect(state.tasks({ state: 'active' })).toHaveLength(0)
  })

  it('keep the first pause, except that a person or a rule takes over one by the agent', () => {
    const state = open()
    const { id } = sketchRow()
    state.openTask(sketchRow())
    const pause = (by: PausedBy) => state.pauseTask(id, { by, at: noon, reason: by })?.paused?.by ?? null
    expect([pause('agent'), pause('agent'), pause('rule'), pause('agent'), pause('person')]).toEqual(['agent', null, 'rule', null, null])
  })

  it('cannot be opened twice under one id', () => {
    const state = open()
    state.openTask(sketchRow())
    state.endTask(sketchRow().id, 'completed', ended)
    expect(() => state.openTask(sketchRow())).toThrow()
  })

  it('of a caller are listed explicit ones first, and never those of another', () => {
    const state = open()
    state.openTask(sketchRow({ id: 't_implicit', implicit: true }))
    state.openTask(sketchRow({ id: 't_explicit' }))
    state.openTask(sketchRow({ id: 't_foreign', caller: otherId }))
    expect(state.activeTasks(agentId).map(({ id }) => id)).toEqual(['t_explicit', 't_implicit'])
  })

  it('are listed newest first, live before ended, up to a limit', () => {
    const state = open()
    for (const [n, id] of ['t_a', 't_b', 't_c', 't_d'].entries()) state.openTask(sketchRow({ id, opened: noon + n }))
    state.endTask('t_d', 'revoked', ended)
    expect(state.tasks({ caller: agentId, limit: 3 }).map(({ id }) => id)).toEqual(['t_c', 't_b', 't_a'])
    expect(state.tasks({}).map(({ id }) => id)).toEqual(['t_c', 't_b', 't_a', 't_d'])
    expect(state.tasks({ caller: otherId })).toEqual([])
  })

  it('slide later, never earlier, never past their limit and never while paused', () => {
    const state = open()
    const row = sketchRow({ expires: noon + minute, limit: noon + 10 * minute })
    state.openTask(row)
    state.touchTask(row.id, noon)
    expect(state.task(row.id)?.expires).toBe(noon + minute)
    state.touchTask(row.id, noon + 60 * minute)
    expect(state.task(row.id)?.expires).toBe(noon + 10 * minute)
    state.flush()
    crash()
    expect(open('after.db').task(row.id)?.expires).toBe(noon + 10 * minute)
  })

  it('live no longer than they were given when the wall clock is put back', () => {
    let now = noon
    let tick = 0
    const state = openSqlite({ path: ':memory:', clock: () => now, ticks: () => tick })
    opened.push(state)
    const row = sketchRow()
    state.openTask(row)
    now -= 60 * minute
    tick = row.expires - row.opened - 1
    expect(state.overdueTasks(now)).toEqual([])
    tick++
    expect(state.overdueTasks(now).map(({ id }) => id)).toEqual([row.id])
    expect(state.mint(mintOn(state, row, now))).toMatchObject({ minted: false, why: 'task.ended' })
  })

  it('are overdue at a start when they were opened under a clock that ran ahead', () => {
    for (const [name, ahead, overdue] of [
      ['a.db', 29_000, 0],
      ['b.db', 31_000, 1],
    ] as const) {
      const path = join(folder, name)
      const before = openSqlite({ path, clock: () => noon + ahead })
      before.openTask(sketchRow({ opened: noon + ahead, expires: noon + ahead + minute }))
      before.close()
      const after = openSqlite({ path, clock: () => noon })
      opened.push(after)
      expect(after.overdueTasks(noon)).toHaveLength(overdue)
    }
  })

  it('are overdue from the moment they expire', () => {
    const state = open()
    state.openTask(sketchRow())
    expect(state.overdueTasks(noon + 30 * minute - 1)).toEqual([])
    expect(state.overdueTasks(noon + 30 * minute)).toHaveLength(1)
  })
})

describe('leases', () => {
  it('change only from the states named', () => {
    const state = open()
    state.putLease(sketchLease())
    expect(state.changeLease('l_1', ['live'], { state: 'revoking' })).toBeNull()
    expect(state.changeLease('l_1', ['issuing'], { state: 'live' })?.state).toBe('live')
    expect(state.changeLease('l_none', ['live'], { state: 'revoking' })).toBeNull()
  })

  it('lose what revocation needed once nothing is owed for them, and stay readable', () => {
    const state = open()
    state.putLease(sketchLease({ state: 'live' }))
    expect(state.changeLease('l_1', ['live'], { state: 'revoking' })?.sealed).toBe('s1.x')
    expect(state.changeLease('l_1', ['revoking'], { state: 'revoked' })?.sealed).toBeNull()
    expect(state.lease('l_1')).toMatchObject({ state: 'revoked', sealed: null })
    expect(state.leases({ task: 't_1' })).toHaveLength(1)
    expect(state.leases({ task: 't_1', states: ['live'] })).toEqual([])
    expect(state.leases({ task: 't_2' })).toEqual([])
  })
})
