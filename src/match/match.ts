import type { Route } from './route.ts'
import type { Tool } from './tools.ts'

/** The body as the judge saw it. `judged` bytes are the bytes that are forwarded. */
export interface JudgedBody {
  readonly kind: 'none' | 'json' | 'stream'
  /** The parsed document; absent (`undefined`) unless `judged` and `kind` is `json`. Null-prototype objects. */
  readonly parsed: unknown
  /** Exactly what came, when it was read whole; null for a stream. */
  readonly bytes: Uint8Array | null
  /** Lower-case hex; null for a stream (its digest is in the outcome). */
  readonly sha256: string | null
  readonly size: number | null
  readonly judged: boolean
}

/** What a call matched. */
export interface Target {
  readonly route: Route
  readonly tool: Tool
  /** Named pieces of the path template. */
  readonly params: Readonly<Record<string, string>>
  readonly resource: string | null
  readonly body: JudgedBody
  /** Budget amounts of this call, `calls: 1` included. */
  readonly debit: Readonly<Record<string, number>>
}
