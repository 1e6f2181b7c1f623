/** Writes DER (X.690), as much of it as certificates need. */

/** One value of up to 64 KiB. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts)
}

export function set(...parts: readonly Uint8Array[]): Buffer {
  return der(0x31, ...parts)
}

export function octets(content: Uint8Array): Buffer {
  return der(0x04, content)
}

/** A BIT STRING of whole bytes. */
export function bits(content: Uint8Array): Buffer {
  return der(0x03, Buffer.from([0]), content)
}

/** A non-negative INTEGER from its bytes. */
export function integer(bytes: Uint8Array): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0)
  const short = start === -1 ? Buffer.from([0]) : bytes.subarray(start)
  return (short[0] ?? 0) < 0x80 ? der(0x02, short) : der(0x02, Buffer.from([0]), short)
}

export function boolean(value: boolean): Buffer {
  return der(0x01, Buffer.from([value ? 0xff : 0]))
}

/** An OBJECT IDENTIFIER from its dotted form, arcs below 2^31. */
export function oid(dotted: string): Buffer {
  const [root = 0, second = 0, ...arcs] = dotted.split('.').map(Number)
  return der(0x06, Buffer.from([root * 40 + second, ...arcs].flatMap(base128)))
}

/** A time to the second: UTCTime through 2049, GeneralizedTime after (RFC 5280 §4.1.2.5). */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  return digits < '205' ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits))
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f]
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift((rest & 0x7f) | 0x80)
  return bytes
}
