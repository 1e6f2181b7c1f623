import { X509Certificate } from 'node:crypto'
import { UnusableKey } from '../jwt/keys.ts'
import { member } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'
import { InvalidSvid, readAuthority } from '../x509/svid.ts'

/** The authority that one bundle entry represents. */
export interface AuthorityEntry {
  /** The CA certificate. */
  readonly der: Uint8Array
  /** How many more certificates stood in `x5c`; they count for nothing. */
  readonly ignored: number
}

/** Members of a JWK that say which public key it is: `kty` always, the others when they are there. */
const numbers = ['n', 'e', 'x', 'y'] as const

/**
 * Takes an `x509-svid` entry of a bundle, gives its authority; throws `UnusableKey`.
 * X509-SVID §6.2: the first value of `x5c` alone counts. It is standard base64 in its one spelling, of one certificate and nothing after it,
 * and the public key that the entry itself states is the one in the certificate (RFC 7517 §4.7).
 */
export function readAuthorityEntry(entry: Members): AuthorityEntry {
  const x5c = member(entry, 'x5c')
  if (!Array.isArray(x5c) || x5c.length === 0) throw new UnusableKey('an authority without x5c')
  if (Object.hasOwn(entry, 'd')) throw new UnusableKey('a private key in a key document')
  const der = decode(x5c[0])
  checkStated(entry, parse(der))
  return { der, ignored: x5c.length - 1 }
}

/** RFC 7517 §4.7: base64, not base64url. Encoding it again shows every other spelling, stray bits and white space too. */
function decode(text: unknown): Buffer {
  if (typeof text !== 'string' || text === '') throw new UnusableKey('x5c does not start with a text')
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw new UnusableKey('x5c is not standard base64')
  return bytes
}

/** The certificate, when it is fit to be an authority. */
function parse(der: Buffer): X509Certificate {
  try {
    readAuthority(der)
    return new X509Certificate(der)
  } catch (error) {
    throw new UnusableKey(
      error instanceof InvalidSvid ? `a certificate that is no authority: ${error.message}` : 'x5c is not a certificate',
    )
  }
}

function checkStated(entry: Members, certificate: X509Certificate): void {
  const jwk = publicJwk(certificate)
  if (member(entry, 'kty') !== jwk['kty']) throw new UnusableKey('kty is not the key type of the certificate')
  const crv = member(entry, 'crv')
  const stated = numbers.filter((name) => member(entry, name) !== undefined)
  if ((crv !== undefined && crv !== jwk['crv']) || !stated.every((name) => sameNumber(member(entry, name), jwk[name])))
    throw new UnusableKey('the key of the entry is not the key of its certificate')
}

function publicJwk(certificate: X509Certificate): Members {
  try {
    return { ...certificate.publicKey.export({ format: 'jwk' }) }
  } catch {
    throw new UnusableKey('a certificate whose public key is of no known type')
  }
}

/** Zeros in front of a number do not change it. */
function sameNumber(one: unknown, other: unknown): boolean {
  return typeof one === 'string' && typeof other === 'string' && digitsOf(one) === digitsOf(other)
}

function digitsOf(text: string): string {
  return Buffer.from(text, 'base64url')
    .toString('hex')
    .replace(/^(00)+/, '')
}
