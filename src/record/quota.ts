/** How many bytes a ledger may hold, and who may use the last of them. */

import { listSegments } from './segment.ts'
import type { Part } from './chain.ts'

/** Room kept for the outcome of each open call, so that a full ledger can still say how they ended. */
const outcomeReserve = 1536
const rescanMs = 1000

export class Quota {
  readonly #dir: string
  readonly #most: number
  readonly #clock: () => number
  #used: number
  #scanned = Number.NEGATIVE_INFINITY
  #exhausted = false

  constructor(dir: string, most: number, used: number, clock: () => number) {
    this.#dir = dir
    this.#most = most
    this.#used = used
    this.#clock = clock
  }

  /** True since a line of a known caller was turned away for want of room. */
  get exhausted(): boolean {
    return this.#exhausted
  }

  /** Counts bytes written (or, negative, cut off). */
  spend(bytes: number): void {
    this.#used += bytes
  }

  /** May a line of this rank and size be added while `open` calls await their outcome? */
  admits(rank: Part['rank'], bytes: number, open: number): boolean {
    if (rank === 'own' || this.#fits(rank, bytes, open)) return true
    this.#rescan()
    const fits = this.#fits(rank, bytes, open)
    // what fits only now was made room for since
    if (rank === 'known') this.#exhausted = !fits
    return fits
  }

  /** Looks whether segments were taken away since; at most once a second. */
  refresh(open: number): void {
    this.#rescan()
    if (this.#fits('known', outcomeReserve, open)) this.#exhausted = false
  }

  #fits(rank: Part['rank'], bytes: number, open: number): boolean {
    const limit = rank === 'unknown' ? this.#most * 0.9 : this.#most
    return this.#used + bytes + open * outcomeReserve <= limit
  }

  #rescan(): void {
    const now = this.#clock()
    if (Math.abs(now - this.#scanned) < rescanMs) return
    this.#scanned = now
    try {
      this.#used = listSegments(this.#dir).reduce((sum, row) => sum + row.size, 0)
    } catch {
      // a folder that cannot be listed: the figure kept by counting still holds
    }
  }
}
