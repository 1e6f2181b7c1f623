import { describe, expect, test } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import { rigPerTest } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()
const refusal = new Refusal('identify.missing')

describe('refusals without a caller', () => {
  test('are written singly up to a burst, then summed by listener and code, each answered', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    for (let call = 0; call < 1000; call++) expect(await recorder.call(rig.call()).refuse(refusal)).toBe(refusal)
    for (let call = 0; call < 7; call++) recorder.malformed('shared', 'two Hosts')
    await recorder.close()
    expect(rig.ofKind('refusal')).toHaveLength(20)
    const [sum] = rig.ofKind('event').filter((line) => line.custom.countersign['event'] === 'refusals.summed')
    expect(sum?.custom.countersign['detail']).toMatchObject({ refusals: { shared: { 'identify.missing': 980, 'listen.malformed': 7 } } })
  })

  test('come singly again as time passes, at the rate', async () => {
    const rig = rigged()
    const recorder = await rig.open({ unknownRate: { perSecond: 10, burst: 2 } })
    const flood = async () => {
      for (let call = 0; call < 50; call++) await recorder.call(rig.call()).refuse(refusal)
      return rig.ofKind('refusal').length
    }
    expect(await flood()).toBe(2)
    rig.now += 100
    expect(await flood()).toBe(3)
    rig.now += 60_000
    expect(await flood()).toBe(5)
    rig.now -= 120_000
    expect(await flood()).toBe(5)
  })

  test('of one listener do not use up the rate of another', async () => {
    const rig = rigged()
    const recorder = await rig.open({ unknownRate: { perSecond: 1, burst: 1 } })
    for (const name of ['shared', 'crm', 'shared', 'crm']) {
      await recorder.call(Object.assign(rig.call(), { listener: { name, port: 1, ambient: null } })).refuse(refusal)
    }
    expect(rig.ofKind('refusal').map((line) => line.custom.countersign['listener'])).toEqual(['shared', 'crm'])
  })

  test('are counted on while the ledger cannot be written, and summed when it can', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    rig.trouble = (call) => (call === 'write' ? 'ENOSPC' : null)
    for (let call = 0; call < 5; call++) expect(await recorder.call(rig.call()).refuse(refusal)).toBe(refusal)
    rig.trouble = () => null
    await rig.permitted(recorder)
    await recorder.close()
    const [sum] = rig.ofKind('event').filter((line) => line.custom.countersign['event'] === 'refusals.summed')
    expect(sum?.custom.countersign['detail']).toMatchObject({ refusals: { shared: { 'identify.missing': 5 } } })
  })

  test('a request that never became a call leaves an event', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    recorder.malformed('shared', 'bad\nheader')
    await recorder.close()
    expect(rig.lines().find((line) => line.custom.countersign['event'] === 'request.malformed')?.custom.countersign).toMatchObject({
      by: 'unknown',
      detail: { listener: 'shared', reason: 'bad\nheader' },
    })
  })
})
