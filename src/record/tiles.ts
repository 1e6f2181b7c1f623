/** The tree of a ledger on disk, as C2SP tlog-tiles lays it out, and how a node is found in it again. */

import { hash } from 'node:crypto'
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { linesNow } from './lines.ts'
import type { HashOf } from './merkle.ts'
import { edgeNodes, leafHash, rootOf, subtreeHash } from './merkle.ts'
import type { SegmentRow } from './segment.ts'
import { listSegments } from './segment.ts'
import { tilePath, tileWidth } from './tile-path.ts'

const hashBytes = 32

/** How many whole tiles a tree of `size` leaves has at a level of tiles, and how many hashes stand in the partial one after them. */
export function tilesAt(level: number, size: number): { readonly whole: number; readonly partial: number } {
  const hashes = Math.floor(size / tileWidth ** level)
  return { whole: Math.floor(hashes / tileWidth), partial: hashes % tileWidth }
}

/**
 * Gives the nodes of the tree over the first `size` lines of a ledger folder; throws a RangeError when one is beyond it, and an Error when
 * neither a tile nor the lines tell it. With the `root` of that size no tile is believed that does not lead to it: what is doubted is
 * computed from the lines.
 */
export function tileHashes(dir: string, size: number, root?: Buffer): HashOf {
  return new TileTree(dir, size, root ?? null).hashOf
}

/** Reads tiles and lines of one folder; keeps what it read. */
export class TileTree {
  readonly #dir: string
  readonly #size: number
  readonly #tiles = new Map<string, Buffer>()
  readonly #computing = new Set<string>()
  readonly #entries: EntryLines
  /** False: tiles on disk do not lead to the root, and lines alone count. */
  #believed = true
  /** True: a tile is held against the one above it. */
  readonly #checked: boolean

  constructor(dir: string, size: number, root: Buffer | null = null) {
    this.#dir = dir
    this.#size = size
    this.#entries = new EntryLines(dir)
    this.#checked = root !== null
    if (root === null || this.#leadsTo(root)) return
    this.#believed = false
    this.#tiles.clear()
    if (!this.#leadsTo(root)) throw new Error(`neither the tiles nor the lines in ${dir} have the root that is asked for`)
  }

  readonly hashOf: HashOf = ({ level, index }) => {
    if ((index + 1) * 2 ** level > this.#size) throw new RangeError(`node ${level}/${index} is not whole in a tree of ${this.#size}`)
    const tileLevel = Math.floor(level / 8)
    const span = 2 ** (level % 8)
    const first = index * span
    const tile = this.tile(tileLevel, Math.floor(first / tileWidth))
    const at = first % tileWidth
    return subtreeHash(tile.subarray(at * hashBytes, (at + span) * hashBytes))
  }

  /** The hashes of a tile as far as the tree of this size has them. Throws an Error when they are not to be had. */
  tile(level: number, index: number): Buffer {
    const name = wholeTile(level, index)
    const known = this.#tiles.get(name)
    if (known !== undefined) return known
    const stored = this.#believed ? readTile(this.#dir, level, index, this.#width(level, index)) : null
    const tile = stored !== null && this.#fits(level, index, stored) ? stored : this.#computed(level, index)
    this.#tiles.set(name, tile)
    return tile
  }

  #leadsTo(root: Buffer): boolean {
    try {
      return rootOf(edgeNodes(this.#size).map(this.hashOf)).equals(root)
    } catch {
      return false
    }
  }

  #width(level: number, index: number): number {
    const { whole, partial } = tilesAt(level, this.#size)
    return index < whole ? tileWidth : index === whole ? partial : 0
  }

  /** Is a tile what the one above says of it? The hashes of a partial one are all under the edge, which was held against the root. */
  #fits(level: number, index: number, tile: Buffer): boolean {
    const above = Math.floor(index / tileWidth)
    if (!this.#checked || tile.length < tileWidth * hashBytes || this.#width(level + 1, above) === 0) return true
    // what is computed from this tile is held against the one above in its turn
    if (this.#computing.has(wholeTile(level + 1, above))) return true
    return subtreeHash(tile).equals(this.hashOf({ level: (level + 1) * 8, index }))
  }

  #computed(level: number, index: number): Buffer {
    const name = wholeTile(level, index)
    const tile = this.#fromBelow(level, index, name)
    if (level === 0 || this.#fits(level, index, tile)) return tile
    // a tile below is wrong, and which one cannot be told
    this.#believed = false
    this.#tiles.clear()
    return this.#fromBelow(level, index, name)
  }

  #fromBelow(level: number, index: number, name: string): Buffer {
    const hashes: Buffer[] = []
    const first = index * tileWidth
    this.#computing.add(name)
    for (let at = 0; at < this.#width(level, index); at++)
      hashes.push(level === 0 ? leafHash(this.#entries.entry(first + at)) : subtreeHash(this.tile(level - 1, first + at)))
    this.#computing.delete(name)
    return Buffer.concat(hashes)
  }
}

/** Entries of the tree, computed from the segments that still have them. */
class EntryLines {
  readonly #dir: string
  readonly #segments = new Map<string, Buffer>()
  #rows: readonly SegmentRow[] | null = null

  constructor(dir: string) {
    this.#dir = dir
  }

  entry(index: number): Buffer {
    this.#rows ??= listSegments(this.#dir)
    const row = this.#rows.findLast(({ first }) => first <= index + 1)
    if (row === undefined) throw new Error(`line ${index + 1} is not in the ledger any more, and no tile holds it`)
    let entries = this.#segments.get(row.path)
    const at = (index + 1 - row.first) * hashBytes
    if (entries === undefined) this.#segments.set(row.path, (entries = entriesOf(row.path)))
    if (at >= entries.length) throw new Error(`line ${index + 1} is not in the ledger`)
    return entries.subarray(at, at + hashBytes)
  }
}

/** SHA-256 of each whole line of a segment, one after the other. */
export function entriesOf(path: string): Buffer {
  const digests: Buffer[] = []
  const fd = openSync(path, 'r')
  try {
    for (const { bytes } of linesNow(fd, 0)) digests.push(hash('sha256', bytes, 'buffer'))
  } finally {
    closeSync(fd)
  }
  return Buffer.concat(digests)
}

/** The first `width` hashes of a tile from the file that has them; null when none does. */
export function readTile(dir: string, level: number, index: number, width: number): Buffer | null {
  const whole = join(dir, wholeTile(level, index))
  const partial = `${whole}.p`
  const widths = existsSync(partial) ? readdirSync(partial).map(Number) : []
  const enough = widths.filter((one) => one >= width && one < tileWidth).sort((a, b) => a - b)
  for (const [path, count] of [[whole, tileWidth] as const, ...enough.map((one) => [join(partial, String(one)), one] as const)]) {
    if (!existsSync(path)) continue
    const bytes = readFileSync(path)
    if (bytes.length === count * hashBytes) return bytes.subarray(0, width * hashBytes)
  }
  return null
}

function wholeTile(level: number, index: number): string {
  return tilePath({ level, index, width: tileWidth })
}
