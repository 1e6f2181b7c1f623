/** A ledger folder as a reader of evidence goes through it: pieces of whole lines, up to the newest checkpoint. */
import { closeSync, openSync, read, readSync } from 'node:fs'
import { promisify } from 'node:util'
import { textAt } from '../author/json-path.ts'
import { listSegments, type SegmentRow } from '../record/segment.ts'
import { EvidenceFault } from './fault.ts'
import { readLine, type EvidenceLine } from './line.ts'

/** Where a reading ends: before the newest checkpoint, in the last of `segments`. */
export interface Extent {
  readonly segments: readonly SegmentRow[]
  /** Byte of the last segment at which the line of the checkpoint begins, and that after its LF. */
  readonly end: number
  readonly after: number
  readonly checkpoint: EvidenceLine
  /** Its signed note. */
  readonly note: string
  /** Bytes of lines that came after it: nothing signs them yet. */
  readonly unsigned: number
}

// plain descriptors, as in the ledger's own readers
const readAt = promisify(read)
/** What is looked at in one turn: small enough that calls do not wait for it. */
const regionBytes = 1024 * 1024
const mostLine = 16 * 1024 * 1024

/** Finds the newest checkpoint of a folder. Throws EvidenceFault when there is none. */
export function extentOf(dir: string): Extent {
  const segments = segmentsOf(dir)
  let unsigned = 0
  for (let last = segments.length - 1; last >= 0; last--) {
    const segment = segments[last]
    const found = segment === undefined ? null : newestIn(segment)
    if (segment !== undefined && found !== null) {
      const rest = segment.size - found.after
      return { ...found, segments: segments.slice(0, last + 1), unsigned: unsigned + rest }
    }
    unsigned += segment?.size ?? 0
  }
  throw new EvidenceFault('damaged', `${dir} holds no checkpoint: nothing in it is signed`)
}

function segmentsOf(dir: string): readonly SegmentRow[] {
  try {
    const segments = listSegments(dir)
    if (segments.length > 0) return segments
  } catch (error) {
    throw new EvidenceFault('input', `${dir} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
  throw new EvidenceFault('input', `${dir} is no ledger: it has no segments`)
}

type Newest = Pick<Extent, 'end' | 'after' | 'checkpoint' | 'note'>

/** Looks from the end of a segment, in windows that grow. */
function newestIn({ path, size }: SegmentRow): Newest | null {
  const fd = openSync(path, 'r')
  try {
    for (let window = 256 * 1024; ; window *= 8) {
      const start = Math.max(0, size - window)
      const bytes = Buffer.alloc(size - start)
      const count = readSync(fd, bytes, 0, bytes.length, start)
      const found = lastCheckpoint(bytes.subarray(0, count), start)
      if (found !== null || start === 0) return found
    }
  } finally {
    closeSync(fd)
  }
}

function lastCheckpoint(bytes: Buffer, start: number): Newest | null {
  for (let at = bytes.lastIndexOf('"kind":"checkpoint"'); at >= 0;) {
    const begin = bytes.lastIndexOf(10, at) + 1
    const end = bytes.indexOf(10, at)
    // a line whose beginning is not in the window is looked at again with a larger one
    if (begin === 0 && start > 0) return null
    const line = end < 0 ? null : readLine(bytes.subarray(begin, end))
    const note = line?.kind === 'checkpoint' ? textAt(line.own, 'checkpoint') : ''
    if (line !== null && note !== '') return { end: start + begin, after: start + end + 1, checkpoint: line, note }
    if (begin === 0) return null
    at = bytes.lastIndexOf('"kind":"checkpoint"', begin - 1)
  }
  return null
}

/** All lines before the checkpoint, in pieces of whole lines. Rejects with EvidenceFault when a segment is gone meanwhile. */
export async function* regionsOf({ segments, end }: Extent): AsyncGenerator<Buffer> {
  for (const [at, segment] of segments.entries()) yield* regionsIn(segment.path, at === segments.length - 1 ? end : segment.size)
}

/** The whole lines in the first `end` bytes of a segment. A region is good until the next one is asked for. */
export async function* regionsIn(path: string, end: number): AsyncGenerator<Buffer> {
  const fd = opened(path)
  try {
    let room: Buffer = Buffer.allocUnsafe(regionBytes * 2)
    let kept = 0
    for (let position = 0; position < end;) {
      if (room.length - kept < regionBytes) room = grown(room, kept, path)
      const { bytesRead } = await readAt(fd, room, kept, Math.min(regionBytes, end - position), position)
      if (bytesRead === 0) return
      position += bytesRead
      const filled = kept + bytesRead
      const whole = room.subarray(0, filled).lastIndexOf(10) + 1
      if (whole > 0) yield room.subarray(0, whole)
      room.copyWithin(0, whole, filled)
      kept = filled - whole
    }
  } finally {
    closeSync(fd)
  }
}

function opened(path: string): number {
  try {
    return openSync(path, 'r')
  } catch {
    throw new EvidenceFault('damaged', `${path} was removed while it was read: try again`)
  }
}

function grown(room: Buffer, kept: number, path: string): Buffer {
  if (room.length > mostLine) throw new EvidenceFault('damaged', `${path}: a line has no end`)
  const larger = Buffer.allocUnsafe(room.length * 2)
  room.copy(larger, 0, 0, kept)
  return larger
}
