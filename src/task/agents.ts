import type { Intent } from '../state/state.ts'

export interface Owners {
  readonly business: string
  readonly security: string
  readonly incident: string
}

export type Autonomy = 'supervised' | 'bounded' | 'autonomous'
export type Lifecycle = 'proposed' | 'approved' | 'live' | 'suspended' | 'retired'

/** A registered workload. */
export interface Agent {
  /** SPIFFE ID, or a pattern whose last path segment is `*`. */
  readonly id: string
  readonly purpose: string
  /** Null when any of the three is missing: such an agent is not live. */
  readonly owners: Owners | null
  readonly autonomy: Autonomy
  readonly lifecycle: Lifecycle
  readonly approved: { readonly model: string | null; readonly toolchain: string | null; readonly until: number | null }
  readonly intent: Intent
  /** Longest life of one of its tasks, ms. */
  readonly ttl: number
  /** True: a call without a task gets one of the declared intent. `max` is the hard maximum life of it, ms. */
  readonly implicit: { readonly max: number } | null
  readonly labels: Readonly<Record<string, string>>
}
