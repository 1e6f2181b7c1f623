import type { Secret } from '../secret.ts'
import type { Permit } from '../decide/permit.ts'
import type { Revocation } from '../state/leases.ts'

/** How a credential is put on the upstream request. */
export type Placement =
  | { readonly in: 'header'; readonly name: string; readonly prefix: string }
  | { readonly in: 'query'; readonly name: string }
  /** `user` null: the name that came with the credential. */
  | { readonly in: 'basic'; readonly user: string | null }
  | { readonly in: 'cookie'; readonly name: string }
  /** RFC 9449: the token with a proof for each request; `parts.dpop_key` is the PEM of the private key that it is bound to. */
  | { readonly in: 'dpop' }
  /** AWS Signature Version 4; the secret is the secret access key, `user` the access key id, `parts.session_token` the session. */
  | { readonly in: 'sigv4'; readonly service: string; readonly region: string }
  /** The secret is the PEM of a private key, `parts.certificate` that of its certificate and chain: the connection itself is authenticated. */
  | { readonly in: 'tls' }
  /**
   * An opaque text that the agent's SDK insists on: swapped for the secret where a header or query value is that text, or a Basic pair holds it.
   * `at`: only there, as `header:<name in lower case>` and `query:<name>`. Absent: wherever it stands.
   */
  | { readonly in: 'placeholder'; readonly text: string; readonly at?: readonly string[] }
  /** `{secret}` in it; goes between the path of `to` and what the agent asked for. */
  | { readonly in: 'path'; readonly template: string }
  /** A member of a JSON body (RFC 6901), or a field of an urlencoded form: added to what the agent sent, which holds none of that name. */
  | { readonly in: 'body'; readonly json: string }
  | { readonly in: 'body'; readonly form: string }

/** One just-in-time credential as `forward` gets it. Usable only under the permit it came with. */
export interface Lease {
  readonly id: string
  readonly provider: string
  readonly placement: Placement
  readonly secret: Secret
  /** A name that belongs to it and is none: of a user, of an access key. Absent: none. */
  readonly user?: string
  /** Further secrets that came with it, by name: `session_token`, `certificate`. Never printed; scrubbed like the first, where it is sent. Absent: none. */
  readonly parts?: Readonly<Record<string, Secret>>
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
  /** As on the lease. */
  readonly user?: string
  readonly parts?: Readonly<Record<string, Secret>>
  /** Epoch ms at which it ends by itself, as far as the issuer says. May lie past `wanted.ttl` only with `revocation: issuer` or `excess`, or as far as `floor` goes. */
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
 * `issue` obeys the signal, which aborts when nobody waits any longer, not even to take back what comes, and throws a Refusal (`credential.unavailable`, or the signal's reason before it began) when nothing came,
 * with an `Unanswered` as its cause when it is not known what the issuer did. What came back wider than asked is answered with `excess`, so that it is taken back before the call is
 * refused with `credential.too-wide`.
 * `revoke` resolves only when the issuer confirmed, is idempotent, and throws when it must be tried again.
 */
export interface CredentialProvider {
  readonly type: string
  readonly placement: Placement
  readonly standing: boolean
  readonly offer: Offer
  /**
   * Shortest life that the issuer gives, ms; absent: any. A lease wanted for less is no longer used at its own end,
   * and what its issuer lets live until the floor is not too wide.
   */
  readonly floor?: number
  /**
   * What could take back whatever the issuer is about to give, before it is asked: sealed in the `issuing` row, so that an answer that nobody saw can be
   * revoked too. Null, or absent: there is no such thing. `revoke` takes it like any other handle, and once
   * it confirmed, what the issuer was asked for cannot come into being any more, however late it gets to it. When `issue` then refuses without an
   * `Unanswered`, it says that nothing is left of what was prepared either; in every other case the handle is revoked.
   */
  prepare?(wanted: Wanted, signal: AbortSignal): Promise<Secret | null>
  /** `prepared`: what `prepare` gave for this very lease. */
  issue(wanted: Wanted, signal: AbortSignal, prepared?: Secret | null): Promise<Issued>
  revoke?(handle: Secret, signal: AbortSignal): Promise<void>
  /**
   * Lets a credential live on at its issuer for `ttl` ms from now, or as far as the issuer goes; the secret stays what it is.
   * Rejects when it cannot: the next call then gets a fresh one. Absent: there is no renewing.
   */
  renew?(handle: Secret, ttl: number, signal: AbortSignal): Promise<{ readonly expires: number }>
  /** Ends what it holds at its issuer for itself, such as a login, once its leases are gone; it is not asked for more. Never rejects. Absent: it holds nothing. */
  close?(): Promise<void>
}

/** Gets the lease a permit is entitled to; null for a route without a credential. */
export type Credential = (permit: Permit) => Lease | null | Promise<Lease | null>
