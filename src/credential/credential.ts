import type { Secret } from '../secret.ts'
import type { Permit } from '../decide/permit.ts'
import type { Revocation } from '../state/state.ts'

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
  readonly expires: number
  readonly scopes: readonly string[]
  /** What `revoke` needs, as text; sealed before it is kept. Null when nothing can be revoked. */
  readonly handle: string | null
  readonly revocation: Revocation
}

/**
 * A way to get credentials. `issue` obeys the signal, never answers one that outlives `wanted.ttl` and throws
 * `credential.unavailable` or `credential.too-wide`; `revoke` is idempotent and throws when it must be tried again.
 */
export interface CredentialProvider {
  readonly type: string
  readonly placement: Placement
  readonly standing: boolean
  issue(wanted: Wanted, signal: AbortSignal): Promise<Issued>
  revoke?(handle: string, signal: AbortSignal): Promise<void>
  close(): void
}

/** Gets the lease a permit is entitled to; null for a route without a credential. */
export type Credential = (permit: Permit) => Lease | null | Promise<Lease | null>
