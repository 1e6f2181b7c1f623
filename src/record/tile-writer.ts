/** Writes the tiles of a tree as it grows. They are derived: what cannot be written is said once, and a reader computes it from the lines. */

import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { nodeHash, type NodeId } from './merkle.ts'
import { tileHeight, tilePath, tileWidth, type TileId } from './tile-path.ts'

/** Tiles that are not whole, at one moment: what they are, and their bytes. */
export type Partials = readonly (readonly [tile: TileId, bytes: Buffer])[]

interface Growing {
  index: number
  hashes: Buffer[]
}

export class TileWriter {
  readonly #dir: string
  readonly #failed: (error: unknown) => void
  /** Tile level → the one that is not whole yet. */
  readonly #levels: (Growing | undefined)[] = []
  #entries: Buffer[] = []
  #failing = false
  /** Paths of partial tiles that lie there. */
  #lying: string[] = []

  /** `failed` is told of the first failure after a success. */
  constructor(dir: string, failed: (error: unknown) => void) {
    this.#dir = dir
    this.#failed = failed
  }

  /** Takes an entry of the tree; its leaf follows as a node. */
  entry(entry: Buffer): void {
    this.#entries.push(entry)
  }

  /** Takes a node that is whole, each after those below it. */
  node({ level, index }: NodeId, hash: Buffer): void {
    if (level % tileHeight !== 0) return
    const at = level / tileHeight
    const growing = (this.#levels[at] ??= { index: Math.floor(index / tileWidth), hashes: [] })
    // the beginning of this tile is not known here: a reader makes it from the lines
    if (index % tileWidth !== growing.hashes.length) return void (growing.index = Math.floor(index / tileWidth) + 1)
    growing.hashes.push(hash)
    if (growing.hashes.length < tileWidth) return
    this.#write(tilePath({ level: at, index: growing.index, width: tileWidth }), Buffer.concat(growing.hashes))
    if (at === 0) {
      this.#write(tilePath({ level: 'entries', index: growing.index, width: tileWidth }), bundle(this.#entries))
      this.#entries = []
    }
    growing.index += 1
    growing.hashes = []
  }

  /** What belongs to the size of the tree now. */
  partials(): Partials {
    const found: [TileId, Buffer][] = []
    for (const [level, growing] of this.#levels.entries()) {
      // a level of the tree is not there before the one below it is full
      const { index, hashes } = growing ?? { index: 0, hashes: [] }
      if (hashes.length === 0) continue
      found.push([{ level, index, width: hashes.length }, Buffer.concat(hashes)])
      if (level === 0) found.push([{ level: 'entries', index, width: hashes.length }, bundle(this.#entries)])
    }
    return found
  }

  /** Lays partial tiles and the note that they belong to; those of the checkpoint before go. */
  lay(partials: Partials, note: string): void {
    const paths = partials.map(([tile]) => tilePath(tile))
    for (const [at, [, bytes]] of partials.entries()) this.#write(paths[at] ?? '', bytes)
    this.#write('checkpoint', Buffer.from(note))
    const folders = new Set(paths.map(dirname))
    for (const path of this.#lying) {
      if (!folders.has(dirname(path))) rmSync(join(this.#dir, dirname(path)), { recursive: true, force: true })
      else if (!paths.includes(path)) rmSync(join(this.#dir, path), { force: true })
    }
    this.#lying = paths
  }

  /** Aside and renamed: a reader finds a whole tile or none. */
  #write(path: string, bytes: Buffer): void {
    const whole = join(this.#dir, path)
    try {
      try {
        writeAside(whole, bytes)
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
        mkdirSync(dirname(whole), { recursive: true, mode: 0o700 })
        writeAside(whole, bytes)
      }
      this.#failing = false
    } catch (error) {
      if (!this.#failing) this.#failed(error)
      this.#failing = true
    }
  }
}

/** The root over a whole tile of hashes. */
export function tileRoot(hashes: readonly Buffer[]): Buffer {
  let level = hashes
  while (level.length > 1)
    level = Array.from({ length: level.length / 2 }, (_, at) => nodeHash(level[at * 2] as Buffer, level[at * 2 + 1] as Buffer))
  return level[0] as Buffer
}

/** Entries as tlog-tiles bundles them: each after its length, big-endian, 16 bits. */
function bundle(entries: readonly Buffer[]): Buffer {
  return Buffer.concat(entries.flatMap((entry) => [Buffer.of(0, entry.length), entry]))
}

function writeAside(path: string, bytes: Buffer): void {
  const aside = `${path}.new`
  const fd = openSync(aside, 'w', 0o600)
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
  } finally {
    closeSync(fd)
  }
  renameSync(aside, path)
}
