/** Versions and UUIDs. */

import { withText, most64 } from './argument.ts'
import type { Builtin } from './builtin.ts'

export const identifierBuiltins: Readonly<Record<string, Builtin>> = {
  'semver.compare': (_, a, b) => {
    const [one, other] = [a, b].map((term) => (term?.kind === 'string' ? readVersion(term.value) : undefined))
    return one === undefined || other === undefined ? undefined : String(compareVersions(one, other))
  },
  'semver.is_valid': (_, value) => String(value?.kind === 'string' && readVersion(value.value) !== undefined),
  'uuid.parse': withText(parseUuid),
}

interface Version {
  readonly numbers: readonly bigint[]
  readonly preRelease: readonly string[]
}

/** Semantic Versioning 2.0.0, with a `v` before it if need be. */
function readVersion(text: string): Version | undefined {
  const match = /^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([^+]*))?(?:\+(.*))?$/s.exec(text)
  if (match === null) return undefined
  const numbers = [match[1], match[2], match[3]].map((digits) => ((digits ?? '').length > 19 ? most64 + 1n : BigInt(digits ?? '')))
  const preRelease = match[4]?.split('.') ?? []
  const build = match[5]?.split('.') ?? []
  if (numbers.some((number) => number > most64)) return undefined
  if ([...preRelease, ...build].some((part) => !/^[0-9A-Za-z-]+$/.test(part)) || preRelease.some((part) => /^0\d+$/.test(part)))
    return undefined
  return { numbers, preRelease }
}

/** Semantic Versioning 2.0.0 §11. */
function compareVersions(a: Version, b: Version): number {
  for (const [index, number] of a.numbers.entries()) {
    const other = b.numbers[index] ?? 0n
    if (number !== other) return number < other ? -1 : 1
  }
  if (a.preRelease.length === 0 || b.preRelease.length === 0) return Math.sign(b.preRelease.length - a.preRelease.length)
  for (const [index, part] of a.preRelease.entries()) {
    const other = b.preRelease[index]
    if (other === undefined) return 1
    const order = comparePart(part, other)
    if (order !== 0) return order
  }
  return Math.sign(a.preRelease.length - b.preRelease.length)
}

function comparePart(a: string, b: string): number {
  if (a === b) return 0
  const [number, other] = [/^\d+$/.test(a), /^\d+$/.test(b)]
  if (number !== other) return number ? -1 : 1
  // Without leading zeros the longer number is the larger.
  if (number && a.length !== b.length) return a.length < b.length ? -1 : 1
  return a < b ? -1 : 1
}

/** From the start of the Gregorian calendar to 1970, in 100 ns. */
const gregorian = 122_192_928_000_000_000n

const domains = ['Person', 'Group', 'Org']

/** What RFC 4122 §4.1 says of a UUID; undefined when it is none. */
function parseUuid(text: string): string | undefined {
  const hex = uuidHex(Buffer.from(text).toString('latin1'))
  if (hex === undefined) return undefined
  const bytes = Buffer.from(hex, 'hex')
  const version = bytes.readUInt8(6) >> 4
  const known = { version, variant: variantOf(bytes.readUInt8(8)) }
  if (version !== 1 && version !== 2) return JSON.stringify(known)
  const node = bytes.readUInt8(10)
  const time =
    ((BigInt(bytes.readUInt16BE(6) & 0xfff) << 48n) | (BigInt(bytes.readUInt16BE(4)) << 32n) | BigInt(bytes.readUInt32BE(0))) - gregorian
  const domain = bytes.readUInt8(9)
  const local = version === 2 ? { id: bytes.readUInt32BE(0), domain: domains[domain] ?? `Domain${domain}` } : {}
  const rest = JSON.stringify({
    ...known,
    nodeid: (hex.slice(20).match(/../g) ?? []).join('-'),
    macvariables: `${node & 2 ? 'local' : 'global'}:${node & 1 ? 'multicast' : 'unicast'}`,
    clocksequence: bytes.readUInt16BE(8) & 0x3fff,
    ...local,
  })
  return `{"time":${BigInt.asIntN(64, time * 100n)},${rest.slice(1)}`
}

/** The 32 digits of the four forms; what stands in place of braces is not looked at. */
function uuidHex(bytes: string): string | undefined {
  const [form = bytes] =
    bytes.length === 38 ? [bytes.slice(1, 37)] : bytes.length === 45 && /^urn:uuid:/i.test(bytes) ? [bytes.slice(9)] : []
  if (/^[0-9a-f]{32}$/i.test(form)) return form === bytes ? form.toLowerCase() : undefined
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(form) ? form.replaceAll('-', '').toLowerCase() : undefined
}

function variantOf(byte: number): string {
  if ((byte & 0xc0) === 0x80) return 'RFC4122'
  if ((byte & 0xe0) === 0xc0) return 'Microsoft'
  return (byte & 0xe0) === 0xe0 ? 'Future' : 'Reserved'
}
