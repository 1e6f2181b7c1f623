/** The end of the chain on disk: where it is written to, what of it has been acknowledged, and how a failed write is undone. */

import type { LedgerIo } from './ledger-io.ts'
import type { Head, Recovered } from './recover.ts'
import { SegmentFile } from './segment.ts'

export interface ChainFileOptions {
  readonly dir: string
  readonly io: LedgerIo
  /** True: a line counts once it is synced; false: once it is written. */
  readonly synced: boolean
  readonly segmentBytes: number
  /** Epoch ms. */
  readonly clock: () => number
}

interface Position extends Head {
  /** In the present segment. */
  readonly offset: number
}

const dayMs = 86_400_000

export class ChainFile {
  readonly #options: ChainFileOptions
  /** Null: the next write begins a new segment. */
  #segment: SegmentFile | null = null
  #day: number
  /** The segment may hold bytes that nobody was told of: it is cut back and given up before the next write. */
  #torn = false
  #written: Position
  #acknowledged: Position

  /** Goes on where `recovered` ended, cutting off what was torn. */
  constructor(options: ChainFileOptions, recovered: Recovered) {
    const { segment, dropped, head, time } = recovered
    this.#options = options
    this.#day = dayOf(Number.isNaN(time) ? options.clock() : time)
    if (segment !== null) this.#segment = SegmentFile.reopen(segment.path, dropped > 0 ? segment.size : null, options.io, options.synced)
    this.#written = this.#acknowledged = { ...head, offset: segment?.size ?? 0 }
  }

  /** The last line written, acknowledged or not. */
  get written(): Head {
    return this.#written
  }

  get acknowledged(): Head {
    return this.#acknowledged
  }

  /** Undoes what a failed write or sync left in the segment; throws when it cannot yet. */
  mend(): void {
    if (!this.#torn) return
    this.#segment?.abandon(this.#acknowledged.offset)
    this.#segment = null
    this.#written = this.#acknowledged = { ...this.#acknowledged, offset: 0 }
    this.#torn = false
  }

  /** Appends whole lines that end at `head`, in one write; throws when any byte could not be written. */
  append(bytes: Uint8Array, head: Head): void {
    const { dir, io, synced, clock } = this.#options
    if (this.#segment === null) {
      this.#segment = SegmentFile.create(dir, this.#written.seq + 1, io, synced)
      this.#day = dayOf(clock())
    }
    this.#torn = true
    this.#segment.write(bytes)
    this.#torn = false
    this.#written = { seq: head.seq, hash: head.hash, offset: this.#written.offset + bytes.length }
    if (!synced) this.#acknowledged = this.#written
  }

  /** Does the next line begin a segment? */
  get atBeginning(): boolean {
    return this.#written.offset === 0
  }

  /** Is the segment full, or of another UTC day? */
  get rotationDue(): boolean {
    const { offset } = this.#written
    return offset > 0 && (offset >= this.#options.segmentBytes || dayOf(this.#options.clock()) !== this.#day)
  }

  /** Ends the segment. */
  rotate(): void {
    const segment = this.#segment
    if (segment === null) return
    if (this.#options.synced) {
      this.#torn = true
      segment.syncNow()
      this.#torn = false
    }
    this.#segment = null
    this.#written = this.#acknowledged = { ...this.#written, offset: 0 }
    segment.close()
  }

  /** Makes what was written last; calls `done` at once when writing is enough. After an error the lines since are taken back. */
  settle(done: (error: Error | null) => void): void {
    if (this.#segment === null || this.#written === this.#acknowledged) {
      done(null)
      return
    }
    const written = this.#written
    this.#segment.sync((error) => {
      this.#torn = error !== null
      if (error === null) this.#acknowledged = written
      done(error)
    })
  }

  /** Forgets lines that were written and not acknowledged; gives their number of bytes. `mend` removes them from the disk. */
  takeBack(): number {
    const bytes = this.#written.offset - this.#acknowledged.offset
    if (bytes > 0) this.#torn = true
    this.#written = this.#acknowledged
    return bytes
  }

  /** Throws when the segment cannot be synced or closed. */
  close(): void {
    const segment = this.#segment
    this.#segment = null
    if (!this.#torn) segment?.syncNow()
    segment?.close()
  }
}

function dayOf(ms: number): number {
  return Math.floor(ms / dayMs)
}
