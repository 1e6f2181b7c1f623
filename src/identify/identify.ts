import { hash } from 'node:crypto'
import type { Call, TlsPeer } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'
import { ambientCaller } from './ambient.ts'
import { isAlgorithm } from './algorithms.ts'
import { CallerCache } from './cache.ts'
import type { OwnIdentity } from './own.ts'
import { rejected, shown } from './rejected.ts'
import { findPresented } from './slots.ts'
import { claimedSubject, readShape } from './token-shape.ts'

/** Who a call was proven to come from, before any policy. */
export interface Caller {
  /** A SPIFFE ID. */
  readonly id: string
  readonly trustDomain: string
  readonly method: 'jwt-svid' | 'x509-svid' | 'oidc' | 'ambient'
  /** How the proof is bound to its sender; a bearer token is not. */
  readonly confirmed: 'bearer' | 'mtls' | 'dpop' | 'none'
  readonly issuer: string | null
  /** Epoch milliseconds; the proof is worth nothing from then on. */
  readonly expires: number
  /** `sha256:` of the presented proof: tells one session's token from another's without keeping it. */
  readonly proof: string
  /** Allow-listed claims. */
  readonly claims: Readonly<Record<string, unknown>>
  /** What the sender has to prove on every call, from the `cnf` of its token; absent for a plain bearer token. */
  readonly confirmation?: Confirmation
}

/** The `cnf` of a token (RFC 7800): `jkt` of a DPoP key (RFC 9449 §6.1), or `x5t#S256` of a client certificate (RFC 8705 §3.1); base64url. */
export type Confirmation = { readonly jkt: string } | { readonly x5tS256: string }

/** A token found in a slot that an SDK can fill. */
export interface Presented {
  readonly slot: 'authorization' | 'proxy-authorization' | 'x-api-key' | 'x-goog-api-key' | 'basic-password'
  readonly token: string
}

/**
 * One way to verify who is calling.
 * `verify` returns `null` for "not mine" and throws a Refusal (`identify.rejected`, `identify.unavailable`) for "mine and bad".
 */
export interface IdentitySource {
  readonly type: string
  verify(presented: Presented, call: Call): Caller | null | Promise<Caller | null>
  /**
   * The caller that the certificates of a TLS connection prove at `now` (epoch ms): null for "not mine", throws as `verify` does.
   * Absent on sources that know no certificates.
   */
  verifyPeer?(peer: TlsPeer, now: number): Caller | null
  /**
   * The X.509 authorities of a trust domain (DER; one array object as long as they stay the same): null for "not mine",
   * empty when all were revoked or none is fit for use. Absent on sources that know no certificates.
   */
  authorities?(trustDomain: string): readonly Uint8Array[] | null
  /** The identity that Countersign itself was given with these keys. Absent on sources that only verify. */
  readonly own?: OwnIdentity
  /** Most ms that a verified caller is kept before it is verified again; absent: as long as its proof lives. */
  readonly keep?: number
  /**
   * A number that changes whenever a token verified before might not verify now (a key set changed or grew too old);
   * negative while the source cannot verify at all. Callers are cached only as long as it stays the same.
   */
  generation(): number
  /** True once the source can verify (its first keys are there). */
  ready(): boolean
  close(): void
}

/** What the stage is made of. */
export interface IdentifyOptions {
  /** Asked in order; the first that does not answer `null` decides. */
  readonly sources: readonly IdentitySource[]
  /** Epoch ms. */
  readonly clock: () => number
  /** Most verified tokens kept; default 4096. */
  readonly cacheSize?: number
}

/** The parts that verifying needs; `cache` is written here alone. */
interface Means {
  readonly sources: readonly IdentitySource[]
  readonly clock: () => number
  readonly cache: CallerCache
}

/**
 * Makes the stage: takes a call, gives its proven caller, at once when every token it carries is known.
 * Throws `identify.missing` when no slot holds a token (and the listener has no ambient caller), `identify.rejected` when one does not
 * verify or two name different callers, `identify.unavailable` when there are no keys to verify with.
 * Every token-shaped text in a slot must verify; anything else there, such as the dummy key that an SDK insists on, is ignored.
 */
export function makeIdentify(options: IdentifyOptions): (call: Call) => Caller | Promise<Caller> {
  const { sources, clock } = options
  const cache = new CallerCache(options.cacheSize ?? 4096)
  const means: Means = { sources, clock, cache }
  return (call) => {
    const presented = findPresented(call.headers)
    const now = clock()
    let agreed: Caller | null = null
    for (const one of presented) {
      const known = cache.get(digestOf(one), now)
      if (known !== null) agreed = agree(agreed, known)
      else if (readShape(one.token) !== null) return verifyAll(presented, call, means)
    }
    return agreed ?? absent(call, now)
  }
}

/** In order: the first token decides whose keys are asked first, and the first caller is the one that the others must agree with. */
async function verifyAll(presented: readonly Presented[], call: Call, means: Means): Promise<Caller> {
  const { cache, clock } = means
  let agreed: Caller | null = null
  for (const one of presented) {
    const shape = readShape(one.token)
    if (shape === null) continue
    // JWT-SVID §4: an algorithm outside the list is refused before anything else is looked at, for every source
    if (!isAlgorithm(shape.algorithm)) throw rejected('algorithm', `alg in ${one.slot} is not one of the nine`)
    agreed = agree(agreed, cache.get(digestOf(one), clock()) ?? (await verifyOne(one, call, means)))
  }
  if (agreed === null) return absent(call, clock())
  // verifying may have waited for keys
  if (clock() >= agreed.expires) throw rejected('expired', 'expired while it was verified')
  return agreed
}

async function verifyOne(one: Presented, call: Call, { sources, cache }: Means): Promise<Caller> {
  for (const source of sources) {
    // read before: if keys change meanwhile, what is cached is out of date at once
    const generation = source.generation()
    const caller = await source.verify(one, call)
    if (caller === null) continue
    cache.put(digestOf(one), { caller, source, generation })
    return caller
  }
  const subject = claimedSubject(one.token)
  throw rejected('unknown', `no source for the token in ${one.slot}, unverified sub ${subject === null ? 'absent' : shown(subject)}`)
}

function digestOf(one: Presented): string {
  return hash('sha256', one.token)
}

function agree(first: Caller | null, second: Caller): Caller {
  if (first !== null && first.id !== second.id) throw rejected('conflict', `tokens of ${first.id} and ${second.id}`)
  return first ?? second
}

function absent(call: Call, now: number): Caller {
  const { ambient } = call.listener
  if (ambient !== null) return ambientCaller(call.listener, ambient, now)
  throw new Refusal('identify.missing', {
    reasons: ['present a JWT-SVID as a Bearer token, an API key (x-api-key, x-goog-api-key) or a Basic password'],
  })
}
