import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { covers } from '../../../src/state/kill-table.ts'
import type { Killable, KillRow, KillScope } from '../../../src/state/kills.ts'
import { openSqlite } from '../../../src/state/sqlite.ts'
import { DatabaseSync } from 'node:sqlite'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const kill = (id: number, scope: KillScope, name: string | null): KillRow => ({
  id: `k_${String(id).padStart(26, '0')}`,
  scope,
  name,
  at: 1,
  by: 'person:oncall',
  reason: 'test',
  lifted: null,
})

const about: Killable = {
  caller: 'spiffe://acme.example/ns/test/sa/one',
  trustDomain: 'acme.example',
  agent: 'spiffe://acme.example/ns/test/sa/one',
  tasks: ['t_child', 't_root'],
  tool: 'crm.read',
  route: 'crm',
  owners: ['oncall@acme.example'],
}

const covering: readonly (readonly [KillScope, string | null])[] = [
  ['everything', null],
  ['trust-domain', 'acme.example'],
  ['owner', 'oncall@acme.example'],
  ['agent', 'spiffe://acme.example/ns/test/sa/one'],
  ['agent', 'spiffe://acme.example/ns/test/sa/*'],
  ['task', 't_child'],
  ['task', 't_root'],
  ['route', 'crm'],
  ['tool', 'crm.read'],
]

const sparing: readonly (readonly [KillScope, string | null])[] = [
  ['trust-domain', 'partner.example'],
  ['owner', 'other@acme.example'],
  ['agent', 'spiffe://acme.example/ns/test/sa/two'],
  ['agent', 'spiffe://acme.example/ns/*'],
  ['task', 't_other'],
  ['route', 'crm.read'],
  ['tool', 'crm'],
]

describe('the book of kills', () => {
  test.each(covering)('finds one of %s %s until it is lifted', (scope, name) => {
    const { kills } = openSqlite({ path: ':memory:', clock: () => 1 })
    expect(kills.covering(about)).toBeNull()
    const row = kills.engage(kill(1, scope, name))
    expect(kills.covering(about)).toBe(row)
    expect(covers(row, about)).toBe(true)
    expect(kills.engage(kill(2, scope, name))).toBe(row)
    expect(kills.engaged).toBe(1)
    const lifted = { at: 2, by: 'person:oncall', reason: 'over' }
    expect(kills.lift(row.id, lifted)).toEqual({ ...row, lifted })
    expect(kills.lift(row.id, lifted)).toBeNull()
    expect(kills.covering(about)).toBeNull()
    expect(kills.kills()).toEqual([])
    expect(kills.kills({ all: true })).toEqual([{ ...row, lifted }])
  })

  test.each(sparing)('does not find one of %s %s', (scope, name) => {
    const { kills } = openSqlite({ path: ':memory:', clock: () => 1 })
    kills.engage(kill(1, scope, name))
    expect(kills.covering(about)).toBeNull()
  })

  test('names the widest of several, and gives all of them newest first', () => {
    const { kills } = openSqlite({ path: ':memory:', clock: () => 1 })
    const rows = covering.toReversed().map(([scope, name], at) => kills.engage(kill(at, scope, name)))
    expect(kills.covering(about)?.scope).toBe('everything')
    expect(kills.kills()).toEqual(rows.toReversed())
  })

  test('looks and tells of one kill as the look at that kill alone does, whatever is engaged', () => {
    const names = fc.constantFrom('a', 'b', 'spiffe://d/x/*', 'spiffe://d/x/1', 'spiffe://d/y/1')
    const scopes = fc.constantFrom<KillScope>('agent', 'task', 'tool', 'route', 'owner', 'trust-domain', 'everything')
    const subject = fc.record({
      caller: names,
      trustDomain: names,
      agent: names,
      tasks: fc.array(names, { maxLength: 3 }),
      tool: fc.option(names),
      route: fc.option(names),
      owners: fc.array(names, { maxLength: 3 }),
    })
    fc.assert(
      fc.property(fc.array(fc.tuple(scopes, names), { maxLength: 6 }), subject, (given, looked) => {
        const { kills } = openSqlite({ path: ':memory:', clock: () => 1 })
        const rows = given.map(([scope, name], at) => kills.engage(kill(at, scope, scope === 'everything' ? null : name)))
        expect(kills.covering(looked) !== null).toBe(rows.some((row) => covers(row, looked)))
        kills.kills()
      }),
      { numRuns: 200 },
    )
  })

  test('is there after a restart, engaged ones only', () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-kills-'))
    const path = join(folder, 'state.db')
    const first = openSqlite({ path, clock: () => 1 })
    const [one, two] = [first.kills.engage(kill(1, 'tool', 'crm.read')), first.kills.engage(kill(2, 'everything', null))]
    first.kills.lift(two.id, { at: 2, by: 'person:oncall', reason: 'over' })
    first.close()
    const second = openSqlite({ path, clock: () => 1 })
    expect(second.kills.covering(about)).toEqual(one)
    expect(second.kills.engaged).toBe(1)
    second.close()
    rmSync(folder, { recursive: true })
  })

  test('has one in force that cannot be written, and writes it with the next flush that can', () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-kills-'))
    const path = join(folder, 'state.db')
    const state = openSqlite({ path, clock: () => 1 })
    // a trigger that refuses what is written stands for a full disk
    state.close()
    const db = new DatabaseSync(path)
    db.exec(
      "CREATE TRIGGER full BEFORE INSERT ON kills WHEN (SELECT value FROM notes WHERE key = 'full') = '1' BEGIN SELECT RAISE(ABORT, 'disk full'); END",
    )
    db.close()
    const again = openSqlite({ path, clock: () => 1 })
    again.putNote('full', '1')
    expect(() => again.kills.engage(kill(1, 'tool', 'crm.read'))).toThrow('disk full')
    expect(again.kills.covering(about)).toMatchObject({ scope: 'tool' })
    expect(() => again.flush()).toThrow('disk full')
    again.putNote('full', '0')
    again.flush()
    again.close()
    const last = openSqlite({ path, clock: () => 1 })
    expect(last.kills.covering(about)).toMatchObject({ scope: 'tool' })
    last.close()
    rmSync(folder, { recursive: true })
  })
})
