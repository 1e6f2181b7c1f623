/** The ledger at the admin port: lines as they come, as server-sent events, or a page of the newest, as JSON. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { FilterFault, parseFilter, wordsOf, type Filter } from '../evidence/filter.ts'
import { firstSince, follow, type Start } from '../evidence/follow.ts'
import { newestLines } from '../evidence/newest.ts'
import type { LedgerWatch } from '../record/tail.ts'
import { problem, send, type Answer } from './answer.ts'

export interface LedgerReading {
  /** Its folder. */
  readonly dir: string
  /** Its writer, in this process. */
  readonly watch: LedgerWatch
  /** Epoch ms. */
  readonly clock: () => number
}

/** A reader that takes longer than this to drain is dropped: nobody waits for it, it may resume where it was. */
const patience = 30_000
const heartbeat = 15_000
/** Of a page of JSON. */
const mostLines = 1000
/** Bytes that one page looks through; where to go on from stands in it. */
const mostBytes = 256 * 1024 * 1024

/** `Accept: application/json` asks for a page, anything else for the stream. */
export async function answerLedger(request: IncomingMessage, response: ServerResponse, url: URL, ledger: LedgerReading): Promise<void> {
  let filter: Filter
  try {
    filter = parseFilter(wordsOf(url.searchParams), ledger.clock())
  } catch (error) {
    if (!(error instanceof FilterFault)) throw error
    return send(response, problem(400, `${error.filter}: ${error.message}`))
  }
  if (/^application\/json\b/.test(request.headers.accept ?? '')) return send(response, await page(url, filter, ledger))
  await stream(request, response, { url, filter, ledger })
}

/**
 * `{"lines": […], "before": …}`: stored lines that fit, byte for byte, the newest first. `before` is what the next page is asked with,
 * null where nothing is further back.
 */
async function page({ searchParams }: URL, filter: Filter, { dir, watch }: LedgerReading): Promise<Answer> {
  const before = searchParams.get('before')
  const number = before === null ? Number.POSITIVE_INFINITY : whole(before)
  const limit = whole(searchParams.get('limit') ?? '50')
  if (number === null || limit === null || limit < 1 || limit > mostLines)
    return problem(400, `before is a whole number, limit one from 1 to ${mostLines}`)
  const { found, before: next } = await newestLines(dir, { filter, before: number, limit, mostBytes, watch })
  const lines = found.map(({ bytes }) => bytes.toString())
  return { status: 200, text: `{"lines":[${lines.join(',')}],"before":${next}}\n`, type: 'application/json' }
}

interface Streaming {
  readonly url: URL
  readonly filter: Filter
  readonly ledger: LedgerReading
}

/**
 * Stored lines that fit as server-sent events (WHATWG HTML §9.2): `id` is the number of the line, `data` the line byte for byte. An id
 * without data says how far the ledger was looked through. `event: gap` says which lines are gone (`from`, `to`). Lines come from the
 * ledger as they are taken: who is slow is behind, and misses nothing but what retention removes.
 * Resumes after `Last-Event-ID`, else at `from`, at the newest `last` that fit, or at `since`; `follow=false` ends at the newest line.
 */
async function stream(request: IncomingMessage, response: ServerResponse, { url, filter, ledger }: Streaming): Promise<void> {
  const start = startOf(request, url, filter, ledger)
  if (start === null) return send(response, problem(400, 'from, last and Last-Event-ID are whole numbers'))
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
  response.write('retry: 1000\n\n')
  let [reached, told] = [0, 0]
  const alive = setInterval(() => {
    response.write(reached > told ? `id: ${(told = reached)}\n\n` : ': alive\n\n')
  }, heartbeat)
  const reading = follow(ledger.dir, {
    filter,
    calls: url.searchParams.get('calls') === 'true',
    start,
    follow: url.searchParams.get('follow') !== 'false',
    watch: ledger.watch,
    signal: gone.signal,
    progress: (seq) => {
      reached = seq
      // at once where to resume, should nothing that fits come before the stream breaks
      if (told === 0) response.write(`id: ${(told = seq)}\n\n`)
    },
  })
  try {
    for await (const one of reading) {
      const text = 'gap' in one ? gapEvent(one.gap) : lineEvent(one.seq, one.bytes)
      if (!('gap' in one)) told = one.seq ?? told
      if (!response.write(text) && !(await drained(response))) return void response.destroy()
    }
    if (reached > told) response.write(`id: ${reached}\n\n`)
  } catch (error) {
    if (!gone.signal.aborted) throw error
  } finally {
    clearInterval(alive)
    response.end()
  }
}

function lineEvent(seq: number | null, bytes: Buffer): string {
  return `${seq === null ? '' : `id: ${seq}\n`}data: ${bytes.toString()}\n\n`
}

function gapEvent(gap: { readonly from: number; readonly to: number }): string {
  return `event: gap\ndata: ${JSON.stringify(gap)}\n\n`
}

function startOf({ headers }: IncomingMessage, { searchParams }: URL, { since }: Filter, { dir, watch }: LedgerReading): Start | null {
  const resumed = headers['last-event-id']
  if (resumed !== undefined) {
    const seen = whole(String(resumed))
    return seen === null ? null : { from: seen + 1, resumed: true }
  }
  const from = searchParams.get('from')
  if (from !== null) {
    const number = whole(from)
    return number === null ? null : { from: number }
  }
  const asked = searchParams.get('last')
  if (asked === null && since !== null) return { from: firstSince(dir, since) }
  if (asked === null) return { from: watch.position().seq + 1 }
  const last = whole(asked)
  return last === null ? null : { last }
}

function whole(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null
}

function drained(response: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (ok: boolean) => (): void => {
      clearTimeout(timer)
      response.off('drain', onDrain)
      response.off('close', onClose)
      resolve(ok)
    }
    const onDrain = done(true)
    const onClose = done(false)
    const timer = setTimeout(onClose, patience)
    response.once('drain', onDrain)
    response.once('close', onClose)
  })
}
