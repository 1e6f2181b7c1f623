/** An X.509 authority of a development trust domain: issues X.509-SVIDs (X509-SVID §2 to §4) on one machine. Never for production. */
import { generateKeyPairSync, hash, randomBytes } from 'node:crypto'
import type { KeyObject, webcrypto } from 'node:crypto'
import {
  alternativeNames,
  authorityKeyId,
  basicConstraints,
  bothPurposes,
  keyUsage,
  name,
  signCertificate,
  subjectKeyId,
} from './certificate.ts'

export interface AuthorityOptions {
  readonly trustDomain: string
  /** How long its own certificate lives from now. */
  readonly seconds: number
  /** Epoch ms; default: the time of the machine. */
  readonly clock?: () => number
}

export interface Authority {
  readonly trustDomain: string
  /** DER; self-signed. */
  readonly certificate: Uint8Array
  /** Its public key as a JWK (RFC 7517), for a bundle document. */
  readonly publicJwk: webcrypto.JsonWebKey
  /** Epoch ms. */
  readonly expires: number
  issue(request: SvidRequest): IssuedSvid
}

export interface SvidRequest {
  /** A SPIFFE ID; not checked, so that tests can ask for what must be refused. */
  readonly id: string
  readonly seconds: number
  /** Default: a fresh key. */
  readonly publicKey?: KeyObject
  readonly dns?: readonly string[]
}

export interface IssuedSvid {
  readonly id: string
  /** DER, leaf first; without the authority. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8 DER; null when the public key was handed in. */
  readonly key: Uint8Array | null
  /** Epoch ms. */
  readonly expires: number
}

/** How far back certificates start, for clocks that are a little behind. */
const back = 10_000

/** Makes a trust domain's authority with a fresh P-256 key that lives as long as the process. */
export function makeAuthority({ trustDomain, seconds, clock = Date.now }: AuthorityOptions): Authority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subject = name('Countersign development', trustDomain)
  const keyId = idOf(publicKey)
  const lifetime = validity(clock(), seconds)
  const certificate = signCertificate(
    {
      serial: serial(),
      issuer: subject,
      subject,
      ...lifetime,
      publicKey,
      extensions: [
        basicConstraints(true),
        keyUsage(5, 6),
        alternativeNames({ uris: [`spiffe://${trustDomain}`], dns: [] }, false),
        subjectKeyId(keyId),
      ],
    },
    privateKey,
  )
  const signer: Signer = { privateKey, subject, keyId, clock }
  const publicJwk = publicKey.export({ format: 'jwk' })
  return { trustDomain, certificate, publicJwk, expires: lifetime.notAfter, issue: (request) => issue(request, signer) }
}

interface Signer {
  readonly privateKey: KeyObject
  readonly subject: Uint8Array
  readonly keyId: Uint8Array
  readonly clock: () => number
}

function issue(request: SvidRequest, signer: Signer): IssuedSvid {
  const pair = request.publicKey === undefined ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : null
  const publicKey = pair?.publicKey ?? request.publicKey
  if (publicKey === undefined) throw new Error('no public key')
  const lifetime = validity(signer.clock(), request.seconds)
  const leaf = signCertificate(
    {
      serial: serial(),
      issuer: signer.subject,
      subject: name('Countersign development'),
      ...lifetime,
      publicKey,
      extensions: [
        basicConstraints(false),
        keyUsage(0),
        bothPurposes(),
        alternativeNames({ uris: [request.id], dns: request.dns ?? [] }, false),
        authorityKeyId(signer.keyId),
      ],
    },
    signer.privateKey,
  )
  const key = pair?.privateKey.export({ format: 'der', type: 'pkcs8' }) ?? null
  return { id: request.id, chain: [leaf], key, expires: lifetime.notAfter }
}

/** Certificates know whole seconds: the end is rounded up, so that what was asked for is given. */
function validity(now: number, seconds: number): { notBefore: number; notAfter: number } {
  return { notBefore: Math.floor((now - back) / 1000) * 1000, notAfter: Math.ceil((now + seconds * 1000) / 1000) * 1000 }
}

/** 127 random bits, never zero: positive, and unique as far as chance goes (RFC 5280 §4.1.2.2). */
function serial(): Uint8Array {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes
}

function idOf(publicKey: KeyObject): Uint8Array {
  return hash('sha256', publicKey.export({ format: 'der', type: 'spki' }), 'buffer').subarray(0, 20)
}
