import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { LedgerTree } from '../../../src/record/ledger-tree.ts'
import type { RecorderOptions } from '../../../src/record/recorder-options.ts'
import type { OpenRecorder } from '../../../src/record/recorder.ts'
import { diskTiles } from '../../../src/record/tile-files.ts'
import { repairTiles, type Gap, type Repaired } from '../../../src/record/tile-repair.ts'
import { rigPerTest, until, type LedgerRig } from '../../support/ledger-rig.ts'
import { entriesOf, expectTiles, laidSize, smallSegments, TileDisk, tilesOf } from '../../support/tile-rig.ts'

const rigged = rigPerTest()
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
const opened = (rig: LedgerRig, more: Partial<RecorderOptions> = {}): Promise<OpenRecorder> => rig.open({ segmentBytes: 40_000, ...more })

async function events(recorder: OpenRecorder, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, at) => recorder.event({ kind: 'x', by: 'clock', detail: { at } })))
}

describe('tiles that cannot be written', () => {
  test.each(['ENOSPC', 'EIO'])('hold up no line (%s), and are there once the disk takes them', async (code) => {
    const rig = rigged()
    const tileFiles = new TileDisk(rig.dir)
    const recorder = await opened(rig, { tileFiles, retryMs: 3_600_000 })
    await recorder.checkpoint()
    const before = expectTiles(rig.dir, rig.text())
    tileFiles.trouble = () => code
    await events(recorder, 600)
    await recorder.checkpoint()
    expect(recorder.failed).toBe(false)
    expect(laidSize(rig.dir)).toBe(before)
    expectTiles(rig.dir, rig.text())
    tileFiles.trouble = () => null
    await recorder.checkpoint()
    expect(expectTiles(rig.dir, rig.text())).toBe(recorder.position().seq - 1)
    expect(rig.logged.filter((text) => text.startsWith('tiles of the ledger'))).toEqual([
      'tiles of the ledger cannot be written: they are tried again',
      'tiles of the ledger can be written again',
    ])
  })

  test('are tried again without traffic, and one that fails does not hold up the others', async () => {
    const rig = rigged()
    const tileFiles = new TileDisk(rig.dir)
    tileFiles.trouble = (path) => (path === 'tile/0/000' ? 'EIO' : null)
    const recorder = await opened(rig, { tileFiles, retryMs: 1 })
    await events(recorder, 600)
    await until(() => tileFiles.tried.filter((path) => path === 'tile/0/000').length > 3)
    expect(readdirSync(join(rig.dir, 'tile/0'))).toEqual(['001'])
    tileFiles.trouble = () => null
    await until(() => existsSync(join(rig.dir, 'tile/0/000')))
    await recorder.close()
    expectTiles(rig.dir, rig.text())
  })

  test('are made from the lines at the next start where none could be written any more', async () => {
    const rig = rigged()
    const tileFiles = new TileDisk(rig.dir)
    tileFiles.trouble = () => 'ENOSPC'
    const first = await opened(rig, { tileFiles })
    await events(first, 900)
    await first.close()
    expect(existsSync(join(rig.dir, 'tile'))).toBe(false)
    const second = await opened(rig)
    await second.checkpoint()
    expect(expectTiles(rig.dir, rig.text())).toBe(second.position().seq - 1)
  })

  test('more of them than are kept in memory are made from the lines', async () => {
    const { dir } = rigged()
    const entries = entriesOf(smallSegments(dir, [1500, 1000]))
    const files = new TileDisk(dir)
    files.trouble = () => 'EIO'
    const tree = new LedgerTree({ dir, files, log: silent, retryMs: 3_600_000, mostWaiting: 3 }, { size: 0, edge: [], growing: [] })
    for (const entry of entries) tree.wrote(entry.toString('hex'))
    tree.acknowledged(2500)
    await tree.settled()
    expect(tree.needed).toBe(1)
    files.trouble = () => null
    tree.lay(tree.partials(), 'ledger\n2500\n')
    await tree.settled()
    expect(expectTiles(dir, smallSegments(dir, [1500, 1000]))).toBe(2500)
    expect(tree.needed).toBe(2305)
    await tree.close()
  })
})

