/**
 * Judges stored lines by a filter, and reads no more of a line than it must: what a filter asks stands at its end, most of a line is what
 * policy was asked. A line that is wanted by its end is then read whole; one that is not would not be wanted whole either.
 */

import { factsOf, joined, parseLine, shortFacts, type Facts } from './facts.ts'
import { fits, inTime, type Filter } from './filter.ts'
import { timeOf } from './line-head.ts'
import { ownAtEnd } from './own-line.ts'

export class Judge {
  readonly #filter: Filter
  /** The same whenever a line was made: its end does not say. */
  readonly #ever: Filter
  readonly #timed: boolean

  constructor(filter: Filter) {
    this.#filter = filter
    this.#ever = { ...filter, since: null, until: null }
    this.#timed = filter.since !== null || filter.until !== null
  }

  /** Whether a line is wanted for itself. `near`: what `nearFacts` says of it. */
  wants(bytes: Buffer, near: Facts | null = nearFacts(bytes)): boolean {
    if (near === null || !this.mayWant(near) || this.outOfTime(bytes)) return false
    const facts = wholeFacts(bytes)
    return facts !== null && fits(this.#filter, facts)
  }

  /** Whether a call is wanted by both its lines together. */
  wantsBoth(decision: Buffer, near: Facts, outcome: Buffer): boolean {
    const nearEnd = nearFacts(outcome)
    if (nearEnd === null || !this.mayWant(joined(near, nearEnd))) return false
    const [first, last] = [wholeFacts(decision), wholeFacts(outcome)]
    return first !== null && last !== null && fits(this.#filter, joined(first, last))
  }

  /** Whether what is near says nothing against it. */
  mayWant(near: Facts): boolean {
    return fits(this.#ever, near)
  }

  /** Whether the line surely is of another time. */
  outOfTime(bytes: Buffer): boolean {
    if (!this.#timed) return false
    const time = timeOf(bytes)
    return time !== null && !inTime(this.#filter, [time])
  }
}

/** What a line says but for its time: of one that is JSON exactly that. Null: it is none of a ledger. */
export function nearFacts(bytes: Buffer): Facts | null {
  const own = ownAtEnd(bytes)
  return own === null ? wholeFacts(bytes) : shortFacts(own)
}

function wholeFacts(bytes: Buffer): Facts | null {
  const line = parseLine(bytes.toString())
  return line === null ? null : factsOf(line)
}
