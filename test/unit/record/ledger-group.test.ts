import { describe, expect, test, vi } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import { rigPerTest, until } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()

describe('group commit', () => {
  test('flushes state, then writes all queued lines in one write, then tells everyone who waits', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    rig.happened.length = 0
    await Promise.all(
      [1, 2, 3].map((n) =>
        rig
          .judged(recorder)
          .commit()
          .then(() => rig.happened.push(`told ${n}`)),
      ),
    )
    expect(rig.happened).toEqual(['flush', 'write', 'told 1', 'told 2', 'told 3'])
  })

  test('writes nothing when state cannot be flushed, and refuses', async () => {
    const rig = rigged()
    let full = false
    const flushState = () => {
      if (full) throw new Error('the state is on a full disk')
    }
    const recorder = await rig.open({ flushState })
    const before = rig.text()
    full = true
    await expect(rig.judged(recorder).commit()).rejects.toMatchObject({ code: 'record.failed' })
    expect(rig.text()).toBe(before)
    expect(recorder.failed).toBe(true)
    full = false
    await rig.permitted(recorder)
    expect(recorder.failed).toBe(false)
  })

  test('when synced, tells nobody before the sync is over, and lines that come meanwhile wait for the next', async () => {
    const rig = rigged()
    const held: (() => void)[] = []
    let hold = false
    const io = rig.io()
    const sync: typeof io.sync = (fd, done) => io.sync(fd, (error) => (hold ? held.push(() => done(error)) : done(error)))
    const recorder = await rig.open({ durability: 'synced', io: { ...io, sync } })
    const { seq } = recorder.position()
    hold = true
    const told: number[] = []
    const first = rig
      .judged(recorder)
      .commit()
      .then(() => told.push(1))
    await until(() => held.length === 1)
    const second = rig
      .judged(recorder)
      .commit()
      .then(() => told.push(2))
    expect([told, recorder.position().seq]).toEqual([[], seq])
    held.shift()?.()
    await first
    expect([told, recorder.position().seq]).toEqual([[1], seq + 1])
    await until(() => held.length === 1)
    hold = false
    held.shift()?.()
    await second
    expect([told, recorder.position().seq]).toEqual([[1, 2], seq + 2])
  })
})

describe('segments', () => {
  test('rotate by size; each is named after its first line, and all but the last end in a checkpoint', async () => {
    const rig = rigged()
    const recorder = await rig.open({ segmentBytes: 8192 })
    for (let call = 0; call < 30; call++) await rig.permitted(recorder)
    await recorder.close()
    expect(rig.segments().length).toBeGreaterThan(3)
    const report = await verifyLedger(rig.dir, recorder.publicKey())
    expect(report).toMatchObject({ ok: true, firstBad: null, open: 0, uncovered: 0, segments: rig.segments().length })
    expect(report.checkpoints).toBeGreaterThanOrEqual(rig.segments().length)
  })

  test('rotate at the UTC day', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    await rig.permitted(recorder)
    rig.now += 86_400_000
    await rig.permitted(recorder)
    expect(rig.segments()).toHaveLength(2)
  })

  test('go on after a restart in the same file, under the same chain', async () => {
    const rig = rigged()
    for (let start = 0; start < 3; start++) {
      const recorder = await rig.open({ durability: start === 1 ? 'synced' : 'written' })
      await rig.permitted(recorder)
      await recorder.close()
    }
    expect(rig.segments()).toHaveLength(1)
    expect(rig.events()).toEqual(['ledger.opened', 'ledger.opened', 'ledger.opened'])
    const recorder = await rig.open()
    expect(await verifyLedger(rig.dir, recorder.publicKey())).toMatchObject({ ok: true })
  })
})

describe('a ledger folder', () => {
  test('has one writer at a time: a second one is turned away before it writes a byte', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const before = rig.text()
    await expect(rig.open()).rejects.toThrow('another process writes the ledger')
    expect(rig.text()).toBe(before)
    await recorder.close()
    await rig.open()
  })
})

describe('checkpoints', () => {
  test('come by the clock while lines are written, and more rarely while none are: one that does not come is a sign', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const rig = rigged()
    const recorder = await rig.open({ checkpointMs: 10_000 })
    const seen = () => rig.ofKind('checkpoint').length
    await recorder.event({ kind: 'x', by: 'clock', detail: {} })
    vi.advanceTimersByTime(10_000)
    await until(() => seen() === 3)
    vi.advanceTimersByTime(50_000)
    await recorder.checkpoint()
    expect(seen()).toBe(4)
    vi.advanceTimersByTime(60_000)
    await until(() => seen() === 5)
    expect(rig.ofKind('event').map(({ custom }) => custom.countersign['event'])).toEqual(['ledger.opened', 'x'])
    vi.useRealTimers()
  })

  test('list the calls that are open', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const call = rig.call()
    await rig.judged(recorder, call).commit()
    const { seq } = recorder.position()
    await recorder.checkpoint()
    expect(rig.ofKind('checkpoint').at(-1)?.custom.countersign).toMatchObject({ open: [[seq, call.id]], open_from: seq + 1 })
  })

  test('are the last line of a closed ledger, after which every line is refused', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    await rig.permitted(recorder)
    await recorder.close()
    await recorder.close()
    expect(rig.lines().at(-1)?.custom.countersign.kind).toBe('checkpoint')
    await expect(recorder.event({ kind: 'x', by: 'clock', detail: {} })).rejects.toBeInstanceOf(Refusal)
    expect(await rig.known(recorder).refuse(new Refusal('task.missing'))).toMatchObject({ code: 'record.failed' })
  })
})
