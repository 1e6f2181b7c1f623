import { unlinkSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseLine } from '../../../src/evidence/facts.ts'
import { parseFilter, type FilterWords } from '../../../src/evidence/filter.ts'
import { findCall } from '../../../src/evidence/find-call.ts'
import { follow, type FollowOptions, type Gap } from '../../../src/evidence/follow.ts'
import type { PickedLine } from '../../../src/evidence/call-lines.ts'
import { newestEntries, newestLines } from '../../../src/evidence/newest.ts'
import { Refusal } from '../../../src/refusal.ts'
import { rigPerTest, type LedgerRig } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()
const filterOf = (words: FilterWords = {}, now = Date.now()): ReturnType<typeof parseFilter> => parseFilter(words, now)

/** What was read, in short: the number and kind of each line, late ones without a number, and gaps. */
async function read(rig: LedgerRig, options: Partial<FollowOptions>, most = Number.POSITIVE_INFINITY): Promise<string[]> {
  const seen: string[] = []
  const reading = follow(rig.dir, { filter: filterOf(), calls: false, start: { from: 0 }, follow: false, ...options })
  for await (const one of reading) {
    seen.push(short(one))
    if (seen.length === most) break
  }
  return seen
}

function short(one: PickedLine | Gap): string {
  if ('gap' in one) return `gap ${one.gap.from}-${one.gap.to}`
  return `${one.seq ?? 'late'} ${String(parseLine(one.bytes.toString())?.own['kind'])}`
}

const stored = (rig: LedgerRig): string[] => rig.lines().map(({ custom: { countersign } }) => `${countersign.seq} ${countersign.kind}`)

describe('reading along', () => {
  test('gives every line once, from any line on, in this process and from another', async () => {
    const rig = rigged()
    const recorder = await rig.open({ segmentBytes: 6000 })
    for (let call = 0; call < 8; call++) await rig.permitted(recorder)
    await recorder.checkpoint()
    const all = stored(rig)
    expect(await read(rig, {})).toEqual(all)
    expect(await read(rig, { watch: recorder })).toEqual(all)
    for (let seen = 0; seen <= all.length; seen++)
      expect(await read(rig, { watch: recorder, start: { from: seen + 1, resumed: true } })).toEqual(all.slice(seen))
  })

  test('begins with the newest that fit, and goes on with what comes', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    for (let call = 0; call < 5; call++) await rig.permitted(recorder)
    await rig.known(recorder).refuse(new Refusal('decide.denied'))
    await recorder.checkpoint()
    const filter = filterOf({ decision: 'allow' })
    expect(await read(rig, { filter, start: { last: 3 }, watch: recorder })).toEqual(
      stored(rig)
        .filter((line) => / (decision|outcome)$/.test(line))
        .slice(-3),
    )
    const calls = await read(rig, { filter, calls: true, start: { last: 2 }, watch: recorder })
    expect(calls).toEqual(
      stored(rig)
        .filter((line) => / (decision|outcome)$/.test(line))
        .slice(-4),
    )
    let reached = 0
    const following = read(rig, { filter, start: { last: 0 }, follow: true, watch: recorder, progress: (seq) => (reached = seq) }, 2)
    const position = recorder.position().seq
    await rig.permitted(recorder)
    expect(await following).toEqual([`${position + 1} decision`, `${position + 2} outcome`])
    expect(reached).toBeGreaterThanOrEqual(position)
  })

  test('gives a call with both its lines when only the outcome says what is asked for', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    await rig.permitted(recorder)
    const entry = rig.judged(recorder)
    await entry.commit()
    await entry.refuse(new Refusal('task.ended'))
    await recorder.checkpoint()
    const filter = filterOf({ decision: 'deny' })
    const outcome = stored(rig).findLast((line) => line.endsWith(' outcome'))
    expect(await read(rig, { filter })).toEqual([outcome])
    expect(await read(rig, { filter, calls: true })).toEqual(['late decision', outcome])
    // who comes back between the two is given the decision again
    const between = Number(outcome?.split(' ')[0])
    expect(await read(rig, { filter, calls: true, watch: recorder, start: { from: between, resumed: true } })).toEqual([
      'late decision',
      outcome,
    ])
  })

  test('tells whoever comes back what was removed meanwhile, and of a ledger that was cut', async () => {
    const rig = rigged()
    const recorder = await rig.open({ segmentBytes: 4000 })
    for (let call = 0; call < 8; call++) await rig.permitted(recorder)
    await recorder.checkpoint()
    const all = stored(rig)
    const [gone = '', kept = ''] = rig.segments()
    unlinkSync(gone)
    const first = Number(/(\d{12})\.ndjson$/.exec(kept)?.[1])
    expect(await read(rig, { watch: recorder, start: { from: 2, resumed: true } })).toEqual([`gap 2-${first - 1}`, ...all.slice(first - 1)])
    // who asks for the oldest there is missed nothing
    expect(await read(rig, { watch: recorder })).toEqual(all.slice(first - 1))
    expect(await read(rig, { watch: recorder, start: { from: 999, resumed: true } })).toEqual([`gap 999-${all.length}`])
  })
})

