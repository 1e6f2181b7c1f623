/** Reads and checks JWT-SVIDs (JWT-SVID.md; RFC 7515 and 7519 beneath it). Nothing here fetches a key. */
import { isAlgorithm } from '../jwt/algorithms.ts'
import { checkTimedClaims, readAudience, readExpiry, readText, readTime } from '../jwt/claims.ts'
import type { TimedClaims, TokenRules } from '../jwt/claims.ts'
import { readActing, type Acting } from '../jwt/act.ts'
import { readConfirmation } from '../jwt/cnf.ts'
import type { Confirmation } from '../identify.ts'
import { checkSignature as checkSigned, MalformedToken, readCompact, readKid, wellFormed } from '../jwt/jws.ts'
import type { SignedPart } from '../jwt/jws.ts'
import type { VerifyKey } from '../jwt/keys.ts'
import { rejected, shown } from '../rejected.ts'
import { MalformedSpiffeId, parseSpiffeId } from '../spiffe-id.ts'
import type { SpiffeId } from '../spiffe-id.ts'
import { member } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'

/** A token that is well formed, and nothing more: not yet checked against rules or a key. Times are epoch ms. */
export interface ReadSvid extends TimedClaims, SignedPart {
  readonly kid: string
  readonly subject: SpiffeId
  readonly issuer: string | null
  /** What the sender has to prove beside it; null for a plain bearer token. */
  readonly confirmation: Confirmation | null
  /** Who acts through the workload; null where the token does not say (JWT-SVID §3.1 lets other claims be). */
  readonly acting: Acting | null
}

/**
 * Takes a token, gives what it says; throws `identify.rejected`.
 * JWT-SVID §5.1 compact form only; §2 no header but alg, kid, typ; §2.1 the nine algorithms, looked at first (§4);
 * §2.3 typ JWT or JOSE; §3 sub, aud and exp present and of their types. `kid` is required, base64url is canonical, no member is named twice.
 */
export function readJwtSvid(token: string): ReadSvid {
  return wellFormed('malformed', () => readCompact(token, readHeader, readClaims))
}

/**
 * Throws `identify.rejected` unless the token is for us and valid at `now` (JWT-SVID §3.2, §3.3, RFC 7519 §4.1.3 to §4.1.6).
 * At its `exp` it no longer is: App. A would allow leeway, none is given.
 */
export function checkClaims(svid: ReadSvid, rules: TokenRules, now: number): void {
  wellFormed('malformed', () => checkTimedClaims(svid, rules, now))
}

/** Throws `identify.rejected` unless the key is for the token's algorithm and verifies its signature. */
export function checkSignature(svid: ReadSvid, key: VerifyKey): void {
  checkSigned(svid, key, 'signature')
}

function readHeader(header: Members): Pick<ReadSvid, 'algorithm' | 'kid'> {
  const algorithm = member(header, 'alg')
  if (!isAlgorithm(algorithm)) throw rejected('algorithm', 'alg is not one of the nine')
  for (const name of Object.keys(header)) {
    // jku, jwk, x5u, x5c, crit, b64, zip, cty and whatever comes next
    if (name !== 'alg' && name !== 'kid' && name !== 'typ') throw new MalformedToken(`the header has ${shown(name)}`)
  }
  const typ = member(header, 'typ')
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') throw new MalformedToken('typ is neither JWT nor JOSE')
  return { algorithm, kid: readKid(header) }
}

function readClaims(claims: Members): Omit<ReadSvid, 'algorithm' | 'kid' | 'signed' | 'signature'> {
  return {
    expires: readExpiry(claims),
    issuer: readText(claims, 'iss'),
    subject: readSubject(member(claims, 'sub')),
    audience: readAudience(claims),
    notBefore: readTime(claims, 'nbf'),
    issuedAt: readTime(claims, 'iat'),
    confirmation: readConfirmation(claims),
    acting: readActing(claims),
  }
}

function readSubject(sub: unknown): SpiffeId {
  if (typeof sub !== 'string') throw rejected('subject', 'no sub')
  try {
    const id = parseSpiffeId(sub)
    // SPIFFE-ID §2.2: an ID without a path stands for the trust domain itself, not for a workload
    if (id.path === '') throw rejected('subject', 'sub names a trust domain, not a workload')
    return id
  } catch (error) {
    if (error instanceof MalformedSpiffeId) throw rejected('subject', `sub: ${error.message}`)
    throw error
  }
}
