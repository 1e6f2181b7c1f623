/** Merging ranges of addresses, IPv4 at its place among IPv6. */

import { isMapped, writeAddress } from './address.ts'
import { BuiltinLimit } from './builtin.ts'

export interface Range {
  readonly first: bigint
  readonly last: bigint
  /** How it is written when nothing was merged into it. */
  readonly text: string | null
}

/** The fewest networks that hold the same addresses; IPv6 that touches IPv4 and would be merged with it is a BuiltinLimit. */
export function mergeRanges(ranges: readonly Range[]): readonly string[] {
  const sorted = [...ranges].sort((a, b) => order(a.last, b.last) || order(a.first, b.first))
  const merged: Range[] = []
  let above = sorted.pop()
  for (let range = sorted.pop(); range !== undefined && above !== undefined; range = sorted.pop()) {
    if (before(above.first) <= range.last) {
      above = { first: range.first < above.first ? range.first : above.first, last: above.last, text: null }
    } else {
      merged.push(above)
      above = range
    }
  }
  if (above !== undefined) merged.push(above)
  return merged.flatMap((range) => (range.text === null ? networksOf(range) : [range.text]))
}

function order(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b)
}

/** The address before; the first of its family has none. */
function before(address: bigint): bigint {
  return address === 0n || address === 0xffff_0000_0000n ? address : address - 1n
}

/** The largest network that begins at the first address and does not go beyond the last, then the same of the rest. */
function networksOf({ first, last }: Range): readonly string[] {
  if (isMapped(first) !== isMapped(last)) throw new BuiltinLimit('net.cidr_merge does not merge IPv4 with IPv6')
  const networks: string[] = []
  const width = isMapped(first) ? 32 : 128
  for (let at = first; at <= last;) {
    let host = 0
    while (host < width && at % (2n << BigInt(host)) === 0n && at + (2n << BigInt(host)) - 1n <= last) host++
    networks.push(`${writeAddress(128, at)}/${width - host}`)
    at += 1n << BigInt(host)
  }
  return networks
}
