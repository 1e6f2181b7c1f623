import { describe, expect, test } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import type { OpenRecorder } from '../../../src/record/recorder.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import { sketchOutcome } from '../../support/decision.ts'
import type { IoCall, LedgerRig, Trouble } from '../../support/ledger-rig.ts'
import { rigPerTest, until } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()

/** Calls and events through a ledger of small segments, while the disk misbehaves; gives what was acknowledged. */
async function traffic(rig: LedgerRig, recorder: OpenRecorder, rounds = 6): Promise<Set<string>> {
  const acknowledged = new Set<string>()
  for (let round = 0; round < rounds; round++) {
    const calls = [rig.call(), rig.call()]
    await Promise.all(
      calls.map(async (call) => {
        const entry = rig.judged(recorder, call)
        try {
          await entry.commit()
          acknowledged.add(call.id)
          entry.close(sketchOutcome())
        } catch (error) {
          if ((await entry.refuse(Refusal.from(error))).code !== 'record.failed') throw error
        }
      }),
    )
    await recorder.checkpoint().catch(() => undefined)
  }
  return acknowledged
}

const faults: readonly (readonly [string, IoCall, Trouble, 'written' | 'synced'])[] = [
  ['a full disk', 'write', 'ENOSPC', 'written'],
  ['a short write', 'write', 7, 'written'],
  ['an I/O error on write', 'write', 'EIO', 'synced'],
  ['an I/O error on sync', 'sync', 'EIO', 'synced'],
  ['an I/O error on a sync before rotation', 'syncNow', 'EIO', 'synced'],
  ['a file that cannot be opened', 'open', 'EMFILE', 'written'],
  ['a file that cannot be closed', 'close', 'EIO', 'written'],
]

describe('a disk that fails at its n-th call', () => {
  test.each(faults)(
    '%s: no acknowledged line is lost, the chain verifies, and the ledger goes on by itself',
    async (_, which, trouble, durability) => {
      for (let n = 1; ; n++) {
        const rig = rigged()
        const recorder = await rig.open({ durability, segmentBytes: 6000 })
        const begun = rig.calls
        let met = 0
        rig.trouble = (call) => {
          if (call !== which) return null
          met += 1
          return met === n ? trouble : null
        }
        const acknowledged = await traffic(rig, recorder)
        expect(rig.calls).toBeGreaterThan(begun)
        rig.trouble = () => null
        await until(() => !recorder.failed)
        await rig.permitted(recorder)
        await recorder.close()
        await expectWhole(rig, recorder, acknowledged)
        if (met >= n) continue
        expect(n).toBeGreaterThan(1)
        break
      }
    },
  )

  test('whatever call it is, twice in a row', async () => {
    for (const durability of ['written', 'synced'] as const) {
      for (let n = 1; ; n++) {
        const rig = rigged()
        const recorder = await rig.open({ durability, segmentBytes: 4000 })
        const begun = rig.calls
        rig.trouble = (_, at) => (at === begun + n || at === begun + n + 1 ? 'EIO' : null)
        const acknowledged = await traffic(rig, recorder, 3)
        const last = rig.calls < begun + n
        rig.trouble = () => null
        await until(() => !recorder.failed)
        await recorder.close()
        await expectWhole(rig, recorder, acknowledged)
        if (last) break
      }
    }
  })

  async function expectWhole(rig: LedgerRig, recorder: OpenRecorder, acknowledged: ReadonlySet<string>): Promise<void> {
    const report = await verifyLedger(rig.dir, recorder.publicKey())
    expect(report).toMatchObject({ ok: true, firstBad: null, open: 0, uncovered: 0 })
    const decided = new Set(rig.ofKind('decision').map((line) => line.decision_id))
    const closed = rig.ofKind('outcome').map((line) => line.decision_id)
    for (const id of acknowledged) expect(decided).toContain(id)
    expect(new Set(closed)).toEqual(decided)
    expect(closed).toHaveLength(decided.size)
  }
})

