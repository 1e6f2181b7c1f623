import { createHash, generateKeyPairSync } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync, copyFileSync, cpSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { edgeNodes, includes, inclusionProof, leafHash, rootOf } from '../../../src/record/merkle.ts'
import type { RecorderOptions } from '../../../src/record/recorder-options.ts'
import type { OpenRecorder } from '../../../src/record/recorder.ts'
import { openLedgerKey, rotateLedgerKey } from '../../../src/record/key.ts'
import { tilePath } from '../../../src/record/tile-path.ts'
import { tileHashes } from '../../../src/record/tiles.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import { rigPerTest, type LedgerRig } from '../../support/ledger-rig.ts'
import { rootOver, sha256 } from '../../support/ledger-writer.ts'

const rigged = rigPerTest()
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

async function events(recorder: OpenRecorder, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, at) => recorder.event({ kind: 'x', by: 'clock', detail: { at } })))
}

/** The leaves of a ledger as its page says, by other code than the product's. */
function leaves(rig: LedgerRig): Buffer[] {
  return rig
    .text()
    .trimEnd()
    .split('\n')
    .map((line) => sha256(Buffer.of(0), createHash('sha256').update(line).digest()))
}

function noteOf(rig: LedgerRig): { readonly size: number; readonly root: string } {
  const [, size, root = ''] = readFileSync(join(rig.dir, 'checkpoint'), 'utf8').split('\n')
  return { size: Number(size), root }
}

const opened = (rig: LedgerRig, more: Partial<RecorderOptions> = {}): Promise<OpenRecorder> => rig.open({ segmentBytes: 20_000, ...more })

describe('the tree of a ledger', () => {
  test('the newest checkpoint lies beside the lines, and states their root', async () => {
    const rig = rigged()
    const recorder = await opened(rig)
    await events(recorder, 300)
    await recorder.checkpoint()
    const { size, root } = noteOf(rig)
    expect(root).toBe(rootOver(leaves(rig).slice(0, size)).toString('base64'))
    expect(size).toBe(recorder.position().seq - 1)
    expect(rootOf(edgeNodes(size).map(tileHashes(rig.dir, size))).toString('base64')).toBe(root)
    await recorder.close()
  })

  test('whole tiles hold 256 hashes of their level, entries what the leaves are made of, partial ones the rest', async () => {
    const rig = rigged()
    const recorder = await opened(rig)
    await events(recorder, 700)
    await recorder.checkpoint()
    const { size } = noteOf(rig)
    const all = leaves(rig)
    expect(readFileSync(join(rig.dir, 'tile/0/001'))).toEqual(Buffer.concat(all.slice(256, 512)))
    expect(readFileSync(join(rig.dir, `tile/0/002.p/${size - 512}`))).toEqual(Buffer.concat(all.slice(512, size)))
    expect(readFileSync(join(rig.dir, 'tile/1/000.p/2'))).toEqual(
      Buffer.concat([rootOver(all.slice(0, 256)), rootOver(all.slice(256, 512))]),
    )
    const entries = readFileSync(join(rig.dir, 'tile/entries/000'))
    const lines = rig.text().split('\n')
    for (const at of [0, 1, 255]) {
      const begin = at * 34
      expect(entries.readUInt16BE(begin)).toBe(32)
      expect(entries.subarray(begin + 2, begin + 34)).toEqual(sha256(lines[at] ?? ''))
    }
    expect(entries).toHaveLength(256 * 34)
    await recorder.checkpoint()
    expect(readdirSync(join(rig.dir, 'tile/0/002.p'))).toEqual([String(noteOf(rig).size - 512)])
    await recorder.close()
  })

  test('goes on over any number of starts, whatever of the tiles is lost, torn or wrong', async () => {
    const rig = rigged()
    for (let start = 0; start < 6; start++) {
      const recorder = await opened(rig)
      await events(recorder, 150)
      await recorder.close()
      expect(await verifyLedger(rig.dir, recorder.publicKey())).toMatchObject({ ok: true, firstBad: null })
      expect(noteOf(rig).root).toBe(rootOver(leaves(rig).slice(0, noteOf(rig).size)).toString('base64'))
      if (start === 1) rmSync(join(rig.dir, 'tile'), { recursive: true })
      if (start === 2) rmSync(join(rig.dir, 'checkpoint'))
      if (start === 3) truncateSync(join(rig.dir, 'tile/0/001'), 100)
      if (start === 4) writeFileSync(join(rig.dir, 'tile/1/000.p/2'), Buffer.alloc(64))
    }
  })

  test('proves each line, from tiles and from lines alike, and gives no proof of a tree that is not the signed one', async () => {
    const rig = rigged()
    const recorder = await opened(rig)
    await events(recorder, 600)
    await recorder.close()
    const { size, root } = noteOf(rig)
    const signed = Buffer.from(root, 'base64')
    const lines = rig.text().split('\n').slice(0, size)
    const proven = (seq: number): boolean =>
      includes(
        leafHash(sha256(lines[seq - 1] ?? '')),
        seq - 1,
        size,
        inclusionProof(seq - 1, size, tileHashes(rig.dir, size, signed)),
        signed,
      )
    for (const seq of [1, 2, 255, 256, 257, 511, 512, size]) expect(proven(seq), `line ${seq}`).toBe(true)
    writeFileSync(join(rig.dir, 'tile/0/000'), Buffer.alloc(8192, 7))
    expect(proven(3)).toBe(true)
    expect(() => tileHashes(rig.dir, size, Buffer.alloc(32))).toThrow('neither the tiles nor the lines')
    rmSync(join(rig.dir, 'tile'), { recursive: true })
    expect(rootOf(edgeNodes(size).map(tileHashes(rig.dir, size)))).toEqual(signed)
  })
})

