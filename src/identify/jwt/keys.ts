import { createPublicKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { algorithmsOf, isAlgorithm } from './algorithms.ts'
import type { Algorithm } from './algorithms.ts'
import { member } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'

/** A public key that may verify tokens, bound to what it may verify. */
export interface VerifyKey {
  readonly kid: string
  readonly key: KeyObject
  /** By the key's type and curve, narrowed to its own `alg` when it states one. */
  readonly algorithms: readonly Algorithm[]
  /** The only length a signature by this key has. */
  readonly signatureBytes: number
}

/** A key that must not be used; the message says why, for the operator. */
export class UnusableKey extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'UnusableKey'
  }
}

/** A key document that cannot be used at all; the message is for the operator. */
export class MalformedKeys extends Error {
  constructor(why: string, cause?: unknown) {
    super(why, cause === undefined ? undefined : { cause })
    this.name = 'MalformedKeys'
  }
}

const curveBytes: ReadonlyMap<string, number> = new Map([
  ['P-256', 32],
  ['P-384', 48],
  ['P-521', 66],
])
const leastModulus = 2048
/** Above this a verification costs milliseconds. */
const mostModulus = 8192
const leastExponent = 65537n
const mostExponent = 0xffff_ffffn

/**
 * Takes a JWK (RFC 7517, RFC 7518 §6) and its `kid`, gives the key; throws `UnusableKey`.
 * Refused: symmetric and private keys, types and curves outside the nine algorithms, RSA under 2048 bits or with an exponent under 65537,
 * an `alg` that does not fit the key, `key_ops` without `verify`.
 */
export function readKey(jwk: Members, kid: string): VerifyKey {
  const kty = member(jwk, 'kty')
  if (kty === 'oct') throw new UnusableKey('a symmetric key in a key document')
  if (Object.hasOwn(jwk, 'd')) throw new UnusableKey('a private key in a key document')
  const ops = member(jwk, 'key_ops')
  if (ops !== undefined && !(Array.isArray(ops) && ops.includes('verify'))) throw new UnusableKey('key_ops without verify')
  switch (kty) {
    case 'RSA':
      return readRsa(jwk, kid)
    case 'EC':
      return readEc(jwk, kid)
    default:
      throw new UnusableKey('a key type that no accepted algorithm uses')
  }
}

function readRsa(jwk: Members, kid: string): VerifyKey {
  const key = importKey({ kty: 'RSA', n: text(jwk, 'n'), e: text(jwk, 'e') })
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
  if (modulusLength < leastModulus) throw new UnusableKey('an RSA key under 2048 bits')
  if (modulusLength > mostModulus) throw new UnusableKey('an RSA key over 8192 bits')
  // e = 1 makes every message its own signature; small exponents have a history of forgeries
  if (publicExponent < leastExponent || publicExponent > mostExponent || publicExponent % 2n === 0n) {
    throw new UnusableKey('an RSA key whose exponent is under 65537, over 32 bits or even')
  }
  return { kid, key, algorithms: narrowed(jwk, algorithmsOf('RSA', null)), signatureBytes: Math.ceil(modulusLength / 8) }
}

function readEc(jwk: Members, kid: string): VerifyKey {
  const crv = text(jwk, 'crv')
  const bytes = curveBytes.get(crv)
  if (bytes === undefined) throw new UnusableKey('a curve that no accepted algorithm uses')
  const key = importKey({ kty: 'EC', crv, x: text(jwk, 'x'), y: text(jwk, 'y') })
  return { kid, key, algorithms: narrowed(jwk, algorithmsOf('EC', crv)), signatureBytes: 2 * bytes }
}

/** Imports from exactly these members, so that nothing else in the document can bear on the key. */
function importKey(jwk: Record<string, string>): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' })
  } catch {
    throw new UnusableKey('a key whose numbers cannot be read')
  }
}

function narrowed(jwk: Members, algorithms: readonly Algorithm[]): readonly Algorithm[] {
  const alg = member(jwk, 'alg')
  if (alg === undefined) return algorithms
  if (!isAlgorithm(alg) || !algorithms.includes(alg)) throw new UnusableKey('an alg that does not fit the key')
  return [alg]
}

function text(jwk: Members, name: string): string {
  const value = member(jwk, name)
  if (typeof value !== 'string' || value === '') throw new UnusableKey(`a key without ${name}`)
  return value
}
