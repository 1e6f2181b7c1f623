/** Pieces of JSON text that the policy input is assembled from. Every text is quoted here: nothing is spliced in as it came. */

import { Refusal } from '../refusal.ts'

/** A bound on one part of the input, and who must act when it is passed. */
export interface Cap {
  /** UTF-16 units, members or items. */
  readonly most: number
  /** As the agent may read it, such as `the path`. */
  readonly what: string
  /** `agent`: the call itself is too large. `operator`: what was configured or kept about it is. */
  readonly fault: 'agent' | 'operator'
}

/**
 * The refusal of a part that policy could not see whole. Nothing is ever cut to fit: a rule that judges the first half of a
 * value allows the second unseen.
 */
export function exceeded(cap: Cap): Refusal {
  return cap.fault === 'agent'
    ? new Refusal('listen.too-large', { reasons: [`${cap.what} is larger than policy can see`] })
    : new Refusal('decide.unavailable', { retry: 'never', detail: `${cap.what} is larger than policy can see (${cap.most})` })
}

/** Quotes a text; half a surrogate pair, on which the engine would abort, becomes U+FFFD. */
export function text(value: string, cap: Cap): string {
  if (value.length > cap.most) throw exceeded(cap)
  return cap.fault === 'operator' && value.length <= longestKept ? kept(value) : JSON.stringify(value.toWellFormed())
}

/** Names that were configured come back with every call: text → quoted. Written by `kept`; emptied when it is full. */
const quotes = new Map<string, string>()
const mostKept = 4096
const longestKept = 128

function kept(value: string): string {
  let known = quotes.get(value)
  if (known === undefined) {
    if (quotes.size >= mostKept) quotes.clear()
    quotes.set(value, (known = JSON.stringify(value.toWellFormed())))
  }
  return known
}

export function textOrNull(value: string | null, cap: Cap): string {
  return value === null ? 'null' : text(value, cap)
}

/**
 * The same text in one piece. A text put together from others stays a tree of them, which every reader climbs through again:
 * what is kept for many calls is made one piece first.
 */
export function onePiece(made: string): string {
  return Buffer.from(made, 'utf8').toString('utf8')
}

/** A list of texts. */
export function texts(values: readonly string[], count: Cap, each: Cap): string {
  if (values.length > count.most) throw exceeded(count)
  let items = ''
  for (const value of values) items += items === '' ? text(value, each) : `,${text(value, each)}`
  return `[${items}]`
}

/** A finite number; anything else has no JSON form. */
export function number(value: number, what: string): string {
  if (!Number.isFinite(value)) throw new Refusal('decide.unavailable', { retry: 'never', detail: `${what} is not a finite number` })
  return String(value)
}

/** An object of numbers. */
export function numbers(record: Readonly<Record<string, number>>, count: Cap, name: Cap): string {
  const keys = Object.keys(record)
  const [first] = keys
  if (first === undefined) return '{}'
  if (keys.length === 1) return `{${text(first, name)}:${number(record[first] ?? NaN, name.what)}}`
  const members = new Members(count)
  for (const key of keys) members.add(key, number(record[key] ?? NaN, name.what), name)
  return members.end()
}

/** Assembles one object. Keys that are the same once well-formed would be one key twice, so the second is refused. */
export class Members {
  readonly #cap: Cap
  #count = 0
  #first = ''
  /** From the second key on. */
  #seen: Set<string> | null = null
  #text = ''

  constructor(cap: Cap) {
    this.#cap = cap
  }

  /** `value` is JSON text already. */
  add(key: string, value: string, name: Cap): void {
    const quoted = text(key, name)
    if (this.#count >= this.#cap.most) throw exceeded(this.#cap)
    if (this.#count === 0) this.#first = quoted
    else if ((this.#seen ??= new Set([this.#first])).has(quoted)) throw exceeded(this.#cap)
    else this.#seen.add(quoted)
    this.#count++
    this.#text += `${this.#text === '' ? '' : ','}${quoted}:${value}`
  }

  end(): string {
    return `{${this.#text}}`
  }
}

/** Any JSON value that came from elsewhere, such as a claim: bounded in depth, members and text. What JSON has no form for is null. */
export function anything(value: unknown, cap: Cap, each: Cap, depth = 6): string {
  if (typeof value === 'string') return text(value, each)
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null'
  if (value === null || typeof value !== 'object') return 'null'
  if (depth === 0) throw exceeded(cap)
  if (Array.isArray(value)) {
    if (value.length > cap.most) throw exceeded(cap)
    return `[${value.map((item) => anything(item, cap, each, depth - 1)).join(',')}]`
  }
  const members = new Members(cap)
  for (const [key, inner] of Object.entries(value)) members.add(key, anything(inner, cap, each, depth - 1), each)
  return members.end()
}