describe('a torn end', () => {
  test('at every byte of the last record the next start goes on, and all before verifies', async () => {
    const rig = rigged()
    const first = await opened(rig)
    await events(first, 3)
    await first.close()
    const path = join(rig.dir, readdirSync(rig.dir).findLast((name) => name.endsWith('.ndjson')) ?? '')
    const whole = readFileSync(path)
    const begin = whole.lastIndexOf('\n', whole.length - 2) + 1
    for (let end = begin; end < whole.length; end += 97) {
      const copy = rigged()
      cpSync(rig.dir, copy.dir, { recursive: true, filter: (from) => !from.endsWith('lock') })
      truncateSync(join(copy.dir, path.slice(path.lastIndexOf('/') + 1)), end)
      const recorder = await copy.open({ key: rig.key })
      await events(recorder, 1)
      await recorder.close()
      const report = await verifyLedger(copy.dir, recorder.publicKey())
      expect(report, `cut at ${end}`).toMatchObject({ ok: true, firstBad: null })
      const recovered = copy.ofKind('event').filter(({ custom }) => custom.countersign['event'] === 'ledger.recovered')
      expect(recovered).toHaveLength(end === begin ? 0 : 1)
    }
  })
})

describe('a ledger of format 1', () => {
  test('is not written on, and the error says what to do', async () => {
    const rig = rigged()
    const recorder = await opened(rig)
    await recorder.close()
    const name = readdirSync(rig.dir).find((one) => one.endsWith('.ndjson')) ?? ''
    const text = readFileSync(join(rig.dir, name), 'utf8').replaceAll('"format":2', '"format":1')
    writeFileSync(join(rig.dir, name), text)
    await expect(opened(rig)).rejects.toThrow('give record.ledger.path a new folder')
  })
})

