/** Masks and drops places of a JSON document in its bytes: all else stays as it was written, to the byte. */
import { isUtf8 } from 'node:buffer'
import { notJson, SpliceFault, Tokens } from './json-tokens.ts'

/** What is to change, as JSON pointers (RFC 6901); a segment `*` stands for every member or item. */
export interface Change {
  /** Strings become `"***"`, all other values `null`: the length of what stood there is not told. */
  readonly mask: readonly string[]
  /** Members and items vanish with their comma. Where both are asked for, dropping wins. */
  readonly drop: readonly string[]
  /** Compares keys without regard to case: to some readers `SSN` is `ssn`, and whoever wrote the document may count on it. */
  readonly anyCase?: boolean
}

export interface Spliced {
  readonly bytes: Uint8Array
  /** Values that were masked; a value inside a masked one is not counted. */
  readonly masked: number
  readonly dropped: number
}

/** Arrays and objects inside one another: no deeper than what policy may read. */
const deepest = 64

/**
 * Takes one JSON document as UTF-8 bytes. Gives a new one, or the very same bytes when no place was found.
 * Keys are compared after unescaping, and of a key that stands there twice both are changed. A place that is not there is no fault.
 * Throws a SpliceFault for anything but one strict RFC 8259 document (see `Tokens`), for one nested deeper than 64,
 * and for a text that is no pointer: what cannot be read cannot be masked.
 */
export function spliceJson(bytes: Uint8Array, change: Change): Uint8Array {
  return spliced(bytes, change).bytes
}

/** The same, and how much was changed. */
export function spliced(bytes: Uint8Array, change: Change): Spliced {
  const root = new Place()
  const named = change.anyCase === true ? folded : asWritten
  for (const pointer of change.mask) place(root, pointer, named).masked = true
  for (const pointer of change.drop) place(root, pointer, named).dropped = true
  if (root.dropped) throw new SpliceFault('a document cannot be dropped from itself')
  if (!isUtf8(bytes)) throw new SpliceFault('not UTF-8')
  return new Splice(bytes, named).document(root)
}

/** What a key is compared as. */
type Named = (key: string) => string

const asWritten: Named = (key) => key

/** As the strict reader tells twins apart (match/json.ts): upper case first, for it joins letters that lower case alone keeps apart. */
const folded: Named = (key) => key.toUpperCase().toLowerCase()

/** A node in the tree of all pointers. */
class Place {
  masked = false
  dropped = false
  every: Place | null = null
  readonly named = new Map<string, Place>()
}

function place(root: Place, pointer: string, named: Named): Place {
  if (pointer === '') return root
  if (!/^(\/([^~/]|~[01])*)+$/u.test(pointer)) throw new SpliceFault('not a JSON pointer')
  let at = root
  for (const segment of pointer.slice(1).split('/')) {
    const name = named(segment.replaceAll('~1', '/').replaceAll('~0', '~'))
    if (segment === '*') at = at.every ??= new Place()
    else {
      const next = at.named.get(name) ?? new Place()
      at.named.set(name, next)
      at = next
    }
  }
  return at
}

/** The places that a value is at: several pointers may lead to one value. */
type Places = readonly Place[]

const nowhere: Places = []
const star = Buffer.from('"***"')
const nothing = Buffer.from('null')

/** One walk through one document. */
class Splice {
  readonly #bytes: Uint8Array
  readonly #tokens: Tokens
  readonly #named: Named
  readonly #pieces: Uint8Array[] = []
  /** Bytes before this one are in the pieces, or gone. */
  #copied = 0
  #depth = 0
  #masked = 0
  #dropped = 0

  constructor(bytes: Uint8Array, named: Named) {
    this.#bytes = bytes
    this.#tokens = new Tokens(bytes)
    this.#named = named
  }

