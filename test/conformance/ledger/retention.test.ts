import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { edgeNodes, rootOf } from '../../../src/record/merkle.ts'
import type { RecorderOptions } from '../../../src/record/recorder-options.ts'
import type { OpenRecorder } from '../../../src/record/recorder.ts'
import { Retention } from '../../../src/record/retention.ts'
import { tilePath } from '../../../src/record/tile-path.ts'
import { tileHashes } from '../../../src/record/tiles.ts'
import { verifyLedger } from '../../../src/record/verify.ts'
import { rigPerTest, type LedgerRig } from '../../support/ledger-rig.ts'
import { entriesOf, laidSize, smallSegments, TileDisk, tilesOf } from '../../support/tile-rig.ts'

const rigged = rigPerTest()
const opened = (rig: LedgerRig, more: Partial<RecorderOptions> = {}): Promise<OpenRecorder> => rig.open({ segmentBytes: 10_000, ...more })
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

async function rounds(recorder: OpenRecorder, count: number): Promise<void> {
  for (let round = 0; round < count; round++)
    await Promise.all(Array.from({ length: 40 }, (_, at) => recorder.event({ kind: 'x', by: 'clock', detail: { at } })))
}

const firstOf = (rig: LedgerRig): number => Number(/(\d{12})\.ndjson$/.exec(rig.segments()[0] ?? '')?.[1])

describe('lines whose tiles are not on the disk', () => {
  test('stay until they are, whatever retention says', async () => {
    const rig = rigged()
    const tileFiles = new TileDisk(rig.dir)
    const recorder = await opened(rig, { keep: { size: 30_000 }, tileFiles, retryMs: 3_600_000 })
    await recorder.checkpoint()
    tileFiles.trouble = () => 'EIO'
    await rounds(recorder, 20)
    expect(firstOf(rig)).toBeLessThanOrEqual(256)
    tileFiles.trouble = () => null
    await recorder.checkpoint()
    await rounds(recorder, 2)
    await recorder.close()
    expect(firstOf(rig)).toBeGreaterThan(512)
    expect(await verifyLedger(rig.dir, recorder.publicKey())).toMatchObject({ ok: true, firstBad: null })
  })
})

describe('lines that stay', () => {
  test('are proven by tiles alone after a start, though the tiles above those of pruned lines were lost', async () => {
    const rig = rigged()
    const all = await opened(rig)
    await rounds(all, 20)
    await all.close()
    const entries = entriesOf(rig.text())
    const pruning = await opened(rig, { keep: { size: 30_000 } })
    await rounds(pruning, 2)
    await pruning.close()
    expect(firstOf(rig)).toBeGreaterThan(512)
    rmSync(join(rig.dir, 'tile/1'), { recursive: true })
    const recorder = await opened(rig)
    await recorder.checkpoint()
    await recorder.close()
    const size = laidSize(rig.dir)
    const [name = ''] = readdirSync(join(rig.dir, 'tile/1/000.p'))
    const above = readFileSync(join(rig.dir, 'tile/1/000.p', name))
    const before = tilesOf(entries, 768).get('tile/1/000.p/3')
    expect(above.subarray(0, 96)).toEqual(before)
    expect(Number(name)).toBe(Math.floor(size / 256))
    for (const segment of rig.segments()) rig.remove(segment)
    const root = readFileSync(join(rig.dir, 'checkpoint'), 'utf8').split('\n')[2]
    expect(rootOf(edgeNodes(size).map(tileHashes(rig.dir, size))).toString('base64')).toBe(root)
  })

  test('keep the tile that they share with lines that went, and its entries', async () => {
    const rig = rigged()
    const recorder = await opened(rig, { keep: { size: 30_000 } })
    await rounds(recorder, 20)
    await recorder.close()
    const shared = Math.floor((firstOf(rig) - 1) / 256)
    expect(shared).toBeGreaterThan(0)
    const there = (level: number | 'entries', index: number): boolean =>
      existsSync(join(rig.dir, tilePath({ level, index, width: 256 }))) ||
      existsSync(join(rig.dir, `${tilePath({ level, index, width: 256 })}.p`))
    expect([there(0, shared), there('entries', shared), there('entries', shared - 1)]).toEqual([true, true, false])
  })
})

describe('leaves of lines that went', () => {
  test('go once the tile above them is whole', async () => {
    const { dir } = rigged()
    const tiles = tilesOf(entriesOf(smallSegments(dir, [66_000, 10, 10])), 66_000)
    const put = (path: string): void => {
      mkdirSync(dirname(join(dir, path)), { recursive: true })
      writeFileSync(join(dir, path), tiles.get(path) ?? '')
    }
    for (const path of tiles.keys()) put(path)
    rmSync(join(dir, 'tile/1/000'))
    const told: string[] = []
    const retention = new Retention({
      dir,
      keep: { size: 300 },
      synced: false,
      clock: Date.now,
      needed: () => Infinity,
      settled: async () => void told.push('tiles'),
      event: async ({ kind }) => void told.push(kind),
      checkpoint: async () => void told.push('checkpoint'),
      removed: () => told.push('removed'),
      log: silent,
    })
    await retention.look()
    expect(told).toEqual(['tiles', 'ledger.pruned', 'checkpoint', 'removed'])
    expect(existsSync(join(dir, 'tile/0/000'))).toBe(true)
    expect(existsSync(join(dir, 'tile/entries/000'))).toBe(false)
    smallSegments(dir, [66_000, 10, 10])
    put('tile/1/000')
    await retention.look()
    await retention.close()
    expect(existsSync(join(dir, 'tile/0/000'))).toBe(false)
    expect(existsSync(join(dir, 'tile/0/255'))).toBe(false)
    expect(existsSync(join(dir, 'tile/0/256'))).toBe(true)
  })
})

describe('retention', () => {
  test('looks when a segment ends, and removes nothing in between', async () => {
    const rig = rigged()
    const first = await opened(rig)
    await rounds(first, 6)
    await first.close()
    const recorder = await rig.open({ keep: { size: 20_000 } })
    const before = rig.segments()
    for (let at = 0; at < 5; at++) await recorder.event({ kind: 'x', by: 'clock', detail: {} })
    await recorder.checkpoint()
    expect(rig.segments()).toEqual(before)
    rig.now += 86_400_000
    await recorder.event({ kind: 'x', by: 'clock', detail: {} })
    await recorder.close()
    expect(rig.segments()).not.toContain(before[0])
  })
})
