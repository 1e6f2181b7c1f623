/** Reads and checks the tokens of an OpenID Connect issuer (RFC 7519; RFC 8725). Nothing here fetches a key. */
import { isAlgorithm } from '../jwt/algorithms.ts'
import { checkTimedClaims, readAudience, readExpiry, readText, readTime } from '../jwt/claims.ts'
import type { TimedClaims, TokenRules } from '../jwt/claims.ts'
import { MalformedToken, readCompact, readKid, wellFormed } from '../jwt/jws.ts'
import type { SignedPart } from '../jwt/jws.ts'
import { rejected, shown } from '../rejected.ts'
import { member } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'

/** What a source takes: tokens typed as JWT or not at all, or OAuth access tokens (RFC 9068 §2.1). Never both. */
export type TokenType = 'JWT' | 'at+jwt'

/** A token that is well formed, and nothing more. Times are epoch ms. */
export interface ReadToken extends TimedClaims, SignedPart {
  readonly kid: string
  readonly issuer: string
  readonly subject: string
  /** All of them, for templates and what is required. */
  readonly claims: Members
}

/** `x5t` and `x5t#S256` name a certificate of the key, as Entra ID and GitHub do: they are not read, the key is found by `kid` alone. */
const known: ReadonlySet<string> = new Set(['alg', 'kid', 'typ', 'x5t', 'x5t#S256'])

/**
 * Takes a token, gives what it says; throws `identify.rejected`. Refused: algorithms outside the nine, a header that could bear on the key
 * or on the meaning of the rest (jku, jwk, x5u, x5c, crit, b64, zip, cty) or that is not known, another `typ`, no `kid`; no `iss`, `sub`,
 * `aud`, `exp` or `iat` (OpenID Connect Core §2), members named twice.
 */
export function readToken(token: string, type: TokenType): ReadToken {
  return wellFormed('form', () => readCompact(token, (header) => readHeader(header, type), readClaims))
}

/** Throws `identify.rejected` unless the token is for us and valid at `now` (epoch ms). */
export function checkToken(token: ReadToken, rules: TokenRules, now: number): void {
  wellFormed('form', () => checkTimedClaims(token, rules, now))
}

function readHeader(header: Members, type: TokenType): Pick<ReadToken, 'algorithm' | 'kid'> {
  const algorithm = member(header, 'alg')
  if (!isAlgorithm(algorithm)) throw rejected('algorithm', 'alg is not one of the nine')
  for (const name of Object.keys(header)) if (!known.has(name)) throw new MalformedToken(`the header has ${shown(name)}`)
  checkType(member(header, 'typ'), type)
  return { algorithm, kid: readKid(header) }
}

/** RFC 8725 §3.11: kinds of tokens are told apart by type, so that none passes for another. RFC 7515 §4.1.9: without regard to case. */
function checkType(typ: unknown, type: TokenType): void {
  if (type === 'JWT' && typ === undefined) return
  const given = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : null
  if (given !== type.toLowerCase()) throw new MalformedToken(`typ is not ${type}`)
}

function readClaims(claims: Members): Omit<ReadToken, 'algorithm' | 'kid' | 'signed' | 'signature'> {
  const issuedAt = readTime(claims, 'iat')
  // without it nobody could say how long the token was meant to live
  if (issuedAt === null) throw new MalformedToken('no iat')
  return {
    issuer: required(claims, 'iss'),
    subject: required(claims, 'sub'),
    audience: readAudience(claims),
    expires: readExpiry(claims),
    notBefore: readTime(claims, 'nbf'),
    issuedAt,
    claims,
  }
}

function required(claims: Members, name: string): string {
  const text = readText(claims, name)
  if (text === null || text === '') throw new MalformedToken(`no ${name}`)
  return text
}
