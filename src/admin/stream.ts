import type { IncomingMessage, ServerResponse } from 'node:http'
import { problem, send } from './answer.ts'

export interface LedgerLine {
  readonly seq: number
  readonly line: string
}

export interface StreamOptions {
  readonly tail: (from: number, follow: boolean, signal: AbortSignal) => AsyncIterable<LedgerLine>
  readonly newest: () => number
}

/** A reader that takes longer than this to drain is dropped: nobody waits for it, it may resume where it was. */
const patience = 30_000
const heartbeat = 15_000

/**
 * Ledger lines as server-sent events (WHATWG HTML §9.2): `id` is the sequence number, `data` the stored line byte for byte.
 * Resumes after `Last-Event-ID`, else at `from`, else at the newest `last` lines; `follow=false` ends at the newest line.
 */
export async function streamLedger(request: IncomingMessage, response: ServerResponse, url: URL, options: StreamOptions): Promise<void> {
  const from = start(request, url, options.newest())
  if (from === null) return send(response, problem(400, 'from, last and Last-Event-ID are whole numbers'))
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
  response.write('retry: 1000\n\n')
  const alive = setInterval(() => response.write(': alive\n\n'), heartbeat)
  try {
    for await (const { seq, line } of options.tail(from, url.searchParams.get('follow') !== 'false', gone.signal)) {
      if (!response.write(`id: ${seq}\ndata: ${line}\n\n`) && !(await drained(response))) return void response.destroy()
    }
  } catch (error) {
    if (!gone.signal.aborted) throw error
  } finally {
    clearInterval(alive)
    response.end()
  }
}

function start(request: IncomingMessage, url: URL, newest: number): number | null {
  const header = request.headers['last-event-id']
  if (header !== undefined) return whole(String(header), 1)
  const from = url.searchParams.get('from')
  if (from !== null) return whole(from, 0)
  const last = whole(url.searchParams.get('last') ?? '0', 0)
  return last === null ? null : Math.max(0, newest + 1 - last)
}

function whole(text: string, plus: number): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) + plus : null
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
