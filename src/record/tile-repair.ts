/** Makes tiles that are not there, or not whole, from what they are derived from: the lines, the entries, or the tiles below. */

import { hash } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LineReader } from './lines.ts'
import { leafHash, subtreeHash } from './merkle.ts'
import { listSegments, type SegmentRow } from './segment.ts'
import { bundle, isCode, lyingTiles, unbundle, type LyingTiles, type TileFiles } from './tile-files.ts'
import { tilePath, tileWidth } from './tile-path.ts'
import { tilesAt } from './tiles.ts'

/** The beginning of a tile that grows, whose hashes are not known: the first `count` of the tile `index`. */
export interface Gap {
  readonly level: number
  readonly index: number
  readonly count: number
}

export interface RepairWork {
  readonly dir: string
  readonly files: TileFiles
  /** Leaves of the tree whose whole tiles should be there. */
  readonly size: number
  readonly gaps: readonly Gap[]
  /** Paths of tiles that are on their way. */
  readonly coming: ReadonlySet<string>
  /** True ends it where it is. */
  readonly ended: () => boolean
}

export interface Repaired {
  /** Tiles that were written. */
  readonly made: number
  /** Lines that were read for it. */
  readonly lines: number
  /** Tiles that nothing tells any more, and how many of the gaps. */
  readonly lost: number
  /** Hashes of the gaps that could be closed, one after the other. */
  readonly closed: readonly (readonly [Gap, Buffer])[]
  /** Paths of partial tiles that lie there. */
  readonly partial: readonly string[]
  /** False: it was ended before. */
  readonly whole: boolean
}

/** Rejects when a folder cannot be read or a tile cannot be written; what was made until then stays. */
export async function repairTiles(work: RepairWork): Promise<Repaired> {
  const repair = new Repair(work)
  await repair.run()
  return repair.result()
}

class Repair {
  readonly #work: RepairWork
  readonly #rows: readonly SegmentRow[]
  readonly #partial: string[] = []
  readonly #closed: [Gap, Buffer][] = []
  /** Of the level that was looked at last: which whole tiles lie there now. */
  #below = new Set<number>()
  #made = 0
  #lines = 0
  #lost = 0

  constructor(work: RepairWork) {
    this.#work = work
    this.#rows = listSegments(work.dir)
  }

  result(): Repaired {
    return {
      made: this.#made,
      lines: this.#lines,
      lost: this.#lost,
      closed: this.#closed,
      partial: this.#partial,
      whole: !this.#work.ended(),
    }
  }

  async run(): Promise<void> {
    const { dir, size } = this.#work
    const entries = this.#lying(await lyingTiles(dir, 'entries'))
    const hashes = this.#lying(await lyingTiles(dir, 0))
    const above = new Set((await lyingTiles(dir, 1)).whole)
    await this.#lowest(entries, hashes, above)
    this.#below = hashes
    for (let level = 1; tileWidth ** level <= size; level++) await this.#higher(level)
  }

