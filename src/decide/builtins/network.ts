/** Ranges of addresses. Whether one contains another the engine says itself. */

import { writeTerm, type Term } from '../term.ts'
import { asMapped, isMapped, readAddress, writeAddress } from './address.ts'
import { itemsOf, withText } from './argument.ts'
import { BuiltinLimit, bounds, type Builtin } from './builtin.ts'
import { mergeRanges, type Range } from './range.ts'

/** First address and length of the prefix; IPv4 when it is of the mapped ones. */
interface Network {
  readonly bits: 32 | 128
  readonly value: bigint
  readonly prefix: number
}

export const networkBuiltins: Readonly<Record<string, Builtin>> = {
  'net.cidr_contains_matches': (_, cidrs, others) => containsMatches(cidrs, others),
  'net.cidr_expand': withText(expand),
  'net.cidr_is_valid': (_, cidr) => String(cidr?.kind === 'string' && readNetwork(cidr.value) !== undefined),
  'net.cidr_merge': (_, cidrs) => merge(cidrs),
}

/** As written: a mapped network has 128 bits. */
function readNetwork(text: string): Network | undefined {
  const slash = text.indexOf('/')
  const address = slash === -1 ? undefined : readAddress(text.slice(0, slash))
  const prefix = text.slice(slash + 1)
  if (address === undefined || address.zone !== '' || !/^\d+$/.test(prefix) || Number(prefix) > address.bits) return undefined
  return masked(address.bits, address.value, Number(prefix))
}

function masked(bits: 32 | 128, value: bigint, prefix: number): Network {
  const host = BigInt(bits - prefix)
  return { bits, value: (value >> host) << host, prefix }
}

function containsMatches(cidrs: Term | undefined, others: Term | undefined): string | undefined {
  const outer = candidates(cidrs)
  if (outer === undefined) return undefined
  const inner = outer.length === 0 ? [] : candidates(others)
  if (inner === undefined) return undefined
  if (inner.length === 0) return 'set()'
  if (outer.length * inner.length > bounds.pairs) throw new BuiltinLimit(`net.cidr_contains_matches compares ${bounds.pairs} pairs at most`)
  const networks = outer.map(([cidr]) => comparable(readNetwork(cidr)))
  const within = inner.map(([cidr]) => comparable(single(cidr) ?? readNetwork(cidr)))
  const pairs: Term[] = []
  for (const [row, network] of networks.entries()) {
    for (const [column, other] of within.entries()) {
      if (network === undefined || other === undefined) return undefined
      const [a, b] = [outer[row], inner[column]]
      if (a !== undefined && b !== undefined && contains(network, other)) pairs.push({ kind: 'array', items: [a[1], b[1]] })
    }
  }
  return writeTerm({ kind: 'set', items: pairs })
}

/** What is compared, and what names it in the answer. Undefined when one of them is neither a text nor a list that begins with one. */
function candidates(term: Term | undefined): (readonly [string, Term])[] | undefined {
  if (term?.kind === 'string') return [[term.value, term]]
  const named: readonly (readonly [Term, Term])[] =
    term?.kind === 'object'
      ? term.entries.map(([key, value]) => [value, key] as const)
      : (itemsOf(term) ?? []).map((item, index) => [item, term?.kind === 'set' ? item : { kind: 'number', digits: String(index) }] as const)
  const found: [string, Term][] = []
  for (const [item, name] of named) {
    const cidr = item.kind === 'array' ? item.items[0] : item
    if (cidr?.kind !== 'string') return undefined
    found.push([cidr.value, name])
  }
  return found
}

function single(text: string): Network | undefined {
  const address = readAddress(text)
  return address === undefined || address.zone !== '' ? undefined : { bits: address.bits, value: address.value, prefix: address.bits }
}

/** A mapped network is compared as the one of IPv4 that it is. */
function comparable(network: Network | undefined): Network | undefined {
  if (network === undefined || network.bits === 32 || !isMapped(network.value) || network.prefix < 96) return network
  return { bits: 32, value: network.value & 0xffff_ffffn, prefix: network.prefix - 96 }
}

function contains(network: Network, other: Network): boolean {
  const host = BigInt(network.bits - network.prefix)
  return network.bits === other.bits && network.prefix <= other.prefix && network.value >> host === other.value >> host
}

function expand(text: string): string | undefined {
  const network = readNetwork(text)
  if (network === undefined) return undefined
  const { bits, value, prefix } = network
  if (2 ** (bits - prefix) > bounds.addresses) throw new BuiltinLimit(`net.cidr_expand gives ${bounds.addresses} addresses at most`)
  const addresses = Array.from({ length: 2 ** (bits - prefix) }, (_, index) => `"${writeAddress(bits, value + BigInt(index))}"`)
  return `{${addresses.join(',')}}`
}

function merge(term: Term | undefined): string | undefined {
  const ranges: Range[] = []
  for (const item of itemsOf(term) ?? [null]) {
    const range = item?.kind === 'string' ? rangeOf(item.value) : undefined
    if (range === undefined) return undefined
    ranges.push(range)
  }
  const merged = mergeRanges(ranges)
  return merged.length === 0 ? 'set()' : `{${[...new Set(merged)].map((text) => `"${text}"`).join(',')}}`
}

/** An address alone stands for its network of the days of classes, and keeps its name when it is not merged. */
function rangeOf(text: string): Range | undefined {
  const address = single(text)
  const network = address === undefined ? readNetwork(text) : classful(address)
  if (network === undefined) return undefined
  const { bits, value, prefix } = masked(network.bits, network.value, network.prefix)
  const written = comparable({ bits, value: network.value, prefix })
  if (written === undefined) return undefined
  const first = bits === 32 ? asMapped(value) : value
  return {
    first,
    last: first | ((1n << BigInt(bits - prefix)) - 1n),
    text: `${writeAddress(written.bits, written.value)}/${written.prefix}`,
  }
}

function classful(address: Network): Network | undefined {
  const { bits, value, prefix } = comparable(address) ?? address
  if (bits !== 32) return undefined
  const first = value >> 24n
  return { bits, value, prefix: first < 0x80n ? 8 : first < 0xc0n ? 16 : prefix - 8 }
}
