/**
 * Reads X.509 certificates (RFC 5280 §4.1) from DER. This is the only reader: node's `X509Certificate` takes PEM that is hidden inside
 * DER for the certificate, stops at the end of the first of two, and has key usages wrong.
 */
import { createPublicKey, hash } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { expectTag, hex, MalformedDer, readDer, readInteger, readWholeBits, tags } from './der.ts'
import type { Element } from './der.ts'
import { readExtensions } from './extensions.ts'
import type { Extensions } from './extensions.ts'
import { keyAlgorithms } from './signatures.ts'

export interface Certificate {
  /** Base64url SHA-256 of the whole: two of the same are one certificate. */
  readonly thumbprint: string
  readonly version: 1 | 2 | 3
  /** Hex, without a sign. */
  readonly serial: string
  /** Names as hex of their DER: compared as they are spelt, which issuers have to keep (RFC 5280 §4.1.2.6). */
  readonly issuer: string
  readonly subject: string
  readonly subjectIsEmpty: boolean
  /** Epoch ms. */
  readonly notBefore: number
  readonly notAfter: number
  /** Null for a kind of key that is not accepted. */
  readonly publicKey: KeyObject | null
  readonly extensions: Extensions
  /** What is signed, how (hex of the AlgorithmIdentifier), and the signature. */
  readonly signed: Uint8Array
  readonly algorithm: string
  readonly signature: Uint8Array
}

/** Takes exactly one certificate; throws `MalformedDer` and nothing else. The bytes must not change afterwards. */
export function readCertificate(der: Uint8Array): Certificate {
  const whole = expectTag(readDer(der), tags.sequence, 'the certificate')
  const [signed, algorithm, signature, ...more] = whole.parts
  if (more.length > 0) throw new MalformedDer('the certificate has too many parts')
  const body = expectTag(signed, tags.sequence, 'the part that is signed')
  const outer = hex(expectTag(algorithm, tags.sequence, 'the signature algorithm').encoding)
  const read = readBody(body)
  // RFC 5280 §4.1.1.2: the one that is signed and the one that is not say the same
  if (read.algorithm !== outer) throw new MalformedDer('the two signature algorithms differ')
  return {
    thumbprint: hash('sha256', der, 'base64url'),
    ...read,
    signed: body.encoding,
    signature: readWholeBits(signature, 'the signature'),
  }
}

function readBody(body: Element): Omit<Certificate, 'thumbprint' | 'signed' | 'signature'> {
  const parts = [...body.parts]
  const version = parts[0]?.tag === 0xa0 ? readVersion(parts.shift()) : 1
  const [serial, algorithm, issuer, validity, subject, key, ...rest] = parts
  const [extensions, ...more] = rest
  // the unique identifiers of version 2 are not among these: RFC 5280 §4.1.2.8 forbids them
  if (more.length > 0 || (extensions !== undefined && (version !== 3 || extensions.tag !== 0xa3)))
    throw new MalformedDer('the certificate has parts that its version does not')
  const subjectName = expectTag(subject, tags.sequence, 'the subject')
  if (extensions !== undefined && extensions.parts.length !== 1) throw new MalformedDer('extensions are not one list')
  return {
    version,
    serial: readSerial(serial),
    algorithm: hex(expectTag(algorithm, tags.sequence, 'the signature algorithm').encoding),
    issuer: hex(expectTag(issuer, tags.sequence, 'the issuer').encoding),
    ...readValidity(validity),
    subject: hex(subjectName.encoding),
    subjectIsEmpty: subjectName.parts.length === 0,
    publicKey: readKey(key),
    extensions: readExtensions(extensions?.parts[0]),
  }
}

/** Written out only when it is not 1 (X.690 §11.5). */
function readVersion(element: Element | undefined): 2 | 3 {
  const [value, ...more] = readInteger(element?.parts[0], 'the version')
  if (element?.parts.length !== 1 || more.length > 0 || (value !== 1 && value !== 2)) throw new MalformedDer('the version is not 1, 2 or 3')
  return value === 1 ? 2 : 3
}

/** RFC 5280 §4.1.2.2: at most 20 bytes and not negative; zero, which it forbids to write and asks to bear with, is on old roots. */
function readSerial(element: Element | undefined): string {
  const bytes = readInteger(element, 'the serial number')
  const [first = 0] = bytes
  const digits = first === 0 && bytes.length > 1 ? bytes.subarray(1) : bytes
  if (first >= 0x80 || digits.length > 20) throw new MalformedDer('the serial number is negative, or longer than 20 bytes')
  return hex(digits)
}

function readValidity(element: Element | undefined): { notBefore: number; notAfter: number } {
  const [from, to, ...more] = expectTag(element, tags.sequence, 'the validity').parts
  if (from === undefined || to === undefined || more.length > 0) throw new MalformedDer('the validity is not two times')
  const notBefore = readTime(from)
  const notAfter = readTime(to)
  if (notAfter < notBefore) throw new MalformedDer('notAfter is before notBefore')
  return { notBefore, notAfter }
}

/** RFC 5280 §4.1.2.5: in UTC, to the second, without a fraction; two digits of a year stand for 1950 to 2049. */
function readTime({ tag, content }: Element): number {
  const text = Buffer.from(content).toString('latin1')
  const short = tag === tags.utcTime
  if ((!short && tag !== tags.generalizedTime) || !(short ? /^\d{12}Z$/ : /^\d{14}Z$/).test(text))
    throw new MalformedDer('a time is not in the form of RFC 5280')
  const full = short ? `${text < '50' ? '20' : '19'}${text}` : text
  const iso = full.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6.000Z')
  const ms = Date.parse(iso)
  // 30 February would become 2 March
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== iso) throw new MalformedDer('a time does not exist')
  return ms
}

function readKey(element: Element | undefined): KeyObject | null {
  const key = expectTag(element, tags.sequence, 'the public key')
  const [algorithm, bits, ...more] = key.parts
  if (more.length > 0) throw new MalformedDer('the public key has too many parts')
  readWholeBits(bits, 'the public key')
  // by its spelling: a curve written out in full can look like a named one and have another generator
  if (!keyAlgorithms.has(hex(expectTag(algorithm, tags.sequence, 'the kind of the public key').encoding))) return null
  try {
    return createPublicKey({ key: Buffer.from(key.encoding), format: 'der', type: 'spki' })
  } catch {
    throw new MalformedDer('the public key cannot be read')
  }
}