describe('the newest', () => {
  test('are found page by page, each once, whatever the filter, and each call with its end', async () => {
    const rig = rigged()
    const recorder = await rig.open({ segmentBytes: 8000 })
    for (let call = 0; call < 12; call++) {
      await rig.permitted(recorder)
      if (call % 3 === 0) await rig.known(recorder).refuse(new Refusal('decide.denied'))
    }
    await recorder.checkpoint()
    for (const words of [{}, { decision: 'deny' }, { kind: 'outcome' }, { not: 'true', decision: 'deny' }] as FilterWords[]) {
      const filter = filterOf(words)
      const whole = (await newestEntries(rig.dir, { filter, limit: 1000 })).found
      const paged: number[] = []
      for (let before: number | null = Number.POSITIVE_INFINITY; before !== null;) {
        const page: Awaited<ReturnType<typeof newestEntries>> = await newestEntries(rig.dir, { filter, limit: 5, before })
        paged.push(...page.found.map(({ seq }) => seq))
        for (const { first, outcome } of page.found) expect(first.own['kind'] === 'decision').toBe(outcome !== null)
        before = page.before
      }
      expect(paged).toEqual(whole.map(({ seq }) => seq))
      expect(new Set(paged).size).toBe(paged.length)
    }
    expect((await newestEntries(rig.dir, { filter: filterOf({ decision: 'deny' }), limit: 1000 })).found).toHaveLength(4)
    const lines = await newestLines(rig.dir, { filter: filterOf({ decision: 'deny' }), limit: 2 })
    expect(lines.found.map(({ bytes }) => parseLine(bytes.toString())?.own['code'])).toEqual(['decide.denied', 'decide.denied'])
  })

  test('are looked for no further than is allowed, and the search says where to go on', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    for (let call = 0; call < 10; call++) await rig.permitted(recorder)
    await recorder.checkpoint()
    const search = { filter: filterOf({ tool: 'not.there' }), limit: 5, mostBytes: 5000 }
    const { found, before, reached } = await newestEntries(rig.dir, search)
    expect([found.length, before]).toEqual([0, reached])
    expect(reached).toBeGreaterThan(1)
    let steps = 0
    for (let at: number | null = before; at !== null; steps++) at = (await newestEntries(rig.dir, { ...search, before: at })).before
    expect(steps).toBeGreaterThan(0)
  })
})

test('a call is found by its id with all that was written for it, and no other that only names it', async () => {
  const rig = rigged()
  const recorder = await rig.open({ segmentBytes: 8000 })
  await rig.permitted(recorder)
  const id = await rig.permitted(recorder)
  await recorder.event({ kind: 'lease.issued', by: 'countersign', detail: { call: 'c_other', note: id } })
  for (let call = 0; call < 8; call++) await rig.permitted(recorder)
  await recorder.checkpoint()
  const trace = await findCall(rig.dir, id, recorder)
  expect([trace?.first.id, trace?.first.own['kind'], trace?.outcome?.own['kind'], trace?.events.length]).toEqual([
    id,
    'decision',
    'outcome',
    0,
  ])
  expect(await findCall(rig.dir, 'c_01JD00000000000000000000A7', recorder)).toBe(null)
})
