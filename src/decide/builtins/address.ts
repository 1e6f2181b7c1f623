/** IP addresses as numbers, read and written as the policy language does. */

export interface Address {
  readonly bits: 32 | 128
  readonly value: bigint
  /** Of IPv6, or empty. */
  readonly zone: string
}

/** `::ffff:1.2.3.4` is an IPv6 address here; `asIPv4` makes it one of IPv4. */
export function readAddress(text: string): Address | undefined {
  const first = /[.:%]/.exec(text)?.[0]
  if (first === '.') {
    const value = readIPv4(text)
    return value === undefined ? undefined : { bits: 32, value, zone: '' }
  }
  if (first !== ':') return undefined
  const percent = text.indexOf('%')
  const zone = percent === -1 ? '' : text.slice(percent + 1)
  if (percent !== -1 && zone === '') return undefined
  const value = readIPv6(percent === -1 ? text : text.slice(0, percent))
  return value === undefined ? undefined : { bits: 128, value, zone }
}

function readIPv4(text: string): bigint | undefined {
  const octets = text.split('.')
  if (octets.length !== 4 || octets.some((octet) => !/^(0|[1-9]\d{0,2})$/.test(octet) || Number(octet) > 255)) return undefined
  return octets.reduce((value, octet) => (value << 8n) | BigInt(octet), 0n)
}

function readIPv6(text: string): bigint | undefined {
  const dotted = /^(.*:)([^:]*\.[^:]*)$/.exec(text)
  const tail = dotted === null ? null : readIPv4(dotted[2] ?? '')
  if (tail === undefined) return undefined
  const plain = dotted === null || tail === null ? text : `${dotted[1] ?? ''}${(tail >> 16n).toString(16)}:${(tail & 0xffffn).toString(16)}`
  const [head = '', rest, more] = plain.split('::')
  if (more !== undefined) return undefined
  const before = head === '' && rest !== undefined ? [] : head.split(':')
  const after = rest === undefined || rest === '' ? [] : rest.split(':')
  const missing = 8 - before.length - after.length
  if (rest === undefined ? missing !== 0 : missing < 1) return undefined
  const groups = [...before, ...Array.from({ length: missing }, () => '0'), ...after]
  if (groups.some((group) => !/^[0-9a-fA-F]{1,4}$/.test(group))) return undefined
  return BigInt(`0x${groups.map((group) => group.padStart(4, '0')).join('')}`)
}

const mapped = 0xffffn

/** True for the range `::ffff:0:0/96`, in which every IPv4 address has a place. */
export function isMapped(value: bigint): boolean {
  return value >> 32n === mapped
}

/** The place of an IPv4 address among those of IPv6. */
export function asMapped(value: bigint): bigint {
  return (mapped << 32n) | value
}

/** IPv4 addresses, mapped ones too, with dots; others in the shortest form (RFC 5952 §4). */
export function writeAddress(bits: 32 | 128, value: bigint): string {
  if (bits === 32 || isMapped(value)) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join('.')
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16))
  const [start, length] = longestZeros(groups)
  if (length < 2) return groups.join(':')
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`
}

function longestZeros(groups: readonly string[]): readonly [number, number] {
  let best: readonly [number, number] = [0, 0]
  let length = 0
  for (const [index, group] of groups.entries()) {
    length = group === '0' ? length + 1 : 0
    if (length > best[1]) best = [index - length + 1, length]
  }
  return best
}
