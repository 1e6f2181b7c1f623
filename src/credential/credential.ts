import type { Secret } from '../secret.ts'
import type { Permit } from '../decide/permit.ts'
import type { Revocation } from '../state/leases.ts'

/** How a credential is put on the upstream request. */
export type Placement =
  | { readonly in: 'header'; readonly name: string; readonly prefix: string }
  | { readonly in: 'query'; readonly name: string }
  | { readonly in: 'basic'; readonly user: string }

/** One just-in-time credential as `forward` gets it. Usable only under the permit it came with. */
export interface Lease {
  readonly id: string
  readonly provider: string
  readonly placement: Placement
  readonly secret: Secret
  /** `sha256:…` of the secret, for the record. */
  readonly digest: string
  /** Epoch ms: it is not used from then on, even when the issuer would let it live longer. */
  readonly expires: number
  readonly revocation: Revocation
  /** True for a standing secret (`unsafe_standing`): flagged in every record. */
  readonly standing: boolean
  readonly scopes: readonly string[]
}

/** What a provider is asked for. */
export interface Wanted {
  readonly lease: string
  readonly task: string
  /** SPIFFE ID. */
  readonly caller: string
  readonly tool: string
  /** `https://host:port` plus base path the credential may go to. */
  readonly destination: string
  readonly scopes: readonly string[]
  readonly audience: string | null
  /** Never live longer than this many ms from now: what the decision and the task leave. */
  readonly ttl: number
  /** The verified human behind the task and their token, when the task carries one. */
  readonly subject: { readonly subject: string; readonly issuer: string; readonly token: Secret | null } | null
}

/** What a provider gave. */
export interface Issued {
  readonly secret: Secret
  /** Epoch ms at which it ends by itself, as far as the issuer says. May lie past `wanted.ttl` only with `revocation: issuer` or `excess`. */
  readonly expires: number
  readonly scopes: readonly string[]
  /** What `revoke` needs; sealed before it is kept. Null when nothing can be revoked. */
  readonly handle: Secret | null
  readonly revocation: Revocation
  /** Why it is wider than what was asked, for the operator and without any of its text; it is then revoked, never used. Null when it is not. */
  readonly excess: string | null
}

/** The widest that a provider's configuration lets a decision ask for. */
export interface Offer {
  /** Sorted, no repeats. */
  readonly scopes: readonly string[]
  /** The first is asked for unless the decision names another; empty when the provider knows no audiences. */
  readonly audiences: readonly string[]
  /** Longest life of a lease, ms. */
  readonly ttl: number
  /** True when the task's subject token is exchanged: only then is it opened. */
  readonly subject: boolean
}

/**
 * A way to get credentials.
 *
 * `issue` obeys the signal and throws a Refusal (`credential.unavailable`, or the signal's reason before it began) when nothing came,
 * with an `Unanswered` as its cause when it is not known what the issuer did. What came back wider than asked is answered with `excess`, so that it is taken back before the call is
 * refused with `credential.too-wide`.
 * `revoke` resolves only when the issuer confirmed, is idempotent, and throws when it must be tried again.
 */
export interface CredentialProvider {
  readonly type: string
  readonly placement: Placement
  readonly standing: boolean
  readonly offer: Offer
  issue(wanted: Wanted, signal: AbortSignal): Promise<Issued>
  revoke?(handle: Secret, signal: AbortSignal): Promise<void>
}

/** Gets the lease a permit is entitled to; null for a route without a credential. */
export type Credential = (permit: Permit) => Lease | null | Promise<Lease | null>
