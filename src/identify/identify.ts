import type { Call } from '../listen/call.ts'

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
}

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
  /** True once the source can verify (its first keys are there). */
  ready(): boolean
  close(): void
}
