/** Reads JSON without losing how it was written: a number keeps its digits, so that what is hashed and judged is what was signed. */

import { BundleFault } from './fault.ts'

/** A value of JSON. A scalar is its canonical text: `1.50`, `true`, `"a"` with its quotes. */
export type JsonTree = string | readonly JsonTree[] | ReadonlyMap<string, JsonTree>

const deepest = 256
const mostValues = 1_000_000
const longestNumber = 512

/**
 * Takes the bytes of one document and what to call it in a fault. RFC 8259 to the letter and stricter: UTF-8 without a byte order mark
 * or lone surrogates, no key twice, at most 256 levels, a million values, numbers of 512 characters. Throws BundleFault.
 */
export function readTree(bytes: Uint8Array, name: string): JsonTree {
  try {
    return new Reading(utf8(bytes)).document()
  } catch (error) {
    throw new BundleFault(`${name} is not JSON: ${error instanceof Error ? error.message : 'unreadable'}`, { cause: error })
  }
}

/** The text of UTF-8 bytes. Throws an Error for what is not UTF-8 or begins with a byte order mark. */
export function utf8(bytes: Uint8Array): string {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new Error('not UTF-8', { cause })
  }
  if (text.startsWith('\ufeff')) throw new Error('a byte order mark')
  return text
}

/** A string as it stands in canonical text: `<`, `>` and `&` as they are, U+2028 and U+2029 escaped, as Go writes it. */
export function quoted(text: string): string {
  return JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
}

/** The value as JavaScript has it; numbers become doubles, objects have no prototype. */
export function plain(tree: JsonTree): unknown {
  if (typeof tree === 'string') return JSON.parse(tree)
  if (!isObject(tree)) return tree.map(plain)
  const value = Object.create(null) as Record<string, unknown>
  for (const [key, member] of tree) value[key] = plain(member)
  return value
}

export function isObject(tree: JsonTree | undefined): tree is ReadonlyMap<string, JsonTree> {
  return tree instanceof Map
}

/**
 * The members of an object of which `known` are read. A name that differs from a known one only in case is refused: OPA takes it for the
 * known one. Throws BundleFault.
 */
export function members(tree: JsonTree, what: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (!isObject(tree)) throw new BundleFault(`${what} is not an object`)
  for (const key of tree.keys()) {
    const folded = key.toUpperCase().toLowerCase()
    if (folded !== key && known.includes(folded)) throw new BundleFault(`${what} has ${JSON.stringify(key)}: it is written ${folded}`)
  }
  return plain(tree) as Readonly<Record<string, unknown>>
}

/** One pass over one text. */
class Reading {
  readonly #text: string
  #at = 0
  #values = 0

  constructor(text: string) {
    this.#text = text
  }

  document(): JsonTree {
    const tree = this.#value(0)
    this.#space()
    if (this.#at !== this.#text.length) throw this.#wrong()
    return tree
  }

  #value(depth: number): JsonTree {
    if (++this.#values > mostValues) throw new Error(`more than ${mostValues} values`)
    this.#space()
    const first = this.#text[this.#at]
    if (depth === deepest && (first === '{' || first === '[')) throw new Error(`more than ${deepest} levels`)
    if (first === '{') return this.#object(depth + 1)
    if (first === '[') return this.#array(depth + 1)
    if (first === '"') return quoted(this.#string())
    for (const word of ['true', 'false', 'null']) if (this.#text.startsWith(word, this.#at)) return this.#taken(word)
    return this.#number()
  }

  #object(depth: number): JsonTree {
    const object = new Map<string, JsonTree>()
    this.#at++
    if (this.#is('}')) return object
    do {
      this.#space()
      if (this.#text[this.#at] !== '"') throw this.#wrong()
      const key = this.#string()
      if (object.has(key)) throw new Error(`the key ${JSON.stringify(key).slice(0, 100)} is there twice`)
      if (!this.#is(':')) throw this.#wrong()
      object.set(key, this.#value(depth))
    } while (this.#is(','))
    if (!this.#is('}')) throw this.#wrong()
    return object
  }

  #array(depth: number): JsonTree {
    const items: JsonTree[] = []
    this.#at++
    if (this.#is(']')) return items
    do items.push(this.#value(depth))
    while (this.#is(','))
    if (!this.#is(']')) throw this.#wrong()
    return items
  }

  #string(): string {
    const start = this.#at++
    for (; this.#text[this.#at] !== '"'; this.#at++) {
      if (this.#at >= this.#text.length) throw this.#wrong()
      if (this.#text[this.#at] === '\\') this.#at++
    }
    const text = unquoted(this.#text.slice(start, ++this.#at))
    if (!text.isWellFormed()) throw new Error('a lone surrogate')
    return text
  }

  #number(): string {
    let end = this.#at
    while (end - this.#at <= longestNumber && '+-.0123456789Ee'.includes(this.#text[end] ?? ' ')) end++
    const lexeme = this.#text.slice(this.#at, end)
    if (lexeme.length > longestNumber) throw new Error(`a number of more than ${longestNumber} characters`)
    if (!/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(lexeme)) throw this.#wrong()
    return this.#taken(lexeme)
  }

  #taken(lexeme: string): string {
    this.#at += lexeme.length
    return lexeme
  }

  /** Whether this sign is next after white space; then it is passed. */
  #is(sign: string): boolean {
    this.#space()
    if (this.#text[this.#at] !== sign) return false
    this.#at++
    return true
  }

  #space(): void {
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at)
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return
      this.#at++
    }
  }

  #wrong(): Error {
    return new Error(`unexpected at character ${this.#at}`)
  }
}

/** The engine reads one string, its quotes included; it knows the escapes and refuses control characters. */
function unquoted(lexeme: string): string {
  try {
    return JSON.parse(lexeme) as string
  } catch (cause) {
    throw new Error('a string with an escape or a character that JSON does not have', { cause })
  }
}
