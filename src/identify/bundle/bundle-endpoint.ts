import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { KeySet } from './bundles.ts'
import type { KeyDocument } from '../keys/key-document.ts'
import { KeyFault } from '../keys/key-report.ts'
import { fetchTime, readBounded } from '../keys/request-text.ts'
import type { IdentifyServices } from '../source.ts'

/**
 * Connects to the server of a URL and proves who it is; throws when it is not who it must be. Nothing is sent before.
 * `newest`: what the endpoint last served.
 */
export type Connect = (url: URL, newest: KeySet | null, signal: AbortSignal) => Promise<TLSSocket>

const mostRedirects = 3
const redirects: ReadonlySet<number | undefined> = new Set([301, 302, 303, 307, 308])

/** True for an https URL without user or password (Federation §5.2.1.1, §5.2.2.1). */
export function isEndpointUrl(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && url.protocol === 'https:' && url.username === '' && url.password === ''
}

/**
 * A SPIFFE bundle endpoint (Federation §4) as a document to read; its profile is in `connect`.
 * Every reading starts at the configured URL. Up to three redirects are followed, each to a URL that could have been configured and to a
 * server that proves itself in the same way, and none is remembered (Federation §5.2.1.4, §7.5.1).
 */
export function bundleEndpoint(place: string, connect: Connect, { examination }: Pick<IdentifyServices, 'examination'>): KeyDocument {
  return {
    place,
    readNow: () => null,
    async read(signal, newest) {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(fetchTime)])
      let url = new URL(place)
      for (let hop = 0; hop <= mostRedirects; hop++) {
        const socket = await connect(url, newest, limited)
        try {
          const answer = await get(url, socket)
          examination?.answered(url.href, answer.headers.date ?? null)
          const next = nextUrl(answer, url)
          if (next === null) return await readBounded(answer)
          url = next
        } finally {
          socket.destroy()
        }
      }
      throw new KeyFault('redirect', `redirected more than ${mostRedirects} times`)
    },
  }
}

/** The head of the answer. Neither credential nor client certificate goes along (Federation §5.2.1.3, §5.2.2.3). */
function get(url: URL, socket: TLSSocket): Promise<IncomingMessage> {
  const headers = { host: url.host, accept: 'application/json', connection: 'close' }
  const asking = request({ createConnection: () => socket, path: url.pathname + url.search, headers })
  return new Promise((resolve, reject) => {
    // stays on: an error after the head is the answer's, and the reader sees it there
    asking.on('error', reject)
    asking.on('response', resolve)
    // an answer that changes the protocol ends the connection without a word, and a reading that never ends would be the last one
    asking.on('close', () => reject(new KeyFault('unreachable', 'closed the connection without an answer')))
    asking.end()
  })
}

/** Where the answer sends us; null when it is the bundle itself. Any content type will do, its text decides. */
function nextUrl({ statusCode, headers }: IncomingMessage, from: URL): URL | null {
  if (statusCode === 200) return null
  if (!redirects.has(statusCode)) throw new KeyFault('status', `answered ${statusCode}`)
  const target = URL.parse(headers.location ?? '', from)
  if (headers.location === undefined || target === null || !isEndpointUrl(target.href))
    throw new KeyFault('redirect', 'redirected to what is not an https URL without user')
  return target
}
