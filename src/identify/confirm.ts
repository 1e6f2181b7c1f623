/** Holds a token to its sender (RFC 7800): a bound token that is presented without its proof is a stolen one. */
import { hash } from 'node:crypto'
import type { Call, TlsPeer } from '../listen/call.ts'
import type { Refusal } from '../refusal.ts'
import { dpopChallenge } from './dpop/dpop.ts'
import type { CheckProof } from './dpop/dpop.ts'
import { sameText } from './dpop/dpop-proof.ts'
import type { Caller, Presented } from './identify.ts'
import { rejected } from './rejected.ts'

/** A token of a call whose caller is known. */
export interface Held {
  readonly one: Presented
  /** SHA-256 of the token, hex. */
  readonly digest: string
  readonly caller: Caller
}

/**
 * Takes a verified token of a call, gives its caller as this very call proves it: `confirmed` says how.
 * For one token and one way of confirming it is always the same object. Throws `identify.rejected` when a bound token is not proven,
 * or a token that is not bound to a DPoP key comes under the scheme DPoP.
 */
export function confirm({ one, digest, caller }: Held, call: Call, now: number, checkProof: CheckProof): Caller {
  const { confirmation } = caller
  if (confirmation !== undefined && 'jkt' in confirmation) {
    if (one.scheme !== 'dpop') throw asDpop('unproven', `a token bound to a DPoP key as a bearer token in ${one.slot}`)
    checkProof(call, confirmation, digest, now)
    return confirmedBy(caller, 'dpop')
  }
  if (one.scheme === 'dpop') throw asDpop('unbound', 'a token without cnf.jkt under the scheme DPoP')
  if (confirmation === undefined) return caller
  checkCertificate(confirmation.x5tS256, call.tls)
  return confirmedBy(caller, 'mtls')
}

/** Caller as its token says → the same once it is proven. What is written about a caller is kept with the object. */
const confirmed = new WeakMap<Caller, Caller>()

function confirmedBy(caller: Caller, how: 'dpop' | 'mtls'): Caller {
  let known = confirmed.get(caller)
  if (known === undefined) confirmed.set(caller, (known = { ...caller, confirmed: how }))
  return known
}

/** Connection → thumbprint of its client certificate. */
const thumbprints = new WeakMap<TlsPeer, string>()

/** RFC 8705 §3: the certificate of this connection is the one that the token was given to. */
function checkCertificate(expected: string, peer: TlsPeer | null): void {
  const leaf = peer?.chain[0]
  if (peer === null || leaf === undefined) throw rejected('unproven', 'a token bound to a client certificate on a connection that has none')
  let known = thumbprints.get(peer)
  if (known === undefined) thumbprints.set(peer, (known = hash('sha256', leaf, 'base64url')))
  if (!sameText(known, expected)) throw rejected('unproven', 'a token bound to another client certificate')
}

function asDpop(why: 'unproven' | 'unbound', detail: string): Refusal {
  return rejected(why, detail, { headers: { 'WWW-Authenticate': dpopChallenge('invalid_token') } })
}
