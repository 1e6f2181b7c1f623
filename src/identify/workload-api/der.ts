/** Splits concatenated DER, which is how the Workload API carries chains and bundles. */

/** Why bytes are not a row of DER sequences. */
export class MalformedDer extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'MalformedDer'
  }
}

const sequenceTag = 0x30

/**
 * Each SEQUENCE as a copy of its own, none for no bytes.
 * Throws `MalformedDer` unless the bytes are used up exactly: `X509Certificate` would read the first and overlook whatever follows.
 */
export function splitDer(bytes: Uint8Array): readonly Uint8Array[] {
  const parts: Uint8Array[] = []
  for (let at = 0; at < bytes.length;) {
    const end = endOfSequence(bytes, at)
    parts.push(new Uint8Array(bytes.subarray(at, end)))
    at = end
  }
  return parts
}

function endOfSequence(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== sequenceTag) throw new MalformedDer('something other than a SEQUENCE stands where one should')
  const first = bytes[at + 1]
  if (first === undefined) throw new MalformedDer('it is cut off')
  if (first < 0x80) return within(bytes, at + 2 + first)
  const size = first & 0x7f
  // 0x80 is the indefinite form, which DER does not have; four bytes of length are more than any certificate needs
  if (size === 0 || size > 4) throw new MalformedDer('a length is not DER')
  let length = 0
  for (let index = 0; index < size; index++) {
    const byte = bytes[at + 2 + index]
    if (byte === undefined) throw new MalformedDer('it is cut off')
    length = length * 256 + byte
  }
  // DER has one way to write a length: the shortest
  if (length < 0x80 || length < 256 ** (size - 1)) throw new MalformedDer('a length is not DER')
  return within(bytes, at + 2 + size + length)
}

function within(bytes: Uint8Array, end: number): number {
  if (end > bytes.length) throw new MalformedDer('it is cut off')
  return end
}
