/** Kills: what is stopped, since when and by whom, until a person lifts it. */
import type { Awaitable } from './state.ts'

export type KillScope = 'agent' | 'task' | 'tool' | 'route' | 'owner' | 'trust-domain' | 'everything'

export interface KillRow {
  /** `k_…`. */
  readonly id: string
  readonly scope: KillScope
  /** What is stopped: a SPIFFE ID or registered pattern, a task (its descendants are covered), a tool or route name, an owner, a trust domain. Null for everything. */
  readonly name: string | null
  readonly at: number
  /** `person:<name>`, `rule:<id>` or `file:<path>`. */
  readonly by: string
  readonly reason: string
  /** Only a named person lifts a kill. */
  readonly lifted: { readonly at: number; readonly by: string; readonly reason: string } | null
}

/** What a kill may cover of one call, or of one lease. */
export interface Killable {
  /** SPIFFE ID of the caller. */
  readonly caller: string
  readonly trustDomain: string
  /** The registration's id or pattern. */
  readonly agent: string
  /** The task and its ancestors, root last. */
  readonly tasks: readonly string[]
  /** Null before the call was matched, or where there is none. */
  readonly tool: string | null
  readonly route: string | null
  /** Owners of agent, route and provider, as far as they are known. */
  readonly owners: readonly string[]
}

/** Named transactions on kills. On the embedded state `covering` looks in memory and costs nothing while nothing is killed. */
export interface KillBook {
  /**
   * In force at once, then written through; the same scope and name again gives the kill that is engaged already. Throws when it cannot be
   * written: it is in force all the same, and written with the next flush that can.
   */
  engage(row: KillRow): Awaitable<KillRow>
  /** Null when it is not engaged. */
  lift(id: string, lifted: NonNullable<KillRow['lifted']>): Awaitable<KillRow | null>
  /** Engaged ones, or all, newest first. */
  kills(filter?: { readonly all?: boolean }): Awaitable<readonly KillRow[]>
  /** The first engaged kill that covers this; null when none does. In the tick of the mint. */
  covering(about: Killable): KillRow | null
  /** Engaged kills at present. */
  readonly engaged: number
}
