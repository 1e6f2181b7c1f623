/** What X509-SVID §2 to §4 and RFC 5280 §4.2 ask of one certificate by itself: a leaf, or one that signs others. */
import { MalformedSpiffeId, parseSpiffeId } from '../spiffe-id.ts'
import type { SpiffeId } from '../spiffe-id.ts'
import type { Certificate } from './certificate.ts'
import { keyUsages, oids } from './extensions.ts'
import { algorithmFault, keyFault } from './signatures.ts'
import type { Invalidity } from './svid.ts'

/** Why a certificate is refused: `detail` is for the operator and quotes nothing. */
export interface Fault {
  readonly why: Invalidity
  readonly detail: string
}

const serverAuth = '1.3.6.1.5.5.7.3.1'
const clientAuth = '1.3.6.1.5.5.7.3.2'
const anyPurpose = '2.5.29.37.0'

/** The critical extensions that are processed; any other makes a certificate unusable (RFC 5280 §4.2), policies among them. */
const processed: ReadonlySet<string> = new Set([
  oids.keyUsage,
  oids.subjectAltName,
  oids.basicConstraints,
  oids.nameConstraints,
  oids.extendedKeyUsage,
])

/** The URIs in subjectAltName. */
export function urisOf({ extensions }: Certificate): readonly string[] {
  return extensions.names.filter(({ form }) => form === 'uri').map(({ text }) => text)
}

/** True when a URI means to be a SPIFFE ID, well-formed or not. */
export function isSpiffeUri(uri: string): boolean {
  return /^spiffe:/i.test(uri)
}

/** The one SPIFFE ID of a certificate (X509-SVID §2). */
export function readId(certificate: Certificate): SpiffeId | Fault {
  const uris = urisOf(certificate)
  const [uri] = uris
  if (uri === undefined || uris.length > 1) return { why: 'id', detail: `it has ${uris.length} URIs in subjectAltName, not one` }
  try {
    return parseSpiffeId(uri)
  } catch (error) {
    if (error instanceof MalformedSpiffeId) return { why: 'id', detail: `its URI: ${error.message}` }
    throw error
  }
}

/** X509-SVID §3.1, §4 and §5.2 for a leaf. */
export function leafFault(leaf: Certificate): Fault | null {
  const { ca, keyUsage, extendedKeyUsage, nameConstraints, critical } = leaf.extensions
  if (ca) return usage('its cA is true: it may sign others, and so names nobody')
  if (keyUsage === null || critical.get(oids.keyUsage) !== true) return usage('its keyUsage is absent or not critical')
  if ((keyUsage & (keyUsages.keyCertSign | keyUsages.cRLSign)) !== 0) return usage('its keyUsage has keyCertSign or cRLSign')
  if ((keyUsage & keyUsages.digitalSignature) === 0) return usage('its keyUsage lacks digitalSignature')
  if (extendedKeyUsage !== null && !(extendedKeyUsage.includes(serverAuth) && extendedKeyUsage.includes(clientAuth)))
    return usage('its extKeyUsage lacks serverAuth or clientAuth')
  if (leaf.subjectIsEmpty && critical.get(oids.subjectAltName) !== true)
    return usage('its subject is empty and its subjectAltName is not critical')
  // RFC 5280 §4.2.1.10
  if (nameConstraints !== null) return usage('it has nameConstraints, which only a CA may have')
  return commonFault(leaf)
}

/**
 * X509-SVID §3.2 and §4 for a certificate that signs others, in a bundle or between. Its trust domain may be another than that of the
 * leaf (§3.2 only recommends the same): what it may vouch for is bounded by the bundle it is in.
 */
export function signerFault(signer: Certificate): Fault | null {
  const { ca, keyUsage, extendedKeyUsage, critical } = signer.extensions
  if (!ca) return usage('a certificate that signed another is no CA')
  if (keyUsage === null || (keyUsage & keyUsages.keyCertSign) === 0) return usage('the keyUsage of a CA is absent or lacks keyCertSign')
  if (urisOf(signer).some(isSpiffeUri)) {
    const id = readId(signer)
    if ('why' in id) return { why: 'usage', detail: `a CA: ${id.detail}` }
    if (id.path !== '') return usage('the SPIFFE ID of a CA has a path')
    // §4.3 asks this of SVIDs; a CA without a SPIFFE ID is none
    if (critical.get(oids.keyUsage) !== true) return usage('the keyUsage of a CA that is an SVID is not critical')
  }
  // §4.4 leaves open whether it restricts what is below; here it does, as in most TLS libraries
  if (extendedKeyUsage !== null && !extendedKeyUsage.includes(anyPurpose)) {
    if (!extendedKeyUsage.includes(serverAuth) || !extendedKeyUsage.includes(clientAuth))
      return usage('the extKeyUsage of a CA lacks serverAuth or clientAuth')
  }
  return commonFault(signer)
}

/** Why a certificate is worth nothing at `now`. RFC 5280 §4.1.2.5 counts the second of notAfter in; here it is the end, to the ms. */
export function validityFault({ notBefore, notAfter }: Certificate, now: number): Fault | null {
  if (now >= notAfter) return { why: 'expired', detail: `expired ${now - notAfter} ms ago` }
  if (now < notBefore) return { why: 'early', detail: `valid ${notBefore - now} ms from now; are the clocks right?` }
  return null
}

function commonFault({ extensions, publicKey, algorithm }: Certificate): Fault | null {
  for (const [oid, critical] of extensions.critical) {
    if (critical && !processed.has(oid)) return { why: 'usage', detail: `the critical extension ${oid} is not known here` }
  }
  const weak = keyFault(publicKey) ?? algorithmFault(algorithm)
  return weak === null ? null : { why: 'weak', detail: weak }
}

function usage(detail: string): Fault {
  return { why: 'usage', detail }
}
