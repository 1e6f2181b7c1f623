import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openSqlite, type SqliteState } from '../../../src/state/sqlite.ts'
import { mintOn, minute, noon, sketchIntent, sketchRow } from '../../support/task-rig.ts'

const row = sketchRow({ intent: sketchIntent({ budget: {} }), expires: noon + 1000 * minute, limit: noon + 1000 * minute })

class Rig {
  state: SqliteState
  now = noon
  readonly #path: string

  constructor(path = ':memory:') {
    this.#path = path
    this.state = openSqlite({ path, clock: () => this.now })
    this.state.openTask(row)
  }

  call(tool: string, change: Partial<{ effect: string; host: string; data: readonly string[]; failed: boolean; sent: number }> = {}): void {
    const { effect = 'read', host = 'crm', data = [], failed = false, sent = 0 } = change
    const request = mintOn(this.state, row, this.now, { data, host, step: { tool, effect, egress: 'internal', at: this.now } })
    expect(this.state.mint(request)).toEqual({ minted: true })
    this.state.observe(row.id, { failed, sent })
  }

  calls(count: number, tool = 'crm.read', change: Parameters<Rig['call']>[1] = {}): void {
    for (let made = 0; made < count; made++) this.call(tool, change)
  }

  restart(): void {
    this.state.close()
    this.state = openSqlite({ path: this.#path, clock: () => this.now })
  }

  get divergence(): { readonly score: number; readonly reasons: readonly object[] } {
    const { score, reasons } = this.state.facts(row.id, row.caller).task.divergence
    return { score, reasons }
  }

  get version(): number {
    return this.state.facts(row.id, row.caller).task.version
  }
}

const none = { score: 0, reasons: [] }

describe('a task on its course', () => {
  it('has no score, however broadly it reads at first and however often it repeats itself', () => {
    const rig = new Rig()
    for (let made = 0; made < 10; made++) rig.call(`crm.read-${made}`, { host: `h${made}`, data: [`class-${made}`] })
    rig.calls(50, 'crm.read-3', { host: 'h3' })
    expect(rig.divergence).toEqual(none)
  })

  it('may go on to read with other tools later, and change things with those it has used', () => {
    const rig = new Rig()
    rig.call('mail.send', { effect: 'send' })
    rig.calls(20)
    rig.call('crm.search')
    rig.call('mail.send', { effect: 'send' })
    expect(rig.divergence).toEqual(none)
  })

  it('is not off it because a person was asked, or another rule refused', () => {
    const rig = new Rig()
    rig.state.denied(row.id, ['risk.high-needs-person', 'acme.rule', 'divergence.escalates', 'change.freeze'])
    expect(rig.divergence).toEqual(none)
  })
})

describe('a task that leaves its intent', () => {
  it('is told for each kind of refusal how often and for how much, in a fixed order', () => {
    const rig = new Rig()
    for (const rules of [['intent.egress', 'data.beyond-destination'], ['intent.tool'], ['tool.uncatalogued']])
      rig.state.denied(row.id, rules)
    expect(rig.divergence).toEqual({
      score: 44,
      reasons: [
        { kind: 'tool', count: 2, points: 20 },
        { kind: 'egress', count: 1, points: 12 },
        { kind: 'flow', count: 1, points: 12 },
      ],
    })
  })

  it('does not come to more by asking for the same for ever, and then nothing is written any more', () => {
    const rig = new Rig()
    for (let asked = 0; asked < 1001; asked++) rig.state.denied(row.id, ['intent.tool'])
    const { version } = rig
    expect(rig.divergence).toEqual({ score: 40, reasons: [{ kind: 'tool', count: 4, points: 40 }] })
    rig.state.denied(row.id, ['intent.tool'])
    expect(rig.version).toBe(version)
  })

  it('is one where a host, a changing tool or a data class is new after ten calls', () => {
    const rig = new Rig()
    rig.calls(10)
    rig.call('vault.put', { effect: 'write', host: 'vault', data: ['secret', 'public'] })
    expect(rig.divergence.reasons).toEqual([
      { kind: 'new-host', count: 1, points: 6 },
      { kind: 'new-tool', count: 1, points: 3 },
      { kind: 'new-class', count: 1, points: 5 },
    ])
    rig.call('vault.put', { effect: 'write', host: 'vault', data: ['secret'] })
    rig.state.raise(row.id, row.caller, ['personal', 'secret'])
    expect(rig.divergence).toMatchObject({ score: 19, reasons: [{ count: 1 }, { count: 1 }, { kind: 'new-class', count: 2 }] })
  })
})

describe('the pace of a task', () => {
  it('is left by a minute of more than sixty calls and four times the busiest before, once a minute', () => {
    const rig = new Rig()
    for (let at = 0; at < 3; at++) {
      rig.calls(16)
      rig.now += minute
    }
    rig.calls(64)
    expect(rig.divergence).toEqual(none)
    rig.calls(30)
    expect(rig.divergence).toEqual({ score: 6, reasons: [{ kind: 'rate', count: 1, points: 6 }] })
    rig.now += minute
    rig.calls(94)
    expect(rig.divergence.score).toBe(6)
  })

  it('is not known before three minutes with calls, so that a batch may begin at once', () => {
    const rig = new Rig()
    rig.call('crm.read')
    rig.now += minute
    rig.calls(200)
    expect(rig.divergence).toEqual(none)
  })

  it('is left by a call past a rate that policy set', () => {
    const rig = new Rig()
    const limits = [{ key: 'k', scope: 'task' as const, calls: 1, per: minute }]
    rig.state.mint(mintOn(rig.state, row, noon, { limits }))
    const { version } = rig
    expect(rig.state.mint(mintOn(rig.state, row, noon, { limits }))).toMatchObject({ why: 'decide.rate-limited' })
    expect(rig.divergence.reasons).toEqual([{ kind: 'rate', count: 1, points: 6 }])
    expect(rig.version).toBe(version + 1)
  })
})

describe('the shape of what a task does', () => {
  it('changes with a body that is sixteen times the largest before, once that is a quarter of a MiB', () => {
    const rig = new Rig()
    rig.calls(10, 'crm.write', { sent: 40_000 })
    rig.call('crm.write', { sent: 600_000 })
    expect(rig.divergence).toEqual(none)
    rig.call('crm.write', { sent: 9_600_001 })
    expect(rig.divergence.reasons).toEqual([{ kind: 'size', count: 1, points: 6 }])
    rig.call('crm.write', { sent: 9_600_001 })
    expect(rig.divergence.score).toBe(6)
  })

  it('changes with every fifth failure in a row', () => {
    const rig = new Rig()
    rig.calls(4, 'crm.read', { failed: true })
    rig.call('crm.read')
    expect(rig.divergence).toEqual(none)
    rig.calls(11, 'crm.read', { failed: true })
    expect(rig.divergence).toEqual({ score: 10, reasons: [{ kind: 'failures', count: 2, points: 10 }] })
  })

  it('turns with five changes in a row where hardly anything was changed before', () => {
    const rig = new Rig()
    rig.call('crm.delete', { effect: 'delete' })
    rig.calls(11)
    rig.calls(4, 'crm.delete', { effect: 'delete' })
    expect(rig.divergence).toEqual(none)
    rig.call('crm.delete', { effect: 'delete' })
    expect(rig.divergence.reasons).toEqual([{ kind: 'turn', count: 1, points: 6 }])
  })

  it('does not turn where things are changed all the time', () => {
    const rig = new Rig()
    for (let round = 0; round < 10; round++) {
      rig.calls(2)
      rig.call('crm.write', { effect: 'write' })
    }
    rig.calls(9, 'crm.write', { effect: 'write' })
    expect(rig.divergence).toEqual(none)
  })
})

it('a restart keeps pace and shape: what a task did before still tells what is unlike it', () => {
  const rig = new Rig(join(mkdtempSync(join(tmpdir(), 'countersign-divergence-')), 'state.db'))
  for (let at = 0; at < 3; at++) {
    rig.calls(16, 'crm.read', { sent: 400_000 })
    rig.now += minute
  }
  rig.calls(4, 'crm.write', { effect: 'write', sent: 400_000 })
  rig.restart()
  rig.call('crm.write', { effect: 'write', sent: 6_000_000 })
  expect(rig.divergence.reasons).toEqual([
    { kind: 'new-tool', count: 1, points: 3 },
    { kind: 'turn', count: 1, points: 6 },
  ])
  rig.calls(60)
  expect(rig.divergence.reasons).toContainEqual({ kind: 'rate', count: 1, points: 6 })
  rig.state.close()
})

type Deed =
  | { readonly call: { tool: string; effect: string; host: string; data: string[]; failed: boolean; sent: number } }
  | { readonly denied: readonly string[] }
  | { readonly raise: readonly string[] }
  | { readonly wait: number }

const names = (prefix: string) => fc.integer({ min: 0, max: 9 }).map((number) => `${prefix}${number}`)
const deed: fc.Arbitrary<Deed> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      call: fc.record({
        tool: names('tool'),
        effect: fc.constantFrom('read', 'read', 'write', 'send', 'delete'),
        host: names('host'),
        data: fc.array(names('class'), { maxLength: 2 }),
        failed: fc.boolean(),
        sent: fc.constantFrom(0, 100, 100_000, 2_000_000, 100_000_000),
      }),
    }),
  },
  fc.record({ denied: fc.array(fc.constantFrom('intent.tool', 'intent.egress', 'data.beyond-destination', 'acme.x'), { maxLength: 2 }) }),
  fc.record({ raise: fc.array(names('class'), { maxLength: 2 }) }),
  fc.record({ wait: fc.integer({ min: 1, max: 3 * minute }) }),
)