  document(root: Place): Spliced {
    this.#value([root])
    if (this.#tokens.next() !== -1) throw notJson()
    if (this.#masked === 0 && this.#dropped === 0) return { bytes: this.#bytes, masked: 0, dropped: 0 }
    this.#replace(this.#bytes.length, this.#bytes.length, null)
    return { bytes: Buffer.concat(this.#pieces), masked: this.#masked, dropped: this.#dropped }
  }

  #value(places: Places): void {
    const first = this.#tokens.next()
    const from = this.#tokens.at
    const masked = places.some((each) => each.masked)
    const inside = masked ? nowhere : places
    if (first === 0x22) this.#tokens.string()
    else if (first === 0x7b) this.#object(inside)
    else if (first === 0x5b) this.#array(inside)
    else this.#tokens.scalar()
    if (!masked) return
    this.#masked++
    this.#replace(from, this.#tokens.at, first === 0x22 ? star : nothing)
  }

  #object(places: Places): void {
    this.#enter()
    const members = new Members((from, to) => this.#drop(from, to))
    if (!this.#tokens.take(0x7d)) {
      do {
        this.#tokens.next()
        const start = this.#tokens.at
        const inner = this.#key(places)
        if (!this.#tokens.take(0x3a)) throw notJson()
        this.#member(members, start, inner)
      } while (this.#tokens.take(0x2c))
      if (!this.#tokens.take(0x7d)) throw notJson()
    }
    members.end()
    this.#depth--
  }

  #array(places: Places): void {
    this.#enter()
    const members = new Members((from, to) => this.#drop(from, to))
    if (!this.#tokens.take(0x5d)) {
      let index = 0
      do {
        this.#tokens.next()
        this.#member(members, this.#tokens.at, places.length === 0 ? nowhere : below(places, String(index++)))
      } while (this.#tokens.take(0x2c))
      if (!this.#tokens.take(0x5d)) throw notJson()
    }
    members.end()
    this.#depth--
  }

  #enter(): void {
    if (++this.#depth > deepest) throw new SpliceFault('nested too deeply')
    this.#tokens.at++
  }

  #member(members: Members, start: number, places: Places): void {
    const dropped = places.some((each) => each.dropped)
    if (!dropped) members.keep(start)
    else this.#dropped++
    this.#value(dropped ? nowhere : places)
    members.done(start, this.#tokens.at, dropped)
  }

  /** Where the member of the key at hand is. A key read alone is read right: see match/json-keys.ts. */
  #key(places: Places): Places {
    const from = this.#tokens.at
    const escaped = this.#tokens.string()
    if (places.length === 0) return nowhere
    const written = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + from, this.#tokens.at - from).toString('utf8')
    return below(places, this.#named(escaped ? (JSON.parse(written) as string) : written.slice(1, -1)))
  }

  #drop(from: number, to: number): void {
    this.#replace(from, to, null)
  }

  #replace(from: number, to: number, by: Uint8Array | null): void {
    if (from > this.#copied) this.#pieces.push(this.#bytes.subarray(this.#copied, from))
    if (by !== null) this.#pieces.push(by)
    this.#copied = to
  }
}

/** The members or items of one container: which comma goes with a dropped one. */
class Members {
  readonly #drop: (from: number, to: number) => void
  #kept = false
  /** Where the dropped ones began that stand before any kept one. */
  #leading = -1
  /** Where the member before ended. */
  #ended = -1

  constructor(drop: (from: number, to: number) => void) {
    this.#drop = drop
  }

  /** A member that stays begins: what was dropped before the first of them goes with the comma after it. */
  keep(start: number): void {
    if (!this.#kept && this.#leading !== -1) this.#drop(this.#leading, start)
    this.#kept = true
  }

  /** A member is over: one dropped after a kept one goes with the comma before it. */
  done(start: number, end: number, dropped: boolean): void {
    if (dropped && this.#kept) this.#drop(this.#ended, end)
    else if (dropped && this.#leading === -1) this.#leading = start
    this.#ended = end
  }

  end(): void {
    if (!this.#kept && this.#leading !== -1) this.#drop(this.#leading, this.#ended)
  }
}

function below(places: Places, name: string): Places {
  if (places.length === 0) return nowhere
  const found: Place[] = []
  for (const { named, every } of places) {
    const one = named.get(name)
    if (one !== undefined) found.push(one)
    if (every !== null) found.push(every)
  }
  return found
}
