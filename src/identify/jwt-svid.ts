/** Reads and checks JWT-SVIDs (JWT-SVID.md; RFC 7515 and 7519 beneath it). Nothing here fetches a key. */
import { isAlgorithm, verifySignature } from './algorithms.ts'
import type { Algorithm } from './algorithms.ts'
import { readConfirmation } from './cnf.ts'
import type { Confirmation } from './identify.ts'
import type { VerifyKey } from './keys.ts'
import { rejected, shown } from './rejected.ts'
import { MalformedSpiffeId, parseSpiffeId } from './spiffe-id.ts'
import type { SpiffeId } from './spiffe-id.ts'
import { member, parseStrictJson } from './strict-json.ts'
import type { Members } from './strict-json.ts'

/** A token that is well formed, and nothing more: not yet checked against rules or a key. Times are epoch ms. */
export interface ReadSvid {
  readonly algorithm: Algorithm
  readonly kid: string
  readonly subject: SpiffeId
  readonly audience: readonly string[]
  readonly expires: number
  readonly notBefore: number | null
  readonly issuedAt: number | null
  readonly issuer: string | null
  /** What the sender has to prove beside it; null for a plain bearer token. */
  readonly confirmation: Confirmation | null
  /** The bytes that the signature is over: both encoded parts as they came. */
  readonly signed: Uint8Array
  readonly signature: Uint8Array
}

/** What is asked of a token beyond its form; ms. */
export interface SvidRules {
  readonly audience: string
  /** How far `nbf` and `iat` may lie ahead of our clock. Never given to `exp`. */
  readonly leeway: number
  /** Most time between `iat` (or now) and `exp`; null for no bound. */
  readonly maxLifetime: number | null
}

/** Bytes; longer tokens are refused unread. */
export const longestToken = 8192
const longestKid = 256

/**
 * Takes a token, gives what it says; throws `identify.rejected`.
 * JWT-SVID §5.1 compact form only; §2 no header but alg, kid, typ; §2.1 the nine algorithms, looked at first (§4);
 * §2.3 typ JWT or JOSE; §3 sub, aud and exp present and of their types. `kid` is required, base64url is canonical, no member is named twice.
 */
export function readJwtSvid(token: string): ReadSvid {
  if (token.length > longestToken) throw rejected('malformed', 'longer than 8 KiB')
  const [header = '', claims = '', signature = '', ...more] = token.split('.', 4)
  if (header === '' || claims === '' || signature === '' || more.length > 0) throw rejected('malformed', 'not three parts')
  return {
    ...readHeader(readPart(header, 'header')),
    ...readClaims(readPart(claims, 'claims')),
    signed: Buffer.from(token.slice(0, header.length + 1 + claims.length), 'latin1'),
    signature: decode(signature, 'signature'),
  }
}

/**
 * Throws `identify.rejected` unless the token is for us and valid at `now` (JWT-SVID §3.2, §3.3, RFC 7519 §4.1.3 to §4.1.6).
 * At its `exp` it no longer is: App. A would allow leeway, none is given.
 */
export function checkClaims(svid: ReadSvid, rules: SvidRules, now: number): void {
  if (now >= svid.expires) throw rejected('expired', `expired ${now - svid.expires} ms ago`)
  if (!svid.audience.includes(rules.audience)) throw rejected('audience', `meant for ${svid.audience.map(shown).join(', ').slice(0, 500)}`)
  const latest = Math.max(svid.notBefore ?? 0, svid.issuedAt ?? 0)
  if (latest > now + rules.leeway) throw rejected('early', `valid or issued ${latest - now} ms from now; are the clocks right?`)
  if (latest >= svid.expires) throw rejected('malformed', 'expires before it is valid')
  const lifetime = svid.expires - (svid.issuedAt ?? now)
  if (rules.maxLifetime !== null && lifetime > rules.maxLifetime) throw rejected('long', `valid for ${lifetime} ms`)
}

/** Throws `identify.rejected` unless the key is for the token's algorithm and verifies its signature. */
export function checkSignature(svid: ReadSvid, key: VerifyKey): void {
  if (!key.algorithms.includes(svid.algorithm)) throw rejected('signature', `the key ${shown(key.kid)} is not for ${svid.algorithm}`)
  if (svid.signature.length !== key.signatureBytes) throw rejected('signature', 'the signature does not have the length of its key')
  if (!verifySignature(svid.algorithm, key.key, svid.signed, svid.signature)) throw rejected('signature', 'the signature does not verify')
}

function readHeader(header: Members): Pick<ReadSvid, 'algorithm' | 'kid'> {
  const algorithm = member(header, 'alg')
  if (!isAlgorithm(algorithm)) throw rejected('algorithm', 'alg is not one of the nine')
  for (const name of Object.keys(header)) {
    // jku, jwk, x5u, x5c, crit, b64, zip, cty and whatever comes next
    if (name !== 'alg' && name !== 'kid' && name !== 'typ') throw rejected('malformed', `the header has ${shown(name)}`)
  }
  const typ = member(header, 'typ')
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') throw rejected('malformed', 'typ is neither JWT nor JOSE')
  const kid = member(header, 'kid')
  if (typeof kid !== 'string' || kid === '' || kid.length > longestKid) throw rejected('malformed', 'no usable kid')
  return { algorithm, kid }
}

function readClaims(claims: Members): Omit<ReadSvid, 'algorithm' | 'kid' | 'signed' | 'signature'> {
  const expires = readTime(claims, 'exp')
  if (expires === null) throw rejected('malformed', 'no exp')
  const issuer = member(claims, 'iss')
  if (issuer !== undefined && typeof issuer !== 'string') throw rejected('malformed', 'iss is not a string')
  return {
    subject: readSubject(member(claims, 'sub')),
    audience: readAudience(member(claims, 'aud')),
    expires,
    notBefore: readTime(claims, 'nbf'),
    issuedAt: readTime(claims, 'iat'),
    issuer: issuer ?? null,
    confirmation: readConfirmation(claims),
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

function readAudience(aud: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  const texts = list.filter((one) => typeof one === 'string')
  if (texts.length === 0 || texts.length !== list.length) throw rejected('malformed', 'aud is not a string or a list of strings')
  return texts
}

/** A NumericDate as ms. Whole seconds only, and small enough that ms are exact: `1e400` and `2^53` are refused. */
function readTime(claims: Members, name: string): number | null {
  const seconds = member(claims, name)
  if (seconds === undefined) return null
  if (typeof seconds !== 'number' || !Number.isSafeInteger(seconds * 1000) || !Number.isSafeInteger(seconds)) {
    throw rejected('malformed', `${name} is not a whole number of seconds`)
  }
  return seconds * 1000
}

function readPart(part: string, what: string): Members {
  try {
    return parseStrictJson(decode(part, what))
  } catch (error) {
    if (error instanceof SyntaxError) throw rejected('malformed', `${what}: not strict JSON`)
    throw error
  }
}

/** RFC 7515 §2: base64url without padding or white space. Encoding it again shows every other spelling, stray bits too. */
function decode(part: string, what: string): Buffer {
  const bytes = Buffer.from(part, 'base64url')
  if (bytes.toString('base64url') !== part) throw rejected('malformed', `${what}: not canonical base64url`)
  return bytes
}
