/** Signs bundles as OPA does, and as it never would: every part of a signature can be other than it should be. Keys are made here. */

import { constants, createHash, createHmac, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import type { Algorithm, Verification } from '../../src/decide/bundle/key.ts'
import { readKey } from '../../src/decide/bundle/key.ts'

export type Files = Readonly<Record<string, Uint8Array | string>>

/** A key pair, or a secret, for one algorithm. */
export interface Signer {
  readonly algorithm: Algorithm
  /** What the verifier is given. */
  readonly text: string
  /** PEM, or the secret again: what the signer keeps. */
  readonly own: string
  sign(data: string): Uint8Array
}

export interface Signing {
  readonly signer: Signer
  /** The files it is over, when they are not those of the bundle. */
  readonly files?: Files
  readonly header?: Readonly<Record<string, unknown>>
  /** Claims besides `files`, or instead of it. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** A name that OPA writes. */
  readonly hash?: string
}

export const kid = 'release'

export function makeSigner(algorithm: Algorithm): Signer {
  if (algorithm.startsWith('HS')) {
    const secret = randomBytes(48).toString('base64url')
    return secretSigner(algorithm, secret)
  }
  const { publicKey, privateKey } = pair(algorithm)
  return {
    algorithm,
    text: publicKey.export({ type: 'spki', format: 'pem' }),
    own: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    sign: (data) => signWith(algorithm, privateKey, data),
  }
}

/** An HMAC over any text as its secret, such as a public key. */
export function secretSigner(algorithm: Algorithm, secret: string): Signer {
  return {
    algorithm,
    text: secret,
    own: secret,
    sign: (data) =>
      createHmac(`sha${algorithm.slice(2)}`, secret)
        .update(data)
        .digest(),
  }
}

/** The signer's key as RS and PS both may use it. */
export function otherScheme(signer: Signer, algorithm: Algorithm): Signer {
  return { ...signer, algorithm, sign: (data) => signWith(algorithm, signer.own, data) }
}

export function trustIn(signer: Signer, more: Partial<Verification> = {}): Verification {
  const { text, algorithm } = signer
  return { keys: [readKey({ id: kid, text, algorithm, scope: null })], keyId: null, scope: null, ...more }
}

/** The files with a `.signatures.json` over them. */
export function signed(files: Files, signing: Signing): Record<string, Uint8Array | string> {
  return { ...files, '.signatures.json': JSON.stringify({ signatures: [tokenFor(files, signing)] }) }
}

export function tokenFor(files: Files, { signer, files: over = files, header = {}, claims = {}, hash = 'SHA-256' }: Signing): string {
  const { '.signatures.json': _, ...rest } = over
  const list = Object.entries(rest).map(([name, content]) => ({ name, hash: hashOf(name, content, hash), algorithm: hash }))
  return compact({ alg: signer.algorithm, typ: 'JWT', kid, ...header }, { files: list, ...claims }, signer)
}

export function compact(header: object, claims: object, signer: Signer): string {
  const data = `${part(JSON.stringify(header))}.${part(JSON.stringify(claims))}`
  return `${data}.${part(signer.sign(data))}`
}

export function part(content: string | Uint8Array): string {
  return Buffer.from(content).toString('base64url')
}

/** Of ordinary documents; the odd ones are signed by the real engine. */
function hashOf(name: string, content: Uint8Array | string, hash: string): string {
  const node: Readonly<Record<string, string>> = { 'SHA-1': 'sha1', 'SHA-512-256': 'sha512-256', 'SHA-512-224': 'sha512-224' }
  const structured = /(^|\/)(data\.json|\.manifest)$/.test(name)
  const text = structured ? canonical(Buffer.from(content).toString()) : content
  return createHash(node[hash] ?? hash.replace('-', '').toLowerCase())
    .update(text)
    .digest('hex')
}

/** Canonical by means of the engine alone: numbers are kept as their source, keys are sorted. */
function canonical(text: string): string {
  const raw = JSON as unknown as { rawJSON(text: string): object; isRawJSON(value: unknown): boolean }
  const keep = (_: string, value: unknown, context?: { readonly source: string }): unknown =>
    typeof value === 'number' ? raw.rawJSON(context?.source ?? '') : value
  const sort = (_: string, value: unknown): unknown => {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || raw.isRawJSON(value)) return value
    return Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)))
  }
  return JSON.stringify(JSON.parse(text, keep), sort)
}

function pair(algorithm: Algorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519')
  if (!algorithm.startsWith('ES')) return generateKeyPairSync('rsa', { modulusLength: 2048 })
  const curves: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }
  return generateKeyPairSync('ec', { namedCurve: curves[algorithm] ?? '' })
}

function signWith(algorithm: Algorithm, key: KeyObject | string, data: string): Uint8Array {
  const bytes = Buffer.from(data)
  if (algorithm === 'EdDSA') return sign(null, bytes, key)
  const hash = `sha${algorithm.slice(2)}`
  const pem = typeof key === 'string' ? key : key.export({ type: 'pkcs8', format: 'pem' })
  if (algorithm.startsWith('ES')) return sign(hash, bytes, { key: pem, dsaEncoding: 'ieee-p1363' })
  const pss = algorithm.startsWith('PS')
  return sign(hash, bytes, {
    key: pem,
    padding: pss ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING,
    saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
  })
}
