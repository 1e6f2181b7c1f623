/** Follows a ledger from any line on, in bounded memory: for sinks, for people, in this process or in another. */

import { closeSync, openSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { LineReader } from './lines.ts'
import type { SegmentRow } from './segment.ts'
import { listSegments } from './segment.ts'

/** What a writer in this process tells its followers, so that they need not poll and never see a line that is not acknowledged. */
export interface LedgerWatch {
  position(): { readonly seq: number }
  subscribe(listener: (seq: number) => void): () => void
}

export interface TailOptions {
  /** First line wanted; when it is gone, the oldest there is. */
  readonly fromSeq: number
  /** Wait for more at the end. */
  readonly follow: boolean
  readonly signal?: AbortSignal
  readonly watch?: LedgerWatch | undefined
  /** Between looks when nobody tells. */
  readonly pollMs?: number
  /** Bytes that are read at once: more for whoever reads much, less for whoever waits. */
  readonly chunkBytes?: number
}

export interface TailLine {
  readonly seq: number
  /** The stored line, byte for byte, without its newline. */
  readonly line: string
}

interface Cursor {
  readonly first: number
  readonly fd: number
  reader: LineReader
  /** Number of the next line in the file. */
  seq: number
  /** A later segment was seen: whatever this one will ever hold is there. */
  sealed: boolean
}

/** A stored line as it lies in its file. */
export interface TailBytes {
  readonly seq: number
  readonly bytes: Buffer
}

/** Gives stored lines in order. Ends at the last one unless it follows; an abort ends it quietly. */
export async function* tail(dir: string, options: TailOptions): AsyncGenerator<TailLine, void> {
  for await (const lines of tailBytes(dir, options)) {
    for (const { seq, bytes } of lines) {
      yield { seq, line: bytes.toString() }
      if (stopped(options)) return
    }
  }
}

/** The same, as many at once as are read at once: for whoever wants few of them as text. */
export async function* tailBytes(dir: string, options: TailOptions): AsyncGenerator<readonly TailBytes[], void> {
  let next = Math.max(1, options.fromSeq)
  let cursor: Cursor | null = null
  let fruitless = 0
  try {
    while (!stopped(options)) {
      fruitless += 1
      cursor ??= openCursor(segmentHolding(dir, next), options)
      if (cursor !== null) {
        for await (const read of linesUpTo(cursor, options)) {
          const lines = read.filter(({ seq }) => seq >= next)
          const last = lines.at(-1)
          if (last === undefined) continue
          next = last.seq + 1
          fruitless = 0
          yield lines
          if (stopped(options)) return
        }
        // with a writer that tells, a look at the folder is only worth it when lines are known to be elsewhere
        const later: SegmentRow | null = (options.watch?.position().seq ?? next) >= next ? segmentAfter(dir, cursor.first) : null
        if (later !== null) {
          if (cursor.sealed) {
            closeSync(cursor.fd)
            cursor = openCursor(later, options)
            // lines that a writer took back after a failed write are there again, under the same numbers
            next = Math.min(next, later.first)
          } else cursor.sealed = true
          continue
        }
      }
      if (!options.follow) return
      // lines that are said to be there and are not, such as in a file that somebody took away, must not be looked for without a pause
      await more(next, fruitless > 2 ? { ...options, watch: undefined } : options)
    }
  } finally {
    if (cursor !== null) closeSync(cursor.fd)
  }
}

/** The lines not read yet, up to the last that is acknowledged. */
async function* linesUpTo(cursor: Cursor, { watch, chunkBytes }: TailOptions): AsyncGenerator<readonly TailBytes[], void> {
  const most = watch?.position().seq ?? Number.POSITIVE_INFINITY
  for await (const read of cursor.reader.read()) {
    const lines: TailBytes[] = []
    for (const { bytes, offset } of read) {
      if (cursor.seq > most) {
        // written, not acknowledged: it may still be taken back, so it is read again later
        cursor.reader = new LineReader(cursor.fd, offset, chunkBytes)
        yield lines
        return
      }
      lines.push({ seq: cursor.seq, bytes })
      cursor.seq += 1
    }
    yield lines
  }
}

function openCursor(segment: SegmentRow | null, { chunkBytes }: TailOptions): Cursor | null {
  if (segment === null) return null
  const fd = openSync(segment.path, 'r')
  return { first: segment.first, fd, reader: new LineReader(fd, 0, chunkBytes), seq: segment.first, sealed: false }
}

function segmentHolding(dir: string, seq: number): SegmentRow | null {
  const rows = listSegments(dir)
  return rows.findLast((row) => row.first <= seq) ?? rows[0] ?? null
}

function segmentAfter(dir: string, first: number): SegmentRow | null {
  return listSegments(dir).find((row) => row.first > first) ?? null
}

function stopped({ signal }: TailOptions): boolean {
  return signal?.aborted === true
}

/** Resolves when line `next` may be there, or on abort. */
async function more(next: number, { watch, signal, pollMs }: TailOptions): Promise<void> {
  if (signal?.aborted === true) return
  if (watch === undefined) {
    await delay(pollMs ?? 250, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
    return
  }
  const { promise, resolve } = Promise.withResolvers<void>()
  const unsubscribe = watch.subscribe((seq) => {
    if (seq >= next) resolve()
  })
  signal?.addEventListener('abort', () => resolve(), { once: true })
  if (watch.position().seq >= next) resolve()
  await promise
  unsubscribe()
}
