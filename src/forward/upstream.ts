/** What is known of an upstream before any call: computed once per route, so that no URL is parsed on the path of a call. */
import type { Route } from '../match/route.ts'

export interface Upstream {
  readonly route: Route
  /** Host name to resolve and to name in the TLS handshake; no brackets. */
  readonly hostname: string
  /** The Host header; null when it is the one undici derives from the origin. */
  readonly host: string | null
  /** Lower-case authorities by which the upstream may name itself in links. */
  readonly selves: readonly string[]
  readonly basePath: string
  readonly credentialed: boolean
  /** Its answers are searched for the lent secret. */
  readonly searched: boolean
}

/** Takes a route as wired. */
export function describeUpstream(route: Route): Upstream {
  const { scheme, hostname, authority, port, basePath } = route.to
  const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  const named = bare.includes(':') ? `[${bare}]` : bare
  const selves = new Set([authority.toLowerCase(), `${named.toLowerCase()}:${port}`])
  if (port === (scheme === 'https' ? 443 : 80)) {
    selves.add(named.toLowerCase())
    selves.add(authority.toLowerCase().replace(/:\d+$/, ''))
    if (!/:\d+$/.test(authority)) selves.add(`${authority.toLowerCase()}:${port}`)
  }
  const host = new URL(route.to.origin).host === authority ? null : authority
  const credentialed = route.credential !== null
  return { route, hostname: bare, host, selves: [...selves], basePath, credentialed, searched: credentialed && route.unsafeCoded !== true }
}
