/** Registrations of agents that came through the admin API, and what was accepted of any agent. */
import type { Awaitable } from './state.ts'

export type OwnerRole = 'business' | 'security' | 'incident'

/** One owner said yes. */
export interface Acceptance {
  readonly role: OwnerRole
  /** `person:<name>`, or `file:<path>` of a reviewed file. */
  readonly by: string
  readonly at: number
  /** `sha256:` of what was accepted: of the file, or of the canonical registration. A change of it takes new acceptances. */
  readonly digest: string
}

export type LifecycleState = 'proposed' | 'approved' | 'live' | 'suspended' | 'retired'

export interface RegistrationRow {
  /** SPIFFE ID or pattern. */
  readonly id: string
  /** The registration as it was proposed, in the words of the configuration; null for an agent that a file declares. */
  readonly declared: Readonly<Record<string, unknown>> | null
  /** Of a declared agent: overrides the file only towards less (suspended, retired). */
  readonly lifecycle: LifecycleState
  readonly acceptances: readonly Acceptance[]
  readonly changed: { readonly at: number; readonly by: string; readonly reason: string }
}

/** Named transactions on registrations. */
export interface RegistrationBook {
  registration(id: string): Awaitable<RegistrationRow | null>
  registrations(): Awaitable<readonly RegistrationRow[]>
  put(row: RegistrationRow): Awaitable<void>
}
