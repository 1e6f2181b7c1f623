/**
 * How a secret may be written: as a row of units, each a set of characters that may stand there. Every character may besides be escaped
 * (escapes.ts). Three forms: as it is, in hex, in base64 at one of three offsets.
 */
import { entityOf } from './escapes.ts'

/** Fewer characters of a secret than this say nothing: masking them would spoil answers and hide no secret. */
export const shortest = 8
/** A run of this part of a secret is masked: logs shorten tokens. */
const part = 0.6

/** One form of one secret. */
export interface Form {
  /** By unit: 1 at each byte that may stand there. */
  readonly units: readonly Uint8Array[]
  /** Units that a run must have to be masked. */
  readonly least: number
  /** By byte: the units it may be. */
  readonly unitsOf: readonly (readonly number[])[]
}

/** A text that stands for some units in the middle of a form in one way of writing; every run that is long enough holds one. */
export interface Anchor {
  readonly form: Form
  /** The first unit. */
  readonly unit: number
  /** How each unit is written, from the first on. */
  readonly tokens: readonly string[]
}

/** A form with what is needed to make its anchors. */
export interface Spelled {
  readonly form: Form
  /** The units that do not depend on what stands beside the secret. */
  readonly from: number
  readonly to: number
  readonly ways: readonly Way[]
}

/** One way of writing the units of a form. */
interface Way {
  readonly tokens: readonly string[]
  /** Characters before each unit, and of all. */
  readonly offsets: readonly number[]
}

/** Takes a secret, and what share of it is a run; none where it is too short to be told from other text. */
export function spellingsOf(text: string, share = part): readonly Spelled[] {
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length < shortest) return []
  return [plain(bytes, share), hex(bytes, share), ...[0, 1, 2].map((offset) => base64(bytes, offset, share))]
}

function plain(bytes: Buffer, share: number): Spelled {
  const characters = Array.from(bytes, (byte) => String.fromCharCode(byte))
  const form = formOf(characters, leastOf(bytes.length, share))
  const there = [...new Set(bytes)]
  // for most secrets many ways of writing are one
  const ways = new Map(tables().map((table) => [there.map((byte) => table[byte]).join(' '), table]))
  return {
    form,
    from: 0,
    to: bytes.length,
    ways: Array.from(ways.values(), (table) => wayOf(Array.from(bytes, (byte) => table[byte] ?? ''))),
  }
}

function hex(bytes: Buffer, share: number): Spelled {
  const lower = bytes.toString('hex').split('')
  const upper = lower.map((digit) => digit.toUpperCase())
  const form = formOf(
    lower.map((digit, index) => digit + (upper[index] ?? '')),
    leastOf(lower.length, share, 2 * shortest),
  )
  return { form, from: 0, to: lower.length, ways: [wayOf(lower), wayOf(upper)] }
}

