/** The registered claims of a JWT (RFC 7519 §4.1) that every kind of token is held to: audience and times. */
import { MalformedToken } from './jws.ts'
import { rejected, shown } from '../rejected.ts'
import { member } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'

/** For whom a token is, and when. Times are epoch ms. */
export interface TimedClaims {
  readonly audience: readonly string[]
  readonly expires: number
  readonly notBefore: number | null
  readonly issuedAt: number | null
}

/** What is asked of a token beyond its form; ms. */
export interface TokenRules {
  readonly audience: string
  /** How far `nbf` and `iat` may lie ahead of our clock. Never given to `exp`. */
  readonly leeway: number
  /** Most time between `iat` (or now) and `exp`; null for no bound. */
  readonly maxLifetime: number | null
}

/**
 * Throws `identify.rejected` unless the token is for us and valid at `now` (RFC 7519 §4.1.3 to §4.1.6), `MalformedToken` when its times
 * contradict each other. At its `exp` it no longer is valid: leeway would be allowed, none is given.
 */
export function checkTimedClaims(token: TimedClaims, rules: TokenRules, now: number): void {
  if (now >= token.expires) throw rejected('expired', `expired ${now - token.expires} ms ago`)
  if (!token.audience.includes(rules.audience))
    throw rejected('audience', `meant for ${token.audience.map(shown).join(', ').slice(0, 500)}`)
  const latest = Math.max(token.notBefore ?? 0, token.issuedAt ?? 0)
  if (latest > now + rules.leeway) throw rejected('early', `valid or issued ${latest - now} ms from now; are the clocks right?`)
  if (latest >= token.expires) throw new MalformedToken('expires before it is valid')
  const lifetime = token.expires - (token.issuedAt ?? now)
  if (rules.maxLifetime !== null && lifetime > rules.maxLifetime) throw rejected('long', `valid for ${lifetime} ms`)
}

/** A claim that is a string when it is there. */
export function readText(claims: Members, name: string): string | null {
  const value = member(claims, name)
  if (value === undefined) return null
  if (typeof value !== 'string') throw new MalformedToken(`${name} is not a string`)
  return value
}

/** `aud` as a list; at least one text. Throws `MalformedToken`. */
export function readAudience(claims: Members): readonly string[] {
  const aud = member(claims, 'aud')
  const list: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  const texts = list.filter((one) => typeof one === 'string')
  if (texts.length === 0 || texts.length !== list.length) throw new MalformedToken('aud is not a string or a list of strings')
  return texts
}

/** `exp` in ms; it has to be there. Throws `MalformedToken`. */
export function readExpiry(claims: Members): number {
  const expires = readTime(claims, 'exp')
  if (expires === null) throw new MalformedToken('no exp')
  return expires
}

/** A NumericDate as ms; null when absent. Whole seconds only, and small enough that ms are exact: `1e400` and `2^53` are refused. */
export function readTime(claims: Members, name: string): number | null {
  const seconds = member(claims, name)
  if (seconds === undefined) return null
  if (typeof seconds !== 'number' || !Number.isSafeInteger(seconds * 1000) || !Number.isSafeInteger(seconds)) {
    throw new MalformedToken(`${name} is not a whole number of seconds`)
  }
  return seconds * 1000
}
