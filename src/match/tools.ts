import type { Approval } from './approval.ts'

export type Effect = 'read' | 'write' | 'send' | 'delete' | 'execute' | 'unknown'
export type Risk = 'low' | 'medium' | 'high' | 'critical'
/**
 * What it is in a chain of calls: it finds out about secrets, permissions, users or infrastructure; it changes who may do what; or
 * neither.
 */
export type Kind = 'discovery' | 'privilege' | 'routine'
export type Egress = 'internal' | 'partner' | 'public'

/** A named operation on a route. */
export interface Tool {
  readonly name: string
  /** Method and path template (`GET /customers/{id}`), or null for the route's uncatalogued rest. */
  readonly match: string | null
  /** Lower-case name → exact value of headers that choose this tool beside its path; each is one of the route's `selects`. */
  readonly headers?: Readonly<Record<string, string>>
  readonly kind: Kind
  readonly effect: Effect
  readonly risk: Risk
  /** Data classes that the answer holds. */
  readonly data: readonly string[]
  readonly egress: Egress
  /** Template such as `customer:{id}`; null when it touches no named resource. */
  readonly resource: string | null
  /** Classes this destination may receive; null: public only. */
  readonly accepts: readonly string[] | null
  /** `json`: the body is read strictly and judged. Null: it streams, unjudged. */
  readonly args: 'json' | null
  /** How its answer is judged: by its head, or read as JSON as well. Null: it streams by, unjudged. */
  readonly answer: 'head' | 'json' | null
  /** Data classes that count as read with every permitted call, whatever the answer turns out to be: `data`, or the worst where nobody will say. */
  readonly reads: readonly string[]
  /** Budget meter → JSON pointer into the body (a number), or a fixed amount. */
  readonly debit: Readonly<Record<string, string | number>>
  /** A call to a model: its body is a prompt. */
  readonly prompt: boolean
  /** Callers have to prove that they hold a key: a bearer token is not enough. */
  readonly bound: boolean
  /** Absent: nobody's approval is kept of it, and none lapses. */
  readonly approved?: Approval
  /** False for the uncatalogued rest. */
  readonly catalogued: boolean
}
