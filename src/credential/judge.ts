import { decodeJwt, type JWTPayload } from 'jose'
import type { z } from 'zod'
import { durationBetween } from '../units.ts'
import type { Wanted } from './credential.ts'
import { Scopes } from './scopes.ts'

/** What an issuer said of the credential that came. What it did not say is null, and cannot be told. */
export interface Came {
  /** Its kind as the issuer names it, held against the one asked for, in any case of letters. Absent: this issuer names none. */
  readonly type?: { readonly wanted: string; readonly came: unknown }
  readonly scopes: readonly string[] | null
  /** Audiences it is good for. Looked at only when one was wanted. */
  readonly audience: string | readonly string[] | null
  /** Epoch ms. */
  readonly expires: number | null
  /** Whether it can be taken back at the issuer: only then may it live longer than asked, for then its lease ends it. */
  readonly revocable: boolean
}

/** What of a surplus is named harmless in the configuration, and what the issuer cannot help. */
export interface Harmless {
  /** Scopes that may come unasked. */
  readonly surplus?: readonly string[] | undefined
  /** How much longer than asked it may live though nothing can revoke it, ms. */
  readonly surplus_ttl?: number | undefined
  /** The shortest life that the issuer gives, ms. */
  readonly floor?: number | undefined
}

/** The two settings of a provider whose issuer may give more than was asked; spread them into its schema. */
export const harmless = {
  surplus: Scopes.describe('Harmless scopes that the issuer may add unasked.'),
  surplus_ttl: durationBetween(1000, 86_400_000)
    .optional()
    .describe('How much longer than asked a credential may live that nothing can revoke.'),
} satisfies Readonly<Record<string, z.ZodType>>

/**
 * Holds what came against what was wanted: `excess` of an `Issued`, the first thing that is wider, in our words and none of the issuer's;
 * null when nothing is. What cannot be told is wider. `now` in epoch ms.
 */
export function judged(
  { scopes, audience, ttl }: Pick<Wanted, 'scopes' | 'audience' | 'ttl'>,
  came: Came,
  may: Harmless,
  now: number,
): string | null {
  const { type } = came
  if (type !== undefined && !(typeof type.came === 'string' && type.came.toLowerCase() === type.wanted.toLowerCase()))
    return 'its type is not the one asked for'
  if (came.scopes === null) return 'its scope cannot be told'
  if (came.scopes.some((scope) => !scopes.includes(scope) && !may.surplus?.includes(scope))) return 'its scope is wider than asked'
  if (audience !== null) {
    if (came.audience === null) return 'its audience cannot be told'
    const audiences = [came.audience].flat()
    if (audiences.length === 0 || audiences.some((one) => one !== audience)) return 'its audience is not the one asked for'
  }
  if (came.expires === null || !Number.isSafeInteger(came.expires)) return 'its expiry is not told'
  const end = now + Math.max(ttl + (may.surplus_ttl ?? 0), may.floor ?? 0)
  return !came.revocable && came.expires > end ? 'it lives longer than asked and nothing can revoke it' : null
}

/** Claims of a JWT, read without trust: the upstream verifies it, we only see whether it is wider than asked. Null for an opaque token. */
export function claimsOf(token: string): JWTPayload | null {
  try {
    return decodeJwt(token)
  } catch {
    return null
  }
}
