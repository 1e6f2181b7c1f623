/** Requests that a person signs with a key of their own: one short-lived token for one request. */
import { createPublicKey, hash, randomUUID, type KeyObject } from 'node:crypto'
import { decodeProtectedHeader, errors, jwtVerify, SignJWT } from 'jose'
import type { ProofMemory } from '../identify/dpop/proofs.ts'
import { SignInFault, type Person } from './person.ts'

/** What is signed besides the time: nothing of the request can be changed under the signature. */
export interface Signed {
  readonly method: string
  /** Path and query as they stand in the request line. */
  readonly target: string
  readonly body: string
  /** Which Countersign it is for: the name of its ledger. */
  readonly realm: string
}

/** Scheme of the Authorization header. */
export const scheme = 'Countersign-Signed'
const type = 'countersign-request+jwt'

/** How long a signed request is good, ms; how far a signer's clock may be ahead. */
const window = 60_000
const ahead = 5_000

/** Signs a request. `now` is epoch ms. */
export async function signRequest(key: KeyObject, { method, target, body, realm }: Signed, now: number): Promise<string> {
  // fractions of a second, so that a process knows whether it was running when this was signed
  return new SignJWT({ htm: method, htu: target, bsh: hash('sha256', body, 'base64url'), iat: now / 1000, jti: randomUUID() })
    .setProtectedHeader({ alg: algorithmOf(key), typ: type, kid: thumbprint(key) })
    .setAudience(realm)
    .sign(key)
}

/** What a public key, or that of a private one, is found by. */
export function thumbprint(key: KeyObject): string {
  return hash('sha256', spki(key), 'base64url')
}

/** SubjectPublicKeyInfo, DER, of a public key or of that of a private one. */
export function spki(key: KeyObject): Buffer {
  return (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'der', type: 'spki' })
}

export interface KnownKey {
  readonly key: KeyObject
  readonly person: Person
}

export interface VerifyOptions {
  /** Thumbprint → key and whose it is. */
  readonly keys: ReadonlyMap<string, KnownKey>
  /** What was used; a token of before this process is not taken, for it may have been. */
  readonly memory: ProofMemory
  readonly born: number
  readonly now: number
}

/** Takes the token and the request as it came; gives whose it is. Throws `SignInFault` (401) for everything that does not hold. */
export async function verifyRequest(token: string, request: Signed, { keys, memory, born, now }: VerifyOptions): Promise<Person> {
  const kid = kidOf(token)
  const known = kid === null ? undefined : keys.get(kid)
  if (kid === null || known === undefined) throw new SignInFault(401, 'the key of the signed request is not registered')
  const { iat, jti, ...claims } = await claimsOf(token, known.key, request.realm, now)
  const at = typeof iat === 'number' ? Math.round(iat * 1000) : Number.NaN
  if (!(at > now - window && at <= now + ahead)) throw new SignInFault(401, 'the signed request is too old, or the clocks differ')
  // what was used before this process began is not known; to begin takes longer than a millisecond
  if (at < born) throw new SignInFault(401, 'the request was signed before this Countersign began: sign it again')
  const same = claims['htm'] === request.method && claims['htu'] === request.target
  if (!same || claims['bsh'] !== hash('sha256', request.body, 'base64url')) throw new SignInFault(401, 'another request was signed')
  if (typeof jti !== 'string' || jti === '' || jti.length > 64) throw new SignInFault(401, 'the signed request has no jti')
  if (memory.use(kid, jti, at, now, window) !== 'fresh') throw new SignInFault(401, 'the signed request was used before')
  return known.person
}

async function claimsOf(token: string, key: KeyObject, realm: string, now: number) {
  try {
    const rules = { algorithms: [algorithmOf(key)], audience: realm, typ: type, currentDate: new Date(now) }
    return (await jwtVerify(token, key, { ...rules, clockTolerance: ahead / 1000, requiredClaims: ['iat', 'jti', 'htm', 'htu', 'bsh'] }))
      .payload
  } catch (error) {
    if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'aud')
      throw new SignInFault(401, 'the request was signed for another Countersign')
    throw new SignInFault(401, 'the signature of the request does not verify')
  }
}

function kidOf(token: string): string | null {
  try {
    return decodeProtectedHeader(token).kid ?? null
  } catch {
    return null
  }
}

function algorithmOf(key: KeyObject): 'EdDSA' | 'ES256' {
  return key.asymmetricKeyType === 'ed25519' ? 'EdDSA' : 'ES256'
}
