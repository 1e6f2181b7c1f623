/** The strict JSON reader: what policy judges must be what every other parser would read from the same bytes. */

import { JsonFault } from './json-fault.ts'
import { Reading } from './json-keys.ts'
import { scan } from './json-scan.ts'

/** Bounds on a document. `depth` refuses; past the others the document is sound but not judged. */
export interface JsonCaps {
  /** Most arrays and objects inside one another. */
  readonly depth: number
  /** Most members of one object. */
  readonly members: number
  /** Most items of one array. */
  readonly items: number
  /** Longest string or key, UTF-16 units. */
  readonly string: number
}

/** The bounds in force; a policy is measured at them before it is activated. */
export const jsonCaps: JsonCaps = { depth: 64, members: 1024, items: 8192, string: 65_536 }

export interface JsonDocument {
  readonly value: unknown
  /** The cap that the document exceeds; such a value must not be judged. */
  readonly beyond: 'members' | 'items' | 'string' | null
}

/**
 * Reads one RFC 8259 document from UTF-8 bytes. Objects of the answer have no prototype, so `__proto__` is a key like any other.
 * Throws JsonFault on all that two parsers may read differently: what RFC 8259 §2 does not derive, a byte order mark or
 * non-UTF-8 (§8.1), lone surrogates (§8.2), two keys of one object that are the same after unescaping (§4) or differ only in case,
 * NUL in a key, numbers beyond what a double holds (§6), and nesting deeper than `caps.depth` (§9).
 */
export function readJson(bytes: Uint8Array, caps: JsonCaps = jsonCaps): JsonDocument {
  const text = decode(bytes)
  const { pairs, escapedKeys } = scan(text, caps.depth)
  const parsed = parse(text)
  const rebuilt = new Rebuild(caps)
  const value = rebuilt.value(escapedKeys ? new Reading(text).value() : parsed)
  // A parser keeps one of two equal keys, and with the other drops all its value held: fewer pairs are left than colons were written.
  if (rebuilt.pairs !== pairs) throw new JsonFault('an object has the same key twice')
  return { value, beyond: rebuilt.beyond }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decode(bytes: Uint8Array): string {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch (cause) {
    throw new JsonFault('not UTF-8', { cause })
  }
  if (text.charCodeAt(0) === 0xfeff) throw new JsonFault('a byte order mark')
  return text
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // the engine's message quotes the document, so it is not kept even as a cause
    throw new JsonFault('not JSON')
  }
}

/** Rebuilds parsed values without prototypes, checks every string, and counts what it saw. Recursion is bounded by the scan. */
class Rebuild {
  pairs = 0
  beyond: JsonDocument['beyond'] = null
  readonly #caps: JsonCaps

  constructor(caps: JsonCaps) {
    this.#caps = caps
  }

  value(value: unknown): unknown {
    if (typeof value === 'string') return this.#string(value)
    if (value === null || typeof value !== 'object') return value
    return Array.isArray(value) ? this.#array(value) : this.#object(value as Record<string, unknown>)
  }

  #string(value: string): string {
    if (!value.isWellFormed()) throw new JsonFault('a lone surrogate')
    if (value.length > this.#caps.string) this.beyond = 'string'
    return value
  }

  #array(items: unknown[]): unknown[] {
    if (items.length > this.#caps.items) this.beyond = 'items'
    for (let at = 0; at < items.length; at++) items[at] = this.value(items[at])
    return items
  }

  #object(parsed: Record<string, unknown>): Record<string, unknown> {
    const keys = Object.keys(parsed)
    this.pairs += keys.length
    if (keys.length > this.#caps.members) this.beyond = 'members'
    if (keys.length > 1) checkCaseTwins(keys)
    const rebuilt = Object.create(null) as Record<string, unknown>
    for (const key of keys) {
      if (key.includes('\0')) throw new JsonFault('NUL in a key')
      rebuilt[this.#string(key)] = this.value(parsed[key])
    }
    return rebuilt
  }
}

/** Some readers match keys without regard to case: to them `amount` and `Amount` are the same key twice. */
function checkCaseTwins(keys: readonly string[]): void {
  if (!keys.some(hasCase)) return
  const folded = new Set<string>()
  // upper case first: it joins letters such as the long s that lower case alone keeps apart
  for (const key of keys) folded.add(key.toUpperCase().toLowerCase())
  if (folded.size !== keys.length) throw new JsonFault('an object has two keys that differ only in case')
}

/** Whether a key may be the twin of a key in plain lower case: it has a capital, or a letter beyond ASCII. */
function hasCase(key: string): boolean {
  for (let at = 0; at < key.length; at++) {
    const unit = key.charCodeAt(at)
    if ((unit >= 0x41 && unit <= 0x5a) || unit > 0x7f) return true
  }
  return false
}
