import type { RefusalShape } from '../listen/call.ts'
import type { Approval, Lender } from './approval.ts'
import type { Tool } from './tools.ts'

/** An upstream and how it is reached. */
export interface Route {
  readonly name: string
  readonly owner: string | null
  /** Absent: nobody's approval is kept of it, and none lapses. */
  readonly approved?: Approval
  readonly to: {
    /** `https://host:port`, no path. */
    readonly origin: string
    readonly scheme: 'http' | 'https'
    /** The Host header that the upstream sees. */
    readonly authority: string
    readonly hostname: string
    readonly port: number
    /** Path of `to` without a trailing slash; the target is appended to it byte for byte. */
    readonly basePath: string
  }
  /** Loopback and private ranges are dialled only when `private`. */
  readonly reach: 'public' | 'private'
  /** TLS with our own SVID: the SPIFFE IDs of which the upstream must prove one. Null: as `scheme` says. */
  readonly tls: { readonly ids: readonly string[] } | null
  /** Provider name, or null for a route without a credential. */
  readonly credential: string | null
  /** Of that provider, where somebody answers for it. */
  readonly lender?: Lender
  readonly tools: readonly Tool[]
  /** Lower-case header names that choose the operation. */
  readonly selects: readonly string[]
  /** Lower-case request header names that policy may see. */
  readonly policyHeaders: readonly string[]
  /** Lower-case response header names that policy may see. */
  readonly answerHeaders: readonly string[]
  /** Bodies on GET, HEAD, DELETE and OPTIONS are refused unless this is set. */
  readonly allowBody: boolean
  readonly refusals: RefusalShape
  /** Milliseconds. */
  readonly timeouts: { readonly connect: number; readonly head: number; readonly idle: number }
  readonly observe: boolean
  /** Coded answers of a credentialed route pass, although nobody can tell whether they hold its credential. */
  readonly unsafeCoded?: boolean
  /** A `Txn-Token` goes on to the upstream. */
  readonly transactions?: boolean
}
