/** Writes X.509 certificates (RFC 5280 §4.1) for development and tests. */
import { sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { bits, boolean, der, integer, octets, oid, sequence, set, time } from './der.ts'

export interface CertificateFields {
  readonly serial: Uint8Array
  /** Names and extensions are DER. */
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  /** Epoch ms; written to the second. */
  readonly notBefore: number
  readonly notAfter: number
  readonly publicKey: KeyObject
  readonly extensions: readonly Uint8Array[]
}

const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'))

/** A certificate signed with a P-256 key. */
export function signCertificate(fields: CertificateFields, key: KeyObject): Buffer {
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(fields.serial),
    ecdsaWithSha256,
    fields.issuer,
    sequence(time(fields.notBefore), time(fields.notAfter)),
    fields.subject,
    fields.publicKey.export({ format: 'der', type: 'spki' }),
    der(0xa3, sequence(...fields.extensions)),
  )
  return sequence(body, ecdsaWithSha256, bits(sign('sha256', body, key)))
}

/** A name of one organization and, when given, one common name. */
export function name(organization: string, commonName?: string): Buffer {
  const attributes = [attribute('2.5.4.10', organization), ...(commonName === undefined ? [] : [attribute('2.5.4.3', commonName)])]
  return sequence(...attributes)
}

export function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(value))
}

export function basicConstraints(ca: boolean, pathLength: number | null = null): Buffer {
  const length = pathLength === null ? [] : [integer(Buffer.from([pathLength]))]
  return extension('2.5.29.19', true, sequence(...(ca ? [boolean(true)] : []), ...length))
}

/** Bits by number (RFC 5280 §4.2.1.3): 0 digitalSignature, 5 keyCertSign, 6 cRLSign. */
export function keyUsage(...numbers: readonly number[]): Buffer {
  const last = Math.max(...numbers)
  const bytes = Buffer.alloc((last >> 3) + 1)
  for (const each of numbers) bytes[each >> 3] = (bytes[each >> 3] ?? 0) | (0x80 >> (each & 7))
  return extension('2.5.29.15', true, der(0x03, Buffer.from([7 - (last & 7)]), bytes))
}

/** TLS server and client (X509-SVID §4.4). */
export function bothPurposes(): Buffer {
  return extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2')))
}

export function alternativeNames(names: { readonly uris: readonly string[]; readonly dns: readonly string[] }, critical: boolean): Buffer {
  const uris = names.uris.map((uri) => der(0x86, Buffer.from(uri, 'latin1')))
  const dns = names.dns.map((host) => der(0x82, Buffer.from(host, 'latin1')))
  return extension('2.5.29.17', critical, sequence(...uris, ...dns))
}

export function subjectKeyId(id: Uint8Array): Buffer {
  return extension('2.5.29.14', false, octets(id))
}

export function authorityKeyId(id: Uint8Array): Buffer {
  return extension('2.5.29.35', false, sequence(der(0x80, id)))
}

function attribute(type: string, value: string): Buffer {
  return set(sequence(oid(type), der(0x0c, Buffer.from(value))))
}