function does(rig: Rig, one: Deed): void {
  if ('call' in one) rig.call(one.call.tool, one.call)
  else if ('denied' in one) rig.state.denied(row.id, one.denied)
  else if ('raise' in one) rig.state.raise(row.id, row.caller, one.raise)
  else rig.now += one.wait
}

describe('the score', () => {
  it('is the same for the same history, also over restarts, never falls, and is the sum of its reasons up to 100', () => {
    fc.assert(
      fc.property(fc.array(deed, { maxLength: 60 }), fc.nat(59), (deeds, at) => {
        const [one, other] = [new Rig(), new Rig(join(mkdtempSync(join(tmpdir(), 'countersign-divergence-')), 'state.db'))]
        let before = 0
        for (const [index, done] of deeds.entries()) {
          does(one, done)
          does(other, done)
          if (index === at) other.restart()
          const { score, reasons } = one.divergence
          expect(other.divergence).toEqual({ score, reasons })
          expect(score).toBeGreaterThanOrEqual(before)
          expect(score).toBe(
            Math.min(
              100,
              (reasons as readonly { points: number }[]).reduce((sum, { points }) => sum + points, 0),
            ),
          )
          before = score
        }
        one.state.close()
        other.state.close()
      }),
      { numRuns: 60 },
    )
  })
})
