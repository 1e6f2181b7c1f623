/** Where `countersign logs` reads: a running Countersign, a ledger folder, a file, or standard input. */

import { createReadStream, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { linesOf } from '../evidence/call-lines.ts'
import { objectOf } from '../evidence/facts.ts'
import { queryOf, type Filter, type FilterWords } from '../evidence/filter.ts'
import { firstSince, follow, type Gap } from '../evidence/follow.ts'
import { LineSplitter } from '../record/lines.ts'
import { listSegments } from '../record/segment.ts'
import { AdminFault, askAdmin, type AdminAccess } from './admin-client.ts'
import { UsageFault, type Invocation } from './command.ts'

/** A stored line, or that some are missing. */
export type Read = { readonly bytes: Buffer } | Gap

export interface Asked {
  readonly words: FilterWords
  readonly filter: Filter
  /** Calls with both their lines; else each line for itself. */
  readonly calls: boolean
  readonly follow: boolean
  /** Most of the newest; null: all there are. */
  readonly last: number | null
}

/** Reads what is asked over the admin port; when following, comes back after a break where it stopped. */
export async function* fromAdmin(access: AdminAccess, asked: Asked, { signal, stderr }: Invocation): AsyncGenerator<Read> {
  const { words, calls, last } = asked
  const begin = last === null ? '' : `&last=${last}`
  const target = `/v1/decisions?${queryOf(words)}${begin}&calls=${calls}&follow=${asked.follow}`
  let seen: string | null = null
  for (let failures = 0; ;) {
    try {
      const headers: Readonly<Record<string, string>> = { accept: 'text/event-stream', ...(seen === null ? {} : { 'last-event-id': seen }) }
      let gap = false
      const input = await askAdmin(access, 'GET', target, { signal, headers })
      for await (const text of createInterface({ input })) {
        failures = 0
        if (text === '') gap = false
        else if (text.startsWith('id: ')) seen = text.slice(4)
        else if (text === 'event: gap') gap = true
        else if (text.startsWith('data: ')) yield gap ? gapOf(text.slice(6)) : { bytes: Buffer.from(text.slice(6)) }
      }
      if (!asked.follow || signal.aborted) return
    } catch (error) {
      if (signal.aborted) return
      if (!asked.follow || seen === null || (error instanceof AdminFault && error.status !== null)) throw error
    }
    if (failures++ === 0) stderr.write('the stream ended; trying again\n')
    await wait(Math.min(5000, 250 * 2 ** failures), undefined, { signal }).catch(() => {})
    if (signal.aborted) return
  }
}

/** Reads a ledger folder, whoever writes it. */
export async function* fromFolder(dir: string, { filter, calls, last, follow: goesOn }: Asked, signal: AbortSignal): AsyncGenerator<Read> {
  const start = last !== null ? { last } : { from: filter.since === null ? 0 : firstSince(dir, filter.since) }
  try {
    yield* follow(dir, { filter, calls, start, follow: goesOn, signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** Reads a stream of lines; `missed` is told of a line that is no ledger line. */
export async function* fromStream(
  chunks: AsyncIterable<Uint8Array | string>,
  { filter, calls }: Asked,
  missed: () => void,
): AsyncGenerator<Read> {
  const picking = linesOf(filter, calls)
  for await (const lines of cut(chunks)) {
    for (const bytes of lines) {
      if (bytes[0] !== brace) {
        if (bytes.length > 0) missed()
        continue
      }
      for (const line of picking.push(0, bytes)) yield line
    }
  }
}

const brace = 0x7b

/** Opens a file for `fromStream`, or says that it is a folder. Throws UsageFault where nothing is. */
export function openFile(path: string): AsyncIterable<Uint8Array | string> | 'folder' {
  let folder: boolean
  try {
    folder = statSync(path).isDirectory()
  } catch (error) {
    throw new UsageFault(error instanceof Error ? error.message : String(error))
  }
  if (folder && listSegments(path).length === 0)
    throw new UsageFault(`${path} holds no ledger: its files are named 000000000001.ndjson and so on`)
  if (folder) return 'folder'
  return createReadStream(path, { highWaterMark: 1024 * 1024 })
}

/** Cuts a stream into lines, as many at once as a chunk ends; a last one without its newline counts. Throws UsageFault for what has no lines. */
async function* cut(chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<readonly Buffer[]> {
  const splitter = new LineSplitter(0)
  let rest: Buffer[] = []
  for await (const given of chunks) {
    const chunk = Buffer.isBuffer(given) ? given : Buffer.from(given as Uint8Array)
    const end = chunk.lastIndexOf(10)
    rest = end < 0 ? [...rest, chunk] : [chunk.subarray(end + 1)]
    try {
      yield Array.from(splitter.push(chunk), ({ bytes }) => bytes)
    } catch (error) {
      throw error instanceof RangeError ? new UsageFault(`this is no ledger: ${error.message}`) : error
    }
  }
  const last = Buffer.concat(rest)
  if (last.length > 0) yield [last]
}

function gapOf(text: string): Gap {
  const { from, to } = objectOf(JSON.parse(text))
  return { gap: { from: Number(from), to: Number(to) } }
}
