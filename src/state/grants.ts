/** Grants of a hand-off: one task offers a narrower child of itself to another workload, once. */
import type { Raised } from './mint.ts'
import type { Awaitable, Intent } from './state.ts'

export type GrantState = 'offered' | 'redeemed' | 'withdrawn' | 'expired'

export interface GrantRow {
  /** `g_…`: a name, not a secret. What redeems it is the receiver's identity and the token. */
  readonly id: string
  /** The task that hands on. */
  readonly task: string
  /** Its caller. */
  readonly from: string
  /** SPIFFE ID of the only workload that may redeem it. */
  readonly to: string
  readonly intent: Intent
  /** Life of the child from redemption on, ms; it never outlives its parent. */
  readonly ttl: number
  readonly state: GrantState
  readonly offered: number
  /** Until when it may be redeemed, epoch ms. */
  readonly expires: number
  /** `sha256:` of the one-time token that goes from agent to agent. */
  readonly digest: string
  /** The child task; null until it is redeemed. */
  readonly child: string | null
}

/** What redeems a grant. */
export interface Redemption {
  readonly grant: string
  /** The receiver, as it was proven. */
  readonly to: string
  /** `sha256:` of the token it brought. */
  readonly digest: string
  /** Epoch ms. */
  readonly now: number
}

export type OpenedChild =
  | { readonly opened: true; readonly raised: readonly Raised[] }
  /** `grant`: it is not there for this receiver and token, or not any more. The others: what became of the task that handed on. */
  | { readonly opened: false; readonly why: 'grant' | 'task.ended' | 'task.paused' }

/** Named transactions on grants. */
export interface GrantBook {
  /** False, and nothing is kept, when the task that hands on is not active any more. */
  offer(row: GrantRow): Awaitable<boolean>
  grant(id: string): Awaitable<GrantRow | null>
  /** In whatever state, oldest first. */
  ofTask(task: string): Awaitable<readonly GrantRow[]>
  /** Those that are still offered. */
  open(task: string): readonly GrantRow[]
  /** offered → redeemed, exactly once; null when it is not offered to `to`, its digest is another, or its time has passed. */
  redeem(id: string, by: { readonly to: string; readonly digest: string; readonly child: string }, now: number): Awaitable<GrantRow | null>
  /** offered → withdrawn; null when it is not offered any more. */
  withdraw(id: string): Awaitable<GrantRow | null>
  /** Those that nobody redeemed in time. */
  overdue(now: number): readonly GrantRow[]
  /** offered → expired; null when it is not offered any more. */
  expire(id: string): Awaitable<GrantRow | null>
}
