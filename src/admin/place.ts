/** Under which name browsers find the page. */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

type Headers = Pick<IncomingMessage, 'headers'>

export interface Place {
  /** Whether browsers come by TLS. */
  readonly secure: boolean
  /** The origin of the page when the admin port listens here (0: on a unix socket); null: no browser finds it. */
  readonly originAt: (port: number) => string | null
  /** The origin of the page, where a request may be meant for it; null: it comes under another name. */
  readonly originOf: (request: Headers) => string | null
  /** Where a form for the local key may stand besides: on loopback, under any of its names. */
  readonly isNear: (request: Headers) => boolean
}

/**
 * With a public URL it is that one's. Without, it is a name of its own below `localhost` that nobody can guess (RFC 6761 §6.3: browsers take it
 * for loopback): cookies go to every port of a host, and so an agent that listens on 127.0.0.1 would be sent those of 127.0.0.1.
 */
export function placeOfPage(publicOrigin: string | null): Place {
  if (publicOrigin !== null)
    return {
      secure: publicOrigin.startsWith('https:'),
      originAt: () => publicOrigin,
      originOf: () => publicOrigin,
      isNear: () => false,
    }
  const own = `countersign-${randomBytes(8).toString('hex')}.localhost`
  return {
    secure: false,
    originAt: (port) => (port === 0 ? null : `http://${own}:${port}`),
    originOf: ({ headers: { host = '' } }) => (host === own || /^:\d{1,5}$/.test(tailOf(host, own)) ? `http://${host}` : null),
    isNear: ({ headers: { host = '' } }) => /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/.test(host),
  }
}

function tailOf(host: string, own: string): string {
  return host.startsWith(own) ? host.slice(own.length) : ''
}
