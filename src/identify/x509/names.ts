/** Reads the names in certificates: subjectAltName (RFC 5280 §4.2.1.6) and nameConstraints (§4.2.1.10). */
import { expectTag, MalformedDer, tags } from './der.ts'
import type { Element } from './der.ts'

export type NameForm = 'other' | 'email' | 'dns' | 'x400' | 'directory' | 'edi' | 'uri' | 'ip' | 'registered'

export interface GeneralName {
  readonly form: NameForm
  /** Printable ASCII for email, dns and uri; empty for the other forms, which are only told apart. */
  readonly text: string
}

export interface NameConstraints {
  readonly permitted: readonly GeneralName[]
  readonly excluded: readonly GeneralName[]
}

const forms: ReadonlyMap<number, NameForm> = new Map([
  [0xa0, 'other'],
  [0x81, 'email'],
  [0x82, 'dns'],
  [0xa3, 'x400'],
  [0xa4, 'directory'],
  [0xa5, 'edi'],
  [0x86, 'uri'],
  [0x87, 'ip'],
  [0x88, 'registered'],
])

/** Octets of an address (§4.2.1.6), and of one with its mask in a constraint (§4.2.1.10). */
const addressBytes = [4, 16]
const rangeBytes = [8, 32]

/** Names in one certificate, and bases in one list of constraints: every one of the first is held against every one of the second. */
const mostNames = 128

/** The names of a `GeneralNames`; at least one is there. */
export function readNames(element: Element): GeneralName[] {
  const { parts } = expectTag(element, tags.sequence, 'subjectAltName')
  if (parts.length === 0) throw new MalformedDer('subjectAltName is empty')
  if (parts.length > mostNames) throw new MalformedDer(`subjectAltName has more than ${mostNames} names`)
  return parts.map((part) => readName(part, addressBytes))
}

export function readConstraints(element: Element): NameConstraints {
  const { parts } = expectTag(element, tags.sequence, 'nameConstraints')
  const permitted = parts.find(({ tag }) => tag === 0xa0)
  const excluded = parts.find(({ tag }) => tag === 0xa1)
  const [first, second] = parts
  // §4.2.1.10: never empty; in this order, each at most once
  if (first === undefined || first !== (permitted ?? excluded) || parts.length > 2 || (second !== undefined && second !== excluded))
    throw new MalformedDer('nameConstraints is not a list of permitted and excluded names')
  return { permitted: readSubtrees(permitted), excluded: readSubtrees(excluded) }
}

function readSubtrees(element: Element | undefined): GeneralName[] {
  if (element === undefined) return []
  if (element.parts.length === 0) throw new MalformedDer('nameConstraints has an empty list')
  if (element.parts.length > mostNames) throw new MalformedDer(`nameConstraints has a list of more than ${mostNames}`)
  return element.parts.map((subtree) => {
    const [base, ...bounds] = expectTag(subtree, tags.sequence, 'a constraint').parts
    // §4.2.1.10: minimum is 0, which is not written, and maximum is absent
    if (base === undefined || bounds.length > 0) throw new MalformedDer('a constraint has a minimum or a maximum')
    return readName(base, rangeBytes)
  })
}

function readName(element: Element, ipBytes: readonly number[]): GeneralName {
  const form = forms.get(element.tag)
  if (form === undefined) throw new MalformedDer('a name has an unknown form')
  if (form === 'ip' && !ipBytes.includes(element.content.length)) throw new MalformedDer('an IP address is neither IPv4 nor IPv6')
  return { form, text: form === 'uri' || form === 'dns' || form === 'email' ? readText(element.content, form) : '' }
}

/** IA5String, of which these forms use what can be printed: a NUL ends a name for some readers and not for others. */
function readText(bytes: Uint8Array, form: NameForm): string {
  for (const byte of bytes)
    if (byte <= 0x20 || byte >= 0x7f) throw new MalformedDer(`a name of form ${form} holds more than printable ASCII`)
  return String.fromCharCode(...bytes)
}
