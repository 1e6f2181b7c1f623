import { generateKeyPairSync } from 'node:crypto'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { idSource } from '../../../src/id.ts'
import { noteSigner, noteText } from '../../../src/record/checkpoint.ts'
import { Ledger } from '../../../src/record/ledger.ts'
import { OpaForm } from '../../../src/record/opa.ts'
import type { Part } from '../../../src/record/chain.ts'
import { recover } from '../../../src/record/recover.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import type { LedgerRig } from '../../support/ledger-rig.ts'
import { rigPerTest } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()

/** A ledger of several segments, closed; gives its verifier key. */
async function segmented(rig: LedgerRig): Promise<string> {
  const recorder = await rig.open({ segmentBytes: 6000 })
  for (let call = 0; call < 12; call++) await rig.permitted(recorder)
  await recorder.close()
  return recorder.publicKey()
}

/** Signs whatever lines it is given: what a faulty writer could leave. */
async function signed(kinds: readonly (readonly ['decision' | 'outcome', string])[]): Promise<{ dir: string; key: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'ledger-'))
  const clock = () => 1_790_000_000_000
  const form = new OpaForm({ labels: { id: 'a', version: '0' }, clock, newId: idSource(clock) })
  const signer = noteSigner('faulty', generateKeyPairSync('ed25519').privateKey)
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const options = {
    dir,
    durability: 'written',
    quota: 1 << 20,
    segmentBytes: 1 << 20,
    signer,
    form,
    clock,
    log,
    flushState: () => undefined,
  } as const
  const ledger = new Ledger(options, recover(dir))
  for (const [kind, id] of kinds) {
    const part: Part = { kind, id, rank: 'own', head: form.head(id, kind, ''), tail: `,"kind":"${kind}"}}}` }
    await ledger.append(part)
  }
  await ledger.close()
  return { dir, key: signer.verifierKey }
}

describe('verification', () => {
  test('without a key checks the chain and says that no signature was checked', async () => {
    const rig = rigged()
    const key = await segmented(rig)
    expect(await verifyLedger(rig.dir, null)).toMatchObject({ ok: true, signed: false })
    expect(await verifyLedger(rig.dir, key)).toMatchObject({ ok: true, signed: true })
  })

  test('with the key of another ledger fails at the first checkpoint', async () => {
    const rig = rigged()
    await segmented(rig)
    const { verifierKey } = noteSigner('ledger.acme.example/one', generateKeyPairSync('ed25519').privateKey)
    expect(await verifyLedger(rig.dir, verifierKey)).toMatchObject({ ok: false, firstBad: { fault: 'signature', seq: 2 } })
  })

  test('names the missing line when a segment in the middle, at the beginning or the order of files is wrong', async () => {
    const rig = rigged()
    const key = await segmented(rig)
    const all = rig.segments()
    expect(all.length).toBeGreaterThan(3)
    const firsts = all.map((path) => Number(path.slice(-19, -7)))
    expect(await verifyLedger(all.toSpliced(1, 1), key)).toMatchObject({ ok: false, firstBad: { fault: 'order', seq: firsts[1] } })
    expect(await verifyLedger(all.slice(1), key)).toMatchObject({ ok: false, firstBad: { fault: 'sequence', seq: 1 } })
    expect(await verifyLedger(all.toReversed(), key)).toMatchObject({ ok: false, firstBad: { seq: 1 } })
  })

  test('from a later line takes what was archived on trust, and still checks the rest', async () => {
    const rig = rigged()
    const key = await segmented(rig)
    const from = Number(rig.segments()[1]?.slice(-19, -7))
    expect(await verifyLedger(rig.segments().slice(1), key, { from })).toMatchObject({ ok: true, first: from })
    expect(await verifyLedger(rig.dir, key, { from: from + 2 })).toMatchObject({ ok: true, first: from + 2 })
    expect(await verifyLedger(rig.segments().slice(2), key, { from })).toMatchObject({
      ok: false,
      firstBad: { fault: 'sequence', seq: from },
    })
  })

  test('counts lines after the last checkpoint and calls that are open', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    await rig.judged(recorder).commit()
    await rig.judged(recorder).commit()
    expect(await verifyLedger(rig.dir, recorder.publicKey())).toMatchObject({ ok: true, open: 2, uncovered: 2 })
  })

  test('fails for a line without an end, and for a folder without a line', async () => {
    const rig = rigged()
    const key = await segmented(rig)
    const { seq } = rig.lines().at(-1)?.custom.countersign ?? { seq: 0 }
    appendFileSync(rig.segments().at(-1) ?? '', '{"decision_id":')
    expect(await verifyLedger(rig.dir, key)).toMatchObject({ ok: false, firstBad: { fault: 'truncated', seq: seq + 1 } })
    for (const path of rig.segments()) rmSync(path)
    expect(await verifyLedger(rig.dir, key)).toMatchObject({ ok: false, firstBad: { fault: 'truncated', seq: 1 } })
  })

  test('waits a moment for a line that is just being written', async () => {
    const rig = rigged()
    const recorder = await rig.open()
    const [path = ''] = rig.segments()
    await rig.permitted(recorder)
    await recorder.close()
    const whole = readFileSync(path)
    writeFileSync(path, whole.subarray(0, whole.length - 10))
    const report = verifyLedger(path, recorder.publicKey())
    setTimeout(() => appendFileSync(path, whole.subarray(whole.length - 10)), 10)
    expect(await report).toMatchObject({ ok: true })
  })

  test('refuses a line without end in bounded memory', async () => {
    const rig = rigged()
    const path = join(rig.dir, '000000000001.ndjson')
    writeFileSync(path, Buffer.alloc(20 * 1024 * 1024, 'x'))
    expect(await verifyLedger(rig.dir, null)).toMatchObject({ ok: false, firstBad: { fault: 'parse', seq: 1 } })
  })
})

