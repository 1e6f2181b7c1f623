import { describe, expect, test } from 'vitest'
import { Covering } from '../../../src/kill/covering.ts'
import { Kills, KillFault, type KillsOptions, type Stop } from '../../../src/kill/kills.ts'
import { idSource } from '../../../src/id.ts'
import type { LedgerEvent } from '../../../src/record/record.ts'
import { Refusal } from '../../../src/refusal.ts'
import { openSqlite } from '../../../src/state/sqlite.ts'
import type { TaskRow } from '../../../src/state/state.ts'
import { sketchAgent, sketchRow } from '../../support/question.ts'

const caller = 'spiffe://acme.example/ns/support/sa/refund-agent'
const stop: Stop = { scope: 'agent', name: caller, by: 'person:oncall', reason: 'test' }

function rig(change: Partial<KillsOptions> = {}) {
  const { kills: book } = openSqlite({ path: ':memory:', clock: () => 1 })
  const happened: string[] = []
  const rows = new Map<string, TaskRow>()
  const covering = new Covering({
    kills: book,
    task: (id) => rows.get(id) ?? null,
    ancestors: () => [],
    agent: () => sketchAgent(),
    route: () => null,
  })
  const events: LedgerEvent[] = []
  const gate = { written: Promise.resolve() }
  const kills = new Kills({
    kills: book,
    covering,
    clock: () => 1,
    newId: idSource(() => 1),
    cut: () => (happened.push(`cut, ${book.engaged} in force`), 3),
    liveTasks: () => [...rows.values()],
    endTask: async (row) => {
      if (!rows.delete(row.id)) throw new Refusal('task.ended')
      happened.push(`ended ${row.id}`)
    },
    leases: () => [],
    place: () => null,
    takeBack: async () => undefined,
    event: async (event) => {
      await gate.written
      events.push(event)
      happened.push(event.kind)
    },
    log: { warn: () => undefined, error: () => undefined },
    ...change,
  })
  return { kills, book, happened, rows, events, gate }
}

describe('engaging a kill', () => {
  test('is in force and cuts in the tick of the call, then is told, then ends tasks', async () => {
    const { kills, happened, rows } = rig()
    rows.set('t_1', sketchRow({ id: 't_1' }))
    const engaged = kills.engage(stop)
    expect(happened).toEqual(['cut, 1 in force'])
    expect(await engaged).toMatchObject({ fresh: true, cut: 3, tasks: 1 })
    await kills.settled()
    expect(happened).toEqual(['cut, 1 in force', 'kill.engaged', 'ended t_1', 'kill.completed'])
  })

  test('ends a task too whose opening was in the ledger ahead of it', async () => {
    const { kills, happened, rows, gate } = rig()
    const { promise, resolve } = Promise.withResolvers<void>()
    gate.written = promise
    const engaged = kills.engage(stop)
    rows.set('t_late', sketchRow({ id: 't_late' }))
    resolve()
    await engaged
    await kills.settled()
    expect(happened).toContain('ended t_late')
  })

  test('leaves tasks alone when it is of a tool or a route', async () => {
    const { kills, rows } = rig()
    rows.set('t_1', sketchRow({ id: 't_1' }))
    expect(await kills.engage({ ...stop, scope: 'route', name: 'crm' })).toMatchObject({ tasks: 0 })
    await kills.settled()
    expect(rows.size).toBe(1)
  })

  test('stands when the ledger cannot be written, and says so', async () => {
    const { kills, book } = rig({ event: () => Promise.reject(new Refusal('record.failed')) })
    await expect(kills.engage(stop)).rejects.toMatchObject({ code: 'record.failed' })
    expect(book.engaged).toBe(1)
  })

  test('tells whoever watches, in its tick', () => {
    const { kills } = rig()
    const seen: unknown[] = []
    const end = kills.watch(({ scope }, covered) =>
      seen.push(scope, covered({ caller, trustDomain: '', agent: '', tasks: [], tool: null, route: null, owners: [] })),
    )
    void kills.engage(stop)
    end()
    void kills.engage({ ...stop, scope: 'everything', name: null })
    expect(seen).toEqual(['agent', true])
  })
})

describe('lifting a kill', () => {
  test('is in the ledger before it is true', async () => {
    const { kills, book, gate } = rig()
    const { kill } = await kills.engage(stop)
    const { promise, resolve } = Promise.withResolvers<void>()
    gate.written = promise
    const lifted = kills.lift(kill.id, 'person:oncall', 'over')
    expect(book.engaged).toBe(1)
    await expect(kills.lift(kill.id, 'person:other', 'over')).rejects.toBeInstanceOf(KillFault)
    resolve()
    expect(await lifted).toMatchObject({ lifted: { by: 'person:oncall' } })
    expect(book.engaged).toBe(0)
  })

  test('is called off by whoever engages it meanwhile', async () => {
    const { kills, book, gate } = rig()
    const { kill } = await kills.engage(stop)
    const { promise, resolve } = Promise.withResolvers<void>()
    gate.written = promise
    const lifted = kills.lift(kill.id, 'person:oncall', 'over')
    const again = kills.engage(stop)
    resolve()
    await expect(lifted).rejects.toMatchObject({ why: 'standing' })
    expect(await again).toMatchObject({ fresh: true, kill: { id: kill.id } })
    expect(book.engaged).toBe(1)
  })

  test('is not done while something asks for it', async () => {
    const { kills, book } = rig({ standing: () => 'the file says so' })
    const { kill } = await kills.engage(stop)
    await expect(kills.lift(kill.id, 'person:oncall', 'over')).rejects.toThrow('the file says so')
    expect(book.engaged).toBe(1)
  })
})

test('a start says what is in force and ends what was left', async () => {
  const { kills, book, rows, events } = rig()
  book.engage({ id: 'k_1', ...stop, at: 0, lifted: null })
  rows.set('t_1', sketchRow({ id: 't_1' }))
  await kills.resume()
  await kills.settled()
  expect(events.map(({ kind }) => kind)).toEqual(['kill.in-force', 'kill.completed'])
  expect(rows.size).toBe(0)
})

test('a kill of a task covers all that descends from it, and a circle of parents ends', () => {
  const state = openSqlite({ path: ':memory:', clock: () => 1 })
  const row = sketchRow({ id: 't_b', parent: 't_a' })
  for (const each of [row, sketchRow({ id: 't_a', parent: 't_c' }), sketchRow({ id: 't_c', parent: 't_b' })]) state.openTask(each)
  const covering = new Covering({
    kills: state.kills,
    task: (id) => state.task(id),
    ancestors: (id) => state.ancestors(id),
    agent: () => null,
    route: () => null,
  })
  expect(covering.party(caller, null, row)).toBeNull()
  state.kills.engage({ id: 'k_1', scope: 'task', name: 't_a', at: 0, by: 'person:oncall', reason: 'test', lifted: null })
  expect(covering.party(caller, null, row)).toMatchObject({ code: 'kill.engaged', retry: 'never' })
  expect(state.ancestors('t_b').length).toBeLessThanOrEqual(64)
})