describe('a full disk', () => {
  test('refuses everything within one call, keeps what outcomes are owed, and recovers alone when space is back', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const entry = rig.judged(recorder)
    await entry.commit()
    rig.trouble = (call) => (call === 'write' ? 'ENOSPC' : null)
    entry.close(sketchOutcome())
    await expect(rig.judged(recorder).commit()).rejects.toMatchObject({ code: 'record.failed', detail: 'ENOSPC' })
    await expect(recorder.event({ kind: 'x', by: 'clock', detail: {} })).rejects.toMatchObject({ code: 'record.failed' })
    expect(recorder.failed).toBe(true)
    expect(rig.ofKind('outcome')).toHaveLength(0)
    rig.trouble = () => null
    await until(() => !recorder.failed)
    expect(rig.ofKind('outcome')).toHaveLength(1)
    expect(rig.lines().find((line) => line.custom.countersign['event'] === 'ledger.resumed')?.custom.countersign).toMatchObject({
      detail: { refused: 2, cause: 'ENOSPC' },
    })
  })

  test('at start stops the start', async () => {
    const rig = rigged()
    rig.trouble = (call) => (call === 'write' ? 'ENOSPC' : null)
    await expect(rig.open()).rejects.toMatchObject({ code: 'record.failed' })
  })

  test('that a refusal after commit meets: the agent hears record.failed and the outcome is written later', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const entry = rig.judged(recorder)
    await entry.commit()
    rig.trouble = (call) => (call === 'write' ? 'ENOSPC' : null)
    expect(await entry.refuse(new Refusal('forward.timeout'))).toMatchObject({ code: 'record.failed' })
    rig.trouble = () => null
    await until(() => !recorder.failed)
    expect(rig.ofKind('outcome').map((line) => line.custom.countersign['code'])).toEqual(['forward.timeout'])
  })
})

describe('a group that fails after its checkpoint was written', () => {
  test('takes the checkpoint back from the disk too', async () => {
    for (let n = 1; n <= 6; n++) {
      const rig = rigged()
      let left = Number.POSITIVE_INFINITY
      const clock = () => {
        left -= 1
        if (left === 0) throw new Error('the clock stopped')
        return rig.now
      }
      const recorder = await rig.open({ durability: 'synced', quota: 20_000, clock, retryMs: 3_600_000 })
      while (!recorder.failed) await recorder.event({ kind: 'x', by: 'clock', detail: {} }).catch(() => undefined)
      rig.now += 2000
      left = n
      const event = async () => recorder.event({ kind: 'x', by: 'clock', detail: {} })
      await Promise.allSettled([recorder.checkpoint(), event()])
      left = Number.POSITIVE_INFINITY
      await recorder.close()
      expect(await verifyLedger(rig.dir, recorder.publicKey()), `at ${n}`).toMatchObject({ ok: true, firstBad: null })
    }
  })
})

describe('a failed sync', () => {
  test('is never tried again on its descriptor: the segment is cut back and a new one begun', async () => {
    const rig = rigged()
    const io = rig.io()
    const synced: number[] = []
    const failed: number[] = []
    const sync: typeof io.sync = (fd, done) => {
      synced.push(fd)
      if (failed.length > 0 || rig.trouble('sync', 0) === null) return io.sync(fd, done)
      failed.push(synced.length)
      setImmediate(() => done(Object.assign(new Error('EIO'), { code: 'EIO' })))
    }
    const recorder = await rig.open({ durability: 'synced', io: { ...io, sync } })
    rig.trouble = (call, n) => (call === 'sync' && n === 0 ? 'EIO' : null)
    await expect(rig.judged(recorder).commit()).rejects.toMatchObject({ code: 'record.failed' })
    const [first = ''] = rig.segments()
    await rig.permitted(recorder)
    await recorder.close()
    expect(rig.segments()).toHaveLength(2)
    expect(rig.segments()[0]).toBe(first)
    expect(rig.ofKind('decision')).toHaveLength(1)
    expect(await verifyLedger(rig.dir, recorder.publicKey())).toMatchObject({ ok: true })
  })
})
