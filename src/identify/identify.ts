import { hash } from 'node:crypto'
import type { Call, TlsPeer } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'
import { ambientCaller } from './ambient.ts'
import type { Acting } from './jwt/act.ts'
import { isAlgorithm } from './jwt/algorithms.ts'
import { CallerCache } from './cache.ts'
import { confirm } from './confirm.ts'
import type { Held } from './confirm.ts'
import { makeCheckProof } from './dpop/dpop.ts'
import type { CheckProof, DpopRules } from './dpop/dpop.ts'
import type { KeyReport } from './keys/key-report.ts'
import type { OwnIdentity } from './own.ts'
import { Peers } from './peers.ts'
import { ProofMemory } from './dpop/proofs.ts'
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
  /** Who acts through it, where its token says so; absent: it acts itself. */
  readonly acting?: Acting
}

/** The `cnf` of a token (RFC 7800): `jkt` of a DPoP key (RFC 9449 §6.1), or `x5t#S256` of a client certificate (RFC 8705 §3.1); base64url. */
export type Confirmation = { readonly jkt: string } | { readonly x5tS256: string }

/** A token found in a slot that an SDK can fill. */
export interface Presented {
  readonly slot: 'authorization' | 'proxy-authorization' | 'x-api-key' | 'x-goog-api-key' | 'basic-password'
  readonly token: string
  /** The scheme DPoP (RFC 9449 §7.1); absent for what whoever holds it can use. */
  readonly scheme?: 'dpop'
}

/**
 * One way to verify who is calling.
 * `verify` returns `null` for "not mine" and throws a Refusal (`identify.rejected`, `identify.unavailable`) for "mine and bad".
 */
export interface IdentitySource {
  readonly type: string
  /** `call` is absent when a token is examined outside of one. */
  verify(presented: Presented, call?: Call): Caller | null | Promise<Caller | null>
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
  /** Reads the keys now and tells what came of it. Absent on sources that are not read but told. */
  examine?(): Promise<KeyReport>
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
  /** Default: a window of a minute, nonces as needed. */
  readonly dpop?: DpopRules
  /** The DPoP proofs used before; handed in so that they are still known after a reload. */
  readonly proofs?: ProofMemory
}

/** The parts that verifying needs; `cache` and `peers` are written here alone. */
interface Means {
  readonly sources: readonly IdentitySource[]
  readonly clock: () => number
  readonly cache: CallerCache
  readonly peers: Peers
  readonly checkProof: CheckProof
}

/**
 * Makes the stage: takes a call, gives its proven caller, at once when every token it carries is known.
 * Throws `identify.missing` when it presents nothing (and a plain listener has no ambient caller), `identify.rejected` when something does
 * not verify, is bound to a key that the call does not prove, or two name different callers, `identify.unavailable` when there are no
 * keys to verify with.
 * Every token-shaped text in a slot must verify; anything else there, such as the dummy key that an SDK insists on, is ignored.
 */
export function makeIdentify(options: IdentifyOptions): (call: Call) => Caller | Promise<Caller> {
  const { sources, clock, dpop = { window: 60_000, nonce: 'as-needed' }, proofs = new ProofMemory(clock()) } = options
  const cache = new CallerCache(options.cacheSize ?? 4096)
  const means: Means = { sources, clock, cache, peers: new Peers(sources), checkProof: makeCheckProof(dpop, proofs) }
  return (call) => {
    const presented = findPresented(call.headers)
    const now = clock()
    const held: Held[] = []
    for (const one of presented) {
      const digest = digestOf(one)
      const caller = cache.get(digest, now)
      if (caller !== null) held.push({ one, digest, caller })
      else if (readShape(one.token) !== null) return verifyAll(presented, call, means)
    }
    return settle(held, call, now, means)
  }
}

/** In order: the first token decides whose keys are asked first. */
async function verifyAll(presented: readonly Presented[], call: Call, means: Means): Promise<Caller> {
  const { cache, clock } = means
  const held: Held[] = []
  for (const one of presented) {
    const shape = readShape(one.token)
    if (shape === null) continue
    // JWT-SVID §4: an algorithm outside the list is refused before anything else is looked at, for every source
    if (!isAlgorithm(shape.algorithm)) throw rejected('algorithm', `alg in ${one.slot} is not one of the nine`)
    const digest = digestOf(one)
    held.push({ one, digest, caller: cache.get(digest, clock()) ?? (await verifyOne(one, digest, call, means)) })
  }
  // verifying may have waited for keys
  const now = clock()
  if (held.some(({ caller }) => now >= caller.expires)) throw rejected('expired', 'expired while it was verified')
  return settle(held, call, now, means)
}

async function verifyOne(one: Presented, digest: string, call: Call, { sources, cache }: Means): Promise<Caller> {
  for (const source of sources) {
    // read before: if keys change meanwhile, what is cached is out of date at once
    const generation = source.generation()
    const caller = await source.verify(one, call)
    if (caller === null) continue
    cache.put(digest, { caller, source, generation })
    return caller
  }
  const subject = claimedSubject(one.token)
  throw rejected('unknown', `no source for the token in ${one.slot}, unverified sub ${subject === null ? 'absent' : shown(subject)}`)
}

function digestOf(one: Presented): string {
  return hash('sha256', one.token)
}

/**
 * Everything that was presented has to name one caller, and every token to be proven as it asks: who disagrees is found before a proof
 * is used up. The first token is the one whose claims count; beside a certificate it adds them to the certificate's caller.
 */
function settle(held: readonly Held[], call: Call, now: number, { peers, checkProof }: Means): Caller {
  const peer = call.tls === null ? null : peers.caller(call.tls, now)
  const [first] = held
  if (first === undefined) return peer ?? absent(call, now)
  for (const { caller } of held)
    if (caller.id !== first.caller.id) throw rejected('conflict', `tokens of ${first.caller.id} and ${caller.id}`)
  if (peer !== null && peer.id !== first.caller.id)
    throw rejected('mismatch', `a certificate of ${peer.id} and a token of ${first.caller.id}`)
  const proven = confirm(first, call, now, checkProof)
  for (const other of held) if (other !== first) confirm(other, call, now, checkProof)
  return peer === null ? proven : joined(peer, proven)
}

/** Caller by certificate → caller by token → both. What is written about a caller is kept with the object. */
const both = new WeakMap<Caller, WeakMap<Caller, Caller>>()

/** The certificate's caller, bound to the connection, with what the token says of it; for as long as both are good. */
function joined(peer: Caller, token: Caller): Caller {
  let tokens = both.get(peer)
  if (tokens === undefined) both.set(peer, (tokens = new WeakMap()))
  let known = tokens.get(token)
  if (known === undefined) {
    const { issuer, claims } = token
    tokens.set(token, (known = { ...peer, issuer: issuer ?? peer.issuer, claims, expires: Math.min(peer.expires, token.expires) }))
  }
  return known
}

/** A TLS listener has no ambient caller, whatever its settings say: who takes the trouble of TLS is to prove who it is. */
function absent(call: Call, now: number): Caller {
  const { ambient } = call.listener
  if (ambient !== null && call.tls === null) return ambientCaller(call.listener, ambient, now)
  const token = 'a JWT-SVID as a Bearer token, an API key (x-api-key, x-goog-api-key) or a Basic password'
  throw new Refusal('identify.missing', {
    reasons: [call.tls === null ? `present ${token}` : `present an X.509-SVID as client certificate, or ${token}`],
  })
}
