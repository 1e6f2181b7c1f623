import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Introspection } from '../credential/introspect.ts'
import { tileOf, tileWidth } from '../record/tile-path.ts'
import { problem, readText, send, type Answer } from './answer.ts'

export interface HealthOptions {
  /** Why calls cannot be served now; empty when they can. */
  readonly notReady: () => readonly string[]
  readonly metrics: () => Promise<string>
  /** JWK Set that verifies what Countersign signs for upstreams. */
  readonly jwks: () => unknown
  /** Of the folder of the ledger, what holds no line: null when it is not there. */
  readonly ledgerFile: (path: string) => Buffer | null
  /** RFC 7662, or null while no upstream is configured for it. */
  readonly introspect: () => Introspection | null
}

/**
 * The health port: `/livez`, `/readyz`, `/metrics`, `/.well-known/jwks.json`, `/ledger.pub`, `/ledger/checkpoint`, `/ledger/tile/…` and, when configured,
 * `/introspect`.
 * Nothing secret is answered here, so it needs no key; introspection authenticates its upstream itself.
 */
export function makeHealth(options: HealthOptions): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const path = (request.url ?? '').split('?')[0]
    send(response, await answer(path ?? '', request, options))
  }
}

async function answer(path: string, request: IncomingMessage, options: HealthOptions): Promise<Answer> {
  if (path === '/introspect') return introspect(request, options)
  if (request.method !== 'GET' && request.method !== 'HEAD') return problem(405, 'GET only', { allow: 'GET' })
  switch (path) {
    case '/livez':
      return { status: 200, text: 'ok\n', type: 'text/plain' }
    case '/readyz': {
      const why = options.notReady()
      return { status: why.length === 0 ? 200 : 503, text: why.length === 0 ? 'ok\n' : `${why.join('\n')}\n`, type: 'text/plain' }
    }
    case '/metrics':
      return { status: 200, text: await options.metrics(), type: 'text/plain; version=0.0.4; charset=utf-8' }
    case '/.well-known/jwks.json':
      return { status: 200, json: options.jwks(), headers: { 'cache-control': 'max-age=60' } }
    case '/ledger.pub':
      return ledgerFile('ledger.pub', options)
    default:
      return path.startsWith('/ledger/') ? ledgerFile(path.slice('/ledger/'.length), options) : problem(404, 'nothing is here')
  }
}

/** The keys, the newest checkpoint and the tiles of the tree: digests, so that witnesses and monitors can follow it (C2SP tlog-tiles). */
function ledgerFile(path: string, { ledgerFile: read }: HealthOptions): Answer {
  const tile = tileOf(path)
  const bytes = tile !== null || path === 'checkpoint' || path === 'ledger.pub' ? read(path) : null
  if (bytes === null) return problem(404, 'nothing is here')
  // a whole tile never changes
  const headers = tile?.width === tileWidth ? { 'cache-control': 'max-age=31536000, immutable' } : {}
  return { status: 200, bytes, type: tile === null ? 'text/plain; charset=utf-8' : 'application/octet-stream', headers }
}

async function introspect(request: IncomingMessage, options: HealthOptions): Promise<Answer> {
  const ask = options.introspect()
  if (ask === null) return problem(404, 'no upstream is configured to introspect')
  if (request.method !== 'POST') return problem(405, 'POST only', { allow: 'POST' })
  const { status, body, headers } = ask({ authorization: request.headers.authorization, body: await readText(request, 16 * 1024) })
  return { status, text: body, type: 'application/json', headers }
}
