import { isMembers, member, parseStrictJson } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'
import type { SpiffeId } from '../spiffe-id.ts'
import { malformed } from './mandatory.ts'

/** What a token in compact serialisation says of itself. Its signature is for whoever receives it; nothing here verifies one. */
export interface TokenTimes {
  /** Epoch ms; null when the token does not say. */
  readonly issuedAt: number | null
  /** Epoch ms; the token is worth nothing from then on (RFC 7519 §4.1.4). */
  readonly expires: number
}

const form = /^[\w-]+\.([\w-]+)\.[\w-]+$/

/** The claims of a token, which must be those of `id`. Messages never quote the token. */
export function readClaims(token: string, id: SpiffeId): Members {
  const payload = form.exec(token)?.[1]
  if (payload === undefined) throw malformed(`the token of ${id.id} is not in compact serialisation`)
  let claims: Members
  try {
    claims = parseStrictJson(Buffer.from(payload, 'base64url'))
  } catch {
    throw malformed(`the claims of the token of ${id.id} are not JSON that has one reading`)
  }
  if (member(claims, 'sub') !== id.id) throw malformed(`the token of ${id.id} has another subject`)
  return claims
}

export function readTimes(claims: Members, id: SpiffeId): TokenTimes {
  const expires = seconds(claims, 'exp', id)
  if (expires === null) throw malformed(`the token of ${id.id} does not say when it expires`)
  return { expires, issuedAt: seconds(claims, 'iat', id) }
}

export function readAudience(claims: Members): readonly string[] {
  const value = member(claims, 'aud')
  if (typeof value === 'string') return [value]
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}

/** The key to which a token is bound (RFC 7800), as a JWK; null when it is bound to none. */
export function boundKey(claims: Members): Members | null {
  const confirmation = member(claims, 'cnf')
  const jwk = isMembers(confirmation) ? member(confirmation, 'jwk') : undefined
  return isMembers(jwk) ? jwk : null
}

function seconds(claims: Members, name: string, id: SpiffeId): number | null {
  const value = member(claims, name)
  if (value === undefined) return null
  if (typeof value !== 'number' || !(value >= 0) || value > 8.64e12)
    throw malformed(`the token of ${id.id} has an ${name} that is not a time`)
  return Math.floor(value * 1000)
}
