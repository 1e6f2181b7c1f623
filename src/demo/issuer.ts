import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose'
import { makeAuthority, type Authority, type IssuedSvid, type SvidRequest } from './x509.ts'

/** A development trust domain with its own keys: issues SVIDs for workloads on one machine. Never for production. */
export interface DevelopmentIssuer {
  readonly trustDomain: string
  /** Its SPIFFE bundle document as it now is (SPIFFE Trust Domain and Bundle §4). */
  readonly bundle: string
  /** The keys of its JWT-SVIDs as a plain JWK Set, which is what the Workload API hands out (Workload API §6.2.2). */
  readonly jwks: string
  /** DER of its X.509 authorities, newest first. */
  readonly authorities: readonly Uint8Array[]
  /** A JWT-SVID for `id`, meant for `audience`, that lives `seconds`. */
  mint(id: string, audience: string | readonly string[], seconds: number): Promise<string>
  /** An X.509-SVID. */
  issue(request: SvidRequest): IssuedSvid
  /** How often keys were renewed or revoked: what was signed two renewals ago is not good any more. */
  readonly generation: number
  /** Signs with the keys that were published last; those before stay in the bundle once more, and the next ones come into it. */
  renewKeys(): Promise<void>
  /** Signs with fresh keys, and nothing signed before is good any more. */
  revokeKeys(): Promise<void>
}

interface TokenKey {
  readonly kid: string
  readonly jwk: JWK
  readonly privateKey: CryptoKey
}

interface Keys {
  readonly token: TokenKey
  readonly authority: Authority
}

const authoritySeconds = 365 * 86_400

/** Makes a trust domain with fresh P-256 keys that live as long as the process. `clock`: epoch ms. */
export async function developmentIssuer(trustDomain: string, clock: () => number = Date.now): Promise<DevelopmentIssuer> {
  return new Issuer(trustDomain, clock, [await freshKeys(trustDomain, clock), await freshKeys(trustDomain, clock)])
}

class Issuer implements DevelopmentIssuer {
  readonly trustDomain: string
  readonly #clock: () => number
  // both written by #adopt alone
  /** The next ones, published ahead of their use (Federation §4.1), those that sign, and those before. */
  #keys: readonly Keys[]
  #sequence = 1

  constructor(trustDomain: string, clock: () => number, keys: readonly Keys[]) {
    this.trustDomain = trustDomain
    this.#clock = clock
    this.#keys = keys
  }

  get generation(): number {
    return this.#sequence - 1
  }

  get bundle(): string {
    const tokens = this.#keys.map(({ token }) => ({ ...token.jwk, kid: token.kid, use: 'jwt-svid' }))
    const authorities = this.#keys.map(({ authority }) => ({
      ...authority.publicJwk,
      use: 'x509-svid',
      x5c: [Buffer.from(authority.certificate).toString('base64')],
    }))
    return JSON.stringify({ keys: [...tokens, ...authorities], spiffe_sequence: this.#sequence, spiffe_refresh_hint: 300 }, null, 2)
  }

  get jwks(): string {
    return JSON.stringify({ keys: this.#keys.map(({ token }) => ({ ...token.jwk, kid: token.kid })) })
  }

  get authorities(): readonly Uint8Array[] {
    return this.#keys.map(({ authority }) => authority.certificate)
  }

  mint(id: string, audience: string | readonly string[], seconds: number): Promise<string> {
    const { kid, privateKey } = this.#signing.token
    const now = Math.floor(this.#clock() / 1000)
    return new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' })
      .setSubject(id)
      .setAudience(typeof audience === 'string' ? audience : [...audience])
      .setIssuedAt(now)
      .setExpirationTime(now + seconds)
      .sign(privateKey)
  }

  issue(request: SvidRequest): IssuedSvid {
    return this.#signing.authority.issue(request)
  }

  async renewKeys(): Promise<void> {
    const [next, signing] = this.#keys
    this.#adopt([await freshKeys(this.trustDomain, this.#clock), next ?? this.#signing, signing ?? this.#signing])
  }

  async revokeKeys(): Promise<void> {
    this.#adopt([await freshKeys(this.trustDomain, this.#clock), await freshKeys(this.trustDomain, this.#clock)])
  }

  get #signing(): Keys {
    const [, signing] = this.#keys
    if (signing === undefined) throw new Error('an issuer without keys')
    return signing
  }

  #adopt(keys: readonly Keys[]): void {
    this.#keys = keys
    this.#sequence += 1
  }
}

async function freshKeys(trustDomain: string, clock: () => number): Promise<Keys> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(publicKey)
  const token = { kid: await calculateJwkThumbprint(jwk), jwk, privateKey }
  return { token, authority: makeAuthority({ trustDomain, seconds: authoritySeconds, clock }) }
}