/** What the text looks like in base64 when `offset` bytes of a group of three stand before it. */
function base64(bytes: Buffer, offset: number, share: number): Spelled {
  const after = (3 - ((offset + bytes.length) % 3)) % 3
  const around = [0, 255].map((fill) => Buffer.concat([Buffer.alloc(offset, fill), bytes, Buffer.alloc(after, fill)]).toString('base64'))
  const [low = '', high = ''] = around
  const symbols = low.split('').map((symbol, index) => between(symbol, high[index] ?? ''))
  // a symbol that holds no bit of the secret is none of it
  const first = Math.floor((offset * 8) / 6)
  const last = low.length - Math.floor((after * 8) / 6)
  const units = symbols.slice(first, last)
  const from = low[first] === high[first] ? 0 : 1
  const to = low[last - 1] === high[last - 1] ? units.length : units.length - 1
  const form = formOf(
    units.map((each) => each.map((symbol) => symbolsOf(symbol)).join('')),
    leastOf(to - from, share),
  )
  const symbolsThere = low.split('').slice(first, last)
  return { form, from, to, ways: base64Writings.map((write) => wayOf(symbolsThere.map(write))) }
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** All symbols whose fixed bits are those of both: what lies between depends on the neighbour. */
function between(low: string, high: string): readonly string[] {
  if (low === high) return [low]
  const [bottom, top] = [alphabet.indexOf(low), alphabet.indexOf(high)]
  const free = bottom ^ top
  return alphabet.split('').filter((_symbol, value) => (value & ~free) === (bottom & ~free))
}

function symbolsOf(symbol: string): string {
  return symbol === '+' ? '+-' : symbol === '/' ? '/_' : symbol
}

function wayOf(tokens: readonly string[]): Way {
  const offsets = [0]
  let length = 0
  for (const token of tokens) offsets.push((length += token.length))
  return { tokens, offsets }
}

/** Of so many units, how many are a run that is masked. */
export function leastOf(units: number, share = part, floor = shortest): number {
  return Math.min(units, Math.max(floor, Math.ceil(units * share)))
}

function formOf(sets: readonly string[], least: number): Form {
  const known = new Map<string, { readonly flags: Uint8Array; readonly bytes: readonly number[] }>()
  const unitsOf: number[][] = Array.from({ length: 256 }, () => [])
  const units = sets.map((set, index) => {
    let one = known.get(set)
    if (one === undefined) {
      const bytes = [...new Set(Buffer.from(set, 'latin1'))]
      const flags = new Uint8Array(256)
      for (const byte of bytes) flags[byte] = 1
      one = { flags, bytes }
      known.set(set, one)
    }
    for (const byte of one.bytes) unitsOf[byte]?.push(index)
    return one.flags
  })
  return { units, least, unitsOf }
}

type Write = (char: string) => string

const hexOf = (char: string): string => char.charCodeAt(0).toString(16).padStart(2, '0')
const upperHexOf = (char: string): string => hexOf(char).toUpperCase()

/** Writes what a pattern finds in one way and leaves the rest. */
function only(which: RegExp, write: Write): Write {
  return (char) => (which.test(char) ? write(char) : char)
}

/** What URL encoders escape: all but letters and digits, RFC 3986, encodeURIComponent, forms, encodeURI. */
const reserved = [/[^A-Za-z0-9]/, /[^A-Za-z0-9._~-]/, /[^A-Za-z0-9._~!*'()-]/, /[^A-Za-z0-9._*-]/, /[^A-Za-z0-9._~!*'();/?:@&=+$,#-]/]

/** What JSON encoders escape by its number: nothing, what HTML would read (Go, PHP), that and more (.NET), all but letters and digits. */
const numbered = [/[^\s\S]/, /[<>&]/, /[<>&'"]/, /[<>&'"+`]/, /[^A-Za-z0-9]/]

const htmlSpecial = /[&<>"']/

/** Entities as frameworks write them: `'` and `"` have several. */
const html: readonly Write[] = ['&#39;', '&#039;', '&#x27;', '&apos;'].flatMap((apostrophe) =>
  ['&quot;', '&#34;'].map((quote) =>
    only(htmlSpecial, (char) => (char === "'" ? apostrophe : char === '"' ? quote : `&${entityOf.get(char) ?? ''};`)),
  ),
)

const everywhere = /[\s\S]/
const symbolic = /[^A-Za-z0-9]/

const json: Write = (char) => (char === '"' || char === '\\' ? `\\${char}` : char)

const hexes = [hexOf, upperHexOf]

/** All ways of writing the characters of a secret. */
const writings: readonly Write[] = [
  (char) => char,
  ...[...reserved, everywhere].flatMap((which) => hexes.map((digits) => only(which, (char) => `%${digits(char)}`))),
  only(/[^A-Za-z0-9._*-]/, (char) => (char === ' ' ? '+' : `%${upperHexOf(char)}`)),
  ...[...numbered, everywhere].flatMap((which) =>
    hexes.map(
      (digits): Write =>
        (char) =>
          which.test(char) ? `\\u00${digits(char)}` : json(char),
    ),
  ),
  (char) => (char === '/' ? '\\/' : json(char)),
  ...html,
  only(htmlSpecial, (char) => `&${entityOf.get(char) ?? ''};`),
  only(symbolic, (char) => (entityOf.has(char) ? `&${entityOf.get(char) ?? ''};` : char)),
  ...[htmlSpecial, symbolic, everywhere].flatMap((which) => [
    only(which, (char) => `&#${char.charCodeAt(0)};`),
    ...hexes.map((digits) => only(which, (char) => `&#x${digits(char)};`)),
  ]),
  ...[/=/, symbolic, everywhere].flatMap((which) => hexes.map((digits) => only(which, (char) => `=${digits(char)}`))),
]

let written: readonly (readonly string[])[] | null = null

/** By way of writing and byte. */
function tables(): readonly (readonly string[])[] {
  written ??= writings.map((write) => Array.from({ length: 256 }, (_, byte) => write(String.fromCharCode(byte))))
  return written
}

const base64Writings: readonly Write[] = [
  (symbol) => symbol,
  (symbol) => (symbol === '+' ? '-' : symbol === '/' ? '_' : symbol),
  only(/[+/]/, (symbol) => `%${upperHexOf(symbol)}`),
  only(/[+/]/, (symbol) => `%${hexOf(symbol)}`),
  only(/\//, () => '\\/'),
]

/**
 * The anchors of a form: windows of units so placed that every run of `least` units holds a whole one, as few as give each at least `length` bytes.
 * Null where even `most` windows for each way of writing are shorter.
 */
export function anchorsOf({ form, from, to, ways }: Spelled, length: number, most: number): readonly Anchor[] | null {
  const anchors: Anchor[] = []
  const known = new Set<string>()
  for (const way of ways) {
    const windows = windowsOf(form.least, from, to, way, length, most)
    if (windows === null) return null
    for (const [start, end] of windows) {
      const tokens = way.tokens.slice(start, end)
      const name = `${start} ${tokens.join('')}`
      if (!known.has(name)) anchors.push({ form, unit: start, tokens })
      known.add(name)
    }
  }
  return anchors
}

type Window = readonly [start: number, end: number]

function windowsOf(least: number, from: number, to: number, { offsets }: Way, length: number, most: number): Window[] | null {
  const starts = to - from - least + 1
  for (let count = 1; count <= Math.min(most, starts); count++) {
    const each = Math.ceil(starts / count)
    const windows: Window[] = []
    for (let first = 0; first < starts; first += each) {
      // from the last start of the group to the first end; no more of it than is looked for
      const start = from + Math.min(first + each, starts) - 1
      const end = from + first + least
      if ((offsets[end] ?? 0) - (offsets[start] ?? 0) < length) break
      let enough = start + 1
      while ((offsets[enough] ?? 0) - (offsets[start] ?? 0) < length) enough++
      windows.push([start, enough])
    }
    if (windows.length === Math.ceil(starts / each)) return windows
  }
  return null
}
