/** Reads DPoP proofs (RFC 9449 §4.2; RFC 7515, 7517 and 7638 beneath it): their form, and whose key they are made with. */
import { hash, timingSafeEqual } from 'node:crypto'
import { isAlgorithm } from '../jwt/algorithms.ts'
import { MalformedToken, readCompact, signatureFault } from '../jwt/jws.ts'
import type { SignedPart } from '../jwt/jws.ts'
import { readKey, UnusableKey } from '../jwt/keys.ts'
import type { VerifyKey } from '../jwt/keys.ts'
import { isMembers, member } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'

/** A well-formed proof, and nothing more: neither its signature nor what it is for was looked at. */
export interface ReadProof extends SignedPart {
  readonly jwk: Members
  /** RFC 7638 of `jwk`, base64url. */
  readonly thumbprint: string
  readonly jti: string
  readonly method: string
  readonly uri: string
  /** Epoch ms. */
  readonly issuedAt: number
  /** Base64url SHA-256 of the token that it goes with. */
  readonly tokenDigest: string
  readonly nonce: string | null
}

const longestId = 256

/** RFC 7517 §4 and RFC 7518 §6: members that only a private or symmetric key has. */
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const

/**
 * Takes the value of a `DPoP` header; throws `MalformedToken`.
 * RFC 9449 §4.2 and §4.3: compact JWS of at most 8 KiB, header of exactly `typ`, `alg` and `jwk`, a public key; `jti`, `htm`, `htu`, `iat` and `ath` of their types.
 */
export function readProof(proof: string): ReadProof {
  return readCompact(proof, readHeader, readClaims)
}

/**
 * The key of a proof, which the token is bound to by `jkt`: a thumbprint that fits fits one key alone, so `known` may hold it from before.
 * Throws `MalformedToken` when it is another key, one too weak to be accepted, or not for the algorithm.
 */
export function keyOf(proof: ReadProof, jkt: string, known: VerifyKey | undefined): VerifyKey {
  if (!sameText(proof.thumbprint, jkt)) throw new MalformedToken('made with another key than the token is bound to')
  const key = known ?? importKey(proof.jwk)
  if (!key.algorithms.includes(proof.algorithm)) throw new MalformedToken(`the key is not for ${proof.algorithm}`)
  return key
}

/** Throws `MalformedToken` unless the key made the proof. */
export function checkProofSignature(proof: ReadProof, key: VerifyKey): void {
  const fault = signatureFault(proof, key)
  if (fault !== null) throw new MalformedToken(fault)
}

/** Compares without telling by the time it takes how much is the same. */
export function sameText(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)]
  return left.length === right.length && timingSafeEqual(left, right)
}

function readHeader(header: Members): Pick<ReadProof, 'algorithm' | 'jwk' | 'thumbprint'> {
  for (const name of Object.keys(header)) {
    // kid, x5c, jku, crit and whatever else could name another key or another meaning
    if (name !== 'typ' && name !== 'alg' && name !== 'jwk') throw new MalformedToken('the header has more than typ, alg and jwk')
  }
  if (member(header, 'typ') !== 'dpop+jwt') throw new MalformedToken('typ is not dpop+jwt')
  const algorithm = member(header, 'alg')
  if (!isAlgorithm(algorithm)) throw new MalformedToken('alg is not one of the nine')
  const jwk = member(header, 'jwk')
  if (!isMembers(jwk)) throw new MalformedToken('no jwk')
  if (privateMembers.some((name) => Object.hasOwn(jwk, name))) throw new MalformedToken('jwk is not a public key')
  const [alg, use] = [member(jwk, 'alg'), member(jwk, 'use')]
  if ((alg !== undefined && alg !== algorithm) || (use !== undefined && use !== 'sig')) throw new MalformedToken('jwk is for another use')
  return { algorithm, jwk, thumbprint: thumbprintOf(jwk) }
}

/** RFC 7638 §3.2: the required members in the order of their names, without white space. */
function thumbprintOf(jwk: Members): string {
  const kty = member(jwk, 'kty')
  const names = kty === 'EC' ? ['crv', 'kty', 'x', 'y'] : kty === 'RSA' ? ['e', 'kty', 'n'] : null
  if (names === null) throw new MalformedToken('jwk has a type that no accepted algorithm uses')
  let members = ''
  for (const name of names) {
    const value = member(jwk, name)
    if (typeof value !== 'string') throw new MalformedToken(`jwk has no ${name}`)
    members += `${members === '' ? '' : ','}"${name}":${JSON.stringify(value)}`
  }
  return hash('sha256', `{${members}}`, 'base64url')
}

/** Not narrowed to the `alg` of this one proof: it is kept for the next. */
function importKey({ alg: _alg, ...jwk }: Members): VerifyKey {
  try {
    return readKey(jwk, 'dpop')
  } catch (error) {
    if (error instanceof UnusableKey) throw new MalformedToken(`jwk: ${error.message}`)
    throw error
  }
}

function readClaims(claims: Members): Pick<ReadProof, 'jti' | 'method' | 'uri' | 'issuedAt' | 'tokenDigest' | 'nonce'> {
  const jti = text(claims, 'jti')
  if (jti === '' || jti.length > longestId) throw new MalformedToken('jti is empty or longer than 256')
  const issuedAt = member(claims, 'iat')
  // a NumericDate may have a fraction (RFC 7519 §2)
  if (typeof issuedAt !== 'number' || !Number.isSafeInteger(Math.trunc(issuedAt * 1000))) throw new MalformedToken('iat is not a time')
  const nonce = member(claims, 'nonce')
  if (nonce !== undefined && typeof nonce !== 'string') throw new MalformedToken('nonce is not text')
  return {
    jti,
    method: text(claims, 'htm'),
    uri: text(claims, 'htu'),
    issuedAt: issuedAt * 1000,
    tokenDigest: text(claims, 'ath'),
    nonce: nonce ?? null,
  }
}

function text(claims: Members, name: string): string {
  const value = member(claims, name)
  if (typeof value !== 'string') throw new MalformedToken(`no ${name}`)
  return value
}
