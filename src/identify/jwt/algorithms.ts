import { constants, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** How one JWS algorithm is verified (RFC 7518 §3.3 to §3.5). */
interface Scheme {
  readonly hash: 'sha256' | 'sha384' | 'sha512'
  /** The JWK `kty`, and for EC the only `crv` it goes with. */
  readonly kty: 'RSA' | 'EC'
  readonly curve: string | null
  readonly pss: boolean
}

const schemes = {
  RS256: { hash: 'sha256', kty: 'RSA', curve: null, pss: false },
  RS384: { hash: 'sha384', kty: 'RSA', curve: null, pss: false },
  RS512: { hash: 'sha512', kty: 'RSA', curve: null, pss: false },
  ES256: { hash: 'sha256', kty: 'EC', curve: 'P-256', pss: false },
  ES384: { hash: 'sha384', kty: 'EC', curve: 'P-384', pss: false },
  ES512: { hash: 'sha512', kty: 'EC', curve: 'P-521', pss: false },
  PS256: { hash: 'sha256', kty: 'RSA', curve: null, pss: true },
  PS384: { hash: 'sha384', kty: 'RSA', curve: null, pss: true },
  PS512: { hash: 'sha512', kty: 'RSA', curve: null, pss: true },
} as const satisfies Record<string, Scheme>

/** The nine algorithms of JWT-SVID §2.1. No other is ever accepted, whatever a key or a token says. */
export type Algorithm = keyof typeof schemes

/** All of them. */
export const algorithms: readonly Algorithm[] = Object.keys(schemes).filter((name) => isAlgorithm(name))

export function isAlgorithm(value: unknown): value is Algorithm {
  return typeof value === 'string' && Object.hasOwn(schemes, value)
}

/** The algorithms that a key of this type and curve may verify; empty for a type or curve that none goes with. */
export function algorithmsOf(kty: string, curve: string | null): readonly Algorithm[] {
  return algorithms.filter((name) => schemes[name].kty === kty && schemes[name].curve === curve)
}

/**
 * True when `signature` is the signature of `data` under `key`. The caller has checked that the key is for this algorithm.
 * ES signatures are the two numbers side by side (RFC 7518 §3.4), never DER; PSS salt is as long as the hash (§3.5).
 * Synchronous: 30 to 150 µs, once per token; a trip through the thread pool costs more than it frees.
 */
export function verifySignature(algorithm: Algorithm, key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  const scheme: Scheme = schemes[algorithm]
  if (scheme.kty === 'EC') return verify(scheme.hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature)
  if (!scheme.pss) return verify(scheme.hash, data, { key, padding: constants.RSA_PKCS1_PADDING }, signature)
  return verify(
    scheme.hash,
    data,
    { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
    signature,
  )
}
