/** The key that a DPoP-bound token is bound to: one for each lease, and gone with it. */
import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { calculateJwkThumbprint } from 'jose'
import { Secret } from '../secret.ts'

export interface KeyPair {
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
}

export interface BoundKey {
  readonly pair: KeyPair
  /** PEM of the private key, for the proofs of requests. */
  readonly pem: Secret
  /** RFC 7638. */
  readonly thumbprint: string
}

const generate = promisify(generateKeyPair)

/** An ES256 key. Node's own generation is used so that the key can go to where requests are made; the issuer's client takes it as a CryptoKey. */
export async function makeKey(): Promise<BoundKey> {
  const { privateKey, publicKey } = await generate('ec', { namedCurve: 'P-256' })
  const cryptoKey = (key: KeyObject, usage: 'sign' | 'verify'): CryptoKey =>
    key.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, usage === 'verify', [usage])
  const { kty, crv, x, y } = publicKey.export({ format: 'jwk' })
  if (kty === undefined || crv === undefined || x === undefined || y === undefined) throw new Error('a key without its public half')
  return {
    pair: { privateKey: cryptoKey(privateKey, 'sign'), publicKey: cryptoKey(publicKey, 'verify') },
    pem: new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    thumbprint: await calculateJwkThumbprint({ kty, crv, x, y }),
  }
}
