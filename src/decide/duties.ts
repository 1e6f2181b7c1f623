/** What the obligations of one answer come to together: where two of a type meet, the more restrictive holds. */

import type { RateLimit } from '../state/mint.ts'
import type { Narrowing, Obligation } from './obligations.ts'
import { malformed } from './shape.ts'

export interface Notice {
  readonly to: string
  readonly message: string
}

/** By what is to be done. An answer without obligations has `noDuties`, and nothing is done or looked up for it. */
export interface Duties {
  /** JSON pointers into the answer: masked, and taken out. */
  readonly mask: readonly string[]
  readonly drop: readonly string[]
  /** JSON pointers into the judged body of the request. */
  readonly redact: readonly string[]
  /** Scopes that all of them leave, the shortest life, the one audience. */
  readonly narrow: Narrowing | null
  /** All of them hold. Of two for the same calls only the lower one is there. */
  readonly limits: readonly RateLimit[]
  /** Meter → sum. */
  readonly debit: Readonly<Record<string, number>> | null
  readonly classes: readonly string[]
  readonly notices: readonly Notice[]
  readonly revokeLeases: boolean
  /** An answer that cannot be searched for the lent credential is not refused for that. */
  readonly unsearched: boolean
}

const none: readonly never[] = Object.freeze([])

export const noDuties: Duties = Object.freeze({
  mask: none,
  drop: none,
  redact: none,
  narrow: null,
  limits: none,
  debit: null,
  classes: none,
  notices: none,
  revokeLeases: false,
  unsearched: false,
})

/** Throws `decide.malformed` when they leave nothing of a credential: no scope in common, or two audiences. */
export function dutiesOf(obligations: readonly Obligation[]): Duties {
  return obligations.length === 0 ? noDuties : obligations.reduce(withOne, noDuties)
}

function withOne(duties: Duties, one: Obligation): Duties {
  switch (one.type) {
    case 'mask_response':
      return { ...duties, mask: union(duties.mask, one.properties.paths) }
    case 'drop_response_fields':
      return { ...duties, drop: union(duties.drop, one.properties.paths) }
    case 'redact_request':
      return { ...duties, redact: union(duties.redact, one.properties.paths) }
    case 'narrow_credential':
      return { ...duties, narrow: narrower(duties.narrow, one.properties) }
    case 'rate_limit':
      return { ...duties, limits: withLimit(duties.limits, one.properties) }
    case 'debit_budget':
      return { ...duties, debit: added(duties.debit, one.properties) }
    case 'raise_sensitivity':
      return { ...duties, classes: union(duties.classes, one.properties.classes) }
    case 'notify':
      return { ...duties, notices: [...duties.notices, one.properties] }
    case 'pass_unsearched':
      return { ...duties, unsearched: true }
    default:
      one.type satisfies 'revoke_leases'
      return { ...duties, revokeLeases: true }
  }
}

function union(some: readonly string[], more: readonly string[]): readonly string[] {
  return [...new Set([...some, ...more])]
}

function narrower(one: Narrowing | null, other: Narrowing): Narrowing {
  if (one === null) return other
  if (one.audience !== undefined && other.audience !== undefined && one.audience !== other.audience)
    throw malformed('obligations: a credential for two audiences')
  const scopes = one.scopes && other.scopes ? one.scopes.filter((scope) => other.scopes?.includes(scope)) : (one.scopes ?? other.scopes)
  if (scopes?.length === 0) throw malformed('obligations: a credential without a scope')
  const ttl = Math.min(one.ttl ?? Number.POSITIVE_INFINITY, other.ttl ?? Number.POSITIVE_INFINITY)
  const audience = one.audience ?? other.audience
  return {
    ...(scopes !== undefined && { scopes }),
    ...(Number.isFinite(ttl) && { ttl }),
    ...(audience !== undefined && { audience }),
  }
}

/** Of two limits that count the same calls the lower one holds both. */
function withLimit(limits: readonly RateLimit[], limit: RateLimit): readonly RateLimit[] {
  const same = ({ key, scope, per }: RateLimit): boolean => key === limit.key && scope === limit.scope && per === limit.per
  const known = limits.find(same)
  if (known === undefined) return [...limits, limit]
  return limit.calls < known.calls ? limits.map((one) => (one === known ? limit : one)) : limits
}

function added(debit: Duties['debit'], { meter, amount }: { readonly meter: string; readonly amount: number }): Duties['debit'] {
  const sum: Record<string, number> = Object.assign(Object.create(null), debit)
  sum[meter] = (sum[meter] ?? 0) + amount
  return sum
}
