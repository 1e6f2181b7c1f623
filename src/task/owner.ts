/** Who may accept a registration, and in which role. */
import type { Acceptance, OwnerRole } from '../state/registrations.ts'
import type { Owners } from './agents.ts'

/** Who accepts. */
export interface Accepting {
  readonly name: string
  /** Groups that signing in proved; null when it proved not even the name, as the local key does not. */
  readonly groups: readonly string[] | null
  /** How they came in. */
  readonly method?: string
}

/**
 * Why somebody may not accept in this role; null when they may. Whoever signed in is the owner, or in the group that is. A name that
 * nobody proved is taken for one role, as somebody of the owner's: for a second only where the registration itself names one owner for
 * both. So the local key does not prove three people, but nobody is three owners by accident.
 */
export function whyNotOwner(
  owners: Owners | null,
  role: OwnerRole,
  { name, groups }: Accepting,
  acceptances: readonly Acceptance[],
): string | null {
  const owner = owners?.[role]
  if (owner === undefined || owner.trim() === '') return `the registration names no ${role} owner`
  if (groups !== null && owner !== name && !groups.includes(owner)) return `${name} is not the ${role} owner, nor in the group ${owner}`
  const other = acceptances.find((one) => one.role !== role && one.by === `person:${name}` && owners?.[one.role] !== owner)
  if (other === undefined) return null
  return `${name} accepted as ${other.role} owner: another name accepts as ${role} owner, or the registration names one owner for both`
}
