import { hash } from 'node:crypto'
import type { Caller } from '../identify.ts'
import { checkClaims, checkSignature, readJwtSvid } from './jwt-svid.ts'
import type { ReadSvid } from './jwt-svid.ts'
import type { TokenRules } from '../jwt/claims.ts'
import type { VerifyKey } from '../jwt/keys.ts'
import { rejected, shown } from '../rejected.ts'
import { isTrustDomainByte } from '../spiffe-id.ts'
import { claimedSubject } from '../token-shape.ts'

/** Where the keys of a trust domain are looked up, as in `KeySource.find`. */
export interface TokenKeys {
  find(kid: string): VerifyKey | null | Promise<VerifyKey | null>
}

/** What the JWT-SVIDs of one trust domain are verified with. */
export interface SvidVerifier {
  readonly trustDomain: string
  readonly keys: TokenKeys
  readonly rules: TokenRules
  /** Epoch ms. */
  readonly clock: () => number
}

/**
 * Takes a token, gives the caller it proves; null when it is of another trust domain. Throws or rejects with `identify.rejected`, or
 * with what looking up a key ends with.
 * Rules before keys: only a token that would pass with the right signature can make us read keys again.
 */
export function verifySvid(token: string, verifier: SvidVerifier): Caller | null | Promise<Caller | null> {
  const { trustDomain, keys, rules, clock } = verifier
  if (!isOf(trustDomain, token)) return null
  const svid = readJwtSvid(token)
  if (svid.subject.trustDomain !== trustDomain) return null
  checkClaims(svid, rules, clock())
  const key = keys.find(svid.kid)
  return key instanceof Promise ? key.then((found) => finish(token, svid, found, verifier)) : finish(token, svid, key, verifier)
}

/** Also what only starts with the trust domain and then goes wrong, such as a port; never another, longer name. */
function isOf(trustDomain: string, token: string): boolean {
  const subject = claimedSubject(token)
  const prefix = `spiffe://${trustDomain}`
  if (subject === null || !subject.startsWith(prefix)) return false
  return subject.length === prefix.length || !isTrustDomainByte(subject.charCodeAt(prefix.length))
}

function finish(token: string, svid: ReadSvid, key: VerifyKey | null, { trustDomain, rules, clock }: SvidVerifier): Caller {
  if (key === null) throw rejected('signature', `${trustDomain} has no key ${shown(svid.kid)}`)
  checkSignature(svid, key)
  checkClaims(svid, rules, clock())
  return {
    id: svid.subject.id,
    trustDomain: svid.subject.trustDomain,
    method: 'jwt-svid',
    confirmed: 'bearer',
    issuer: svid.issuer,
    expires: svid.expires,
    proof: `sha256:${hash('sha256', token)}`,
    claims: {},
    ...(svid.confirmation === null ? {} : { confirmation: svid.confirmation }),
    ...(svid.acting === null ? {} : { acting: svid.acting }),
  }
}
