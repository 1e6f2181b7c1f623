/** What a ledger folder holds when it is opened: where the chain ends, what a crash tore, and which calls it left open. */

import { hash } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { genesis } from './chain.ts'
import { linesNow } from './lines.ts'
import type { SegmentRow } from './segment.ts'
import { listSegments } from './segment.ts'
import type { StoredLine } from './stored-line.ts'
import { readStored } from './stored-line.ts'
import { tileWidth } from './tile-path.ts'

/** The last line of a chain: its number and hash (hex). Nothing written: 0 and the genesis hash. */
export interface Head {
  readonly seq: number
  readonly hash: string
}

export interface Recovered {
  readonly head: Head
  /** Epoch ms of the last line; NaN when there is none. */
  readonly time: number
  /** The segment to go on with, and how much of it is whole; null for a new ledger. */
  readonly segment: { readonly path: string; readonly size: number } | null
  /** Decisions without an outcome: id → number of the decision line, oldest first. */
  readonly open: ReadonlyMap<string, number>
  /** Bytes of the torn last record, to be cut off. */
  readonly dropped: number
  /** First line that does not fit although whole lines follow it: nothing is cut then, and verification will name it. */
  readonly damaged: { readonly path: string; readonly offset: number } | null
  /** Bytes of all segments, the torn ones included. */
  readonly used: number
  /** The last checkpoint: its number and its whole line; null when there is none. */
  readonly checkpoint: { readonly seq: number; readonly text: string } | null
  /** Hashes (hex) of the last lines, from the last tile of the tree that was not whole at that checkpoint on. */
  readonly recent: { readonly first: number; readonly hashes: readonly string[] }
}

interface Place {
  readonly at: number
  readonly offset: number
}

interface Mark extends Place {
  readonly line: StoredLine
  readonly text: string
  /** Where the lines of its segment begin, up to its own. */
  readonly offsets: readonly number[]
}

/**
 * Reads from the last checkpoint on, or from where that checkpoint says the oldest unlisted open decision may be:
 * the work is bounded by what one checkpoint interval writes, whatever the size of the ledger. Changes nothing.
 */
export function recover(dir: string): Recovered {
  const segments = listSegments(dir)
  const mark = lastCheckpoint(segments)
  const scan = new Scan(segments, mark)
  for (let at = scan.begin.at; at < segments.length; at++) scan.read(at)
  return scan.result()
}

class Scan {
  readonly begin: Place
  readonly #segments: readonly SegmentRow[]
  readonly #mark: Mark | null
  readonly #open = new Map<string, number>()
  #head: Head | null = null
  #first = 1
  readonly #hashes: string[] = []
  #time = Number.NaN
  /** End of the last whole line. */
  #good: Place
  #bad: Place | null = null
  #damaged: Place | null = null

  constructor(segments: readonly SegmentRow[], mark: Mark | null) {
    this.#segments = segments
    this.#mark = mark
    this.begin = beginning(segments, mark)
    this.#good = this.begin
  }

  read(at: number): void {
    const row = this.#segments[at]
    if (row === undefined) return
    const fd = openSync(row.path, 'r')
    try {
      for (const { bytes, offset } of linesNow(fd, at === this.begin.at ? this.begin.offset : 0)) this.#take(bytes, { at, offset })
    } finally {
      closeSync(fd)
    }
  }

  result(): Recovered {
    const last = this.#segments.length - 1
    const row = this.#segments[last]
    const used = this.#segments.reduce((sum, { size }) => sum + size, 0)
    const open = new Map([...this.#open].sort((a, b) => a[1] - b[1]))
    const head = this.#head ?? { seq: 0, hash: genesis }
    const time = this.#time
    const checkpoint = this.#mark === null ? null : { seq: this.#mark.line.seq, text: this.#mark.text }
    const recent = { first: this.#first, hashes: this.#hashes }
    const known = { head, time, open, used, checkpoint, recent }
    if (row === undefined) return { ...known, segment: null, dropped: 0, damaged: null }
    const size = this.#good.at === last ? this.#good.offset : 0
    const damaged = this.#damaged === null ? null : { path: this.#segments[this.#damaged.at]?.path ?? '', offset: this.#damaged.offset }
    return { ...known, segment: { path: row.path, size }, dropped: row.size - size, damaged }
  }

  #take(bytes: Buffer, place: Place): void {
    const line = readStored(bytes.toString())
    if (line === null) {
      this.#bad ??= place
      return
    }
    const fits = this.#head === null || (line.seq === this.#head.seq + 1 && line.prev === this.#head.hash)
    // a whole line after one that is not, or off the chain: no torn write looks like that
    if (!fits || this.#bad !== null) this.#damaged ??= this.#bad ?? place
    if (this.#head === null) this.#first = line.seq
    this.#head = { seq: line.seq, hash: hash('sha256', bytes) }
    this.#hashes.push(this.#head.hash)
    this.#time = line.time
    this.#good = { at: place.at, offset: place.offset + bytes.length + 1 }
    this.#account(line)
  }

  #account(line: StoredLine): void {
    const from = this.#mark?.line.openFrom ?? 0
    if (line.kind === 'decision' && line.seq >= from) this.#open.set(line.id, line.seq)
    if (line.kind === 'outcome') this.#open.delete(line.id)
    if (line.seq === this.#mark?.line.seq) for (const [seq, id] of line.open ?? []) this.#open.set(id, seq)
  }
}

function beginning(segments: readonly SegmentRow[], mark: Mark | null): Place {
  if (mark === null) return { at: 0, offset: 0 }
  const from = Math.min(mark.line.openFrom ?? 1, tileBegin(mark.line.seq - 1))
  const own = segments[mark.at]?.first ?? 1
  if (from >= own) return { at: mark.at, offset: mark.offsets[from - own] ?? 0 }
  const at = segments.findLastIndex((row) => row.first <= from)
  return { at: Math.max(at, 0), offset: 0 }
}

/** Number of the first line in the tile that is not whole in a tree of `size` lines. */
function tileBegin(size: number): number {
  return size - (size % tileWidth) + 1
}

function lastCheckpoint(segments: readonly SegmentRow[]): Mark | null {
  for (let at = segments.length - 1; at >= 0; at--) {
    const row = segments[at]
    const found = row === undefined ? null : lastCheckpointIn(row.path)
    if (found !== null) return { at, ...found }
  }
  return null
}

function lastCheckpointIn(path: string): Omit<Mark, 'at'> | null {
  const word = Buffer.from('"kind":"checkpoint"')
  const fd = openSync(path, 'r')
  const offsets: number[] = []
  let found: Omit<Mark, 'at'> | null = null
  try {
    for (const { bytes, offset } of linesNow(fd, 0)) {
      // a byte search first: parsing every line of a full segment would take a second
      offsets.push(offset)
      const line = bytes.includes(word) ? readStored(bytes.toString()) : null
      if (line?.kind === 'checkpoint' && line.open !== null) found = { offset, line, text: bytes.toString(), offsets }
    }
  } finally {
    closeSync(fd)
  }
  return found
}
