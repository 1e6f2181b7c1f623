/** A value of the policy language as the engine writes it: numbers keep their digits, sets are sets. */

export type Term =
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  /** The number as written: 64-bit integers and long fractions do not survive a double. */
  | { readonly kind: 'number'; readonly digits: string }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'array' | 'set'; readonly items: readonly Term[] }
  | { readonly kind: 'object'; readonly entries: readonly (readonly [Term, Term])[] }

/** Reads what the engine's `opa_value_dump` wrote: JSON plus `{a, b}`, `set()` and keys of any kind. Throws on anything else. */
export function readTerm(text: string): Term {
  const reader = new TermReader(text)
  const term = reader.term()
  reader.end()
  return term
}

/** Order of terms as the policy language defines it: by kind, then by value; strings by code point. */
export function compareTerms(a: Term, b: Term): number {
  const byKind = rank(a) - rank(b)
  if (byKind !== 0) return byKind
  if (a.kind === 'boolean' && b.kind === 'boolean') return Number(a.value) - Number(b.value)
  if (a.kind === 'number' && b.kind === 'number') return compareNumbers(a.digits, b.digits)
  if (a.kind === 'string' && b.kind === 'string') return Buffer.compare(Buffer.from(a.value), Buffer.from(b.value))
  return compareLists(parts(a), parts(b))
}

/** The term as the policy language prints it: sorted, `, ` and `: ` between, strings quoted. */
export function printTerm(term: Term): string {
  switch (term.kind) {
    case 'null':
      return 'null'
    case 'boolean':
      return String(term.value)
    case 'number':
      return term.digits
    case 'string':
      return quote(term.value)
    case 'array':
      return `[${term.items.map(printTerm).join(', ')}]`
    case 'set':
      return term.items.length === 0 ? 'set()' : `{${sorted(term.items).map(printTerm).join(', ')}}`
    case 'object':
      return `{${byKey(term.entries)
        .map(([key, value]) => `${printTerm(key)}: ${printTerm(value)}`)
        .join(', ')}}`
    default:
      return term satisfies never
  }
}

/** The term as the engine reads it: `readTerm` of it is the term again. */
export function writeTerm(term: Term): string {
  if (term.kind === 'string') return JSON.stringify(term.value)
  if (term.kind === 'array') return `[${term.items.map(writeTerm).join(',')}]`
  if (term.kind === 'set') return term.items.length === 0 ? 'set()' : `{${term.items.map(writeTerm).join(',')}}`
  if (term.kind === 'object') return `{${term.entries.map(([key, value]) => `${writeTerm(key)}:${writeTerm(value)}`).join(',')}}`
  return printTerm(term)
}

/** The term as JSON, as OPA makes it: a set is a sorted list, and a key that is no string is the text of its JSON. */
export function jsonOf(term: Term): string {
  if (term.kind === 'string') return JSON.stringify(term.value)
  if (term.kind === 'array') return `[${term.items.map(jsonOf).join(',')}]`
  if (term.kind === 'set') return `[${sorted(term.items).map(jsonOf).join(',')}]`
  if (term.kind === 'object') return `{${term.entries.map(([key, value]) => `${keyOf(key)}:${jsonOf(value)}`).join(',')}}`
  return printTerm(term)
}

function keyOf(key: Term): string {
  return key.kind === 'string' ? jsonOf(key) : JSON.stringify(jsonOf(key))
}

const escapes: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
}

const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u

/** One character as Go's strconv quotes it inside `mark`. */
export function quoteCharacter(character: string, mark: string, asciiOnly: boolean): string {
  if (character === mark) return `\\${mark}`
  const short = escapes[character]
  if (short !== undefined) return short
  const point = character.codePointAt(0) ?? 0
  if (point < 0x7f ? point >= 0x20 : !asciiOnly && printable.test(character)) return character
  const hex = point.toString(16)
  if (point < 0x80) return `\\x${hex.padStart(2, '0')}`
  return point < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
}

