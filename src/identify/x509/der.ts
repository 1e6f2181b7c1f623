/**
 * Reads DER (X.690 §8, §10, §11) and nothing looser: lengths are definite and as short as can be, nothing follows the value. Where BER
 * would allow two spellings, two readers could see two certificates in the same bytes.
 */

/** Why bytes are no DER. The message never quotes them. */
export class MalformedDer extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'MalformedDer'
  }
}

/** One value. It points into the bytes it was read from: those must not change. */
export class Element {
  readonly tag: number
  /** The values inside a constructed one; empty for a primitive one. */
  readonly parts: readonly Element[]
  readonly #source: Uint8Array
  readonly #start: number
  readonly #from: number
  readonly #to: number

  constructor(source: Uint8Array, header: Header, parts: readonly Element[]) {
    this.tag = header.tag
    this.parts = parts
    this.#source = source
    this.#start = header.start
    this.#from = header.from
    this.#to = header.to
  }

  /** Without tag and length. */
  get content(): Uint8Array {
    return this.#source.subarray(this.#from, this.#to)
  }

  /** With tag and length. */
  get encoding(): Uint8Array {
    return this.#source.subarray(this.#start, this.#to)
  }
}

/** Where a value starts, and where its content starts and ends. */
interface Header {
  readonly tag: number
  readonly start: number
  readonly from: number
  readonly to: number
}

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

const longest = 16 * 1024
const deepest = 16
/** Bytes of an OBJECT IDENTIFIER; those in use have a dozen. Its arcs have no bound, and reading one costs the square of its length. */
const longestOid = 64

/** Takes exactly one value of at most 16 KiB, gives it with everything inside; throws `MalformedDer` and nothing else. */
export function readDer(bytes: Uint8Array): Element {
  const header = readHeader(bytes, 0, bytes.length)
  if (header.to !== bytes.length) throw new MalformedDer('bytes follow the value')
  return readInside(bytes, header, 0)
}

/** Takes certificates one after another, as the Workload API sends them, gives each; throws `MalformedDer` when anything else is there. */
export function splitCertificates(bytes: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = []
  for (let at = 0; at < bytes.length;) {
    const { tag, to } = readHeader(bytes, at, bytes.length)
    if (tag !== tags.sequence) throw new MalformedDer('something other than a certificate is among the certificates')
    // a copy, which `slice` of a Buffer would not be
    found.push(new Uint8Array(bytes.subarray(at, to)))
    at = to
  }
  return found
}

/** Throws unless the value has this tag. */
export function expectTag(element: Element | undefined, tag: number, what: string): Element {
  if (element?.tag !== tag) throw new MalformedDer(`${what} is missing or of another type`)
  return element
}

export function readBoolean(element: Element | undefined, what: string): boolean {
  const { content } = expectTag(element, tags.boolean, what)
  // X.690 §11.1: true is ff, not any byte but zero
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) throw new MalformedDer(`${what} is neither true nor false`)
  return content[0] === 0xff
}

/** The content of an INTEGER: two's complement, as short as can be. */
export function readInteger(element: Element | undefined, what: string): Uint8Array {
  const { content } = expectTag(element, tags.integer, what)
  const [first, second = 0] = content
  if (first === undefined) throw new MalformedDer(`${what} is empty`)
  const padded = content.length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))
  if (padded) throw new MalformedDer(`${what} is longer than it needs to be`)
  return content
}

/** The bits of a BIT STRING of whole bytes, as keys and signatures are. */
export function readWholeBits(element: Element | undefined, what: string): Uint8Array {
  const { content } = expectTag(element, tags.bits, what)
  if (content[0] !== 0) throw new MalformedDer(`${what} does not end at a byte`)
  return content.subarray(1)
}

/** Up to 16 named bits, bit 0 as 1, bit 1 as 2. X.690 §11.2.2: no zero bits at the end. */
export function readNamedBits(element: Element | undefined, what: string): number {
  const [unused = 8, ...bytes] = expectTag(element, tags.bits, what).content
  const last = bytes.at(-1)
  if (last === undefined || bytes.length > 2 || unused > 7) throw new MalformedDer(`${what} is not a set of bits`)
  if (((last >> unused) & 1) === 0 || (last & ((1 << unused) - 1)) !== 0) throw new MalformedDer(`${what} does not end with a set bit`)
  let bits = 0
  for (let at = 0; at < bytes.length * 8; at++) if ((((bytes[at >> 3] ?? 0) << (at & 7)) & 0x80) !== 0) bits |= 1 << at
  return bits
}

/** An OBJECT IDENTIFIER in dotted form. */
export function readOid(element: Element | undefined, what: string): string {
  const { content } = expectTag(element, tags.oid, what)
  if (content.length > longestOid) throw new MalformedDer(`${what} is longer than ${longestOid} bytes`)
  const arcs: bigint[] = []
  let arc = 0n
  let fresh = true
  for (const byte of content) {
    if (fresh && byte === 0x80) throw new MalformedDer(`${what} is longer than it needs to be`)
    arc = (arc << 7n) | BigInt(byte & 0x7f)
    fresh = byte < 0x80
    if (!fresh) continue
    arcs.push(arc)
    arc = 0n
  }
  const [first] = arcs
  if (first === undefined || !fresh) throw new MalformedDer(`${what} is cut short`)
  const root = first < 80n ? first / 40n : 2n
  return [root, first - root * 40n, ...arcs.slice(1)].join('.')
}

/** Bytes as hex, to be compared and shown. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}

function readInside(bytes: Uint8Array, header: Header, depth: number): Element {
  const parts: Element[] = []
  if ((header.tag & 0x20) !== 0) {
    if (depth === deepest) throw new MalformedDer(`nested deeper than ${deepest}`)
    for (let at = header.from; at < header.to;) {
      const inner = readHeader(bytes, at, header.to)
      parts.push(readInside(bytes, inner, depth + 1))
      at = inner.to
    }
  }
  return new Element(bytes, header, parts)
}

function readHeader(bytes: Uint8Array, start: number, end: number): Header {
  const tag = bytes[start]
  if (tag === undefined || start + 1 >= end) throw new MalformedDer('cut short')
  checkTag(tag)
  const first = bytes[start + 1] ?? 0
  let from = start + 2
  let length = first
  if (first >= 0x80) {
    const count = first & 0x7f
    if (count === 0) throw new MalformedDer('a length is indefinite')
    if (count > 2) throw new MalformedDer(`longer than ${longest} bytes`)
    length = 0
    for (let more = 0; more < count; more++) length = length * 256 + (bytes[from + more] ?? 0)
    // X.690 §10.1: the short form where it fits, and no zero in front
    if (length < (count === 1 ? 0x80 : 0x100)) throw new MalformedDer('a length is longer than it needs to be')
    from += count
  }
  if (length > longest) throw new MalformedDer(`longer than ${longest} bytes`)
  if (from + length > end) throw new MalformedDer('cut short')
  return { tag, start, from, to: from + length }
}

/** X.690 §10.2: of the universal types only SEQUENCE and SET are made of others; certificates use no tag numbers above 30. */
function checkTag(tag: number): void {
  if ((tag & 0x1f) === 0x1f) throw new MalformedDer('a tag has a number above 30')
  if ((tag & 0xc0) !== 0) return
  const constructed = (tag & 0x20) !== 0
  const number = tag & 0x1f
  if (number === 0) throw new MalformedDer('a tag is zero')
  if (constructed !== (number === 0x10 || number === 0x11)) throw new MalformedDer('a simple type is in pieces, or a list is not one')
}
