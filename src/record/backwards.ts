/** Reads a ledger newest line first, in bounded memory, across segments: whoever looks at a ledger wants its end. */

import { closeSync, fstatSync, openSync, read } from 'node:fs'
import { promisify } from 'node:util'
import type { SegmentRow } from './segment.ts'
import { listSegments } from './segment.ts'
import { readStored } from './stored-line.ts'
import type { LedgerWatch } from './tail.ts'

export interface BackwardsOptions {
  /** Only lines before this number; default: from the newest. */
  readonly before?: number
  /** The writer, when it is in this process: lines that it has not acknowledged are not shown. */
  readonly watch?: Pick<LedgerWatch, 'position'>
  readonly signal?: AbortSignal
  readonly chunkBytes?: number
}

export interface BackwardsLine {
  readonly seq: number
  /** The stored line without its newline. */
  readonly bytes: Buffer
}

/** As the reader that goes forwards has it. */
const mostLine = 16 * 1024 * 1024
const chunkBytes = 256 * 1024

// plain descriptors, for the reason that `LineReader` has them
const readAt = promisify(read)

/**
 * Gives stored lines, the newest first, down to the oldest there is. What follows the last newline of a segment is a line that is still being
 * written, or torn, and is passed over. Ends quietly on abort, and where retention removes what comes next. Rejects as the file system does.
 */
export async function* backwards(dir: string, options: BackwardsOptions = {}): AsyncGenerator<BackwardsLine, void> {
  const acknowledged = options.watch?.position().seq ?? Number.POSITIVE_INFINITY
  const before = Math.min(options.before ?? Number.POSITIVE_INFINITY, acknowledged + 1)
  const rows = listSegments(dir)
  for (let at = rows.length - 1; at >= 0; at--) {
    const row = rows[at]
    if (row === undefined || row.first >= before) continue
    const fd = openedOrGone(row)
    if (fd === null) return
    try {
      const next = rows[at + 1]
      let seq = next === undefined ? await lastNumber(fd, row, options) : next.first - 1
      for await (const bytes of segmentBackwards(fd, options)) {
        if (options.signal?.aborted === true) return
        if (seq < before) yield { seq, bytes }
        seq--
      }
    } finally {
      closeSync(fd)
    }
  }
}

/** Null when the segment was removed since the folder was read: so were those before it. */
function openedOrGone({ path }: SegmentRow): number | null {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/** The number of the last whole line: it says so itself; where it cannot be read, lines are counted. */
async function lastNumber(fd: number, { first }: SegmentRow, options: BackwardsOptions): Promise<number> {
  for await (const bytes of segmentBackwards(fd, options)) {
    const stored = readStored(bytes.toString())
    if (stored !== null && stored.seq >= first) return stored.seq
    break
  }
  let lines = 0
  for await (const _ of segmentBackwards(fd, options)) lines++
  return first + lines - 1
}

/** The whole lines of an open file as it is now, the last first. */
async function* segmentBackwards(fd: number, { chunkBytes: most = chunkBytes }: BackwardsOptions): AsyncGenerator<Buffer> {
  let position = fstatSync(fd).size
  // null until the last newline was met: what follows it is no line, however long it is
  let behind: Buffer[] | null = null
  let bytesBehind = 0
  while (position > 0) {
    const size = Math.min(most, position)
    position -= size
    const chunk = await readWhole(fd, position, size)
    let end = chunk.length
    for (let newline = chunk.lastIndexOf(10); newline >= 0; newline = newline === 0 ? -1 : chunk.lastIndexOf(10, newline - 1)) {
      const piece = chunk.subarray(newline + 1, end)
      end = newline
      if (behind !== null) yield behind.length === 0 ? piece : Buffer.concat([piece, ...behind])
      behind = []
      bytesBehind = 0
    }
    if (behind === null) continue
    behind.unshift(chunk.subarray(0, end))
    bytesBehind += end
    if (bytesBehind > mostLine) throw new RangeError(`a line is longer than ${mostLine} bytes`)
  }
  if (behind !== null) yield Buffer.concat(behind)
}

/** Fewer bytes than asked only where the file was cut meanwhile. */
async function readWhole(fd: number, position: number, size: number): Promise<Buffer> {
  const chunk = Buffer.allocUnsafe(size)
  let filled = 0
  while (filled < size) {
    const { bytesRead } = await readAt(fd, chunk, filled, size - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return chunk.subarray(0, filled)
}
