import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Refusal } from '../refusal.ts'
import type { Trace } from '../trace-context.ts'

/** Where a call is addressed, parsed once from its port, Host and request target; never rewritten. */
export interface Address {
  /** `agent-api`: `/.countersign/v1/…` on the shared port. `none`: nothing is configured there. */
  readonly kind: 'route' | 'agent-api' | 'none'
  /** The route's name; null unless `kind` is `route`. */
  readonly route: string | null
  /** From `Countersign-Task` or `/t/<task>/`; null when neither is there. */
  readonly task: string | null
  /** What stands before `target` in the request line, e.g. `/t/t_01…/crm` or ``: links back to the agent start with it. */
  readonly prefix: string
  /** Path and query after `prefix`, exactly the bytes that came; starts with `/`. */
  readonly target: string
  /** `target` up to `?`. */
  readonly path: string
  /** `target` after the first `?`, or null when there is none (a lone `?` gives the empty string). */
  readonly query: string | null
  /** `path` split at `/` (first empty piece dropped), each percent-decoded once. */
  readonly segments: readonly string[]
}

/** What a call carries for its task; form alone was looked at, and none of it goes upstream unless a route says so. */
export interface Carried {
  /** `Countersign-Task`, where it is a token and no id. */
  readonly token: string | null
  /** `Txn-Token`, as it came. */
  readonly transaction: string | null
  /** `Countersign-Prompt`: `sha256:` and 64 lower-case hex digits. */
  readonly prompt: string | null
  /** `Countersign-Depends-On`: `c_` and a ULID, of a call whose answer this one rests on. */
  readonly dependsOn: string | null
}

/** The listener a call came in by. */
export interface Listener {
  readonly name: string
  readonly port: number
  /** A configured agent ID for callers that hold no token, or null (ambient identity is off by default). */
  readonly ambient: string | null
}

/**
 * The TLS side of a connection: one object per connection, so that what is found out about it can be kept with it.
 * That the client holds the key of the first certificate was proven in the handshake; nothing else about the chain was judged.
 */
export interface TlsPeer {
  /** Certificates as the client sent them, leaf first, DER; empty when it sent none. */
  readonly chain: readonly Uint8Array[]
}

/** How a refusal is put into words for the client that gets it. */
export type RefusalShape = 'problem' | 'json-rpc' | 'aws-xml' | 'aws-json' | 'github'

/** How far a call that was forwarded has come, as of now. */
export interface Progress {
  /** Body bytes sent to the upstream. */
  readonly bytesOut: number
  /** Body bytes that came back. */
  readonly bytesIn: number
}

/** One request of an agent: canonical, parsed once. */
export interface Call {
  /** `c_` and a ULID. */
  readonly id: string
  /** Epoch milliseconds. */
  readonly received: number
  readonly method: string
  readonly scheme: 'http' | 'https'
  /** The Host header as it came, lower-cased. */
  readonly host: string
  /** Remote address, for the record. */
  readonly peer: string
  /** Null on a plain listener. */
  readonly tls: TlsPeer | null
  readonly listener: Listener
  readonly address: Address
  /** Null, as absent, in the usual case that it carries nothing. */
  readonly carried?: Carried | null
  /** Null, as absent, where it is not traced. */
  readonly trace?: Trace | null
  /** Flat list of lower-cased names and values, in the order they came. */
  readonly headers: readonly string[]
  /** Bytes announced by `Content-Length`; null when chunked; 0 when there is no body. */
  readonly length: number | null
  /** Most body bytes: whoever reads `incoming` stops past it with `listen.too-large` (an announced length was checked already). */
  readonly limit: number
  /** The client waits for `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean
  /** Aborts when the client leaves, a deadline passes or the work is cut. Its reason is a Refusal, or a `ClientGone`. */
  readonly signal: AbortSignal
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  /** Set when the call is forwarded, by whoever forwards it. */
  progress?: Progress
  /** What of `Prefer` was honoured; the answer says so (RFC 7240 §3). Set when the call begins to wait. */
  preference?: string
  /** The value of a header (given in lower case); several of one name are joined with `, `. */
  header(name: string): string | undefined
  /** Sends `100 Continue` to a client that waits for it; call it when the body is about to be read. Idempotent, else without effect. */
  continue(): void
  /** Throws the refusal that listen found, or `listen.draining`; returns when the call may go on. */
  admit(): void
  /** Counts this call against its caller; throws `listen.overloaded` when too many are in flight. Idempotent. */
  occupy(caller: string): void
  /** Ends this call's counting. Idempotent. */
  release(): void
  /** Aborts `signal` with this reason; bytes stop, the upstream request is cut. */
  cut(reason: Refusal): void
  /** Sends a refusal in the shape of its route; when the answer has begun, destroys the connection instead. */
  refuse(refusal: Refusal): void
}

/** The reason of `Call.signal` when the client went away. */
export class ClientGone extends Error {
  constructor() {
    super('the client closed its connection')
    this.name = 'ClientGone'
  }
}
