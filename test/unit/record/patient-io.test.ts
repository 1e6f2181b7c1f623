import { describe, expect, test } from 'vitest'
import type { LedgerIo } from '../../../src/record/ledger-io.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import { rigPerTest, until, type LedgerRig } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()

/** The disk of a rig, whose syncs hang while it is told to; `calls`: what it was asked meanwhile. */
function hanging(rig: LedgerRig) {
  const io = rig.io()
  const held: (() => void)[] = []
  const disk = { hangs: false, calls: [] as string[], release: (): void => held.splice(0).forEach((each) => each()) }
  const noted = <Args extends unknown[], Result>(name: string, act: (...args: Args) => Result) => {
    return (...args: Args): Result => {
      if (held.length > 0) disk.calls.push(name)
      return act(...args)
    }
  }
  const sync: LedgerIo['sync'] = (fd, done) => {
    // at once, so that a busy machine is not taken for a slow disk
    const synced = (): void => (io.syncNow(fd), done(null))
    if (disk.hangs) held.push(synced)
    else synced()
  }
  const others = Object.entries(io).map(([name, act]) => [name, noted(name, act as (...args: unknown[]) => unknown)])
  return { disk, io: { ...(Object.fromEntries(others) as unknown as LedgerIo), sync } }
}

describe('a disk that hangs on a sync', () => {
  test('turns calls away once it took too long, is left alone until it is back, and then the ledger goes on by itself', async () => {
    const rig = rigged()
    const { disk, io } = hanging(rig)
    const recorder = await rig.open({ durability: 'synced', io, syncMs: 20 })
    const before = await rig.permitted(recorder)
    await recorder.checkpoint()
    disk.hangs = true
    await expect(rig.judged(recorder).commit()).rejects.toMatchObject({ code: 'record.failed', detail: 'ETIMEDOUT' })
    expect(recorder.failed).toBe(true)
    // those that come meanwhile are turned away at once, though the disk still hangs
    for (let at = 0; at < 5; at++) await expect(rig.judged(recorder).commit()).rejects.toMatchObject({ code: 'record.failed' })
    expect(disk.calls).toEqual([])
    disk.hangs = false
    disk.release()
    await until(() => !recorder.failed)
    const after = await rig.permitted(recorder)
    await recorder.close()
    // what nobody was told of is not in it, though the disk did write it down in the end
    expect(rig.ofKind('decision').map((line) => line.decision_id)).toEqual([before, after])
    expect(rig.events()).toContain('ledger.resumed')
    expect(await verifyLedger(rig.dir, recorder.publicKey())).toMatchObject({ ok: true, firstBad: null, open: 0 })
  })

  test('and does not come back leaves a folder that the next process goes on with', async () => {
    const rig = rigged()
    const { disk, io } = hanging(rig)
    const recorder = await rig.open({ durability: 'synced', io, syncMs: 20 })
    await rig.permitted(recorder)
    await recorder.checkpoint()
    disk.hangs = true
    await expect(rig.judged(recorder).commit()).rejects.toMatchObject({ code: 'record.failed' })
    await recorder.close()
    const next = await rig.open({ durability: 'synced' })
    await rig.permitted(next)
    await next.close()
    expect(await verifyLedger(rig.dir, next.publicKey())).toMatchObject({ ok: true, firstBad: null, open: 0 })
    disk.release()
  })

  test('but not for too long is waited for', async () => {
    const rig = rigged()
    const { disk, io } = hanging(rig)
    const recorder = await rig.open({ durability: 'synced', io })
    disk.hangs = true
    const committed = rig.judged(recorder).commit()
    await until(() => disk.hangs)
    disk.hangs = false
    setImmediate(() => setImmediate(disk.release))
    await committed
    expect(recorder.failed).toBe(false)
  })
})
