/** The keys that bundles are verified with. Each is for one algorithm: what a signature says of itself never chooses. */

import {
  constants,
  createHmac,
  createPublicKey,
  createSecretKey,
  timingSafeEqual,
  verify,
  X509Certificate,
  type KeyObject,
} from 'node:crypto'
import { BundleFault } from './fault.ts'

/** How one JWS algorithm is verified (RFC 7518 §3.2 to §3.5, RFC 8037 §3.1). */
interface Scheme {
  /** What Node calls the type of the key, and for EC its curve. */
  readonly type: 'secret' | 'rsa' | 'ec' | 'ed25519'
  readonly curve?: string
  /** Ed25519 hashes by itself. */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | null
  readonly pss?: boolean
}

const schemes = {
  HS256: { type: 'secret', hash: 'sha256' },
  HS384: { type: 'secret', hash: 'sha384' },
  HS512: { type: 'secret', hash: 'sha512' },
  RS256: { type: 'rsa', hash: 'sha256' },
  RS384: { type: 'rsa', hash: 'sha384' },
  RS512: { type: 'rsa', hash: 'sha512' },
  PS256: { type: 'rsa', hash: 'sha256', pss: true },
  PS384: { type: 'rsa', hash: 'sha384', pss: true },
  PS512: { type: 'rsa', hash: 'sha512', pss: true },
  ES256: { type: 'ec', curve: 'prime256v1', hash: 'sha256' },
  ES384: { type: 'ec', curve: 'secp384r1', hash: 'sha384' },
  ES512: { type: 'ec', curve: 'secp521r1', hash: 'sha512' },
  EdDSA: { type: 'ed25519', hash: null },
} as const satisfies Record<string, Scheme>

export type Algorithm = keyof typeof schemes

export const algorithms: readonly Algorithm[] = Object.keys(schemes).filter((name) => isAlgorithm(name))

export interface VerificationKey {
  /** What a signature calls it: `kid` of the header, or `keyid` of the claims. */
  readonly id: string
  readonly algorithm: Algorithm
  readonly key: KeyObject
  /** The scope that signatures of this key have; null for none. */
  readonly scope: string | null
}

/** What a bundle is verified with. */
export interface Verification {
  readonly keys: readonly VerificationKey[]
  /** The key to use whatever a signature says; null to go by the signature. */
  readonly keyId: string | null
  /** The scope a signature must have; null for the one of its key. */
  readonly scope: string | null
}

/** A key as it is configured. */
export interface KeyText {
  readonly id: string
  /** A PEM public key or certificate, or the secret of an HMAC, byte for byte: a line feed at its end is part of it, as for OPA. */
  readonly text: string
  /** Null to go by the key: RSA is RS256, P-256 ES256, P-384 ES384, P-521 ES512, Ed25519 EdDSA. An HMAC has to be named. */
  readonly algorithm: string | null
  readonly scope: string | null
}

const fewestRsaBits = 2048

/**
 * Reads a key. A private key is refused: it does not belong where bundles are verified. So are RSA keys under 2048 bits, secrets shorter
 * than their hash (RFC 7518 §3.2) and PEM texts as secrets. The dates of a certificate are not looked at. Throws BundleFault, which never
 * holds any of the key.
 */
export function readKey({ id, text, algorithm, scope }: KeyText): VerificationKey {
  const fault = (why: string): BundleFault => new BundleFault(`the bundle key ${JSON.stringify(id)} ${why}`)
  if (id === '') throw new BundleFault('a bundle key has no id')
  if (algorithm !== null && !isAlgorithm(algorithm)) throw fault(`is for an unknown algorithm: use one of ${algorithms.join(', ')}`)
  if (algorithm !== null && schemes[algorithm].type === 'secret') {
    if (text.includes('-----BEGIN')) throw fault(`is PEM: a public key is no secret for ${algorithm}`)
    if (Buffer.byteLength(text) * 8 < Number(algorithm.slice(2))) throw fault(`is shorter than the hash of ${algorithm}`)
    return { id, algorithm, key: createSecretKey(text, 'utf8'), scope }
  }
  const key = publicKey(text, fault)
  const possible = algorithms.filter((name) => fits(schemes[name], key))
  const [first] = possible
  if (first === undefined) throw fault('is of a type or curve that no algorithm goes with')
  if (key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) < fewestRsaBits) {
    throw fault(`is an RSA key under ${fewestRsaBits} bits`)
  }
  if (algorithm !== null && !possible.includes(algorithm)) throw fault(`does not go with ${algorithm}: it is for ${possible.join(', ')}`)
  return { id, algorithm: algorithm ?? first, key, scope }
}

/** Whether `signature` is the one of `data` under the key. ES signatures are two numbers side by side (RFC 7518 §3.4), never DER. */
export function isSigned({ algorithm, key }: VerificationKey, data: Uint8Array, signature: Uint8Array): boolean {
  const { type, hash, pss }: Scheme = schemes[algorithm]
  if (type === 'secret') {
    const wanted = createHmac(hash ?? '', key)
      .update(data)
      .digest()
    return wanted.length === signature.length && timingSafeEqual(wanted, signature)
  }
  const padding = pss === true ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  if (type === 'rsa') return verify(hash, data, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }, signature)
  return verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

function isAlgorithm(name: string): name is Algorithm {
  return Object.hasOwn(schemes, name)
}

function fits({ type, curve }: Scheme, key: KeyObject): boolean {
  return key.asymmetricKeyType === type && (curve === undefined || key.asymmetricKeyDetails?.namedCurve === curve)
}

function publicKey(text: string, fault: (why: string) => BundleFault): KeyObject {
  if (text.includes('PRIVATE KEY-----')) throw fault('is a private key: give its public key, and make a new pair')
  const blocks = text.split('-----BEGIN ').length - 1
  if (blocks !== 1) throw fault(blocks === 0 ? 'is not PEM: a secret needs an `algorithm` such as HS256' : 'is more than one PEM block')
  try {
    return text.includes('-----BEGIN CERTIFICATE-----') ? new X509Certificate(text).publicKey : createPublicKey(text)
  } catch {
    // the library's message may quote the text, so it is not kept even as a cause
    throw fault('is not a PEM public key or certificate')
  }
}
