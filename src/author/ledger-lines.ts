/** The lines of a record, from a ledger folder, a file or a stream, in bounded memory. */

import { createReadStream, statSync } from 'node:fs'
import { listSegments } from '../record/segment.ts'

/** Longer than any line of a call: input and result have caps of their own. */
export const mostLine = 4 * 1024 * 1024

const newline = 10

/** Lines of a ledger folder (its segments in order) or of one file. Throws what the file system says. */
export async function* linesAt(path: string): AsyncGenerator<string | null> {
  const files = statSync(path).isDirectory() ? listSegments(path).map((segment) => segment.path) : [path]
  if (files.length === 0) throw new Error(`${path} holds no ledger: its files are named 000000000001.ndjson and so on`)
  for (const file of files) yield* linesOf(createReadStream(file, { highWaterMark: 256 * 1024 }))
}

/** Cuts a stream into lines, without their newlines. A line past `mostLine` bytes is passed over as null, whatever its length. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<string | null> {
  let rest: Buffer[] = []
  let bytes = 0
  let skipping = false
  for await (const given of chunks) {
    const chunk = typeof given === 'string' ? Buffer.from(given) : Buffer.from(given.buffer, given.byteOffset, given.byteLength)
    let at = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, at)) {
      const piece = chunk.subarray(at, end)
      at = end + 1
      if (skipping || bytes + piece.length > mostLine) yield null
      else yield (bytes === 0 ? piece : Buffer.concat([...rest, piece])).toString()
      rest = []
      bytes = 0
      skipping = false
    }
    if (skipping || at === chunk.length) continue
    rest.push(chunk.subarray(at))
    bytes += chunk.length - at
    if (bytes <= mostLine) continue
    // its end is still to come; nothing of it is kept
    rest = []
    bytes = 0
    skipping = true
  }
  if (skipping) yield null
  else if (bytes > 0) yield Buffer.concat(rest).toString()
}

/** The stored lines of the server-sent events of the admin port. */
export async function* linesOfEvents(chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<string | null> {
  for await (const line of linesOf(chunks)) {
    if (line === null) yield null
    else if (line.startsWith('data: ')) yield line.slice(6)
  }
}
