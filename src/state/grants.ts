/** Grants of a hand-off: one task offers a narrower child of itself to another workload, once. */
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

/** Named transactions on grants. */
export interface GrantBook {
  offer(row: GrantRow): Awaitable<void>
  grant(id: string): Awaitable<GrantRow | null>
  ofTask(task: string): Awaitable<readonly GrantRow[]>
  /** offered → redeemed, exactly once; null when it is not offered to `to`, its digest is another, or its time has passed. */
  redeem(id: string, by: { readonly to: string; readonly digest: string; readonly child: string }, now: number): Awaitable<GrantRow | null>
  /** offered → withdrawn. */
  withdraw(id: string): Awaitable<GrantRow | null>
}
