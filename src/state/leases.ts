/** Rows of the lease book. */

export type LeaseState = 'issuing' | 'live' | 'revoking' | 'revoked' | 'expired' | 'discarded' | 'orphaned'
export type Revocation = 'issuer' | 'expiry' | 'discard'

export interface LeaseRow {
  readonly id: string
  /** Canonical text of (task, caller, tool, destination, provider, scopes, audience). */
  readonly key: string
  readonly task: string
  readonly caller: string
  readonly tool: string
  readonly destination: string
  readonly provider: string
  readonly scopes: readonly string[]
  readonly audience: string | null
  readonly state: LeaseState
  readonly issued: number
  readonly expires: number
  readonly revision: string
  readonly revocation: Revocation
  /** `sha256:` of the credential, null until it is there. */
  readonly digest: string | null
  /** What revocation needs, sealed (AEAD); erased on revocation. Null without a state key. */
  readonly sealed: string | null
  /** `sha256:` of what its latest permit rested on; it is renewed only while that is the same. Absent in rows of older versions: nothing is. */
  readonly context?: string
  /** Since when it is being taken back (epoch ms), and why; absent: it is not. */
  readonly ending?: { readonly since: number; readonly cause: string }
}
