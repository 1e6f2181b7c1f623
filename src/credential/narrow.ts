import { Refusal } from '../refusal.ts'
import type { Decision } from '../decide/decide.ts'
import type { CredentialProvider } from './credential.ts'
import { canonicalScopes } from './scopes.ts'

/** What a decision leaves of a provider's offer. */
export interface Narrowed {
  readonly scopes: readonly string[]
  readonly audience: string | null
  /** Longest life, ms, before the task's own end is counted in. */
  readonly ttl: number
  /** Provider, scopes and audience as the end of a lease's key. */
  readonly suffix: string
  /** The life that the decision named; null when it named none. */
  readonly capped: number | null
}

/** A provider under its configured name, with what it offers when policy narrows nothing. */
export interface Offering {
  readonly name: string
  readonly provider: CredentialProvider
  readonly whole: Narrowed
}

/** Precomputes what most calls need. */
export function offering(name: string, provider: CredentialProvider): Offering {
  const { scopes, audiences, ttl } = provider.offer
  const audience = audiences[0] ?? null
  return { name, provider, whole: { scopes, audience, ttl, suffix: suffixOf(name, scopes, audience), capped: null } }
}

/**
 * Applies the decision's wish to an offer. A wish may only narrow: one that names another provider, a scope or audience that is
 * not offered, or a longer life, is no well-formed decision and throws `decide.malformed`.
 *
 * What policy obliges to narrow (`more`) then takes away from what is left: scopes that it does not name, life that is longer,
 * every other audience. Where nothing is left, or the provider knows nothing of the kind, nobody can do it: `decide.malformed` too.
 */
export function narrow(of: Offering, wish: Decision['credential'], more: Decision['duties']['narrow']): Narrowed {
  if (wish === null && more === null) return of.whole
  const wished = wish === null ? of.whole : granted(of, wish)
  if (more === null) return wished
  if (wish?.audience !== undefined && more.audience !== undefined && wish.audience !== more.audience) throw nothingLeft('audience')
  return narrower(of, wished, more)
}

function granted({ name, provider, whole }: Offering, wish: NonNullable<Decision['credential']>): Narrowed {
  const { offer } = provider
  if (wish.provider !== undefined && wish.provider !== name) throw wider('another provider')
  if (wish.scopes?.some((scope) => !offer.scopes.includes(scope))) throw wider('a scope')
  if (wish.audience !== undefined && !offer.audiences.includes(wish.audience)) throw wider('an audience')
  if (wish.ttl !== undefined && !(Number.isSafeInteger(wish.ttl) && wish.ttl > 0 && wish.ttl <= offer.ttl)) throw wider('a life')
  const scopes = wish.scopes === undefined ? whole.scopes : canonicalScopes(wish.scopes)
  const audience = wish.audience ?? whole.audience
  return { scopes, audience, ttl: wish.ttl ?? whole.ttl, suffix: suffixOf(name, scopes, audience), capped: wish.ttl ?? null }
}

function narrower({ name, provider }: Offering, from: Narrowed, more: NonNullable<Decision['duties']['narrow']>): Narrowed {
  const scopes = more.scopes === undefined ? from.scopes : from.scopes.filter((scope) => more.scopes?.includes(scope))
  if (more.scopes !== undefined && scopes.length === 0) throw nothingLeft('scope')
  if (more.audience !== undefined && !provider.offer.audiences.includes(more.audience)) throw nothingLeft('audience')
  const audience = more.audience ?? from.audience
  const ttl = Math.min(more.ttl ?? from.ttl, from.ttl)
  const capped = more.ttl === undefined ? from.capped : ttl
  return { scopes, audience, ttl, suffix: suffixOf(name, scopes, audience), capped }
}

/** None of the pieces holds a line end: scopes and audiences are checked in the configuration, the name is a key of it. */
function suffixOf(name: string, scopes: readonly string[], audience: string | null): string {
  return `${name}\n${scopes.join(' ')}\n${audience ?? ''}`
}

function wider(what: string): Refusal {
  return new Refusal('decide.malformed', { detail: `policy asked for ${what} that the provider of the route does not offer` })
}

function nothingLeft(what: string): Refusal {
  return new Refusal('decide.malformed', { detail: `policy left no ${what} of what the provider of the route offers` })
}
