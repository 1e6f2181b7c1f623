/** Reads the extensions of a certificate (RFC 5280 §4.2) that decide about an SVID, and lists the others. */
import { expectTag, hex, MalformedDer, readBoolean, readDer, readInteger, readNamedBits, readOid, tags } from './der.ts'
import type { Element } from './der.ts'
import { readConstraints, readNames } from './names.ts'
import type { GeneralName, NameConstraints } from './names.ts'

export interface Extensions {
  /** OID of everything that is there, and whether it is critical. */
  readonly critical: ReadonlyMap<string, boolean>
  /** `cA` of basicConstraints; absent counts as false. */
  readonly ca: boolean
  readonly pathLength: number | null
  /** See `keyUsages`; null when there is none. */
  readonly keyUsage: number | null
  /** OIDs; null when there are none. */
  readonly extendedKeyUsage: readonly string[] | null
  /** subjectAltName. */
  readonly names: readonly GeneralName[]
  readonly nameConstraints: NameConstraints | null
  /** Hex; null when the extension or its `keyIdentifier` is absent. */
  readonly authorityKeyId: string | null
  readonly subjectKeyId: string | null
}

export const oids = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const

/** Bits of `Extensions.keyUsage` (RFC 5280 §4.2.1.3). */
export const keyUsages = { digitalSignature: 1, keyCertSign: 1 << 5, cRLSign: 1 << 6 } as const

/** Takes the `Extensions` of a certificate, or undefined when it has none. */
export function readExtensions(element: Element | undefined): Extensions {
  const critical = new Map<string, boolean>()
  const values = new Map<string, Element>()
  for (const part of element === undefined ? [] : readList(element)) {
    const { oid, isCritical, value } = readExtension(part)
    // §4.2: not more than one instance of an extension, or two readers could follow two of them
    if (critical.has(oid)) throw new MalformedDer(`the extension ${oid} is there twice`)
    critical.set(oid, isCritical)
    if (known.has(oid)) values.set(oid, readDer(value))
  }
  const take = <T>(oid: string, read: (value: Element) => T): T | null => {
    const value = values.get(oid)
    return value === undefined ? null : read(value)
  }
  const basic = take(oids.basicConstraints, readBasicConstraints)
  return {
    critical,
    ca: basic?.ca ?? false,
    pathLength: basic?.pathLength ?? null,
    keyUsage: take(oids.keyUsage, (value) => readNamedBits(value, 'keyUsage')),
    extendedKeyUsage: take(oids.extendedKeyUsage, readExtendedKeyUsage),
    names: take(oids.subjectAltName, readNames) ?? [],
    nameConstraints: take(oids.nameConstraints, readConstraints),
    authorityKeyId: take(oids.authorityKeyId, readAuthorityKeyId),
    subjectKeyId: take(oids.subjectKeyId, (value) => hex(expectTag(value, tags.octets, 'subjectKeyIdentifier').content)),
  }
}

const known: ReadonlySet<string> = new Set(Object.values(oids))

function readList(element: Element): readonly Element[] {
  const { parts } = expectTag(element, tags.sequence, 'extensions')
  if (parts.length === 0) throw new MalformedDer('extensions is empty')
  return parts
}

function readExtension(element: Element): { oid: string; isCritical: boolean; value: Uint8Array } {
  const { parts } = expectTag(element, tags.sequence, 'an extension')
  const oid = readOid(parts[0], 'the OID of an extension')
  // X.690 §11.5 leaves out a default; issuers that write `false` are in use, and nobody reads it in another way
  const isCritical = parts.length === 3 && readBoolean(parts[1], `critical of ${oid}`)
  if (parts.length > 3) throw new MalformedDer(`the extension ${oid} has too many parts`)
  return { oid, isCritical, value: expectTag(parts[parts.length - 1], tags.octets, `the extension ${oid}`).content }
}

function readBasicConstraints(element: Element): { ca: boolean; pathLength: number | null } {
  const parts = [...expectTag(element, tags.sequence, 'basicConstraints').parts]
  const ca = parts[0]?.tag === tags.boolean && readBoolean(parts.shift(), 'cA')
  const [length, ...more] = parts
  if (more.length > 0) throw new MalformedDer('basicConstraints has too many parts')
  if (length === undefined) return { ca, pathLength: null }
  const [pathLength = 0, ...rest] = readInteger(length, 'pathLenConstraint')
  if (pathLength > 0x7f || rest.length > 0) throw new MalformedDer('pathLenConstraint is not from 0 to 127')
  // §4.2.1.9: not without cA
  if (!ca) throw new MalformedDer('pathLenConstraint without cA')
  return { ca, pathLength }
}

function readExtendedKeyUsage(element: Element): string[] {
  const { parts } = expectTag(element, tags.sequence, 'extKeyUsage')
  if (parts.length === 0) throw new MalformedDer('extKeyUsage is empty')
  return parts.map((part) => readOid(part, 'a purpose in extKeyUsage'))
}

function readAuthorityKeyId(element: Element): string | null {
  const [first] = expectTag(element, tags.sequence, 'authorityKeyIdentifier').parts
  return first?.tag === 0x80 ? hex(first.content) : null
}
