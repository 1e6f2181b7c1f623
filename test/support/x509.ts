import { constants, generateKeyPairSync, hash, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import {
  alternativeNames,
  authorityKeyId,
  basicConstraints,
  bothPurposes,
  extension,
  keyUsage,
  name,
  subjectKeyId,
} from '../../src/demo/certificate.ts'
import { bits, der, integer, oid, sequence, time } from '../../src/demo/der.ts'

/** Builds certificates for X.509-SVID tests, good ones by default and wrong ones by choice. Keys are made when they are needed. */

export interface Keys {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

export interface Made {
  readonly der: Uint8Array
  readonly keys: Keys
  /** DER, or what stands there instead. */
  readonly subject: Uint8Array
  readonly keyId: Uint8Array
}

/** Everything that can be chosen about a certificate. Extensions by name: null leaves one out, bytes replace it whole. */
export interface Shape {
  readonly keys?: Keys
  /** DER of the SubjectPublicKeyInfo, when it is not that of `keys`. */
  readonly spki?: Uint8Array
  readonly subject?: Uint8Array
  readonly issuer?: Uint8Array
  readonly serial?: Uint8Array
  /** Epoch ms, or the DER of a time. */
  readonly notBefore?: number | Uint8Array
  readonly notAfter?: number | Uint8Array
  /** As written: 2 is version 3; null writes none. */
  readonly version?: number | null
  readonly algorithm?: SignatureName
  /** DER of the AlgorithmIdentifier outside, when it is not the one inside. */
  readonly outerAlgorithm?: Uint8Array
  readonly basicConstraints?: Uint8Array | null
  readonly keyUsage?: Uint8Array | null
  readonly extendedKeyUsage?: Uint8Array | null
  readonly names?: Uint8Array | null
  readonly subjectKeyId?: Uint8Array | null
  readonly authorityKeyId?: Uint8Array | null
  readonly nameConstraints?: Uint8Array | null
  /** Extensions after all others. */
  readonly more?: readonly Uint8Array[]
  /** Parts of the signed body after the extensions. */
  readonly trailing?: readonly Uint8Array[]
  /** What signs instead of the signer's key. */
  readonly sign?: (body: Uint8Array) => Uint8Array
}

/** A whole second, so that times survive being written. */
export const now = Math.floor(Date.now() / 1000) * 1000
export const hour = 3_600_000
export const trustDomain = 'acme.example'
export const workload = `spiffe://${trustDomain}/agent`

export function ecKeys(namedCurve = 'P-256'): Keys {
  return generateKeyPairSync('ec', { namedCurve })
}

const rsaKept = new Map<string, Keys>()

/** Kept by size and exponent, since making one takes long. */
export function rsaKeys(modulusLength = 2048, publicExponent = 0x10001): Keys {
  const id = `${modulusLength} ${publicExponent}`
  const keys = rsaKept.get(id) ?? generateKeyPairSync('rsa', { modulusLength, publicExponent })
  rsaKept.set(id, keys)
  return keys
}

/** A self-signed authority, or one that `signer` signed. */
export function makeCa(shape: Shape = {}, signer?: Made): Made {
  const usual = {
    subject: name('Acme', randomBytes(4).toString('hex')),
    basicConstraints: basicConstraints(true),
    keyUsage: keyUsage(5, 6),
    extendedKeyUsage: null,
    names: alternativeNames({ uris: [`spiffe://${trustDomain}`], dns: [] }, false),
  }
  return make({ ...usual, ...shape }, signer)
}

/** A leaf for `workload`. */
export function makeLeaf(shape: Shape, signer: Made): Made {
  const usual = {
    subject: name('Acme'),
    basicConstraints: basicConstraints(false),
    keyUsage: keyUsage(0),
    extendedKeyUsage: bothPurposes(),
    names: uriNames(workload),
    subjectKeyId: null,
  }
  return make({ ...usual, ...shape }, signer)
}

export function uriNames(...uris: readonly string[]): Buffer {
  return alternativeNames({ uris, dns: [] }, false)
}

/** subjectAltName with exactly these GeneralNames. */
export function namesOf(critical: boolean, ...names: readonly Uint8Array[]): Buffer {
  return extension('2.5.29.17', critical, sequence(...names))
}

/** nameConstraints, critical, of these bases (DER of GeneralNames). */
export function constrainNames(
  lists: { readonly permitted?: readonly Uint8Array[]; readonly excluded?: readonly Uint8Array[] },
  critical = true,
): Buffer {
  const list = (tag: number, bases: readonly Uint8Array[] | undefined): Buffer[] =>
    bases === undefined ? [] : [der(tag, ...bases.map((base) => sequence(base)))]
  return extension('2.5.29.30', critical, sequence(...list(0xa0, lists.permitted), ...list(0xa1, lists.excluded)))
}

/** GeneralNames for `namesOf` and `constrainNames`. */
export function uri(text: string): Buffer {
  return der(0x86, Buffer.from(text, 'latin1'))
}

export function dns(text: string): Buffer {
  return der(0x82, Buffer.from(text, 'latin1'))
}

export function email(text: string): Buffer {
  return der(0x81, Buffer.from(text, 'latin1'))
}

export function directory(subject: Uint8Array): Buffer {
  return der(0xa4, subject)
}

/** RFC 5280 §4.2.1.12. */
export function purposes(...dotted: readonly string[]): Buffer {
  return extension('2.5.29.37', false, sequence(...dotted.map(oid)))
}

export const serverAuth = '1.3.6.1.5.5.7.3.1'
export const clientAuth = '1.3.6.1.5.5.7.3.2'

/** The same extension with its critical flag the other way. */
export function flipCritical(whole: Uint8Array): Buffer {
  const bytes = Buffer.from(whole)
  const idEnd = 4 + (bytes[3] ?? 0)
  const id = bytes.subarray(2, idEnd)
  const isCritical = bytes[idEnd] === 0x01
  const value = bytes.subarray(isCritical ? idEnd + 3 : idEnd)
  return sequence(id, ...(isCritical ? [] : [Buffer.from([1, 1, 0xff])]), value)
}

export function pem(certificate: Uint8Array, label = 'CERTIFICATE'): string {
  const lines =
    Buffer.from(certificate)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

export type SignatureName = keyof typeof algorithms

const nothing = Buffer.from([5, 0])
const rsa = (arc: number, digest: string | null) => ({
  id: sequence(oid(`1.2.840.113549.1.1.${arc}`), nothing),
  sign: (body: Uint8Array, key: KeyObject) => sign(digest, body, key),
})
const ec = (dotted: string, digest: string) => ({
  id: sequence(oid(dotted)),
  sign: (body: Uint8Array, key: KeyObject) => sign(digest, body, key),
})

function pss(digest: string, arc: number, saltLength: number, mask = arc) {
  const sha = (last: number): Buffer => sequence(oid(last === 0 ? '1.3.14.3.2.26' : `2.16.840.1.101.3.4.2.${last}`), nothing)
  const parameters = sequence(
    der(0xa0, sha(arc)),
    der(0xa1, sequence(oid('1.2.840.113549.1.1.8'), sha(mask))),
    der(0xa2, integer(Buffer.from([saltLength]))),
  )
  const padding = constants.RSA_PKCS1_PSS_PADDING
  return {
    id: sequence(oid('1.2.840.113549.1.1.10'), parameters),
    sign: (body: Uint8Array, key: KeyObject) => sign(digest, body, { key, padding, saltLength }),
  }
}

export const algorithms = {
  'ecdsa-sha1': ec('1.2.840.10045.4.1', 'sha1'),
  'ecdsa-sha224': ec('1.2.840.10045.4.3.1', 'sha224'),
  'ecdsa-sha256': ec('1.2.840.10045.4.3.2', 'sha256'),
  'ecdsa-sha384': ec('1.2.840.10045.4.3.3', 'sha384'),
  'ecdsa-sha512': ec('1.2.840.10045.4.3.4', 'sha512'),
  'rsa-md5': rsa(4, 'md5'),
  'rsa-sha1': rsa(5, 'sha1'),
  'rsa-sha256': rsa(11, 'sha256'),
  'rsa-sha384': rsa(12, 'sha384'),
  'rsa-sha512': rsa(13, 'sha512'),
  'pss-sha1': pss('sha1', 0, 20),
  'pss-sha256': pss('sha256', 1, 32),
  'pss-sha256-short-salt': pss('sha256', 1, 0),
  'pss-sha384': pss('sha384', 2, 48),
  'pss-sha512': pss('sha512', 3, 64),
  ed25519: { id: sequence(oid('1.3.101.112')), sign: (body: Uint8Array, key: KeyObject) => sign(null, body, key) },
  ed448: { id: sequence(oid('1.3.101.113')), sign: (body: Uint8Array, key: KeyObject) => sign(null, body, key) },
} as const

/** The certificate of a shape; self-signed without a signer. */
export function make(shape: Shape, signer?: Made): Made {
  const keys = shape.keys ?? ecKeys()
  const spki = shape.spki ?? keys.publicKey.export({ format: 'der', type: 'spki' })
  const keyId = hash('sha256', spki, 'buffer').subarray(0, 20)
  const subject = shape.subject ?? name('Acme')
  const by = signer ?? { keys, subject, keyId }
  const algorithm = algorithms[shape.algorithm ?? usualAlgorithm(by.keys.privateKey)]
  const body = sequence(
    ...(shape.version === null ? [] : [der(0xa0, integer(Buffer.from([shape.version ?? 2])))]),
    shape.serial === undefined ? integer(randomBytes(15)) : der(0x02, shape.serial),
    algorithm.id,
    shape.issuer ?? by.subject,
    sequence(timeOf(shape.notBefore ?? now - hour), timeOf(shape.notAfter ?? now + hour)),
    subject,
    spki,
    ...extensionsOf(shape, keyId, signer === undefined ? null : by.keyId),
    ...(shape.trailing ?? []),
  )
  const signature = shape.sign?.(body) ?? algorithm.sign(body, by.keys.privateKey)
  return { der: sequence(body, shape.outerAlgorithm ?? algorithm.id, bits(signature)), keys, subject, keyId }
}

function extensionsOf(shape: Shape, keyId: Uint8Array, signerKeyId: Uint8Array | null): Buffer[] {
  const authority = shape.authorityKeyId === undefined && signerKeyId !== null ? authorityKeyId(signerKeyId) : shape.authorityKeyId
  const list = [
    shape.basicConstraints,
    shape.keyUsage,
    shape.extendedKeyUsage,
    shape.names,
    shape.subjectKeyId === undefined ? subjectKeyId(keyId) : shape.subjectKeyId,
    authority,
    shape.nameConstraints,
    ...(shape.more ?? []),
  ].filter((one) => one !== null && one !== undefined)
  return list.length === 0 ? [] : [der(0xa3, sequence(...list))]
}

function timeOf(at: number | Uint8Array): Uint8Array {
  return typeof at === 'number' ? time(at) : at
}

function usualAlgorithm(key: KeyObject): SignatureName {
  if (key.asymmetricKeyType === 'rsa') return 'rsa-sha256'
  return key.asymmetricKeyType === 'ed25519' ? 'ed25519' : 'ecdsa-sha256'
}
