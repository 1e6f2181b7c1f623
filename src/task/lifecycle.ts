/** The lifecycle of a registration: which verb leads from where to where. */
import type { Acceptance, LifecycleState, OwnerRole } from '../state/registrations.ts'

export type LifecycleVerb = 'propose' | 'accept' | 'suspend' | 'resume' | 'retire'

export const ownerRoles: readonly OwnerRole[] = ['business', 'security', 'incident']

/** `none`: nobody has registered it yet. */
type From = LifecycleState | 'none'

/**
 * Verb → state → the state that it leads to; what does not stand here cannot be done. `accept` leads on with the last of the three
 * owners only. A registration that changes takes new acceptances, and no change lifts a suspension.
 */
const transitions: Readonly<Record<LifecycleVerb, Readonly<Partial<Record<From, LifecycleState>>>>> = {
  propose: { none: 'proposed', proposed: 'proposed', approved: 'proposed', live: 'proposed', suspended: 'suspended', retired: 'proposed' },
  accept: { proposed: 'approved', suspended: 'suspended' },
  suspend: { proposed: 'suspended', approved: 'suspended', live: 'suspended', suspended: 'suspended' },
  resume: { approved: 'live', suspended: 'live' },
  retire: { proposed: 'retired', approved: 'retired', live: 'retired', suspended: 'retired', retired: 'retired' },
}

/** Where a verb leads; null when it cannot be done from here. */
export function leadsTo(verb: LifecycleVerb, from: From): LifecycleState | null {
  return transitions[verb][from] ?? null
}

/** Roles whose owner has not accepted this registration yet. */
export function missingRoles(acceptances: readonly Acceptance[], digest: string): OwnerRole[] {
  return ownerRoles.filter((role) => !acceptances.some((one) => one.role === role && one.digest === digest))
}

/** The state of an agent that a file declares and that people have narrowed since: whichever allows less. */
export function narrower(file: LifecycleState, people: LifecycleState): LifecycleState {
  if (file === 'retired' || people === 'retired') return 'retired'
  return file === 'suspended' || people === 'suspended' ? 'suspended' : file
}