describe('a checkpoint given from elsewhere', () => {
  test('must be contained, whoever else has signed it', async () => {
    const rig = rigged()
    const key = await segmented(rig)
    const checkpoint = (await verifyLedger(rig.segments()[0] ?? '', key)).lastCheckpoint?.note ?? ''
    const text = noteText(checkpoint)
    const witness = noteSigner('witness.partner.example', generateKeyPairSync('ed25519').privateKey)
      .sign(text)
      .slice(text.length + 1)
    expect(await verifyLedger(rig.dir, key, { checkpoint })).toMatchObject({ ok: true })
    expect(await verifyLedger(rig.dir, key, { checkpoint: checkpoint + witness })).toMatchObject({ ok: true })
    expect(await verifyLedger(rig.dir, null, { checkpoint })).toMatchObject({ ok: true })
  })

  test('of other lines fails at the line it states, with a key and without', async () => {
    const rig = rigged()
    const key = await segmented(rig)
    const text = noteText((await verifyLedger(rig.dir, key)).lastCheckpoint?.note ?? '')
    const [origin, size, root = '', ...rest] = text.split('\n')
    const other = Buffer.from(root, 'base64').fill(1).toString('base64')
    const checkpoint = noteSigner('ledger.acme.example/one', rig.key).sign([origin, size, other, ...rest].join('\n'))
    for (const known of [key, null]) {
      expect(await verifyLedger(rig.dir, known, { checkpoint })).toMatchObject({
        ok: false,
        firstBad: { fault: 'checkpoint', seq: Number(size) },
      })
    }
  })

  test.each([
    ['that is no note', 'nonsense'],
    [
      'of another key',
      noteSigner('ledger.acme.example/one', generateKeyPairSync('ed25519').privateKey).sign('ledger.acme.example/one\n0\n'),
    ],
  ])('%s fails', async (_, checkpoint) => {
    const rig = rigged()
    const key = await segmented(rig)
    expect(await verifyLedger(rig.dir, key, { checkpoint })).toMatchObject({ ok: false, firstBad: { fault: 'signature' } })
  })
})

describe('pairing', () => {
  test.each([
    ['an outcome without a decision', [['outcome', 'c_1']], 1],
    [
      'a second outcome',
      [
        ['decision', 'c_1'],
        ['outcome', 'c_1'],
        ['outcome', 'c_1'],
      ],
      3,
    ],
    [
      'a second decision of an open call',
      [
        ['decision', 'c_1'],
        ['decision', 'c_1'],
      ],
      2,
    ],
  ] as const)('%s fails though it is signed', async (_, lines, seq) => {
    const { dir, key } = await signed(lines)
    expect(await verifyLedger(dir, key)).toMatchObject({ ok: false, firstBad: { fault: 'pairing', seq } })
    rmSync(dir, { recursive: true })
  })

  test('a call that a checkpoint states as open is no fault', async () => {
    const { dir, key } = await signed([['decision', 'c_1']])
    expect(await verifyLedger(dir, key)).toMatchObject({ ok: true, open: 1 })
    rmSync(dir, { recursive: true })
  })
})
