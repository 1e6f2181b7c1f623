/** Verifies X.509-SVIDs: a chain as it was presented against the authorities of the one trust domain that its leaf names. */
import { hash } from 'node:crypto'
import type { SpiffeId } from '../spiffe-id.ts'
import { readCertificate } from './certificate.ts'
import type { Certificate } from './certificate.ts'
import { MalformedDer } from './der.ts'
import { findPath } from './path.ts'
import { isSpiffeUri, leafFault, readId, signerFault, urisOf, validityFault } from './rules.ts'
import type { Fault } from './rules.ts'

/** Whom a verified chain proves. */
export interface X509Svid {
  /** From the leaf and nothing else. */
  readonly id: SpiffeId
  /** Epoch ms, of the leaf. */
  readonly notBefore: number
  /** Epoch ms; the earliest end on the path: from then on it proves nothing. */
  readonly expires: number
  /** Hex. */
  readonly serial: string
  /** Base64url SHA-256 of the leaf (the `x5t#S256` of RFC 8705 §3.1). */
  readonly thumbprint: string
}

/**
 * What is wrong: not X.509 as it must be (`malformed`), not one SPIFFE ID of a workload (`id`), a certificate for another use (`usage`), a
 * weak key or signature (`weak`), of a trust domain without authorities here (`unknown`), past its time (`expired`) or before it (`early`),
 * not issued by its authorities (`chain`), against what one of them allows (`constraints`).
 */
export type Invalidity = 'malformed' | 'id' | 'usage' | 'weak' | 'unknown' | 'expired' | 'early' | 'chain' | 'constraints'

/** A chain that proves nobody, or a certificate that is no authority. The message is for the operator and quotes nothing. */
export class InvalidSvid extends Error {
  readonly why: Invalidity

  constructor({ why, detail }: Fault) {
    super(detail)
    this.name = 'InvalidSvid'
    this.why = why
  }
}

/** Most certificates in a chain. */
const longestChain = 8

/**
 * The SPIFFE ID that a leaf claims, unverified: it chooses the bundle, nothing more. Null when no URI in it has the scheme spiffe in whatever
 * case: then it is a certificate of another kind. Throws `InvalidSvid` when one has, but is malformed or not the only URI.
 */
export function claimedId(leaf: Uint8Array): SpiffeId | null {
  return claimOf(read(leaf))
}

/**
 * Takes a chain (DER, leaf first, then others in any order) and the authorities of the trust domain of `claimedId(leaf)`, never of another:
 * an authority may vouch for every ID there is. Throws `InvalidSvid` and nothing else.
 */
export function verifyX509Svid(chain: readonly Uint8Array[], authorities: readonly Uint8Array[], now: number): X509Svid {
  return verify(readLeaf(chain), chain, authorities, now)
}

/** The same with the authorities that `bundleOf` has for the trust domain that the leaf names: null when it knows none of that name. */
export function verifyPeerOf(
  chain: readonly Uint8Array[],
  bundleOf: (trustDomain: string) => readonly Uint8Array[] | null,
  now: number,
): X509Svid {
  const leaf = readLeaf(chain)
  const id = claimOf(leaf)
  if (id === null) throw new InvalidSvid({ why: 'id', detail: 'no URI in its subjectAltName is a SPIFFE ID' })
  const authorities = bundleOf(id.trustDomain)
  if (authorities === null) throw new InvalidSvid({ why: 'unknown', detail: `no authorities for the trust domain ${id.trustDomain}` })
  return verify(leaf, chain, authorities, now)
}

/** Throws `InvalidSvid` unless a certificate is fit to be an authority: whoever keeps a bundle can say why one in it is left out. */
export function readAuthority(der: Uint8Array): void {
  const fault = signerFault(read(der))
  if (fault !== null) throw new InvalidSvid(fault)
}

function verify(leaf: Certificate, chain: readonly Uint8Array[], bundle: readonly Uint8Array[], now: number): X509Svid {
  const id = readId(leaf)
  if ('why' in id) throw new InvalidSvid(id)
  // X509-SVID §3.1: an ID without a path stands for the trust domain
  if (id.path === '') throw new InvalidSvid({ why: 'id', detail: 'its SPIFFE ID names a trust domain, not a workload' })
  const fault = leafFault(leaf) ?? validityFault(leaf, now)
  if (fault !== null) throw new InvalidSvid(fault)
  const { all, fit } = authoritiesOf(bundle)
  // whatever a bundle says, what it holds signs and does not authenticate (X509-SVID §3.2)
  if (all.has(leaf.thumbprint)) throw new InvalidSvid({ why: 'usage', detail: 'it is itself in the bundle of its trust domain' })
  const path = findPath(leaf, { between: chain.slice(1).map(read), authorities: fit, now })
  if ('why' in path) throw new InvalidSvid(path)
  return {
    id,
    notBefore: leaf.notBefore,
    // an authority too: RFC 5280 does not look at the dates of a trust anchor, but one past its end was meant to be gone
    expires: Math.min(...path.map(({ notAfter }) => notAfter)),
    serial: leaf.serial,
    thumbprint: leaf.thumbprint,
  }
}

function readLeaf(chain: readonly Uint8Array[]): Certificate {
  const [leaf] = chain
  if (leaf === undefined) throw new InvalidSvid({ why: 'malformed', detail: 'no certificate was presented' })
  if (chain.length > longestChain)
    throw new InvalidSvid({ why: 'malformed', detail: `more than ${longestChain} certificates were presented` })
  return read(leaf)
}

function claimOf(leaf: Certificate): SpiffeId | null {
  if (!urisOf(leaf).some(isSpiffeUri)) return null
  const id = readId(leaf)
  if ('why' in id) throw new InvalidSvid(id)
  return id
}

function read(der: Uint8Array): Certificate {
  try {
    return readCertificate(der)
  } catch (error) {
    if (error instanceof MalformedDer) throw new InvalidSvid({ why: 'malformed', detail: error.message })
    throw error
  }
}

interface Authorities {
  /** Thumbprints of everything in the bundle, fit or not. */
  readonly all: ReadonlySet<string>
  readonly fit: readonly Certificate[]
}

/** Read once for each array: written by `authoritiesOf` alone, gone with the array. */
const parsed = new WeakMap<readonly Uint8Array[], Authorities>()

/** One that is not fit vouches for nobody and keeps no other from doing so. */
function authoritiesOf(bundle: readonly Uint8Array[]): Authorities {
  const known = parsed.get(bundle)
  if (known !== undefined) return known
  const all = new Set<string>()
  const fit: Certificate[] = []
  for (const der of bundle) {
    all.add(hash('sha256', der, 'base64url'))
    try {
      const certificate = readCertificate(der)
      if (signerFault(certificate) === null) fit.push(certificate)
    } catch (error) {
      if (!(error instanceof MalformedDer)) throw error
    }
  }
  const authorities = { all, fit }
  parsed.set(bundle, authorities)
  return authorities
}