describe('a checkpoint', () => {
  test('is told when its tiles lie there, and lines do not wait for them', async () => {
    const rig = rigged()
    const tileFiles = new TileDisk(rig.dir)
    const recorder = await opened(rig, { tileFiles })
    await recorder.checkpoint()
    const { promise, resolve } = Promise.withResolvers<void>()
    tileFiles.gate = promise
    await events(recorder, 300)
    let told = false
    const checkpoint = recorder.checkpoint().then(() => (told = true))
    const { seq } = recorder.position()
    while (recorder.position().seq === seq) await events(recorder, 1)
    expect(told).toBe(false)
    resolve()
    await checkpoint
    expectTiles(rig.dir, rig.text())
    expect(laidSize(rig.dir)).toBeGreaterThan(300)
  })
})

describe('an ordinary start', () => {
  test('reads no line for tiles, keeps those that lie there, and leaves no partial one of the run before', async () => {
    const rig = rigged()
    const first = await opened(rig)
    await events(first, 700)
    await first.close()
    const tileFiles = new TileDisk(rig.dir)
    const second = await opened(rig, { tileFiles })
    await second.checkpoint()
    expect(tileFiles.tried.filter((path) => /^tile\/(0|entries)\/\d{3}$/.test(path))).toEqual([])
    expect(rig.logged.filter((text) => text.includes('made again'))).toEqual([])
    const size = expectTiles(rig.dir, rig.text())
    expect(readdirSync(join(rig.dir, 'tile/0/002.p'))).toEqual([String(size - 512)])
  })
})

describe('a repair', () => {
  const counts = [30_000, 30_000, 6000]
  const total = 66_000

  interface Damaged {
    readonly dir: string
    readonly tiles: Map<string, Buffer>
    readonly repair: (gaps?: readonly Gap[]) => Promise<Repaired>
  }

  let known: Map<string, Buffer> | null = null

  function whole(): Damaged {
    const { dir } = rigged()
    const text = smallSegments(dir, counts)
    const tiles = (known ??= tilesOf(entriesOf(text), total))
    for (const [path, bytes] of tiles) {
      mkdirSync(dirname(join(dir, path)), { recursive: true })
      writeFileSync(join(dir, path), bytes)
    }
    return {
      dir,
      tiles,
      repair: (gaps = []) => repairTiles({ dir, files: diskTiles(dir), size: total, gaps, coming: new Set(), ended: () => false }),
    }
  }

  function expectAll({ dir, tiles }: Damaged): void {
    for (const [path, bytes] of tiles) if (!path.includes('.p/')) expect(readFileSync(join(dir, path)).equals(bytes), path).toBe(true)
  }

  test('makes each level from the one below, and the lowest from the lines', async () => {
    const damaged = whole()
    rmSync(join(damaged.dir, 'tile'), { recursive: true })
    const gap = { level: 1, index: 1, count: 1 }
    const { made, lines, lost, closed } = await damaged.repair([gap])
    expect({ made, lines, lost }).toEqual({ made: 257 * 2 + 1, lines: 257 * 256, lost: 0 })
    expect(closed).toEqual([[gap, damaged.tiles.get('tile/1/001.p/1')]])
    expectAll(damaged)
  })

  test('reads no more lines than up to the last that it needs, of no segment that it does not', async () => {
    const damaged = whole()
    expect(await damaged.repair()).toMatchObject({ made: 0, lines: 0, lost: 0 })
    truncateSync(join(damaged.dir, 'tile/0/000'), 100)
    rmSync(join(damaged.dir, 'tile/1/000'))
    expect(await damaged.repair()).toMatchObject({ made: 2, lines: 0, lost: 0 })
    rmSync(join(damaged.dir, 'tile/entries/240'))
    expect(await damaged.repair()).toMatchObject({ made: 1, lines: 241 * 256 - 60_000, lost: 0 })
    rmSync(join(damaged.dir, 'tile/entries/234'))
    expect(await damaged.repair()).toMatchObject({ made: 1, lines: 235 * 256 - 30_000, lost: 0 })
    expectAll(damaged)
  })

  test('of lines that are gone misses nothing that went with them, and says what nothing tells any more', async () => {
    const damaged = whole()
    rmSync(join(damaged.dir, '000000000001.ndjson'))
    for (const path of ['tile/0/000', 'tile/entries/000', 'tile/entries/001']) rmSync(join(damaged.dir, path))
    expect(await damaged.repair()).toMatchObject({ made: 0, lines: 0, lost: 0 })
    rmSync(join(damaged.dir, 'tile/entries/117'))
    expect(await damaged.repair()).toMatchObject({ made: 0, lost: 1 })
    rmSync(join(damaged.dir, 'tile/1/000'))
    expect(await damaged.repair()).toMatchObject({ made: 0, lost: 3 })
  })
})
