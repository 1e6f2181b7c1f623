import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openDatabase } from '../../../src/state/database.ts'
import { RateTable, type RateCaps } from '../../../src/state/rate-table.ts'
import { openSqlite } from '../../../src/state/sqlite.ts'
import type { MintRequest, RateLimit } from '../../../src/state/mint.ts'
import { agentId, minute, mintOn, noon, otherId, sketchIntent, sketchRow } from '../../support/task-rig.ts'

const hour = 60 * minute
const day = 24 * hour
const limitOf = (change: Partial<RateLimit> = {}): RateLimit => ({ key: 'k', scope: 'all', calls: 2, per: minute, ...change })

interface Asked {
  readonly limits?: readonly RateLimit[]
  readonly now?: number
  readonly task?: string
  readonly caller?: string
}

/** A table in memory; `call` says how long to wait, or null for a call that was let pass and counted. */
function rig(caps?: RateCaps) {
  const db = openDatabase({ path: ':memory:', synced: false, wait: 0 })
  let table = new RateTable(db, () => noon, caps)
  const request = ({ limits = [limitOf()], now = noon, task = 't_1', caller = agentId }: Asked): MintRequest =>
    ({ limits, now, task, caller }) as unknown as MintRequest
  return {
    table: () => table,
    call: (asked: Asked = {}): number | null => {
      const limited = table.limited(request(asked))
      if (limited === null) table.take(request(asked))
      return limited?.wait ?? null
    },
    restart: (now: number): void => {
      table.writeDirty()
      table.clean()
      table = new RateTable(db, () => now, caps)
    },
  }
}

