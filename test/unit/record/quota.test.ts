import { rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import { sketchOutcome } from '../../support/decision.ts'
import { rigPerTest, until } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()
const quota = 100_000

describe('the quota', () => {
  test('used up, refuses known callers and events; calls that are open still get their outcome', async () => {
    const rig = rigged()
    const recorder = await rig.open({ quota })
    const open = rig.judged(recorder)
    await open.commit()
    let refused: unknown = null
    while (refused === null) {
      refused = await recorder.event({ kind: 'x', by: 'clock', detail: {} }).then(
        () => null,
        (error: unknown) => error,
      )
    }
    expect(refused).toMatchObject({ code: 'record.failed' })
    expect(await rig.known(recorder).refuse(new Refusal('task.missing'))).toMatchObject({ code: 'record.failed' })
    expect(recorder.failed).toBe(true)
    open.close(sketchOutcome())
    await recorder.close()
    expect(rig.ofKind('outcome')).toHaveLength(1)
    expect(Buffer.byteLength(rig.text())).toBeLessThanOrEqual(quota + 2000)
  })

  test('comes back by itself once segments were taken away', async () => {
    const rig = rigged()
    const recorder = await rig.open({ quota, segmentBytes: 20_000 })
    while (!recorder.failed) await recorder.event({ kind: 'x', by: 'clock', detail: {} }).catch(() => undefined)
    for (const path of rig.segments().slice(0, 3)) rmSync(path)
    rig.now += 2000
    await until(() => !recorder.failed)
    await rig.permitted(recorder)
  })

  test('keeps its last tenth from unknown callers, who are answered all the same', async () => {
    const rig = rigged()
    const recorder = await rig.open({ quota, unknownRate: { perSecond: 1e6, burst: 1e6 } })
    const refusal = new Refusal('identify.missing')
    for (let call = 0; call < 500; call++) expect(await recorder.call(rig.call()).refuse(refusal)).toBe(refusal)
    const used = Buffer.byteLength(rig.text())
    expect(used).toBeLessThanOrEqual(quota * 0.9)
    expect(used).toBeGreaterThan(quota * 0.8)
    expect(recorder.failed).toBe(false)
    await rig.permitted(recorder)
    expect(await rig.known(recorder).refuse(new Refusal('task.missing'))).toMatchObject({ code: 'task.missing' })
  })
})
