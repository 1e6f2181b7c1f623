/** A ledger as somebody reads along: the newest that fits, or all of it from somewhere on, then what comes. */

import { closeSync, openSync, readSync } from 'node:fs'
import { listSegments } from '../record/segment.ts'
import { tailBytes, type LedgerWatch } from '../record/tail.ts'
import { linesOf, type PickedLine } from './call-lines.ts'
import type { Filter } from './filter.ts'
import { newestEntries, newestLines, type NumberedLine } from './newest.ts'
import { timeOf } from './line-head.ts'

/** Where reading begins. */
export type Start =
  /** With this many of the newest that fit. */
  | { readonly last: number }
  /** With a line, or the oldest there is; `resumed`: whoever reads saw all before it, and is told what is gone. */
  | { readonly from: number; readonly resumed?: boolean }

export interface FollowOptions {
  readonly filter: Filter
  /** Give calls with both their lines, and no checkpoints unless the filter names them; else each line stands for itself. */
  readonly calls: boolean
  readonly start: Start
  readonly follow: boolean
  readonly watch?: LedgerWatch
  readonly signal?: AbortSignal
  /** Told of the last line that needs no more reading, given or not. */
  readonly progress?: (seq: number) => void
}

/** Lines that were there and cannot be given any more; `to` below `from`: the ledger ends before what was seen of it. */
export interface Gap {
  readonly gap: { readonly from: number; readonly to: number }
}

/** Most of the newest that are searched for: they are held until the oldest of them is found. Beyond, lines are counted, fit or not. */
const mostLast = 10_000
/** Calls that began so many lines before have their outcome joined. */
const primed = 2000
const clockSlack = 600_000

/** Gives lines in order. Ends at the last unless it follows; an abort ends it quietly. Rejects as the file system does. */
export async function* follow(dir: string, options: FollowOptions): AsyncGenerator<PickedLine | Gap, void> {
  const { start, watch } = options
  const newest = watch?.position().seq
  if ('last' in start && start.last > mostLast) {
    const end = newest ?? (await newestLines(dir, { filter: anything, limit: 1 })).newest ?? 0
    yield* live(dir, Math.max(0, end + 1 - start.last), options)
    return
  }
  if ('last' in start) {
    const before = newest === undefined ? undefined : newest + 1
    const { lines, reached } = await history(dir, options, start.last, before)
    yield* lines
    const next = newest ?? reached
    if (next > 0) options.progress?.(next)
    yield* live(dir, next + 1, options)
    return
  }
  const { from, resumed = false } = start
  const cut = resumed && newest !== undefined && from > newest + 1
  if (cut) yield { gap: { from, to: newest } }
  yield* live(dir, cut ? newest + 1 : from, options)
}

/** The number of a line from which on none is missing that was made since then, by the clock of the ledger. */
export function firstSince(dir: string, since: number): number {
  const rows = listSegments(dir)
  const holds = rows.findLast(({ path }) => {
    const time = timeAt(path)
    return time !== null && time < since - clockSlack
  })
  return holds?.first ?? 0
}

/** When the first line of a segment was made. */
function timeAt(path: string): number | null {
  const head = Buffer.alloc(256)
  const fd = openSync(path, 'r')
  try {
    return timeOf(head.subarray(0, readSync(fd, head, 0, head.length, 0)))
  } finally {
    closeSync(fd)
  }
}

async function history(
  dir: string,
  { filter, calls, watch, signal }: FollowOptions,
  limit: number,
  before: number | undefined,
): Promise<{ readonly lines: readonly PickedLine[]; readonly reached: number }> {
  const search = {
    filter,
    limit,
    ...(before === undefined ? {} : { before }),
    ...(watch === undefined ? {} : { watch }),
    ...(signal === undefined ? {} : { signal }),
  }
  if (limit === 0) return { lines: [], reached: (await newestLines(dir, { ...search, limit: 1, filter: anything })).found[0]?.seq ?? 0 }
  const { found, newest } = calls ? await newestEntries(dir, search) : await newestLines(dir, search)
  // in the order of the ledger: a call ends after what happened for its sake
  const lines = found.flatMap((one): readonly NumberedLine[] => ('lines' in one ? one.lines : [one])).toSorted((a, b) => a.seq - b.seq)
  return { lines, reached: newest ?? 0 }
}

const anything: Filter = { lists: new Map(), since: null, until: null, not: false }

async function* live(dir: string, from: number, options: FollowOptions): AsyncGenerator<PickedLine | Gap, void> {
  const { filter, calls, start, progress } = options
  const picking = linesOf(filter, calls)
  let next = from
  let told = ('last' in start && start.last <= mostLast) || ('from' in start && start.resumed === true)
  const back = calls && told ? primed : 0
  const reading = tailBytes(dir, {
    ...options,
    fromSeq: Math.max(0, from - back),
    chunkBytes: options.follow ? 65_536 : 1024 * 1024,
  })
  for await (const lines of reading) {
    for (const { seq, bytes } of lines) {
      if (seq < from) {
        picking.push(seq, bytes, true)
        continue
      }
      if (told && seq > next) yield { gap: { from: next, to: seq - 1 } }
      told = true
      next = seq + 1
      for (const line of picking.push(seq, bytes)) yield line
      progress?.(seq)
      if (options.signal?.aborted === true) return
    }
  }
}
