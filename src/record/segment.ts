/** Segments: the files of a ledger, each named after the number of its first line. */

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { LedgerIo } from './ledger-io.ts'

/** A segment as a reader finds it. */
export interface SegmentRow {
  readonly path: string
  readonly first: number
  /** Bytes. */
  readonly size: number
}

/** The segments of a ledger folder, in order; other files are passed over. */
export function listSegments(dir: string): SegmentRow[] {
  const rows: SegmentRow[] = []
  for (const name of readdirSync(dir)) {
    const first = segmentFirst(name)
    if (first === null) continue
    const path = join(dir, name)
    rows.push({ path, first, size: statSync(path).size })
  }
  return rows.sort((a, b) => a.first - b.first)
}

/** The number that a segment's file name states, or null when it is not named like one. */
export function segmentFirst(name: string): number | null {
  const match = /^(\d{12})\.ndjson$/.exec(name)
  return match === null ? null : Number(match[1])
}

function segmentPath(dir: string, first: number): string {
  return join(dir, `${String(first).padStart(12, '0')}.ndjson`)
}

/** One segment open for appending. Owned by the ledger. */
export class SegmentFile {
  readonly path: string
  readonly #io: LedgerIo
  readonly #synced: boolean
  #fd: number | null

  private constructor(path: string, fd: number, io: LedgerIo, synced: boolean) {
    this.path = path
    this.#fd = fd
    this.#io = io
    this.#synced = synced
  }

  /** Creates the segment whose first line will be `first`; throws when it exists. */
  static create(dir: string, first: number, io: LedgerIo, synced: boolean): SegmentFile {
    const path = segmentPath(dir, first)
    const segment = new SegmentFile(path, io.open(path, 'ax'), io, synced)
    if (!synced) return segment
    try {
      const folder = io.open(dir, 'r')
      try {
        io.syncNow(folder) // the name must survive power loss before a line in it is acknowledged
      } finally {
        io.close(folder)
      }
    } catch (error) {
      segment.abandon(0)
      throw error
    }
    return segment
  }

  /** Opens an existing segment; what follows `size` is cut off first. */
  static reopen(path: string, size: number | null, io: LedgerIo, synced: boolean): SegmentFile {
    if (size !== null) cut(path, size, io, synced)
    return new SegmentFile(path, io.open(path, 'a'), io, synced)
  }

  /** Writes all of it or throws; what a failed write left behind is for `abandon`. */
  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const written = this.#io.write(this.#open(), bytes, at, bytes.length - at)
      if (written <= 0) throw new Error('the disk took no bytes')
      at += written
    }
  }

  sync(done: (error: Error | null) => void): void {
    this.#io.sync(this.#open(), done)
  }

  syncNow(): void {
    this.#io.syncNow(this.#open())
  }

  close(): void {
    const fd = this.#open()
    this.#fd = null
    this.#io.close(fd)
  }

  /**
   * Gives the segment up after a failed write or sync, cut back to `size` acknowledged bytes (0 removes it).
   * The failed descriptor is never synced again: what a second sync says about lost pages means nothing.
   * Throws when it cannot be cut; may be called again.
   */
  abandon(size: number): void {
    if (this.#fd !== null) {
      const fd = this.#fd
      this.#fd = null
      try {
        this.#io.close(fd)
      } catch {
        // the descriptor is gone either way, and what counts is the file, cut below
      }
    }
    if (size === 0) this.#io.unlink(this.path)
    else cut(this.path, size, this.#io, this.#synced)
  }

  #open(): number {
    if (this.#fd === null) throw new Error('the segment is closed')
    return this.#fd
  }
}

function cut(path: string, size: number, io: LedgerIo, synced: boolean): void {
  const fd = io.open(path, 'r+')
  try {
    io.truncate(fd, size)
    if (synced) io.syncNow(fd)
  } finally {
    io.close(fd)
  }
}
