import { isUtf8 } from 'node:buffer'

/** The protobuf wire format, read strictly and written plainly: as much of it as proto3 messages use. */

/** Bytes that are not the message they should be. The message never quotes them. */
export class MalformedMessage extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'MalformedMessage'
  }
}

const varintType = 0
const fixed64Type = 1
const lengthType = 2
const fixed32Type = 5
/** Bytes of a text that is read letter by letter. */
const shortText = 64
const nothing = Buffer.alloc(0)

/**
 * Walks the fields of one message: `next()` moves to a field, then exactly one of the readers or `skip()` takes its value.
 * Throws `MalformedMessage` where a value runs past its end, has another wire type than its field, or is no UTF-8.
 */
export class WireReader {
  readonly #bytes: Buffer
  readonly #end: number
  #at: number
  #wireType = 0
  /** Number of the field that `next` moved to. */
  field = 0

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = start
    this.#end = end
  }

  /** False at the end of the message. */
  next(): boolean {
    if (this.#at === this.#end) return false
    const tag = this.#short()
    this.field = tag >>> 3
    this.#wireType = tag & 7
    if (this.field === 0) throw new MalformedMessage('a field has the number 0')
    return true
  }

  /** A message inside this one. */
  message(): WireReader {
    const start = this.#length()
    return new WireReader(this.#bytes, start, this.#at)
  }

  /** A view of the bytes, not a copy. */
  bytes(): Buffer {
    const start = this.#length()
    return start === this.#at ? nothing : this.#bytes.subarray(start, this.#at)
  }

  string(): string {
    const start = this.#length()
    const end = this.#at
    // most texts are short and plain: their letters are cheaper than a view and two calls out of JavaScript
    if (end - start > shortText) return this.#utf8(start, end)
    let text = ''
    for (let at = start; at < end; at++) {
      const byte = this.#bytes[at] ?? 0x80
      if (byte >= 0x80) return this.#utf8(start, end)
      text += String.fromCharCode(byte)
    }
    return text
  }

  double(): number {
    this.#expect(fixed64Type)
    return this.#bytes.readDoubleLE(this.#pass(8))
  }

  bool(): boolean {
    this.#expect(varintType)
    return this.#varint() !== 0n
  }

  /** An enum's number; like every reader this keeps its low 32 bits. */
  enum(): number {
    this.#expect(varintType)
    return Number(BigInt.asIntN(32, this.#varint()))
  }

  /** Passes over a field that is not known here. Groups are no part of proto3 and are refused. */
  skip(): void {
    if (this.#wireType === varintType) this.#varint()
    else if (this.#wireType === fixed64Type) this.#pass(8)
    else if (this.#wireType === lengthType) this.#pass(this.#short())
    else if (this.#wireType === fixed32Type) this.#pass(4)
    else throw new MalformedMessage('a field has a wire type that proto3 does not know')
  }

  #expect(wireType: number): void {
    if (this.#wireType !== wireType) throw new MalformedMessage(`field ${this.field} has the wrong wire type`)
  }

  /** Where a value with a length starts; it ends where the reader then stands. */
  #length(): number {
    this.#expect(lengthType)
    return this.#pass(this.#short())
  }

  /** Moves on, and gives where it was. */
  #pass(length: number): number {
    const start = this.#at
    if (start + length > this.#end) throw new MalformedMessage('a value runs past the end of its message')
    this.#at = start + length
    return start
  }

  #utf8(start: number, end: number): string {
    if (!isUtf8(this.#bytes.subarray(start, end))) throw new MalformedMessage('a text is not UTF-8')
    return this.#bytes.toString('utf8', start, end)
  }

  /** A tag or a length: a varint of 32 bits. */
  #short(): number {
    const first = this.#byte()
    if (first < 0x80) return first
    let value = first & 0x7f
    for (let shift = 7; shift < 35; shift += 7) {
      const byte = this.#byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break
        return value
      }
    }
    throw new MalformedMessage('a tag or a length is larger than 32 bits')
  }

  #varint(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) {
        if (value >> 64n !== 0n) break
        return value
      }
    }
    throw new MalformedMessage('a number is larger than 64 bits')
  }

  #byte(): number {
    const byte = this.#at < this.#end ? this.#bytes[this.#at] : undefined
    if (byte === undefined) throw new MalformedMessage('a message ends within a field')
    this.#at += 1
    return byte
  }
}

/** Puts a message together. Like every proto3 writer it leaves out texts and bytes that are empty, unless told that presence counts. */
export class WireWriter {
  readonly #parts: Uint8Array[] = []

  string(field: number, text: string): this {
    return text === '' ? this : this.present(field, Buffer.from(text))
  }

  bytes(field: number, bytes: Uint8Array): this {
    return bytes.length === 0 ? this : this.present(field, bytes)
  }

  /** Bytes, a text or a message whose presence counts even when it is empty: a member of a list, of a map or of a oneof. */
  present(field: number, bytes: Uint8Array): this {
    this.#parts.push(varint(field * 8 + lengthType), varint(bytes.length), bytes)
    return this
  }

  /** A number whose presence counts. */
  double(field: number, value: number): this {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    this.#parts.push(varint(field * 8 + fixed64Type), bytes)
    return this
  }

  /** A number of 64 bits without a sign, written whole (fixed64), such as a time in nanoseconds. */
  fixed64(field: number, value: bigint): this {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(value)
    this.#parts.push(varint(field * 8 + fixed64Type), bytes)
    return this
  }

  /** A whole number below 2^53 that is not negative (int64, uint32), or a bool or an enum, whose presence counts. */
  small(field: number, value: number): this {
    this.#parts.push(varint(field * 8 + varintType), varint(value))
    return this
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  bytes.push(rest)
  return Uint8Array.from(bytes)
}
