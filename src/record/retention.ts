/** Retention: which of the oldest segments may go, and their going. What remains verifies: it begins with a checkpoint. */

import { closeSync, fsyncSync, openSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { linesNow } from './lines.ts'
import type { Log } from './ledger-options.ts'
import type { LedgerEvent } from './record.ts'
import { listSegments, type SegmentRow } from './segment.ts'
import { readStored } from './stored-line.ts'
import { tileBytes } from './tile-files.ts'
import { tilePath, tileWidth, type TileId } from './tile-path.ts'

/** How long lines are kept; what is null or absent keeps them for ever. */
export interface Keep {
  /** ms since a segment was last written. */
  readonly age?: number | null | undefined
  /** Bytes of all segments. */
  readonly size?: number | null | undefined
}

export interface RetentionOptions {
  readonly dir: string
  readonly keep: Keep
  /** The ledger is synced: the folder is, too, once something was removed. */
  readonly synced: boolean
  /** Epoch ms. */
  readonly clock: () => number
  /** Number of the first line that is needed still: by an open call, by a sink, or for the tree. */
  readonly needed: () => number
  /** Resolves when the tiles that lines wait for are written, or cannot be. */
  readonly settled: () => Promise<void>
  readonly event: (event: LedgerEvent) => Promise<void>
  /** Signs what stands in the ledger. */
  readonly checkpoint: () => Promise<void>
  /** Told when room was made. */
  readonly removed: () => void
  readonly log: Log
  /** Between looks, ms (1 h). */
  readonly every?: number
}

/** Ms that an end waits for tiles. */
const longestClose = 1000

interface Going {
  readonly segments: readonly SegmentRow[]
  /** The first that stays. */
  readonly first: SegmentRow
  readonly cause: 'age' | 'size'
}

export class Retention {
  readonly #options: RetentionOptions
  readonly #timer: NodeJS.Timeout | null
  #running: Promise<void> | null = null
  /** A segment has ended during the present look. */
  #more = false
  /** Resolved: tiles are no longer waited for. */
  readonly #impatient = Promise.withResolvers<void>()

  constructor(options: RetentionOptions) {
    this.#options = options
    const { age, size } = options.keep
    const wanted = typeof age === 'number' || typeof size === 'number'
    this.#timer = wanted ? setInterval(() => void this.look(), options.every ?? 3_600_000) : null
    this.#timer?.unref()
  }

  /** A segment has ended. */
  grown(): void {
    if (this.#timer === null) return
    this.#more = this.#running !== null
    void this.look()
  }

  /** Removes what may go now. Never rejects. */
  look(): Promise<void> {
    this.#running ??= this.#looks().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    const tooLong = setTimeout(() => this.#impatient.resolve(), longestClose)
    await this.#running
    clearTimeout(tooLong)
  }

  async #looks(): Promise<void> {
    do {
      this.#more = false
      await this.#look()
    } while (this.#more)
  }

  async #look(): Promise<void> {
    const { log, event } = this.#options
    try {
      await Promise.race([this.#options.settled(), this.#impatient.promise])
      const going = this.#going()
      if (going === null) return
      const { segments, first, cause } = going
      const bytes = segments.reduce((sum, { size }) => sum + size, 0)
      const lines = first.first - (segments[0]?.first ?? first.first)
      const detail = { first: first.first, lines, bytes, segments: segments.length, cause, oldest: timeOf(first) }
      // the ledger says so before: lines that are missing without it were taken away by somebody else
      await event({ kind: 'ledger.pruned', by: 'countersign', detail })
      // signed before anything goes: an event that no signature covers excuses nothing
      await this.#options.checkpoint()
      this.#remove(segments, first.first)
      log.info(detail, 'old lines of the ledger were removed, as record.ledger.keep says')
    } catch (error) {
      log.warn({ cause: error instanceof Error ? error.message : 'unknown' }, 'old lines of the ledger could not be removed')
    }
  }

  #going(): Going | null {
    const { dir, keep, clock, needed } = this.#options
    const rows = listSegments(dir)
    const must = needed()
    let total = rows.reduce((sum, { size }) => sum + size, 0)
    let cause: Going['cause'] | null = null
    let at = 0
    for (; at + 1 < rows.length && (rows[at + 1]?.first ?? Infinity) <= must; at++) {
      const row = rows[at]
      if (row === undefined) break
      const old = typeof keep.age === 'number' && clock() - statSync(row.path).mtimeMs > keep.age
      const large = typeof keep.size === 'number' && total > keep.size
      if (!old && !large) break
      cause ??= old ? 'age' : 'size'
      total -= row.size
    }
    const first = rows[at]
    return cause === null || first === undefined ? null : { segments: rows.slice(0, at), first, cause }
  }

  /** Oldest first: whenever it ends, what remains is one piece. Entries of lines that are gone go with them, and leaves that nothing needs. */
  #remove(segments: readonly SegmentRow[], first: number): void {
    const { dir, synced, removed } = this.#options
    for (const { path } of segments) rmSync(path)
    const begin = Math.floor(((segments[0]?.first ?? 1) - 1) / tileWidth)
    const end = Math.floor((first - 1) / tileWidth)
    for (let index = begin; index < end; index++) rmSync(pathOf(dir, 'entries', index), { force: true })
    // the tile above is made from these while it is not there: without it, lines that stay could not be proven by tiles
    for (let above = Math.floor(begin / tileWidth); above * tileWidth < end; above++) {
      if (!liesWhole(pathOf(dir, 1, above))) continue
      for (let index = above * tileWidth; index < Math.min(end, (above + 1) * tileWidth); index++)
        rmSync(pathOf(dir, 0, index), { force: true })
    }
    if (synced) syncFolder(dir)
    removed()
  }
}

function pathOf(dir: string, level: TileId['level'], index: number): string {
  return join(dir, tilePath({ level, index, width: tileWidth }))
}

/** Is a whole tile of hashes there? */
function liesWhole(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.size === tileBytes({ level: 0, index: 0, width: tileWidth })
}

function syncFolder(dir: string): void {
  const fd = openSync(dir, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The time of the first line of a segment. */
function timeOf({ path }: SegmentRow): string | null {
  const fd = openSync(path, 'r')
  try {
    for (const { bytes } of linesNow(fd, 0)) {
      const time = readStored(bytes.toString())?.time ?? Number.NaN
      return Number.isNaN(time) ? null : new Date(time).toISOString()
    }
    return null
  } finally {
    closeSync(fd)
  }
}
