import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Secret } from '../secret.ts'
import { Refusal } from '../refusal.ts'
import { problem, send, type Answer } from './answer.ts'
import { opens } from './local-key.ts'
import { readObject, type Noun, type SignedIn } from './noun.ts'
import { streamLedger, type LedgerLine } from './stream.ts'

export interface AdminOptions {
  readonly key: Secret
  /** What stands under `/v1/<noun>`. */
  readonly nouns: Readonly<Record<string, Noun>>
  /** Ledger lines from a sequence number on; `follow` waits for more. */
  readonly tail: (from: number, follow: boolean, signal: AbortSignal) => AsyncIterable<LedgerLine>
  /** Sequence number of the newest line. */
  readonly newest: () => number
  readonly status: () => unknown
}

/**
 * The admin API of people and the CLI, under `/v1/`. Never open: every request carries the local key, also on loopback,
 * which the agent shares. Browsers are refused: a page must not drive it.
 */
export function makeAdmin(options: AdminOptions): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    if (request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined)
      return send(response, problem(403, 'browsers have no business here'))
    if (!opens(options.key, request.headers.authorization))
      return send(response, problem(401, 'the local key is missing or wrong', { 'www-authenticate': 'Bearer' }))
    const who: SignedIn = { method: 'local-key', name: null, groups: [] }
    const url = new URL(request.url ?? '/', 'http://admin.invalid')
    if (url.pathname === '/v1/logs' && request.method === 'GET') return streamLedger(request, response, url, options)
    try {
      send(response, (await answer(request, url, who, options)) ?? problem(404, 'nothing is here'))
    } catch (error) {
      send(response, failure(error))
    }
  }
}

async function answer(request: IncomingMessage, url: URL, who: SignedIn, { nouns, status }: AdminOptions): Promise<Answer | null> {
  const [, version, name, ...path] = url.pathname.split('/').map((piece) => decodeURIComponent(piece))
  const method = request.method ?? 'GET'
  if (version !== 'v1' || name === undefined) return null
  if (name === 'status' && path.length === 0 && method === 'GET') return { status: 200, json: status() }
  const noun = Object.hasOwn(nouns, name) ? nouns[name] : undefined
  return noun === undefined ? null : noun({ method, path, query: url.searchParams, who, body: () => readObject(request) })
}

function failure(error: unknown): Answer {
  if (error instanceof URIError) return problem(400, 'the path is malformed')
  if (error instanceof Refusal) return problem(error.code === 'task.unknown' ? 404 : 409, [error.title, ...error.reasons].join(': '))
  return problem(500, 'Countersign failed')
}
