import { constants, createHash, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** A test issuer: keys made on the spot, the documents that publish them, and tokens signed with them, good and hostile. */

export type SigningAlgorithm = 'RS256' | 'RS384' | 'RS512' | 'ES256' | 'ES384' | 'ES512' | 'PS256' | 'PS384' | 'PS512'

export const signingAlgorithms: readonly SigningAlgorithm[] = [
  'RS256',
  'RS384',
  'RS512',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
]

export type Jwk = Readonly<Record<string, unknown>>

export interface SigningKey {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  readonly privateKey: KeyObject
  /** `kty` and the public numbers, nothing else. */
  readonly publicJwk: Jwk
}

const curves = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' } as const

/** Makes a key pair for an algorithm. `modulus` is for RSA. */
export function signingKey(algorithm: SigningAlgorithm = 'ES256', kid = 'key-1', modulus = 2048): SigningKey {
  const { privateKey, publicKey } =
    algorithm === 'ES256' || algorithm === 'ES384' || algorithm === 'ES512'
      ? generateKeyPairSync('ec', { namedCurve: curves[algorithm] })
      : generateKeyPairSync('rsa', { modulusLength: modulus })
  return { kid, algorithm, privateKey, publicJwk: { ...publicKey.export({ format: 'jwk' }) } }
}

/** Signs bytes as RFC 7518 says for the algorithm. */
export function signature(key: KeyObject, algorithm: SigningAlgorithm, data: string): Buffer {
  const hash = `sha${algorithm.slice(2)}`
  const bytes = Buffer.from(data, 'latin1')
  if (algorithm.startsWith('ES')) return sign(hash, bytes, { key, dsaEncoding: 'ieee-p1363' })
  if (algorithm.startsWith('RS')) return sign(hash, bytes, key)
  return sign(hash, bytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST })
}

/** The same numbers in DER, which JWS does not allow. */
export function derSignature(key: KeyObject, data: string): Buffer {
  return sign('sha256', Buffer.from(data, 'latin1'), { key, dsaEncoding: 'der' })
}

/** What under e = 1 passes for an RS256 signature without any private key: the padded digest itself (RFC 8017 §9.2). */
export function signatureUnderExponentOne(data: string, modulusBytes: number): Buffer {
  const prefix = Buffer.from('3031300d060960864801650304020105000420', 'hex')
  const digest = createHash('sha256').update(data, 'latin1').digest()
  const padding = Buffer.alloc(modulusBytes - prefix.length - digest.length - 3, 0xff)
  return Buffer.concat([Buffer.from([0, 1]), padding, Buffer.from([0]), prefix, digest])
}

/** Encodes text, bytes or a value as one part of a token. Text goes in as it is, so that it can be any JSON or none. */
export function part(content: string | Uint8Array | Jwk): string {
  const bytes = typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content)
  return Buffer.from(bytes).toString('base64url')
}

/** What a token is made of; everything has a good default, and `undefined` leaves a member out. */
export interface Minting {
  /** Members over the default `{ alg, kid, typ }`, or the whole JSON text. */
  readonly header?: Jwk | string
  /** Members over the default `{ sub, aud, iat, exp }`, or the whole JSON text. */
  readonly claims?: Jwk | string
  readonly key?: SigningKey
  /** Algorithm really signed with, when it shall differ from the key's own. */
  readonly signWith?: SigningAlgorithm
  /** Takes the bytes to sign, gives the signature: for signatures that no key makes. */
  readonly sign?: (data: string) => Uint8Array
}

export interface IssuerOptions {
  readonly trustDomain?: string
  readonly audience?: string
  readonly keys?: readonly SigningKey[]
  /** Epoch ms. */
  readonly clock?: () => number
  /** Life of its tokens in seconds. */
  readonly lifetime?: number
}

export class Issuer {
  readonly trustDomain: string
  readonly audience: string
  readonly keys: readonly SigningKey[]
  readonly #clock: () => number
  readonly #lifetime: number

  constructor(options: IssuerOptions = {}) {
    this.trustDomain = options.trustDomain ?? 'acme.example'
    this.audience = options.audience ?? 'spiffe://acme.example/countersign'
    this.keys = options.keys ?? [signingKey()]
    this.#clock = options.clock ?? Date.now
    this.#lifetime = options.lifetime ?? 300
  }

  /** A SPIFFE ID of this trust domain. */
  id(path = '/agent'): string {
    return `spiffe://${this.trustDomain}${path}`
  }

  /** Default claims, as SPIRE gives them. */
  claims(): Jwk {
    const iat = Math.floor(this.#clock() / 1000)
    return { sub: this.id(), aud: [this.audience], iat, exp: iat + this.#lifetime }
  }

  mint(minting: Minting = {}): string {
    const key = minting.key ?? this.#firstKey()
    const header = part(merge({ alg: key.algorithm, kid: key.kid, typ: 'JWT' }, minting.header))
    const data = `${header}.${part(merge(this.claims(), minting.claims))}`
    const signed = minting.sign?.(data) ?? signature(key.privateKey, minting.signWith ?? key.algorithm, data)
    return `${data}.${part(signed)}`
  }

  /** A SPIFFE bundle document: `extra` members beside or instead of the usual ones. */
  bundle(extra: Jwk = {}): string {
    const keys = this.keys.map((key) => ({ ...key.publicJwk, kid: key.kid, use: 'jwt-svid' }))
    return JSON.stringify({ keys, spiffe_sequence: 1, spiffe_refresh_hint: 300, ...extra })
  }

  /** A plain JWKS. */
  jwks(extra: Jwk = {}): string {
    return JSON.stringify({ keys: this.keys.map((key) => ({ ...key.publicJwk, kid: key.kid })), ...extra })
  }

  #firstKey(): SigningKey {
    const key = this.keys[0]
    if (key === undefined) throw new Error('the test issuer has no key')
    return key
  }
}

function merge(usual: Jwk, change: Jwk | string | undefined): Jwk | string {
  return typeof change === 'string' ? change : { ...usual, ...change }
}
