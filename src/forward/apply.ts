/** Puts the lease on the request, as the last thing that happens to it. */
import { Refusal } from '../refusal.ts'
import type { Secret } from '../secret.ts'
import type { Lease, Placement } from '../credential/credential.ts'
import type { Upstream } from './upstream.ts'

/** Names that frame or route a message: no lease is placed there. */
const reserved: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'expect',
  'te',
  'trailer',
])

/** What goes out. */
export interface Applied {
  readonly headers: string[]
  /** Path and query of the request line. */
  readonly path: string
}

/**
 * Takes the lease (null on a route without a credential), the header list without one, and the path with its query.
 * Whatever of the same name came from the agent is dropped from the headers; a query parameter of the same name is refused.
 * Throws `credential.unavailable` for a lease that is missing, expired or cannot be written, `internal` for one that nobody asked for.
 */
export function applyLease(lease: Lease | null, upstream: Upstream, headers: string[], path: string, now: number): Applied {
  if (lease === null) {
    if (upstream.credentialed) throw unavailable('the route needs a credential and there is no lease')
    return { headers, path }
  }
  if (!upstream.credentialed) throw new Refusal('internal', { detail: 'a lease for a route without a credential' })
  if (lease.expires <= now) throw new Refusal('credential.unavailable', { retry: 'later', detail: 'the lease has expired' })
  return place(lease.placement, readable(lease.secret), headers, path)
}

function place(placement: Placement, secret: string, headers: string[], path: string): Applied {
  switch (placement.in) {
    case 'header': {
      const name = placement.name.toLowerCase()
      if (reserved.has(name)) throw unavailable(`a lease cannot be placed in ${name}`)
      return { headers: replaced(headers, name, placement.prefix + secret), path }
    }
    case 'basic': {
      const pair = Buffer.from(`${placement.user}:${secret}`).toString('base64')
      return { headers: replaced(headers, 'authorization', `Basic ${pair}`), path }
    }
    case 'query': {
      if (hasParameter(path, placement.name)) {
        throw new Refusal('listen.malformed', { reasons: ['a query parameter carries the credential of this route: leave it out'] })
      }
      const parameter = `${encodeURIComponent(placement.name)}=${encodeURIComponent(secret)}`
      return { headers, path: path + (path.includes('?') ? '&' : '?') + parameter }
    }
    default:
      throw unavailable('a placement that forward does not know')
  }
}

/** Secrets that were looked through before: a lease serves many calls. */
const fit = new WeakSet<Secret>()

/** The secret as visible ASCII, the one form that no header or URL can be split by. */
function readable(secret: Secret): string {
  const value = secret.reveal()
  if (fit.has(secret)) return value
  if (value === '') throw unavailable('the credential is empty')
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index)
    if (code < 0x20 || code > 0x7e) throw unavailable('the credential holds bytes that no header can carry')
  }
  fit.add(secret)
  return value
}

function replaced(headers: readonly string[], name: string, value: string): string[] {
  const list: string[] = []
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (headers[index] !== name) list.push(headers[index] ?? '', headers[index + 1] ?? '')
  }
  list.push(name, value)
  return list
}

/** Compares decoded names, since the upstream will. */
function hasParameter(path: string, name: string): boolean {
  const mark = path.indexOf('?')
  if (mark === -1) return false
  return path
    .slice(mark + 1)
    .split(/[&;]/)
    .some((pair) => sameName(pair.split('=', 1)[0] ?? '', name))
}

function sameName(written: string, name: string): boolean {
  try {
    return decodeURIComponent(written.replaceAll('+', ' ')).toLowerCase() === name.toLowerCase()
  } catch {
    return true // unreadable: taken for a match, so refused
  }
}

function unavailable(detail: string): Refusal {
  return new Refusal('credential.unavailable', { detail })
}
