/** The checkpoints of a ledger that hand its key over. */
import { closeSync, openSync, readSync } from 'node:fs'
import { textAt } from '../author/json-path.ts'
import { linesWith, TextFinder } from './finders.ts'
import { readLine } from './line.ts'
import { regionsIn, type Extent } from './regions.ts'

/**
 * Their lines, in order. Every segment begins with a checkpoint that names the key in force: only where that changes from one segment to
 * the next, or to `key` at the end, is a segment looked through.
 */
export async function handoversOf({ segments, after }: Extent, key: string): Promise<readonly Buffer[]> {
  const keys = [...segments.map(({ path }) => keyAt(path)), key]
  const lines: Buffer[] = []
  for (const [at, segment] of segments.entries()) {
    const before = keys[at] ?? ''
    if (before === '' || before === keys[at + 1]) continue
    for await (const region of regionsIn(segment.path, at === segments.length - 1 ? after : segment.size)) {
      for (const bytes of linesWith(region, [new TextFinder('"next":"')])) {
        const line = readLine(bytes)
        if (line?.kind === 'checkpoint' && textAt(line.own, 'next') !== '') lines.push(Buffer.from(bytes))
      }
    }
  }
  return lines
}

/** The key that the first line of a segment names; empty when it names none. */
function keyAt(path: string): string {
  const fd = openSync(path, 'r')
  try {
    const room = Buffer.alloc(256 * 1024)
    const count = readSync(fd, room, 0, room.length, 0)
    const end = room.subarray(0, count).indexOf(10)
    const line = end < 0 ? null : readLine(room.subarray(0, end))
    return line === null ? '' : textAt(line.own, 'key')
  } finally {
    closeSync(fd)
  }
}
