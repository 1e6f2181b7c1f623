import { appendFileSync, copyFileSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { recover } from '../../../src/record/recover.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import type { LedgerRig } from '../../support/ledger-rig.ts'
import { rigPerTest } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()

/** What a crash leaves: a copy of the folder as it is at this moment. */
function crash(rig: LedgerRig, into: LedgerRig): void {
  mkdirSync(into.dir, { recursive: true })
  for (const path of rig.segments()) copyFileSync(path, join(into.dir, basename(path)))
  Object.assign(into, { key: rig.key, now: rig.now })
}

describe('opening a ledger after a crash', () => {
  test('cuts a record torn at any of its bytes, says how many were dropped, and the chain verifies', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    await rig.permitted(recorder)
    await recorder.event({ kind: 'x', by: 'clock', detail: {} })
    const head = recorder.position()
    const whole = statSync(rig.segments()[0] ?? '').size
    await recorder.event({ kind: 'task.opened', by: 'clock', detail: {} })
    const bytes = readFileSync(rig.segments()[0] ?? '')
    for (let size = whole; size < bytes.length; size++) {
      const copy = rigged()
      crash(rig, copy)
      truncateSync(copy.segments()[0] ?? '', size)
      expect(recover(copy.dir)).toMatchObject({ head, dropped: size - whole, damaged: null })
      if (size % 16 !== 0 && size > whole + 1 && size < bytes.length - 1) continue
      const again = await copy.open()
      expect(copy.events()).toEqual(['ledger.opened', 'x', ...(size === whole ? [] : ['ledger.recovered']), 'ledger.opened'])
      const dropped = copy.lines().find((line) => line.custom.countersign['event'] === 'ledger.recovered')
      if (size > whole) expect(dropped?.custom.countersign['detail']).toMatchObject({ dropped_bytes: size - whole, unknown_outcomes: 0 })
      await again.close()
      expect(await verifyLedger(copy.dir, again.publicKey())).toMatchObject({ ok: true, firstBad: null })
    }
  })

  test.each([
    ['zeros', Buffer.alloc(4096)],
    ['bytes that are no text', Buffer.from('ff00fe0a80810a', 'hex')],
    ['half a line and a newline', Buffer.from('{"decision_id":"c_1"\n')],
  ])('cuts %s at the end', async (_, junk) => {
    const rig = rigged()
    const recorder = await rig.open()
    await rig.permitted(recorder)
    await recorder.close()
    const before = rig.text()
    appendFileSync(rig.segments()[0] ?? '', junk)
    const again = await rig.open()
    expect(rig.text().startsWith(before)).toBe(true)
    expect(await verifyLedger(rig.dir, again.publicKey())).toMatchObject({ ok: true })
  })

  test('gives every permitted call without an outcome the outcome unknown, before anything else', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const calls = [rig.call(), rig.call(), rig.call()]
    for (const call of calls) await rig.judged(recorder, call).commit()
    await rig.permitted(recorder)
    await recorder.event({ kind: 'x', by: 'clock', detail: {} })
    const copy = rigged()
    crash(rig, copy)
    const { seq } = recorder.position()
    const again = await copy.open()
    const after = copy.lines().slice(seq)
    expect(after.slice(0, 3).map((line) => [line.decision_id, line.custom.countersign['ended']])).toEqual(
      calls.map((call) => [call.id, 'unknown']),
    )
    expect(after.slice(3).map((line) => line.custom.countersign['event'] ?? line.custom.countersign.kind)).toEqual([
      'ledger.recovered',
      'ledger.opened',
      'checkpoint',
    ])
    expect(await verifyLedger(copy.dir, again.publicKey())).toMatchObject({ ok: true, open: 0 })
  })

  test('finds calls that were open long before the last checkpoint, listed in it or not', async () => {
    const rig = rigged()
    const recorder = await rig.open({ segmentBytes: 100_000 })
    const open: string[] = []
    for (let call = 0; call < 300; call++) {
      const one = rig.call()
      open.push(one.id)
      await rig.judged(recorder, one).commit()
      if (call % 3 === 0) await rig.permitted(recorder)
    }
    await recorder.checkpoint()
    const last = rig.call()
    await rig.judged(recorder, last).commit()
    expect(rig.segments().length).toBeGreaterThan(3)
    expect([...recover(rig.dir).open.keys()]).toEqual([...open, last.id])
    const copy = rigged()
    crash(rig, copy)
    const again = await copy.open()
    expect(await verifyLedger(copy.dir, again.publicKey())).toMatchObject({ ok: true, open: 0 })
  })

  test('reads no further back than the last checkpoint when that lists every open call', async () => {
    const rig = rigged()
    const recorder = await rig.open({ segmentBytes: 6000 })
    const call = rig.call()
    await rig.judged(recorder, call).commit()
    for (let round = 0; round < 10; round++) await rig.permitted(recorder)
    await recorder.checkpoint()
    const segments = rig.segments()
    // whatever older segments hold is not looked at
    for (const path of segments.slice(0, -1)) writeFileSync(path, 'x'.repeat(statSync(path).size))
    const { open, head, damaged } = recover(rig.dir)
    expect([...open.keys()]).toEqual([call.id])
    expect(head).toEqual(recorder.position())
    expect(damaged).toBeNull()
  })

  test('cuts nothing when whole lines follow the bad one: the damage is reported and stays for the verifier', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    for (let call = 0; call < 3; call++) await rig.permitted(recorder)
    await recorder.event({ kind: 'x', by: 'clock', detail: {} })
    const copy = rigged()
    crash(rig, copy)
    const [path = ''] = copy.segments()
    const bytes = readFileSync(path)
    const at = bytes.lastIndexOf('"kind":"decision"')
    bytes.writeUInt8(0, at)
    writeFileSync(path, bytes)
    const again = await copy.open()
    expect(readFileSync(path).subarray(0, bytes.length)).toEqual(bytes)
    expect(copy.text()).toContain('"event":"ledger.damaged"')
    expect(await verifyLedger(copy.dir, again.publicKey())).toMatchObject({ ok: false, firstBad: { fault: 'parse' } })
  })

  test('begins an empty folder at line 1 and goes on with an empty segment', async () => {
    const rig = rigged()
    expect(recover(rig.dir)).toMatchObject({ head: { seq: 0 }, segment: null, used: 0 })
    writeFileSync(join(rig.dir, '000000000001.ndjson'), '')
    const recorder = await rig.open()
    // the checkpoint that a segment begins with, the opening, and the checkpoint of the start
    expect(recorder.position().seq).toBe(3)
    expect(await verifyLedger(rig.dir, recorder.publicKey())).toMatchObject({ ok: true, lines: 3 })
  })
})
