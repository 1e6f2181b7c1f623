/**
 * The tiles of a tree as it grows, written behind the back of whoever writes lines. Tiles are derived: one that cannot be written holds up
 * nothing but the note that it belongs to, is tried again, and is made from the lines at a start where it is not there.
 */

import { dirname } from 'node:path'
import { causeOf, type Log } from './ledger-options.ts'
import type { NodeId } from './merkle.ts'
import { bundle, type TileFiles } from './tile-files.ts'
import { tileHeight, tilePath, tileWidth, type TileId } from './tile-path.ts'
import { repairTiles, type Gap, type Repaired } from './tile-repair.ts'

/** A tile on its way to be whole. `missing`: how many of its first hashes are not known. */
export interface GrowingTile {
  readonly level: TileId['level']
  readonly index: number
  missing: number
  readonly hashes: Buffer[]
}

/** The tiles that are not whole at one size of the tree, and how wide they are there. */
export type Partials = readonly { readonly tile: GrowingTile; readonly width: number }[]

export interface TileStoreOptions {
  readonly dir: string
  readonly files: TileFiles
  readonly log: Log
  /** Between attempts while tiles cannot be written, ms. */
  readonly retryMs: number
  /** Tiles that wait in memory (512); those beyond are made from the lines. */
  readonly mostWaiting?: number
}

const mostWaiting = 512
/** Tiles that are written side by side. */
const abreast = 16
/** Ms. */
const longestClose = 1000
/** Failures after which an attempt is given up. */
const mostFailures = 3

export class TileStore {
  readonly #options: TileStoreOptions
  readonly #growing = new Map<TileId['level'], GrowingTile>()
  /** Whole tiles that wait to be written, by path, in their order. */
  readonly #whole = new Map<string, GrowingTile>()
  #laying: { readonly partials: Partials; readonly note: string } | null = null
  /** Paths of partial tiles that lie there. */
  #lying: readonly string[] = []
  /** Some tile may not be there: at a start, and where too many waited. */
  #due = true
  #repairing = false
  /** Counts what is asked for; whoever waits, waits for a count to be reached. */
  #asked = 0
  #waiting: { readonly upTo: number; readonly resolve: () => void }[] = []
  #running: Promise<void> | null = null
  #retry: NodeJS.Timeout | null = null
  #failing = false
  #closing = false
  /** When a repair that is under way is broken off; monotonic ms. */
  #deadline = Infinity

  /** `begin`: the tiles that are not whole where the tree goes on. */
  constructor(options: TileStoreOptions, begin: readonly GrowingTile[]) {
    this.#options = options
    for (const tile of begin) this.#growing.set(tile.level, tile)
  }

