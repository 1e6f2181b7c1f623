/** Reads the tree of a ledger: from its tiles where they are there, else from the lines. */

import { hash } from 'node:crypto'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { linesNow } from './lines.ts'
import { edgeNodes, includes, inclusionProof, leafHash, rootOf, type HashOf } from './merkle.ts'
import { listSegments, type SegmentRow } from './segment.ts'
import { tileHeight, tilePath, tileWidth } from './tile-path.ts'
import { tileRoot } from './tile-writer.ts'

/**
 * The hashes of the tree of the first `size` lines of a ledger folder, read when they are asked for; it throws an Error for one that
 * neither tiles nor lines give any more. Tiles are taken at their word: hold what is made of them to a root that is signed.
 */
export function tileHashes(dir: string, size: number): HashOf {
  return new Tiles(dir, size, true).hashOf
}

/**
 * The audit paths of lines (by number) in the tree of `size` lines, held to `root`. Where the tiles do not lead there, the lines are
 * asked instead. Throws an Error when those do not either: then the ledger is not the one that was signed.
 */
export function auditPaths(
  dir: string,
  size: number,
  root: Buffer,
  lines: readonly { readonly seq: number; readonly hash: Buffer }[],
): Buffer[][] {
  for (const trusting of [true, false]) {
    const { hashOf } = new Tiles(dir, size, trusting)
    const paths = lines.map(({ seq }) => attempt(() => inclusionProof(seq - 1, size, hashOf)))
    const good = lines.every(({ seq, hash: entry }, at) => includes(leafHash(entry), seq - 1, size, paths[at] ?? [], root))
    if (good) return paths.map((path) => path ?? [])
  }
  throw new Error('the lines of this ledger do not lead to the root that was signed: verify it')
}

/** The root of the first `size` lines; throws as `tileHashes` does. */
export function rootOfLedger(dir: string, size: number): Buffer {
  const hashOf = tileHashes(dir, size)
  return rootOf(edgeNodes(size).map(hashOf))
}

function attempt<Value>(make: () => Value): Value | null {
  try {
    return make()
  } catch {
    return null
  }
}

class Tiles {
  readonly #dir: string
  readonly #size: number
  /** Whether files of tiles are read at all. */
  readonly #trusting: boolean
  readonly #known = new Map<string, readonly Buffer[]>()
  #segments: readonly SegmentRow[] | null = null

  constructor(dir: string, size: number, trusting: boolean) {
    this.#dir = dir
    this.#size = size
    this.#trusting = trusting
  }

  readonly hashOf: HashOf = ({ level, index }) => {
    const at = Math.floor(level / tileHeight)
    const count = 2 ** (level - at * tileHeight)
    const first = index * count
    if ((index + 1) * 2 ** level > this.#size) throw new RangeError(`the node ${level}/${index} is not whole in a tree of ${this.#size}`)
    const tile = this.#tile(at, Math.floor(first / tileWidth))
    const begin = first % tileWidth
    return tileRoot(tile.slice(begin, begin + count))
  }

  /** The hashes of a tile, as many as the tree has. */
  #tile(level: number, index: number): readonly Buffer[] {
    const key = `${level}/${index}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const nodes = Math.floor(this.#size / tileWidth ** level)
    const width = Math.min(tileWidth, nodes - index * tileWidth)
    const found = this.#file(level, index, width) ?? (level === 0 ? this.#leaves(index, width) : this.#above(level, index, width))
    this.#known.set(key, found)
    return found
  }

  #file(level: number, index: number, width: number): readonly Buffer[] | null {
    if (!this.#trusting) return null
    for (const one of width === tileWidth ? [tileWidth] : [width, tileWidth]) {
      try {
        const bytes = readFileSync(join(this.#dir, tilePath({ level, index, width: one })))
        if (bytes.length === one * 32) return Array.from({ length: width }, (_, at) => bytes.subarray(at * 32, at * 32 + 32))
      } catch {
        // not written, or not any more: the lines have it
      }
    }
    return null
  }

  #above(level: number, index: number, width: number): readonly Buffer[] {
    return Array.from({ length: width }, (_, at) => tileRoot(this.#tile(level - 1, index * tileWidth + at)))
  }

  #leaves(index: number, width: number): readonly Buffer[] {
    const first = index * tileWidth + 1
    const leaves: Buffer[] = []
    this.#segments ??= listSegments(this.#dir)
    const begin = this.#segments.findLastIndex((row) => row.first <= first)
    for (const row of begin < 0 ? [] : this.#segments.slice(begin)) {
      leavesOf(row, first, width, leaves)
      if (leaves.length === width) return leaves
    }
    throw new Error(`the lines ${first} to ${first + width - 1} are not there`)
  }
}

/** Adds the leaves of a segment's lines from number `first` on, up to `most` in all. */
function leavesOf(row: SegmentRow, first: number, most: number, leaves: Buffer[]): void {
  const fd = openSync(row.path, 'r')
  try {
    let seq = row.first
    for (const { bytes } of linesNow(fd, 0)) {
      if (seq >= first) leaves.push(leafHash(hash('sha256', bytes, 'buffer')))
      if (leaves.length === most) return
      seq += 1
    }
  } finally {
    closeSync(fd)
  }
}
