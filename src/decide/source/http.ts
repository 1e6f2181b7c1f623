/** Bundles from a server that speaks OPA's bundle protocol; any static file server does. */

import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { mostPacked, reasonOf, SourceFault, type BundleSource, type Known, type Sight } from './source.ts'

/** The head of an answer, and its body while it comes. */
export interface Answer {
  readonly status: number
  /** A header's value; null when it is not there. */
  readonly header: (name: string) => string | null
  /** Bytes as they came over the wire: no coding is undone. Leaving it early ends the exchange. */
  readonly body: AsyncIterable<Uint8Array>
}

/** One GET over a connection of its own, authenticated; follows nothing. Whoever gets an answer calls `end`. */
export type Ask = (
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<{ readonly answer: Answer; readonly end: () => void }>

export interface UrlOptions {
  readonly url: string
  readonly ask: Ask
  /** Ms between two looks. */
  readonly poll: { readonly min: number; readonly max: number }
  /** Ms that the server may hold an answer; null: it is not asked to. */
  readonly longPoll: number | null
  /** From 0 to 1; default `Math.random`. */
  readonly random?: () => number
  /** Ms that an exchange may take besides what the server may hold it. */
  readonly time?: number
}

const usualTime = 30_000
const mostRedirects = 3
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
const firstRetry = 100
/** A server that says it polls long and answers at once anyway is not asked more often than this. */
const shortestTurn = 1000
/** What says that the server knows `Prefer: wait` (OPA, Bundles, "HTTP Long Polling"). */
const bundleType = 'application/vnd.openpolicyagent.bundles'

/** Makes the source. `look` is one request; what is held back by a long poll is held within it. */
export function urlSource(options: UrlOptions): BundleSource {
  const { poll, random = Math.random } = options
  const turn: Turn = { long: options.longPoll !== null, began: 0 }
  return {
    kind: 'url',
    place: shown(options.url),
    async look(known, signal) {
      turn.began = performance.now()
      const wait = turn.long ? (options.longPoll ?? 0) : 0
      const limited = AbortSignal.any([signal, AbortSignal.timeout(wait + (options.time ?? usualTime))])
      try {
        return await request(options, turn, known, limited)
      } catch (error) {
        if (error instanceof SourceFault) throw error
        throw new SourceFault(limited.aborted ? 'the server took too long' : `the server cannot be asked: ${reasonOf(error)}`, {
          cause: error,
        })
      }
    },
    wait(failures) {
      if (failures > 0) return Math.min(firstRetry * 2 ** Math.min(failures - 1, 20), poll.max) * (0.9 + 0.1 * random())
      if (turn.long) return Math.max(0, shortestTurn - (performance.now() - turn.began))
      return poll.min + random() * (poll.max - poll.min)
    },
  }
}

/** A query may hold what opens the bundle to whoever knows it: it is not for logs. */
function shown(text: string): string {
  const { origin, pathname, search } = new URL(text)
  return `${origin}${pathname}${search === '' ? '' : '?…'}`
}

/** What the server is known to do; written by `urlSource` and `received` alone. */
interface Turn {
  /** Whether it is asked to hold its answer: until an answer says that it does not know how. */
  long: boolean
  began: number
}

async function request(options: UrlOptions, turn: Turn, { adopted }: Known, signal: AbortSignal): Promise<Sight> {
  const headers = {
    prefer: turn.long ? `modes=snapshot;wait=${Math.ceil((options.longPoll ?? 0) / 1000)}` : 'modes=snapshot',
    'accept-encoding': 'identity',
    ...(adopted === null ? {} : { 'if-none-match': adopted }),
  }
  let url = new URL(options.url)
  for (let hop = 0; hop <= mostRedirects; hop++) {
    const { answer, end } = await options.ask(url, headers, signal)
    try {
      const next = redirected(answer, url)
      if (next === null) return await received(options, turn, answer, adopted)
      url = next
    } finally {
      end()
    }
  }
  throw new SourceFault(`the server redirects more than ${mostRedirects} times`)
}

/** Where the answer sends us, null when it is the answer: whoever another origin is, it was not configured, and a token is not for it. */
function redirected({ status, header }: Answer, from: URL): URL | null {
  if (!redirects.has(status)) return null
  const next = URL.parse(header('location') ?? '', from)
  if (next === null || header('location') === null) throw new SourceFault(`the server answered ${status} and does not say where to`)
  if (next.origin !== from.origin) throw new SourceFault(`the server redirects to another origin, ${next.origin}`)
  return next
}

async function received(options: UrlOptions, turn: Turn, answer: Answer, adopted: string | null): Promise<Sight> {
  if (answer.status === 304) {
    if (adopted === null) throw new SourceFault('the server answered 304 to a question without a condition')
    return { is: 'adopted', mark: etagOf(answer) ?? adopted }
  }
  if (answer.status !== 200) throw new SourceFault(`the server answered ${answer.status}`)
  turn.long = options.longPoll !== null && (answer.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() === bundleType
  const bytes = await bodyOf(answer)
  if (bytes.length === 0) throw new SourceFault('the server answered with nothing in it')
  return { is: 'new', content: { form: 'packed', bytes: await decoded(bytes, answer.header('content-encoding')) }, mark: etagOf(answer) }
}

/** Null for one that could not be sent back as it is. */
function etagOf({ header }: Answer): string | null {
  const etag = header('etag')
  return etag !== null && /^[\x21-\x7e]{1,512}$/.test(etag) ? etag : null
}

async function bodyOf({ body, header }: Answer): Promise<Uint8Array> {
  const stated = Number(header('content-length') ?? 0)
  const pieces: Uint8Array[] = []
  let size = 0
  if (stated > mostPacked) throw tooLarge()
  for await (const piece of body) {
    size += piece.length
    if (size > mostPacked) throw tooLarge()
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

function tooLarge(): SourceFault {
  return new SourceFault('the server answered with more than 16 MiB')
}

/**
 * A bundle is gzip itself. A server that calls that a coding of the exchange sends it once packed, one that really codes sends it twice:
 * undoing the coding must leave a packed bundle, else it was none.
 */
async function decoded(bytes: Uint8Array, coding: string | null): Promise<Uint8Array> {
  if (coding === null || coding === 'identity') return bytes
  if (coding !== 'gzip' && coding !== 'x-gzip')
    throw new SourceFault(`the server codes its answer as ${coding.slice(0, 32)}, which it was not asked to`)
  try {
    const inner = await unpacked(bytes, { maxOutputLength: mostUnpackedOnce })
    return inner[0] === 0x1f && inner[1] === 0x8b ? inner : bytes
  } catch (error) {
    throw new SourceFault('the server says its answer is gzip, and it is not', { cause: error })
  }
}

/** Off this thread. */
const unpacked = promisify(gunzip)
const mostUnpackedOnce = 64 * 1024 * 1024