  /** Number of the first line that a tile which is not on the disk is made from; Infinity when there is none. */
  get needed(): number {
    if (this.#due || this.#repairing) return 1
    let least = Infinity
    for (const { level, index } of this.#whole.values())
      if (level === 0 || level === 'entries') least = Math.min(least, index * tileWidth + 1)
    return least
  }

  /** Takes an entry of the tree; its leaf follows as a node. `index`: its place, from 0. */
  entry(index: number, entry: Buffer): void {
    this.#take('entries', index, entry)
  }

  /** Takes a node that is whole, each after those below it. */
  node({ level, index }: NodeId, hash: Buffer): void {
    if (level % tileHeight === 0) this.#take(level / tileHeight, index, hash)
  }

  #take(level: TileId['level'], index: number, hash: Buffer): void {
    const tile = this.#growing.get(level) ?? { level, index: Math.floor(index / tileWidth), missing: 0, hashes: [] }
    tile.hashes.push(isLow(level) ? hash : ofItsOwn(hash))
    this.#growing.set(level, tile)
    if (tile.missing + tile.hashes.length < tileWidth) return
    this.#growing.set(level, { level, index: tile.index + 1, missing: 0, hashes: [] })
    if (tile.missing > 0 || this.#whole.size >= (this.#options.mostWaiting ?? mostWaiting)) this.#due = true
    else this.#whole.set(pathOf(tile, tileWidth), tile)
    this.#asked += 1
    if (this.#retry === null) this.#run()
  }

  /** What belongs to the size of the tree now. */
  partials(): Partials {
    return [...this.#growing.values()].map((tile) => ({ tile, width: tile.missing + tile.hashes.length })).filter(({ width }) => width > 0)
  }

  /** Lays partial tiles, and once all tiles of their size are there the note that they belong to; the partial tiles of the one before go then. */
  lay(partials: Partials, note: string): void {
    this.#laying = { partials, note }
    this.#asked += 1
    this.#run()
  }

  /** Resolves when all that was asked for by now is on the disk, or could not be written. */
  settled(): Promise<void> {
    if (this.#running === null) return Promise.resolve()
    const upTo = this.#asked
    return new Promise((resolve) => this.#waiting.push({ upTo, resolve }))
  }

  /** Writes what waits, in one more attempt; what a repair does not make within a second is left to the next start. */
  async close(): Promise<void> {
    this.#closing = true
    this.#deadline = performance.now() + longestClose
    await this.#running
    if (this.#whole.size > 0 || this.#laying !== null) this.#run()
    await this.#running
    if (this.#retry !== null) clearTimeout(this.#retry)
  }

  #run(): void {
    if (this.#retry !== null) clearTimeout(this.#retry)
    this.#retry = null
    this.#running ??= this.#attempt().finally(() => {
      this.#running = null
      this.#release(Infinity)
    })
  }

  async #attempt(): Promise<void> {
    for (let upTo = -1; upTo !== this.#asked;) {
      upTo = this.#asked
      const laying = this.#laying
      try {
        await this.#writeWhole()
        if (this.#due && performance.now() < this.#deadline) await this.#repair()
        // no note lies over tiles that are not there
        if (laying !== null && !this.#due) await this.#writeNote(laying)
      } catch (error) {
        this.#failed(error)
        return
      }
      if (this.#failing) this.#options.log.info({}, 'tiles of the ledger can be written again')
      this.#failing = false
      this.#release(upTo)
    }
  }

  #failed(error: unknown): void {
    if (!this.#failing) this.#options.log.warn({ cause: causeOf(error) }, 'tiles of the ledger cannot be written: they are tried again')
    this.#failing = true
    if (this.#closing) return
    this.#retry = setTimeout(() => this.#run(), this.#options.retryMs)
    this.#retry.unref()
  }

  #release(upTo: number): void {
    const waiting = this.#waiting
    this.#waiting = waiting.filter((one) => one.upTo > upTo)
    for (const one of waiting) if (one.upTo <= upTo) one.resolve()
  }

  /** Some side by side, or a busy loop would fall behind. One that cannot be written does not hold up the others. */
  async #writeWhole(): Promise<void> {
    const failed = new Map<string, unknown>()
    const next = (): [string, GrowingTile][] => [...this.#whole].filter(([path]) => !failed.has(path)).slice(0, abreast)
    for (let batch = next(); batch.length > 0 && failed.size < mostFailures; batch = next()) {
      await Promise.all(
        batch.map(([path, tile]) =>
          this.#options.files.write(path, bytesOf(tile, tileWidth)).then(
            () => this.#whole.delete(path),
            (error: unknown) => failed.set(path, error),
          ),
        ),
      )
    }
    const [error] = failed.values()
    if (failed.size > 0) throw error
  }

  async #writeNote(laying: { readonly partials: Partials; readonly note: string }): Promise<void> {
    const { files } = this.#options
    const paths: string[] = []
    for (const { tile, width } of laying.partials) {
      // its beginning is lost for good: a reader makes what it needs of it from the lines
      if (tile.missing > 0) continue
      const path = pathOf(tile, width)
      await files.write(path, bytesOf(tile, width))
      paths.push(path)
    }
    await files.write('checkpoint', Buffer.from(laying.note))
    if (this.#laying === laying) this.#laying = null
    const old = this.#lying.filter((path) => !paths.includes(path))
    this.#lying = paths
    const folders = new Set(paths.map(dirname))
    for (const path of new Set(old.map((one) => (folders.has(dirname(one)) ? one : dirname(one))))) await files.remove(path)
  }

  async #repair(): Promise<void> {
    const { dir, files, log } = this.#options
    this.#due = false
    this.#repairing = true
    const growing = [...this.#growing.values()]
    const leaves = this.#growing.get(0)
    let found: Repaired | null = null
    try {
      found = await repairTiles({
        dir,
        files,
        size: leaves === undefined ? 0 : leaves.index * tileWidth + leaves.missing + leaves.hashes.length,
        gaps: growing.filter(isGap).map(({ level, index, missing }) => ({ level, index, count: missing })),
        coming: new Set(this.#whole.keys()),
        ended: () => performance.now() >= this.#deadline,
      })
    } finally {
      this.#repairing = false
      if (found?.whole !== true) this.#due = true
    }
    for (const [gap, hashes] of found.closed) fill(growing, gap, hashes)
    this.#lying = [...new Set([...this.#lying, ...found.partial])]
    const { made, lines, lost, whole } = found
    if (made > 0) log.info({ made, lines }, 'tiles of the ledger that were not there were made again')
    if (lost > 0 && whole) log.warn({ lost }, 'tiles of the ledger are lost: the lines that they were made of are gone')
  }
}

function isGap(tile: GrowingTile): tile is GrowingTile & { readonly level: number } {
  return tile.missing > 0 && typeof tile.level === 'number' && tile.level > 0
}

function fill(growing: readonly GrowingTile[], gap: Gap, hashes: Buffer): void {
  const tile = growing.find(({ level, index }) => level === gap.level && index === gap.index)
  if (tile === undefined || tile.missing !== gap.count) return
  tile.hashes.unshift(...Array.from({ length: gap.count }, (_, at) => hashes.subarray(at * 32, (at + 1) * 32)))
  tile.missing = 0
}

function pathOf({ level, index }: GrowingTile, width: number): string {
  return tilePath({ level, index, width })
}

function bytesOf({ level, hashes }: GrowingTile, width: number): Buffer {
  const own = hashes.slice(0, width)
  return level === 'entries' ? bundle(own) : Buffer.concat(own)
}

/** Made of lines, and whole and gone after 256 of them. */
function isLow(level: TileId['level']): boolean {
  return level === 'entries' || level === 0
}

/** A copy that holds on to its own bytes alone: one hash that is kept for long would keep the whole slab that small Buffers are cut from. */
function ofItsOwn(hash: Buffer): Buffer {
  return Buffer.from(new Uint8Array(hash).buffer)
}
