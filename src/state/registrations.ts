/** Registrations of agents that came through the admin API, and what was accepted of any agent. */

export type OwnerRole = 'business' | 'security' | 'incident'

/** One owner said yes. */
export interface Acceptance {
  readonly role: OwnerRole
  /** `person:<name>`, or `file:<path>` of a reviewed file. */
  readonly by: string
  readonly at: number
  /** `sha256:` of the canonical registration that was accepted. A change of it takes new acceptances. */
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
  /** Those of the registration as it is now; earlier ones stand in the ledger. */
  readonly acceptances: readonly Acceptance[]
  readonly changed: { readonly at: number; readonly by: string; readonly reason: string }
}

/**
 * Named transactions on registrations. Every process that mints holds all of them in memory: the mint looks them up in its own tick,
 * so these answer at once. A row is never changed, only replaced: one that is still the same object is still true.
 */
export interface RegistrationBook {
  /** Grows with every `put`: who keeps something made of the rows sees by it that they changed. */
  readonly version: number
  registration(id: string): RegistrationRow | null
  registrations(): readonly RegistrationRow[]
  /** Written through before it answers. */
  put(row: RegistrationRow): void
}
