import { createPrivateKey, createPublicKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { SpiffeId } from '../spiffe-id.ts'
import { readCertificate } from '../x509/certificate.ts'
import type { Certificate } from '../x509/certificate.ts'
import { splitCertificates } from '../x509/der.ts'
import { readId } from '../x509/rules.ts'
import { messageOf } from './fault.ts'
import { firstOfEachHint, malformed, mandatory, trustDomainKey, workloadId } from './mandatory.ts'
import { x509BundlesResponse, x509SvidResponse } from './x509-messages.ts'
import type { X509SvidMessage } from './x509-messages.ts'

/** The certificates of an authority; the array object stays the same for as long as the set does. */
export type Authorities = readonly Uint8Array[]

/** An X.509-SVID of this workload with its private key. */
export interface X509Svid {
  readonly id: SpiffeId
  /** Empty when the operator gave none. */
  readonly hint: string
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  /** Never prints; `export({ type: 'pkcs8', format: 'der' })` gives the bytes. */
  readonly key: KeyObject
  /** The authorities of its own trust domain. */
  readonly bundle: Authorities
  /** Serial number of the leaf, in hex. */
  readonly serial: string
  /** Epoch ms. */
  readonly notBefore: number
  /** Epoch ms: the earliest end in the chain; from then on it proves nothing. */
  readonly expires: number
}

export interface X509Bundles {
  /** By name of the trust domain. An empty set means that the trust domain has no authority left. */
  readonly bundles: ReadonlyMap<string, Authorities>
  /** DER, as they were sent: nothing here looks into them. */
  readonly crl: readonly Uint8Array[]
}

/** Everything that one message of `FetchX509SVID` says. The first SVID is the default identity (Workload API §8). */
export interface X509Context extends X509Bundles {
  readonly svids: readonly X509Svid[]
}

/**
 * Takes a `X509SVIDResponse` and what the one before it said, gives the new state, whole.
 * Throws for a message to discard: malformed, a mandatory field empty (Workload API §4.5), a key or an ID that is not that of its leaf.
 * Key bytes in `bytes` are overwritten: from then on only the key object holds them.
 */
export function readX509Context(bytes: Uint8Array, before: X509Bundles | null): X509Context {
  const { svids, crl, federatedBundles } = x509SvidResponse.decode(bytes)
  try {
    mandatory(svids.length > 0, 'svids')
    const bundles = new Map<string, Authorities>()
    const read = firstOfEachHint(svids).map((svid) => readSvid(svid, bundles, before))
    for (const [key, value] of federatedBundles) addBundle(bundles, trustDomainKey(key), value, before)
    return { svids: read, bundles, crl: crl.map(copyOf) }
  } finally {
    for (const { x509SvidKey } of svids) x509SvidKey.fill(0)
  }
}

/** Takes a `X509BundlesResponse`; else as `readX509Context`. */
export function readX509Bundles(bytes: Uint8Array, before: X509Bundles | null): X509Bundles {
  const message = x509BundlesResponse.decode(bytes)
  mandatory(message.bundles.size > 0, 'bundles')
  const bundles = new Map<string, Authorities>()
  for (const [key, value] of message.bundles) addBundle(bundles, trustDomainKey(key), value, before)
  return { bundles, crl: message.crl.map(copyOf) }
}

function readSvid(message: X509SvidMessage, bundles: Map<string, Authorities>, before: X509Bundles | null): X509Svid {
  mandatory(message.spiffeId !== '', 'spiffe_id')
  mandatory(message.x509Svid.length > 0, 'x509_svid')
  mandatory(message.x509SvidKey.length > 0, 'x509_svid_key')
  mandatory(message.bundle.length > 0, 'bundle')
  const id = workloadId(message.spiffeId)
  const chain = certificates(message.x509Svid, `the chain of ${id.id}`)
  const parsed = chain.map((der) => parse(der, id))
  const [leaf] = parsed
  if (leaf === undefined) throw malformed(`the chain of ${id.id} has no certificate`)
  const named = readId(leaf)
  if ('why' in named || named.id !== id.id) throw malformed(`the certificate of ${id.id} is not for that ID alone`)
  const key = readKey(message.x509SvidKey, id)
  if (leaf.publicKey?.equals(createPublicKey(key)) !== true)
    throw malformed(`the private key of ${id.id} does not belong to its certificate`)
  return {
    id,
    hint: message.hint,
    chain,
    key,
    bundle: addBundle(bundles, id.trustDomain, message.bundle, before),
    serial: leaf.serial,
    notBefore: leaf.notBefore,
    expires: Math.min(...parsed.map(({ notAfter }) => notAfter)),
  }
}

/**
 * One trust domain has one bundle: where two fields of a message disagree, nobody can say which counts.
 * A bundle with the same bytes as before is the same array as before. What is in it is looked at by whoever verifies with it: one
 * certificate that is unfit must not keep a message from withdrawing others.
 */
function addBundle(bundles: Map<string, Authorities>, trustDomain: string, bytes: Uint8Array, before: X509Bundles | null): Authorities {
  const read = certificates(bytes, `the bundle of ${trustDomain}`)
  const there = bundles.get(trustDomain)
  if (there !== undefined) {
    if (!sameSet(there, read)) throw malformed(`the message has two different bundles for ${trustDomain}`)
    return there
  }
  const old = before?.bundles.get(trustDomain)
  const kept = old !== undefined && sameSet(old, read) ? old : read
  bundles.set(trustDomain, kept)
  return kept
}

function sameSet(one: Authorities, other: Authorities): boolean {
  return one.length === other.length && one.every((der, index) => Buffer.compare(der, other[index] ?? der.subarray(1)) === 0)
}

/** The error of node:crypto is not passed on: it has seen the key. */
function readKey(der: Uint8Array, id: SpiffeId): KeyObject {
  try {
    if (splitCertificates(plain(der)).length === 1) return createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' })
  } catch {
    // said below, in words that hold nothing of the key
  }
  throw malformed(`the private key of ${id.id} is not an unencrypted PKCS#8 key`)
}

function certificates(bytes: Uint8Array, what: string): readonly Uint8Array[] {
  try {
    return splitCertificates(plain(bytes))
  } catch (error) {
    throw malformed(`${what} is not certificates and nothing else: ${messageOf(error)}`)
  }
}

function parse(der: Uint8Array, id: SpiffeId): Certificate {
  try {
    return readCertificate(der)
  } catch (error) {
    throw malformed(`the chain of ${id.id} holds something that is not a certificate: ${messageOf(error)}`)
  }
}

/** The same bytes without the Buffer around them, whose `slice` would not copy. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
