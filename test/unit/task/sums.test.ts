import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeSums, noSums } from '../../../src/decide/sums.ts'
import { openSqlite } from '../../../src/state/sqlite.ts'
import { Sums } from '../../../src/task/sums.ts'
import { sketchFacts, sketchTarget, sketchTool } from '../../support/question.ts'
import { mintOn, minute, noon, sketchRow } from '../../support/task-rig.ts'

const eur = { kind: 'meter', name: 'eur', resource: null } as const
const onOrder = { ...eur, resource: 'order:7' }
const hour = 60 * minute

describe('the sums of a caller', () => {
  it('hold what was added within the last hour and the last day, a quarter of an hour more at most', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ wait: fc.nat(3 * hour), amount: fc.nat(1000) }), { maxLength: 80 }),
        fc.nat(26 * hour),
        (added, after) => {
          const sums = new Sums()
          let now = noon
          const at = added.map(({ wait, amount }) => {
            sums.add(eur, amount, (now += wait))
            return { at: now, amount }
          })
          now += after
          const within = (span: number) => at.reduce((sum, one) => (one.at > now - span ? sum + one.amount : sum), 0)
          const kept = new Sums(JSON.parse(JSON.stringify(sums.kept())))
          for (const { hour: last, day } of [sums.of(eur, now), kept.of(eur, now)]) {
            expect(last).toBeGreaterThanOrEqual(within(hour))
            expect(last).toBeLessThanOrEqual(within(hour + 15 * minute))
            expect(day).toBeGreaterThanOrEqual(within(24 * hour))
            expect(day).toBeLessThanOrEqual(within(24 * hour + 15 * minute))
          }
        },
      ),
    )
  })

  it('stay bounded, and what has no room counts with each name that has none', () => {
    const sums = new Sums()
    for (let at = 0; at < 200; at++) sums.add({ ...eur, resource: `order:${at}` }, 1, noon)
    expect(sums.kept()).toHaveLength(129)
    expect(sums.of({ ...eur, resource: 'order:199' }, noon).hour).toBe(72)
    expect(sums.of({ ...eur, resource: 'order:0' }, noon).hour).toBe(73)
    sums.add({ ...eur, resource: 'order:900' }, 5, noon + 30 * hour)
    expect(sums.of({ ...eur, resource: 'order:900' }, noon + 30 * hour).hour).toBe(5)
  })

  it('forget nothing when a clock is put back', () => {
    const sums = new Sums()
    sums.add(eur, 5, noon)
    sums.add(eur, 5, noon - 5 * hour)
    expect(sums.of(eur, noon - 5 * hour).hour).toBe(10)
  })
})

describe('in the state', () => {
  it('sums go over all tasks of the caller, outlive them and a restart, and make a call that was judged before stale', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'countersign-sums-')), 'state.db')
    const open = () => openSqlite({ path, clock: () => noon })
    let state = open()
    const [one, two] = [sketchRow({ id: 't_1' }), sketchRow({ id: 't_2' })]
    for (const row of [one, two]) state.openTask(row)
    const held = mintOn(state, two, noon)
    expect(state.mint(mintOn(state, one, noon, { sums: [[eur, 30]] }))).toEqual({ minted: true })
    expect(state.mint(held)).toMatchObject({ why: 'stale' })
    state.endTask('t_1', 'completed', { at: noon, cause: 'done', by: 'x' })
    expect(state.mint(mintOn(state, two, noon, { sums: [[eur, 12]] }))).toEqual({ minted: true })
    expect(state.facts('t_2', two.caller).caller.sums?.of(eur, noon)).toEqual({ hour: 42, day: 42 })
    state.clearSensitivity(two.caller)
    state.close()
    state = open()
    expect(state.facts('t_2', two.caller).caller.sums?.of(eur, noon)).toEqual({ hour: 42, day: 42 })
    state.close()
  })
})

describe('what a call adds', () => {
  const refund = sketchTarget({
    tool: sketchTool({ debit: { eur: '/amount', calls: 1 } }),
    resource: 'order:7',
    debit: { calls: 1, eur: 20 },
  })
  const body = { kind: 'stream', parsed: undefined, bytes: null, sha256: null, size: 500, judged: false } as const
  const upload = sketchTarget({ tool: sketchTool({ egress: 'partner' }), resource: null, body })

  it('are the meters that were asked for, for all calls and for its resource', () => {
    const sums = makeSums(new Set(['eur']), new Set())
    expect(sums(refund, sketchFacts())).toEqual([
      [eur, 20],
      [onOrder, 20],
    ])
    expect(sums(sketchTarget(), sketchFacts())).toEqual([])
    expect(makeSums(new Set(['usd']), new Set())(refund, sketchFacts())).toEqual([])
    expect(noSums(refund, sketchFacts())).toEqual([])
  })

  it('are the bytes of a body that leaves while a class that was asked for is known, or null where their number is not', () => {
    const sums = makeSums(new Set(), new Set(['personal']))
    const key = { kind: 'class', name: 'personal', resource: null }
    expect(sums(upload, sketchFacts({ sensitivity: ['personal'] }))).toEqual([[key, 500]])
    expect(sums(upload, sketchFacts({}, { sensitivity: { personal: 1 } }))).toEqual([[key, 500]])
    expect(sums({ ...upload, body: { ...body, size: null } }, sketchFacts({ sensitivity: ['personal'] }))).toEqual([[key, null]])
    expect(sums(upload, sketchFacts({ sensitivity: ['internal'] }))).toEqual([])
    expect(sums({ ...upload, tool: sketchTool() }, sketchFacts({ sensitivity: ['personal'] }))).toEqual([])
  })
})
