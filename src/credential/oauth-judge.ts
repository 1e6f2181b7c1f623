import type { TokenAnswer } from './oauth-issuer.ts'
import { canonicalScopes, parseScopes } from './scopes.ts'

/** What was asked of the issuer. */
export interface Asked {
  readonly scopes: readonly string[]
  /** Scopes that may come unasked. */
  readonly surplus: readonly string[]
  /** Roles that may come, for none are ever asked for. */
  readonly roles: readonly string[] | 'any'
  /** Audiences and resources. */
  readonly targets: readonly string[]
  /** `issued_token_type` that must come back; null when the grant has none. */
  readonly issuedType: string | null
  /** RFC 7638 thumbprint of the key that the token must be bound to; null: it is a bearer token. */
  readonly key: string | null
  /** True: a token whose audience nobody can tell is accepted. */
  readonly opaque: boolean
  /** Epoch ms. */
  readonly now: number
  readonly end: number
}

/** What a token says of itself, or its issuer of it. `unreadable`: the issuer was asked and gave no usable answer. */
export type Claims = Readonly<Record<string, unknown>> | 'unreadable' | null

export interface Verdict {
  readonly scopes: readonly string[]
  /** Epoch ms; when nobody says, the end that was asked for. */
  readonly expires: number
  /** The first thing that is wider than asked; null when nothing is. Never text of the issuer. */
  readonly excess: string | null
}

/**
 * Holds what came back against what was asked: issuers silently ignore parameters they do not know, so nothing is taken on trust.
 * Takes the answer and the claims of the token (its own when it is a JWT, else by introspection). What cannot be told is wider.
 */
export function judge(asked: Asked, answer: TokenAnswer, claims: Claims): Verdict {
  const known = claims === null || claims === 'unreadable' ? {} : claims
  const scopes = grantedScopes(asked, answer, known)
  const end = expiry(asked, answer, known)
  const excess =
    typeExcess(asked, answer) ??
    (answer.malformed ? 'the answer is not well-formed' : null) ??
    (scopes === null || scopes.some((scope) => !asked.scopes.includes(scope) && !asked.surplus.includes(scope))
      ? 'its scope is wider than asked'
      : null) ??
    (claims === 'unreadable' ? 'the issuer does not tell what it may do' : null) ??
    audienceExcess(asked, claims === null ? null : known) ??
    rolesExcess(asked, known) ??
    bindingExcess(asked, known) ??
    (end === null ? 'its expiry is not told' : null)
  return { scopes: scopes ?? [], expires: end ?? asked.end, excess }
}

function typeExcess(asked: Asked, answer: TokenAnswer): string | null {
  // RFC 8693 §2.2.1: N_A is not an access token
  const type = asked.key === null ? 'Bearer' : 'DPoP'
  if (typeof answer.token_type !== 'string' || answer.token_type.toLowerCase() !== type.toLowerCase())
    return `its token_type is not ${type}`
  if (asked.issuedType !== null && answer.issued_token_type !== asked.issuedType) return 'its issued_token_type is not the one asked for'
  if (answer.refresh_token !== undefined) return 'a refresh token came with it'
  return null
}

/** Null when the scope cannot be told. */
function grantedScopes(asked: Asked, answer: TokenAnswer, claims: Readonly<Record<string, unknown>>): readonly string[] | null {
  const inside = claims.scope ?? claims.scp
  const told = [answer.scope, inside].filter((scope) => scope !== undefined)
  // RFC 6749 §5.1: no scope in the answer means the scope that was asked for, if one was
  if (told.length === 0) return asked.scopes
  const all: string[] = []
  for (const scope of told) {
    if (typeof scope === 'string') all.push(...parseScopes(scope))
    else if (Array.isArray(scope) && scope.every((one) => typeof one === 'string')) all.push(...scope)
    else return null
  }
  return canonicalScopes(all)
}

function audienceExcess(asked: Asked, claims: Readonly<Record<string, unknown>> | null): string | null {
  if (asked.targets.length === 0) return null
  const aud = claims?.aud
  if (aud === undefined) return asked.opaque && claims === null ? null : 'its audience cannot be told'
  const audiences = Array.isArray(aud) ? aud : [aud]
  return audiences.length > 0 && audiences.every((one) => typeof one === 'string' && asked.targets.includes(one))
    ? null
    : 'its audience is not the one asked for'
}

/** Roles are authority that the scope does not tell of: an issuer that adds them undoes what the scope narrowed. */
function rolesExcess({ roles }: Asked, claims: Readonly<Record<string, unknown>>): string | null {
  if (roles === 'any') return null
  const carried = rolesIn(claims)
  return carried !== null && carried.every((role) => roles.includes(role)) ? null : 'it carries roles that nobody asked for'
}

/** RFC 9068 §2.2.3.1, and the roles of realms and clients as Keycloak writes them, the latter as `client/role`; null when they cannot be told. */
function rolesIn({ roles, groups, entitlements, realm_access, resource_access }: Readonly<Record<string, unknown>>): string[] | null {
  const realm = membersOf(realm_access)
  const clients = membersOf(resource_access)
  if (realm === null || clients === null) return null
  const told: [string, unknown][] = [roles, groups, entitlements, realm['roles']].map((list) => ['', list])
  for (const [client, access] of Object.entries(clients)) {
    const own = membersOf(access)
    if (own === null) return null
    told.push([`${client}/`, own['roles']])
  }
  const all: string[] = []
  for (const [prefix, list] of told) {
    if (list === undefined) continue
    if (!Array.isArray(list) || !list.every((one) => typeof one === 'string')) return null
    all.push(...list.map((one) => prefix + one))
  }
  return all
}

/** Of a claim that is an object, or absent; null of anything else. */
function membersOf(claim: unknown): Readonly<Record<string, unknown>> | null {
  if (claim === undefined) return {}
  return claim !== null && typeof claim === 'object' && !Array.isArray(claim) ? { ...claim } : null
}

/** RFC 9449 §6: a token that says what it is bound to must say our key. One that says nothing is held by its type alone. */
function bindingExcess({ key }: Asked, { cnf }: Readonly<Record<string, unknown>>): string | null {
  if (cnf === undefined) return null
  const told = cnf !== null && typeof cnf === 'object' && 'jkt' in cnf ? cnf.jkt : null
  return told === key ? null : 'it is bound to another key'
}

/** The latest expiry that anyone states, in ms; null when nobody states one or it is no time. */
function expiry(asked: Asked, answer: TokenAnswer, claims: Readonly<Record<string, unknown>>): number | null {
  const told: number[] = []
  if (answer.expires_in !== undefined) told.push(asked.now + seconds(answer.expires_in) * 1000)
  if (claims.exp !== undefined) told.push(seconds(claims.exp) * 1000)
  if (told.length === 0) return null
  const latest = Math.max(...told)
  return Number.isSafeInteger(Math.round(latest)) && latest > asked.now ? Math.round(latest) : null
}

/** NaN for anything but a number: a conversion could throw, and a token that is judged must not get lost by an error. */
function seconds(value: unknown): number {
  return typeof value === 'number' ? value : Number.NaN
}
