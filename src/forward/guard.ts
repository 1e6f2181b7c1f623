/** Which addresses may be dialled at all, and which only for a route that says `reach: private`. */
import { isIPv4, isIPv6 } from 'node:net'

/**
 * `never`: metadata services, link-local, unspecified, multicast, broadcast, reserved and whatever is unknown.
 * `private`: loopback and the private ranges. `public`: the rest.
 */
export type AddressClass = 'never' | 'private' | 'public'

type Range4 = readonly [network: number, bits: number, kind: 'never' | 'private']
type Range6 = readonly [network: readonly number[], bits: number, kind: 'never' | 'private']

const v4 = (a: number, b: number, c: number, d: number): number => ((a << 24) | (b << 16) | (c << 8) | d) >>> 0

/** IANA special-purpose registry (RFC 6890) and the metadata addresses that stand outside of it; first match wins. */
const ranges4: readonly Range4[] = [
  [v4(0, 0, 0, 0), 8, 'never'],
  [v4(100, 100, 100, 200), 32, 'never'], // Alibaba Cloud metadata, inside the shared range
  [v4(168, 63, 129, 16), 32, 'never'], // Azure platform address
  [v4(169, 254, 0, 0), 16, 'never'], // link-local, and the metadata service of most clouds
  [v4(192, 0, 0, 0), 24, 'never'], // protocol assignments, and Oracle Cloud metadata
  [v4(192, 0, 2, 0), 24, 'never'],
  [v4(192, 88, 99, 0), 24, 'never'],
  [v4(198, 51, 100, 0), 24, 'never'],
  [v4(203, 0, 113, 0), 24, 'never'],
  [v4(224, 0, 0, 0), 3, 'never'], // multicast, reserved, broadcast
  [v4(10, 0, 0, 0), 8, 'private'],
  [v4(100, 64, 0, 0), 10, 'private'],
  [v4(127, 0, 0, 0), 8, 'private'],
  [v4(172, 16, 0, 0), 12, 'private'],
  [v4(192, 168, 0, 0), 16, 'private'],
  [v4(198, 18, 0, 0), 15, 'private'],
]

/** What is outside `2000::/3` and not listed here is `never`. */
const ranges6: readonly Range6[] = [
  [[0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, 'never'], // AWS metadata
  [[0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253], 128, 'never'], // AWS resolver
  [[0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, 'never'], // Google Cloud metadata
  [[0xfc00], 7, 'private'],
  [[0, 0, 0, 0, 0, 0, 0, 1], 128, 'private'],
  [[0x2001, 0xdb8], 32, 'never'],
  [[0x2001, 0x2, 0], 48, 'private'],
  [[0x2001, 0x10], 28, 'never'],
  [[0x2001, 0x20], 28, 'never'],
  [[0x3fff], 20, 'never'],
]

/**
 * Classes one address as the resolver or the socket gives it (no brackets; a zone id makes it link-local, so `never`).
 * An IPv6 form that carries an IPv4 address (mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP) is never better than that address.
 */
export function addressClass(address: string): AddressClass {
  if (isIPv4(address)) return class4(number4(address))
  if (!isIPv6(address) || address.includes('%')) return 'never'
  return class6(groups(address))
}

/** True when a route of this reach may dial the address. */
export function mayDial(address: string, reach: 'public' | 'private'): boolean {
  const kind = addressClass(address)
  return kind === 'public' || (kind === 'private' && reach === 'private')
}

function class4(value: number): AddressClass {
  for (const [network, bits, kind] of ranges4) if ((value ^ network) >>> (32 - bits) === 0) return kind
  return 'public'
}

function class6(words: readonly number[]): AddressClass {
  for (const [network, bits, kind] of ranges6) if (within(words, network, bits)) return kind
  const carried = carriedClass(words)
  if (carried !== null) return carried
  return word(words, 0) >>> 13 === 1 ? 'public' : 'never'
}

/** The class of the IPv4 address inside, the worse one where there are two; null when none is inside. */
function carriedClass(words: readonly number[]): AddressClass | null {
  const tail = inner(words, 6)
  if (within(words, [0, 0, 0, 0, 0, 0xffff], 96)) return class4(tail) // mapped
  if (within(words, [0, 0, 0, 0, 0xffff, 0], 96)) return class4(tail) // translated, RFC 2765
  if (within(words, [0, 0, 0, 0, 0, 0], 96)) return class4(tail) // compatible; `::` itself lands in 0.0.0.0/8
  if (within(words, [0x64, 0xff9b, 0, 0, 0, 0], 96)) return class4(tail) // NAT64, RFC 6052
  if (within(words, [0x2002], 16)) return class4(inner(words, 1)) // 6to4
  if (within(words, [0x2001, 0], 32)) return worse(class4(inner(words, 2)), class4(~tail >>> 0)) // Teredo: server, then client inverted
  const isatap = word(words, 5) === 0x5efe && (word(words, 4) & 0xfdff) === 0
  return isatap && word(words, 0) >>> 13 === 1 ? class4(tail) : null
}

function worse(one: AddressClass, other: AddressClass): AddressClass {
  if (one === 'never' || other === 'never') return 'never'
  return one === 'private' || other === 'private' ? 'private' : 'public'
}

function within(words: readonly number[], network: readonly number[], bits: number): boolean {
  for (let index = 0, left = bits; left > 0; index++, left -= 16) {
    const shift = left >= 16 ? 0 : 16 - left
    if ((word(words, index) ^ word(network, index)) >>> shift !== 0) return false
  }
  return true
}

const word = (words: readonly number[], index: number): number => words[index] ?? 0
const inner = (words: readonly number[], index: number): number => ((word(words, index) << 16) | word(words, index + 1)) >>> 0

function number4(address: string): number {
  const [a, b, c, d] = address.split('.').map(Number)
  return v4(a ?? 0, b ?? 0, c ?? 0, d ?? 0)
}

/** The eight words of a valid IPv6 address, a dotted tail included. */
function groups(address: string): number[] {
  const cut = address.lastIndexOf(':') + 1
  const last = address.slice(cut)
  const dotted = last.includes('.') ? number4(last) : null
  const text = dotted === null ? address : `${address.slice(0, cut)}${(dotted >>> 16).toString(16)}:${(dotted & 0xffff).toString(16)}`
  const [head = '', tail] = text.split('::')
  const left = pieces(head)
  if (tail === undefined) return left
  const right = pieces(tail)
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right]
}

const pieces = (text: string): number[] => (text === '' ? [] : text.split(':').map((piece) => Number.parseInt(piece, 16)))
