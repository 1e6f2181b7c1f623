/**
 * Looks at the bytes of a stored line before it is parsed. It may let through what the filter will refuse, and never the other way round:
 * a text that the filter asks for stands in the line as it is, unless the line spells a character of it as an escape; then it is parsed.
 */

import type { Filter, Listed } from './filter.ts'
import { inTime } from './filter.ts'

/** One condition of a filter: one of these stands in a line that fits. */
interface Condition {
  readonly needles: readonly Buffer[]
  /** Whether a needle has a character that may be spelled `\/`. */
  readonly slash: boolean
}

/** Texts that a decision cannot do without. */
const decisionTexts: Readonly<Record<string, readonly string[]>> = {
  allow: ['"decision"', '"outcome"'],
  deny: ['"code"', '"refusal"'],
  ask: ['approve.required', 'approval.opened'],
  defer: ['approve.deferred', 'defer.opened'],
}
const unicodeEscape = Buffer.from('\\u')
const slashEscape = Buffer.from('\\/')
const timeMember = Buffer.from('"timestamp"')
/** Where the time stands in every line that Countersign writes, and nothing before it but an id. */
const headForm = /^\{"decision_id":"[\w-]{1,64}","timestamp":"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{1,9}Z)"/
const mostHead = 160

export class Prefilter {
  readonly #filter: Filter
  readonly #conditions: readonly Condition[]
  /** Bits of all conditions. */
  readonly all: number

  constructor(filter: Filter) {
    this.#filter = filter
    // what is wanted is what does not fit: no needle speaks for that
    const conditions = filter.not ? [] : [...filter.lists].map(([name, words]) => conditionOf(name, words))
    this.#conditions = conditions.filter((condition) => condition !== null)
    this.all = 2 ** this.#conditions.length - 1
  }

  /** Whether the filter surely refuses this line. */
  rejects(bytes: Buffer): boolean {
    return this.mask(bytes) !== this.all || this.outOfTime(bytes)
  }

  /** Bits of the conditions that this line may meet. What both lines of a call meet together is the two masks in one. */
  mask(bytes: Buffer): number {
    let mask = 0
    for (let at = 0; at < this.#conditions.length; at++) {
      const condition = this.#conditions[at]
      if (condition !== undefined && mayMeet(condition, bytes)) mask |= 1 << at
    }
    return mask
  }

  /** Whether the line surely is of another time. */
  outOfTime(bytes: Buffer): boolean {
    const { since, until } = this.#filter
    if (since === null && until === null) return false
    const time = timeOf(bytes)
    return time !== null && !inTime(this.#filter, [time])
  }
}

/** When a line was made, epoch ms, read off its beginning; null when that is not sure. */
export function timeOf(bytes: Buffer): number | null {
  const text = headForm.exec(bytes.toString('latin1', 0, mostHead))?.[1]
  if (text === undefined) return null
  // of a member that stands twice the last counts
  const again = bytes.indexOf(timeMember, bytes.indexOf(timeMember) + timeMember.length) >= 0
  return again || bytes.includes(unicodeEscape) ? null : Date.parse(text)
}

function mayMeet({ needles, slash }: Condition, bytes: Buffer): boolean {
  for (const needle of needles) if (bytes.includes(needle)) return true
  return bytes.includes(unicodeEscape) || (slash && bytes.includes(slashEscape))
}

/** Null: any line may meet it. */
function conditionOf(name: Listed, words: readonly string[]): Condition | null {
  const texts = words.flatMap((word) => {
    if (name === 'decision') return decisionTexts[word] ?? ['']
    const text = word.endsWith('*') ? word.slice(0, -1) : word
    // half of a pair is spelled in a way of its own, and bytes that are no text are read as U+FFFD
    return text.isWellFormed() && !text.includes('\ufffd') ? [JSON.stringify(text).slice(1, -1)] : ['']
  })
  if (texts.includes('')) return null
  return { needles: texts.map((text) => Buffer.from(text)), slash: texts.some((text) => text.includes('/')) }
}