describe('a rate limit', () => {
  it('lets as many calls pass in its time, and one more when the first is forgotten', () => {
    const { call } = rig()
    expect([call(), call({ now: noon + 1000 })]).toEqual([null, null])
    const wait = call({ now: noon + 2000 }) ?? 0
    expect(wait).toBeGreaterThanOrEqual(minute - 2000)
    expect(wait).toBeLessThanOrEqual(minute + minute / 16)
    expect(call({ now: noon + 2000 + wait - 1 })).toBe(1)
    expect(call({ now: noon + 2000 + wait })).toBeNull()
  })

  it('counts apart by scope, key and time', () => {
    const { call } = rig()
    const one = (change: Partial<RateLimit>, asked: Asked = {}): number | null =>
      call({ ...asked, limits: [limitOf({ calls: 1, ...change })] })
    expect(one({ scope: 'task' })).toBeNull()
    expect(one({ scope: 'task' })).not.toBeNull()
    expect(one({ scope: 'task' }, { task: 't_2' })).toBeNull()
    expect(one({ scope: 'caller' })).toBeNull()
    expect(one({ scope: 'caller' }, { task: 't_2' })).not.toBeNull()
    expect(one({ scope: 'caller' }, { caller: otherId })).toBeNull()
    expect(one({ scope: 'all' })).toBeNull()
    expect(one({ scope: 'all' }, { caller: otherId, task: 't_3' })).not.toBeNull()
    expect(one({ scope: 'all', key: 'l' })).toBeNull()
    expect(one({ scope: 'all', per: hour })).toBeNull()
  })

  it('counts nothing of a call that another of its limits refuses', () => {
    const { call } = rig()
    const [wide, narrow] = [limitOf({ key: 'wide', calls: 2 }), limitOf({ key: 'narrow', calls: 1 })]
    expect(call({ limits: [wide, narrow] })).toBeNull()
    expect(call({ limits: [wide, narrow] })).not.toBeNull()
    expect(call({ limits: [wide] })).toBeNull()
    expect(call({ limits: [wide] })).not.toBeNull()
  })

  it('knows what was counted when policy allows less from now on', () => {
    const { call } = rig()
    expect([call({ limits: [limitOf({ calls: 3 })] }), call({ limits: [limitOf({ calls: 3 })] })]).toEqual([null, null])
    expect(call({ limits: [limitOf({ calls: 1 })] })).not.toBeNull()
  })

  it('gives nothing back for a restart, nor for a clock that was put back', () => {
    const { call, restart } = rig()
    const slow = [limitOf({ calls: 1, per: day })]
    expect(call({ limits: slow })).toBeNull()
    restart(noon + hour)
    expect(call({ limits: slow, now: noon + hour })).not.toBeNull()
    expect(call({ limits: slow, now: noon - day })).not.toBeNull()
    restart(noon + 2 * day)
    expect(call({ limits: slow, now: noon + 2 * day })).toBeNull()
  })

  it('is not stuck for a year when the clock was a year ahead for a moment', () => {
    const { call } = rig()
    expect([call({ now: noon + 365 * day }), call({ now: noon + 365 * day })]).toEqual([null, null])
    expect(call()).toBeLessThanOrEqual(minute + minute / 16)
  })

  it('never lets more pass in any span of its time, and never waits longer than that and a sixteenth', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 200 })
    const limits = fc.record({ calls: fc.integer({ min: 1, max: 5 }), per: fc.integer({ min: 1000, max: 20_000 }) })
    fc.assert(
      fc.property(limits, steps, ({ calls, per }, waits) => {
        const { call } = rig()
        const passed: number[] = []
        let now = noon
        for (const step of waits) {
          now += step
          const wait = call({ now, limits: [limitOf({ calls, per })] })
          const recent = passed.filter((at) => at > now - per).length
          if (wait === null) {
            expect(recent).toBeLessThan(calls)
            passed.push(now)
          } else {
            // what was refused had as many within the time and the slot that is let go of late
            const width = Math.ceil(per / 16)
            expect(passed.filter((at) => at > now - 17 * width).length).toBeGreaterThanOrEqual(calls)
            expect(wait).toBeGreaterThan(0)
            expect(wait).toBeLessThanOrEqual(17 * width)
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('keys that an agent chooses', () => {
  const caps: RateCaps = { all: 20, caller: 8 }
  const key = (name: string, per = minute): readonly RateLimit[] => [limitOf({ key: name, calls: 1, per })]

  it('never push out a key that still counts: a new one is refused instead', () => {
    const { call, table } = rig(caps)
    expect(call({ limits: key('precious') })).toBeNull()
    for (let at = 0; at < 1000; at++) call({ limits: key(`flood-${at}`), now: noon + 1 })
    expect(table().size).toBe(8)
    expect(call({ limits: key('precious'), now: noon + 2 })).not.toBeNull()
    const wait = call({ limits: key('another'), now: noon + 2 }) ?? 0
    expect(wait).toBeGreaterThan(0)
    expect(call({ limits: key('another'), now: noon + 2 + wait })).toBeNull()
  })

  it('take no room from other callers until all of it is taken', () => {
    const { call, table } = rig(caps)
    const flood = (caller: string): void => {
      for (let at = 0; at < 50; at++) call({ limits: key(`${caller}-${at}`), caller })
    }
    flood('a')
    expect(call({ limits: key('mine'), caller: 'b' })).toBeNull()
    flood('b')
    flood('c')
    expect(table().size).toBe(20)
    expect(call({ limits: key('late'), caller: 'd' })).not.toBeNull()
    expect(call({ limits: key('late'), caller: 'd', now: noon + 2 * minute })).toBeNull()
    expect(table().size).toBe(1)
  })

  it('are refused together when there is room for some of them alone', () => {
    const { call, table } = rig(caps)
    const nine = Array.from({ length: 9 }, (_, at) => limitOf({ key: `k${at}` }))
    expect(call({ limits: nine.slice(1) })).toBeNull()
    expect(call({ limits: nine })).not.toBeNull()
    expect(table().size).toBe(8)
  })
})

describe('what counted for one task', () => {
  it('goes with the task, also from the file, and makes room', () => {
    const { call, table, restart } = rig({ all: 20, caller: 2 })
    const limits = [limitOf({ scope: 'task', per: day }), limitOf({ scope: 'caller', per: day, calls: 1 })]
    expect(call({ limits })).toBeNull()
    restart(noon)
    table().forget('t_1', otherId)
    expect(table().size).toBe(2)
    table().forget('t_1', agentId)
    expect(table().size).toBe(1)
    restart(noon)
    expect(table().size).toBe(1)
    expect(call({ limits: limits.slice(1), task: 't_2' })).not.toBeNull()
    expect(call({ limits: limits.slice(0, 1), task: 't_2' })).toBeNull()
  })
})

describe('in the state', () => {
  it('a call that is refused for another reason counts against no limit', () => {
    const state = openSqlite({ path: ':memory:', clock: () => noon })
    const row = sketchRow({ intent: sketchIntent({ budget: { calls: 100, eur: 1 } }) })
    state.openTask(row)
    const limits = [limitOf({ calls: 1 })]
    expect(state.mint(mintOn(state, row, noon, { limits, debit: { calls: 1, eur: 2 } }))).toMatchObject({ why: 'task.budget' })
    expect(state.mint({ ...mintOn(state, row, noon, { limits }), seen: { task: 7, caller: 7 } })).toMatchObject({ why: 'stale' })
    expect(state.mint(mintOn(state, row, noon, { limits, debit: { calls: 1, eur: 1 } }))).toEqual({ minted: true })
    const { task, caller } = state.facts(row.id, row.caller)
    const refused = state.mint(mintOn(state, row, noon, { limits }))
    expect(refused).toMatchObject({ minted: false, why: 'decide.rate-limited', wait: expect.any(Number) })
    // all that came of it is that it counts as divergence
    expect(state.facts(row.id, row.caller)).toEqual({ task: { ...task, version: task.version + 1 }, caller })
    expect(task.divergence.reasons).toEqual([{ kind: 'rate', count: 1, points: 6 }])
    state.close()
  })

  it('what counted for one task is forgotten with it, and what counted for its caller is not', () => {
    const state = openSqlite({ path: ':memory:', clock: () => noon })
    const row = sketchRow()
    state.openTask(row)
    const limits = [limitOf({ scope: 'task', calls: 1 }), limitOf({ scope: 'caller', calls: 1 })]
    expect(state.mint(mintOn(state, row, noon, { limits }))).toEqual({ minted: true })
    state.flush()
    state.endTask(row.id, 'completed', { at: noon, cause: 'done', by: agentId })
    const next = sketchRow({ id: 't_next' })
    state.openTask(next)
    expect(state.mint(mintOn(state, next, noon, { limits: limits.slice(1) }))).toMatchObject({ why: 'decide.rate-limited' })
    expect(state.mint(mintOn(state, next, noon, { limits: limits.slice(0, 1) }))).toEqual({ minted: true })
    state.close()
  })

  it('finds room in a file that an earlier version wrote', () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-rates-'))
    const path = join(folder, 'state.db')
    try {
      const before = openDatabase({ path, synced: false, wait: 0 })
      before.exec(
        'DROP TABLE counted; DROP TABLE rates; DROP TABLE registrations; DROP TABLE grants; DROP TABLE approvals; DROP TABLE kills; DROP TABLE signals; DROP INDEX tasks_by_parent; PRAGMA user_version = 1',
      )
      before.close()
      const state = openSqlite({ path, clock: () => noon })
      const row = sketchRow()
      state.openTask(row)
      const limits = [limitOf({ calls: 1, per: day })]
      expect(state.mint(mintOn(state, row, noon, { limits }))).toEqual({ minted: true })
      state.close()
      const again = openSqlite({ path, clock: () => noon + minute })
      expect(again.mint(mintOn(again, row, noon + minute, { limits }))).toMatchObject({ why: 'decide.rate-limited' })
      again.close()
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
