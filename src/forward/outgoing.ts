/** What is about to go upstream, and what a lease makes of it. */
import type { Readable } from 'node:stream'
import type { Upload } from './upload.ts'
import type { Upstream } from './upstream.ts'

/** The request as it would be sent without a credential: nothing but the lease changes it any more. */
export interface Outgoing {
  readonly method: string
  /** Scheme, authority and port as dialled are those of `upstream.route.to`; the Host header is its `authority`. */
  readonly upstream: Upstream
  /** Flat list of lower-case names and values. Without `host` where undici derives it; `content-length` only of a stream of known length. */
  readonly headers: string[]
  /** Path and query of the request line; begins with `upstream.basePath`. */
  readonly path: string
  /** Flat list of all headers as the agent sent them, the stripped ones too. */
  readonly given: readonly string[]
  /** Whole in memory, still streaming from the agent, or none. */
  readonly body: Buffer | Upload | null
  /** Lower-case hex of a body that is whole, where it is known already. */
  readonly sha256: string | null
  /** Most bytes that may be gathered of a body that streams. */
  readonly gather: number
  /** Aborts when the call's authority ends or the agent leaves. */
  readonly signal: AbortSignal
}

/** What goes out. */
export interface Applied {
  readonly headers: string[]
  /** Path and query of the request line. */
  readonly path: string
  /** Sent in place of the body; absent: the body goes as it is. Its framing headers are in `headers`, but for a Buffer's length, which undici writes. */
  readonly body?: Buffer | Readable
  /** What stands before the agent's path in the request line, where that is not the base path of the route: links back are cut by it. */
  readonly base?: string
}
