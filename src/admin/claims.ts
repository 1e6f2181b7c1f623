/** From the claims of an issuer to a person. */
import type { JWTPayload } from 'jose'
import type { OidcSettings } from '../config/sign-in.ts'
import { SignInFault, type Person } from './person.ts'
import { noRole } from './roles.ts'

export interface ClaimRules {
  readonly settings: Pick<OidcSettings, 'groups_claim' | 'name_claim'>
  /** OIDC subject → the name of the person in `admin.approvers`. */
  readonly names: ReadonlyMap<string, string>
  /** Whether they have any role here. */
  readonly admits: (person: Person) => boolean
}

const mostGroups = 1000

/** Takes verified claims, gives who that is. Throws `SignInFault` (403) for people to whom nobody gave a role. */
export function personOf(claims: JWTPayload, { settings, names, admits }: ClaimRules): Person {
  const { sub = '' } = claims
  const entry = names.get(sub) ?? null
  const name = entry ?? nameIn(claims, settings.name_claim)
  if (name === null) throw new SignInFault(403, 'the issuer does not say what you are called')
  const told = claims[settings.groups_claim]
  const groups = Array.isArray(told) ? told.slice(0, mostGroups).filter((group) => typeof group === 'string' && isGroup(group)) : []
  const person = { name, aliases: aliasesIn(claims, [sub, name]), groups, entry }
  if (!admits(person)) throw new SignInFault(403, noRole)
  return person
}

/** One line without what could be taken for another name, or null. An address counts only when the issuer has verified it. */
function nameIn(claims: JWTPayload, claim: string): string | null {
  const name = claims[claim]
  if (claim === 'email' && claims['email_verified'] !== true) return null
  return typeof name === 'string' && /^[^\p{C}\p{Z}]{1,200}$/u.test(name) ? name : null
}

/** A group that is called like a person would be taken for one. */
function isGroup(name: string): boolean {
  return name.length <= 200 && !/^(person|group|user|agent):/.test(name)
}

/** Any name by which a chain may know the person: they exclude, and allow nothing, so they need no proof of their own. */
function aliasesIn(claims: JWTPayload, names: readonly string[]): readonly string[] {
  const others = [claims['email'], claims['preferred_username'], claims['upn']].filter((one) => typeof one === 'string')
  return [...new Set([...names, ...others])]
}
