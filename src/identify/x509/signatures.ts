/** Which keys and signatures are strong enough, and whether a signature is of a key. Everything that is not listed is refused. */
import { constants, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

interface Algorithm {
  readonly key: 'ec' | 'rsa' | 'ed25519'
  readonly digest: 'sha256' | 'sha384' | 'sha512' | null
  /** Bytes of salt, for RSASSA-PSS. */
  readonly salt?: number
}

/** The kinds of key, as hex of their whole AlgorithmIdentifier (RFC 3279 §2.3.1, RFC 5480 §2.1.1, RFC 8410 §3). */
export const keyAlgorithms: ReadonlySet<string> = new Set([
  '300d06092a864886f70d0101010500', // rsaEncryption
  '301306072a8648ce3d020106082a8648ce3d030107', // P-256
  '301006072a8648ce3d020106052b81040022', // P-384
  '301006072a8648ce3d020106052b81040023', // P-521
  '300506032b6570', // Ed25519: X509-SVID names no algorithms, and what the TLS handshake proves can be used
])

/**
 * The same for signatures (RFC 5758 §3.2, RFC 4055 §3.1 and §5, RFC 8410 §3): parameters are part of the text, so that none can be left out or
 * added. Without MD5 and SHA-1; of RSASSA-PSS only what TLS 1.3 uses: MGF1 with the same digest, a salt as long as it.
 */
const signatureAlgorithms: ReadonlyMap<string, Algorithm> = new Map([
  ['300a06082a8648ce3d040302', { key: 'ec', digest: 'sha256' }],
  ['300a06082a8648ce3d040303', { key: 'ec', digest: 'sha384' }],
  ['300a06082a8648ce3d040304', { key: 'ec', digest: 'sha512' }],
  ['300d06092a864886f70d01010b0500', { key: 'rsa', digest: 'sha256' }],
  ['300d06092a864886f70d01010c0500', { key: 'rsa', digest: 'sha384' }],
  ['300d06092a864886f70d01010d0500', { key: 'rsa', digest: 'sha512' }],
  [pss('01', '20'), { key: 'rsa', digest: 'sha256', salt: 32 }],
  [pss('02', '30'), { key: 'rsa', digest: 'sha384', salt: 48 }],
  [pss('03', '40'), { key: 'rsa', digest: 'sha512', salt: 64 }],
  ['300506032b6570', { key: 'ed25519', digest: null }],
])

/** Why a key is too weak to trust what it signs; null when it is not. */
export function keyFault(key: KeyObject | null): string | null {
  if (key === null) return 'its key is neither RSA, P-256, P-384, P-521 nor Ed25519'
  const { modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType !== 'rsa') return null
  // the upper bounds are for us: such a key takes long to verify with
  if (modulusLength === undefined || modulusLength < 2048 || modulusLength > 8192) return 'its RSA key does not have 2048 to 8192 bits'
  // with the exponent 1 every text is its own signature; with small ones a careless check of the padding is enough to forge
  if (publicExponent === undefined || publicExponent < 65_537n || publicExponent > 0xffffffffn || publicExponent % 2n === 0n)
    return 'the exponent of its RSA key is not an odd number of 65537 or more'
  return null
}

/** Why a kind of signature (hex of its AlgorithmIdentifier) is not accepted; null when it is. */
export function algorithmFault(algorithm: string): string | null {
  return signatureAlgorithms.has(algorithm) ? null : 'it is signed with an algorithm that is not accepted'
}

export function isSignedBy(
  key: KeyObject,
  { signed, algorithm, signature }: { readonly signed: Uint8Array; readonly algorithm: string; readonly signature: Uint8Array },
): boolean {
  const how = signatureAlgorithms.get(algorithm)
  if (how === undefined || how.key !== key.asymmetricKeyType) return false
  if (how.salt === undefined) return verify(how.digest, signed, key, signature)
  return verify(how.digest, signed, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: how.salt }, signature)
}

function pss(digest: string, salt: string): string {
  const sha = `300d06096086480165030402${digest}0500`
  return `304106092a864886f70d01010a3034a00f${sha}a11c301a06092a864886f70d010108${sha}a2030201${salt}`
}