/** A string as Go's `strconv.Quote` (or `QuoteToASCII`) writes it. */
export function quote(value: string, asciiOnly = false): string {
  let text = '"'
  for (const character of value) text += quoteCharacter(character, '"', asciiOnly)
  return `${text}"`
}

class TermReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  term(): Term {
    while (this.#text[this.#at] === ' ') this.#at++
    const first = this.#text[this.#at]
    if (first === '"') return { kind: 'string', value: this.#string() }
    if (first === '[') return { kind: 'array', items: this.#items(']') }
    if (first === '{') return this.#braced()
    if (this.#take('null')) return { kind: 'null' }
    if (this.#take('true')) return { kind: 'boolean', value: true }
    if (this.#take('false')) return { kind: 'boolean', value: false }
    if (this.#take('set()')) return { kind: 'set', items: [] }
    return { kind: 'number', digits: this.#number() }
  }

  end(): void {
    if (this.#at !== this.#text.length) throw new Error('text after a term')
  }

  #take(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false
    this.#at += word.length
    return true
  }

  #number(): string {
    const start = this.#at
    while (this.#at < this.#text.length && '+-.0123456789eE'.includes(this.#text.charAt(this.#at))) this.#at++
    if (this.#at === start) throw new Error('not a term')
    return this.#text.slice(start, this.#at)
  }

  #string(): string {
    const start = this.#at++
    while (this.#text[this.#at] !== '"') {
      if (this.#at >= this.#text.length) throw new Error('a string without an end')
      this.#at += this.#text[this.#at] === '\\' ? 2 : 1
    }
    this.#at++
    return String(JSON.parse(this.#text.slice(start, this.#at)))
  }

  #items(close: string): Term[] {
    const items: Term[] = []
    this.#at++
    while (!this.#take(close)) {
      if (items.length > 0 && !this.#take(',')) throw new Error('not a list')
      items.push(this.term())
    }
    return items
  }

  /** `{}` is the empty object; `{a` followed by a colon begins an object, by anything else a set. */
  #braced(): Term {
    this.#at++
    const entries: [Term, Term][] = []
    const items: Term[] = []
    while (!this.#take('}')) {
      if (entries.length + items.length > 0 && !this.#take(',')) throw new Error('not a collection')
      const key = this.term()
      if (this.#take(':')) entries.push([key, this.term()])
      else items.push(key)
    }
    return items.length > 0 ? { kind: 'set', items } : { kind: 'object', entries }
  }
}

const ranks = { null: 0, boolean: 1, number: 2, string: 3, array: 4, object: 5, set: 6 } as const

function rank(term: Term): number {
  return ranks[term.kind]
}

function compareNumbers(a: string, b: string): number {
  const integers = !/[.eE]/.test(a) && !/[.eE]/.test(b)
  const [x, y] = integers ? [BigInt(a), BigInt(b)] : [Number(a), Number(b)]
  return x < y ? -1 : Number(x > y)
}

/** What a collection is compared by: items in order, or each key and its value in the order of keys. */
function parts(term: Term): readonly Term[] {
  if (term.kind === 'array') return term.items
  if (term.kind === 'set') return sorted(term.items)
  if (term.kind !== 'object') return []
  return byKey(term.entries).flat()
}

function sorted(items: readonly Term[]): readonly Term[] {
  return [...items].sort(compareTerms)
}

function byKey(entries: readonly (readonly [Term, Term])[]): readonly (readonly [Term, Term])[] {
  return [...entries].sort(([a], [b]) => compareTerms(a, b))
}

function compareLists(a: readonly Term[], b: readonly Term[]): number {
  for (const [index, item] of a.entries()) {
    const other = b[index]
    if (other === undefined) return 1
    const order = compareTerms(item, other)
    if (order !== 0) return order
  }
  return a.length - b.length
}
