import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint, SignJWT, type JWTPayload } from 'jose'
import type { Secret } from '../secret.ts'

/** A public key set (RFC 7517), as the health port shows it. */
export interface PublicKeys {
  readonly keys: readonly {
    readonly kty: 'EC'
    readonly crv: 'P-256'
    readonly x: string
    readonly y: string
    readonly kid: string
    readonly alg: 'ES256'
    readonly use: 'sig'
  }[]
}

/** Countersign's own ES256 key. The private half has no way out but signing. */
export interface SigningKey {
  /** RFC 7638 thumbprint. */
  readonly kid: string
  /** Signs claims as a compact JWT with this `typ`. */
  sign(typ: string, claims: JWTPayload): Promise<string>
  /** For libraries that sign themselves; not extractable. */
  readonly handle: CryptoKey
  publicKeys(): PublicKeys
}

/** Makes a key that lives as long as the process. */
export function generateSigningKey(): Promise<SigningKey> {
  return signingKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
}

/** Reads a PEM private key; throws when it is not on P-256. */
export function readSigningKey(pem: Secret): Promise<SigningKey> {
  let key: KeyObject
  try {
    key = createPrivateKey(pem.reveal())
  } catch {
    // the parser's own error may quote the input
    throw new Error('the signing key is not a PEM private key')
  }
  return signingKey(key)
}

async function signingKey(key: KeyObject): Promise<SigningKey> {
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new Error('the signing key must be an EC key on P-256')
  const { x, y } = createPublicKey(key).export({ format: 'jwk' })
  if (typeof x !== 'string' || typeof y !== 'string') throw new Error('the signing key has no public half')
  const kid = await calculateJwkThumbprint({ kty: 'EC', crv: 'P-256', x, y })
  const handle = key.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  return {
    kid,
    handle,
    sign: (typ, claims) => new SignJWT(claims).setProtectedHeader({ alg: 'ES256', typ, kid }).sign(handle),
    publicKeys: () => ({ keys: [{ kty: 'EC', crv: 'P-256', x, y, kid, alg: 'ES256', use: 'sig' }] }),
  }
}
