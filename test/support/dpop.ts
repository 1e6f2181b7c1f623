import { generateKeyPairSync, hash, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, SignJWT, type JWK } from 'jose'
import type { Call, TlsPeer } from '../../src/listen/call.ts'
import type { Jwk } from './issuer.ts'

/** A key of an agent, with its thumbprint as jose computes it. */
export interface AgentKey {
  readonly privateKey: KeyObject
  readonly algorithm: string
  readonly jwk: JWK
  readonly jkt: string
}

const kinds = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  ES512: () => generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  EdDSA: () => generateKeyPairSync('ed25519'),
  weak: () => generateKeyPairSync('rsa', { modulusLength: 1024 }),
} as const

export async function agentKey(kind: keyof typeof kinds = 'ES256'): Promise<AgentKey> {
  const { privateKey, publicKey } = kinds[kind]()
  const jwk = await exportJWK(publicKey)
  return { privateKey, algorithm: kind === 'weak' ? 'RS256' : kind, jwk, jkt: await calculateJwkThumbprint(jwk) }
}

/** Where proofs are for unless told otherwise. */
export const provenCall = { method: 'POST', scheme: 'http', host: '127.0.0.1:7420', prefix: '/crm', path: '/orders/1' } as const
export const provenUri = 'http://127.0.0.1:7420/crm/orders/1'

export interface Proving {
  readonly key: AgentKey
  readonly token: string
  /** Epoch ms. */
  readonly now: number
  /** Over the right ones; `undefined` leaves a member out. */
  readonly claims?: Jwk
  readonly header?: Jwk
  /** Another key than the one in the header. */
  readonly signWith?: AgentKey
}

let proofs = 0

/** A proof made by jose, for `provenCall` unless its claims say otherwise. */
export function prove({ key, token, now, claims, header, signWith }: Proving): Promise<string> {
  const usual = {
    jti: `proof-${++proofs}`,
    htm: 'POST',
    htu: provenUri,
    iat: Math.floor(now / 1000),
    ath: hash('sha256', token, 'base64url'),
  }
  return new SignJWT({ ...usual, ...claims })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: key.algorithm, jwk: key.jwk, ...header })
    .sign((signWith ?? key).privateKey)
}

export interface DpopCall {
  readonly method?: string
  readonly scheme?: 'http' | 'https'
  readonly host?: string
  readonly prefix?: string
  readonly path?: string
  readonly tls?: TlsPeer | null
  readonly ambient?: string | null
}

/** What the identify stage needs of a call with these headers, each a name and a value. */
export function callOf(headers: readonly (readonly [string, string])[], call: DpopCall = {}): Call {
  const { method, scheme, host, prefix, path } = { ...provenCall, ...call }
  return {
    method,
    scheme,
    host,
    address: { prefix, path, target: path },
    headers: headers.flat(),
    tls: call.tls ?? null,
    listener: { name: 'agent', port: 7420, ambient: call.ambient ?? null },
  } as unknown as Call
}

/** A call with a token under the scheme DPoP and these proofs, each in a header of its own. */
export function dpopCall(token: string, proofTexts: readonly string[], call: DpopCall = {}): Call {
  return callOf([['authorization', `DPoP ${token}`], ...proofTexts.map((proof) => ['dpop', proof] as const)], call)
}
