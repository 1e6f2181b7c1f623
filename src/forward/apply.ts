/** Puts the lease on the request, as the last thing that happens to it. */
import { Refusal } from '../refusal.ts'
import type { Lease } from '../credential/credential.ts'
import { inBody } from './apply-body.ts'
import { withProof } from './apply-dpop.ts'
import { inBasic, inCookie, inHeader } from './apply-header.ts'
import { inPath } from './apply-path.ts'
import { inPlaceOf } from './apply-placeholder.ts'
import { inQuery } from './apply-query.ts'
import { unavailable } from './apply-text.ts'
import type { Applied, Outgoing } from './outgoing.ts'
import { signV4 } from './sigv4.ts'

/**
 * Takes the lease (null on a route without a credential), the request without one, and epoch ms. Only a way that must wait (for a body, for
 * a signature) gives a promise.
 * Throws or rejects with `credential.unavailable` for a lease that is missing, expired or cannot be written, `internal` for one that nobody
 * asked for, `credential.unplaced` where the call has no place for it, and `listen.malformed` where the agent put something of its own there.
 */
export function applyLease(lease: Lease | null, out: Outgoing, now: number): Applied | Promise<Applied> {
  const { credentialed } = out.upstream
  if (lease === null) {
    if (credentialed) throw unavailable('the route needs a credential and there is no lease')
    return { headers: out.headers, path: out.path }
  }
  if (!credentialed) throw new Refusal('internal', { detail: 'a lease for a route without a credential' })
  if (lease.expires <= now) throw new Refusal('credential.unavailable', { retry: 'later', detail: 'the lease has expired' })
  return place(lease, out, now)
}

/** One way, one file. */
function place(lease: Lease, out: Outgoing, now: number): Applied | Promise<Applied> {
  const { placement } = lease
  switch (placement.in) {
    case 'header':
      return inHeader(lease, placement, out)
    case 'basic':
      return inBasic(lease, placement, out)
    case 'cookie':
      return inCookie(lease, placement, out)
    case 'query':
      return inQuery(lease, placement, out)
    case 'dpop':
      return withProof(lease, out, now)
    case 'sigv4':
      return signV4(lease, placement, out, now)
    case 'placeholder':
      return inPlaceOf(lease, placement, out)
    case 'path':
      return inPath(lease, placement, out)
    case 'body':
      return inBody(lease, placement, out)
    case 'tls':
      // the connection carries it: see leased-lines.ts
      return { headers: out.headers, path: out.path }
    default:
      throw unavailable('a placement that forward does not know')
  }
}