  #lying({ whole, partial }: LyingTiles): Set<number> {
    this.#partial.push(...partial)
    return new Set(whole)
  }

  /** Tiles of leaves and entries. Those of lines that are all gone are not missed: entries never, leaves once the tile above them is there. */
  async #lowest(entries: Set<number>, hashes: Set<number>, above: ReadonlySet<number>): Promise<void> {
    const { dir, size, coming } = this.#work
    const first = this.#rows[0]?.first ?? size + 1
    const fromLines: number[] = []
    for (let index = 0; index < tilesAt(0, size).whole; index++) {
      const gone = (index + 1) * tileWidth < first
      const noEntries = !gone && !entries.has(index) && !coming.has(pathOf('entries', index))
      const noHashes = !hashes.has(index) && !(gone && above.has(Math.floor(index / tileWidth))) && !coming.has(pathOf(0, index))
      if (!noEntries && !noHashes) continue
      const kept = noHashes && entries.has(index) ? await readWhole(dir, pathOf('entries', index)) : null
      if (kept !== null) await this.#write(0, index, Buffer.concat(unbundle(kept).map(leafHash)), hashes)
      else if (index * tileWidth + 1 >= first) fromLines.push(index)
      else this.#lost += 1
    }
    for await (const { index, found } of this.#entriesOf(fromLines)) {
      if (!entries.has(index)) await this.#write('entries', index, bundle(found), entries)
      if (!hashes.has(index)) await this.#write(0, index, Buffer.concat(found.map(leafHash)), hashes)
    }
    this.#lost += this.#work.ended() ? 0 : fromLines.filter((index) => !hashes.has(index)).length
  }

  /** Tiles of a higher level, from those below it. */
  async #higher(level: number): Promise<void> {
    const { dir, size, coming, gaps } = this.#work
    const own = this.#lying(await lyingTiles(dir, level))
    for (let index = 0; index < tilesAt(level, size).whole; index++) {
      if (own.has(index) || coming.has(pathOf(level, index))) continue
      const hashes = await this.#fromBelow(level, index, tileWidth)
      if (hashes !== null) await this.#write(level, index, hashes, own)
      else this.#lost += 1
    }
    for (const gap of gaps) {
      if (gap.level !== level) continue
      const hashes = await this.#fromBelow(level, gap.index, gap.count)
      if (hashes !== null) this.#closed.push([gap, hashes])
      else this.#lost += 1
    }
    this.#below = own
  }

  /** The first `count` hashes of a tile, each the hash over one below; null when one of those is not there. */
  async #fromBelow(level: number, index: number, count: number): Promise<Buffer | null> {
    const hashes: Buffer[] = []
    for (let at = index * tileWidth; at < index * tileWidth + count; at++) {
      const tile = this.#work.ended() || !this.#below.has(at) ? null : await readWhole(this.#work.dir, pathOf(level - 1, at))
      if (tile === null) return null
      hashes.push(subtreeHash(tile))
    }
    return Buffer.concat(hashes)
  }

  /** Reads no segment that holds nothing of these tiles, and none further than it must. `wanted` is in order. */
  async *#entriesOf(wanted: readonly number[]): AsyncGenerator<{ readonly index: number; readonly found: Buffer[] }> {
    const open = new Set(wanted)
    let found: Buffer[] = []
    for (const [at, row] of this.#rows.entries()) {
      const next = this.#rows[at + 1]?.first ?? Infinity
      const last = wanted.findLast((index) => index * tileWidth + 1 < next) ?? -1
      if (!wanted.some((index) => index <= last && (index + 1) * tileWidth >= row.first)) continue
      for await (const { seq, bytes } of linesUpTo(row, Math.min((last + 1) * tileWidth, next - 1))) {
        this.#lines += 1
        const index = Math.floor((seq - 1) / tileWidth)
        if (!open.has(index)) continue
        if ((seq - 1) % tileWidth === 0) found = []
        found.push(hash('sha256', bytes, 'buffer'))
        if (seq % tileWidth === 0 && found.length === tileWidth) yield { index, found }
        if (this.#work.ended()) return
      }
    }
  }

  async #write(level: number | 'entries', index: number, bytes: Buffer, lying: Set<number>): Promise<void> {
    await this.#work.files.write(pathOf(level, index), bytes)
    lying.add(index)
    this.#made += 1
  }
}

/** The lines of a segment up to this number; none of one that was removed meanwhile or cannot be read. */
async function* linesUpTo({ path, first }: SegmentRow, last: number): AsyncGenerator<{ readonly seq: number; readonly bytes: Buffer }> {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch {
    return
  }
  try {
    let seq = first
    for await (const read of new LineReader(fd).read()) {
      for (const { bytes } of read) {
        if (seq > last) return
        yield { seq, bytes }
        seq += 1
      }
    }
  } catch {
    // what cannot be read is lost to the tiles; `evidence verify` says so of the lines
  } finally {
    closeSync(fd)
  }
}

/** Null when it is not there any more, or cannot be read: what is derived from it is made from something else, or lost. */
async function readWhole(dir: string, path: string): Promise<Buffer | null> {
  try {
    return await readFile(join(dir, path))
  } catch (error) {
    if (isCode(error, 'ENOENT') || isCode(error, 'EIO')) return null
    throw error
  }
}

function pathOf(level: number | 'entries', index: number): string {
  return tilePath({ level, index, width: tileWidth })
}