describe('a new key', () => {
  test('takes over with a checkpoint that both sign: old lines verify under either, and the old private key is gone', async () => {
    const rig = rigged()
    const path = join(rig.dir, 'ledger.key')
    const open = async (): Promise<OpenRecorder> => {
      const { name, key, previous } = openLedgerKey({ path, dir: rig.dir, log: silent })
      return opened(rig, { ledgerId: name, key, previous })
    }
    const first = await open()
    await events(first, 5)
    await first.close()
    const old = first.publicKey()
    rotateLedgerKey(path)
    expect(() => rotateLedgerKey(path)).toThrow('start Countersign')
    const second = await open()
    await events(second, 5)
    await second.close()
    expect(second.publicKey()).not.toBe(old)
    expect(readFileSync(join(rig.dir, 'ledger.pub'), 'utf8')).toBe(`${old}\n${second.publicKey()}\n`)
    expect(existsSync(`${path}.previous`)).toBe(false)
    for (const key of [old, second.publicKey()])
      expect(await verifyLedger(rig.dir, key)).toMatchObject({ ok: true, firstBad: null, signed: true })
    const other = generateKeyPairSync('ed25519').privateKey
    const stranger = await opened(rigged(), { key: other, ledgerId: 'countersign/other' })
    expect((await verifyLedger(rig.dir, stranger.publicKey())).firstBad).toMatchObject({ fault: 'signature' })
  })

  test('that a crash kept from being published, or the old one from being erased, goes on at the next start', async () => {
    const rig = rigged()
    const path = join(rig.dir, 'ledger.key')
    const open = async (): Promise<OpenRecorder> => {
      const { name, key, previous } = openLedgerKey({ path, dir: rig.dir, log: silent })
      return opened(rig, { ledgerId: name, key, previous })
    }
    await (await open()).close()
    rotateLedgerKey(path)
    const before = readFileSync(join(rig.dir, 'ledger.pub'))
    copyFileSync(`${path}.previous`, join(rig.dir, 'kept'))
    const second = await open()
    await second.close()
    // as if it had ended before the new key was published
    writeFileSync(join(rig.dir, 'ledger.pub'), before)
    copyFileSync(join(rig.dir, 'kept'), `${path}.previous`)
    const third = await open()
    await events(third, 1)
    await third.close()
    expect(existsSync(`${path}.previous`)).toBe(false)
    expect(rig.text().match(/"next":/g)).toHaveLength(1)
    expect(await verifyLedger(rig.dir, third.publicKey())).toMatchObject({ ok: true, firstBad: null })
  })
})

describe('retention', () => {
  test('removes whole segments from the oldest on, says so before, and what remains verifies', async () => {
    const rig = rigged()
    const recorder = await opened(rig, { segmentBytes: 10_000, keep: { size: 40_000 } })
    for (let round = 0; round < 20; round++) await events(recorder, 40)
    await recorder.close()
    const names = readdirSync(rig.dir).filter((name) => name.endsWith('.ndjson'))
    expect(names).not.toContain('000000000001.ndjson')
    const pruned = rig.ofKind('event').filter(({ custom }) => custom.countersign['event'] === 'ledger.pruned')
    expect(pruned.at(-1)?.custom.countersign['detail']).toMatchObject({ cause: 'size', first: Number(names[0]?.slice(0, 12)) })
    const report = await verifyLedger(rig.dir, recorder.publicKey())
    expect(report).toMatchObject({ ok: true, firstBad: null, first: Number(names[0]?.slice(0, 12)) })
    expect(existsSync(join(rig.dir, tilePath({ level: 'entries', index: 0, width: 256 })))).toBe(false)
    const again = await opened(rig, { keep: { size: 40_000 } })
    await events(again, 1)
    await again.close()
    expect(await verifyLedger(rig.dir, again.publicKey())).toMatchObject({ ok: true, firstBad: null })
  })

  test('of lines that nobody announced is missing lines', async () => {
    const rig = rigged()
    const recorder = await opened(rig, { segmentBytes: 10_000 })
    for (let round = 0; round < 5; round++) await events(recorder, 40)
    await recorder.close()
    const [oldest = ''] = readdirSync(rig.dir).filter((name) => name.endsWith('.ndjson'))
    rmSync(join(rig.dir, oldest))
    expect((await verifyLedger(rig.dir, recorder.publicKey())).firstBad).toMatchObject({ fault: 'truncated' })
  })

  test('keeps the decision of a call that is open, whatever its age', async () => {
    const rig = rigged()
    const recorder = await opened(rig, { segmentBytes: 10_000, keep: { size: 20_000 } })
    const call = rig.call()
    await rig.judged(recorder, call).commit()
    for (let round = 0; round < 10; round++) await events(recorder, 40)
    await recorder.close()
    expect(readdirSync(rig.dir)).toContain('000000000001.ndjson')
  })
})
