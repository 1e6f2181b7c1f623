/** Finds the newest lines or calls of a ledger that fit a filter, reading backwards, so that what is near the end is found at once. */

import { backwards, type BackwardsLine, type BackwardsOptions } from '../record/backwards.ts'
import { isShown } from './call-lines.ts'
import { factsOf, joined, parseLine, type Facts, type ParsedLine } from './facts.ts'
import { fits, mayFitYet, type Filter } from './filter.ts'
import { Judge, nearFacts } from './judge.ts'
import { idOf, isOutcome, timeOf } from './line-head.ts'

/** What stands for itself in a ledger: a call with both its lines, a refusal, an event. */
export interface Entry {
  /** Of its first line. */
  readonly seq: number
  readonly first: ParsedLine
  /** How a call ended; null when it did not, or not within reach, and where `first` is no decision. */
  readonly outcome: ParsedLine | null
  readonly facts: Facts
  /** The lines as they are stored. */
  readonly lines: readonly NumberedLine[]
}

/** A stored line under its number. */
export interface NumberedLine {
  readonly seq: number
  readonly bytes: Buffer
}

export interface Search {
  readonly filter: Filter
  /** Only what begins before this number. */
  readonly before?: number
  /** Most that is found. */
  readonly limit: number
  /** Most bytes that are looked through; default: all there are. */
  readonly mostBytes?: number
  readonly watch?: BackwardsOptions['watch']
  readonly signal?: AbortSignal
}

export interface Found<T> {
  /** Newest first. */
  readonly found: readonly T[]
  /** Where to go on from: the number to look before; null when there is nothing further back. */
  readonly before: number | null
  /** Number of the oldest line that was looked at; null when there was none. */
  readonly reached: number | null
  /** Number of the newest line; null when there is none. */
  readonly newest: number | null
}

/** Calls whose outcome lies so many lines behind where the search begins have it found. */
const overlap = 2000
/** Outcomes that wait for their decision. What runs longer than all these took is shown as not ended. */
const mostEnds = 20_000
/** Clocks are set back; beyond this a search for a time goes no further. */
const clockSlack = 600_000

/** Searches for calls, refusals and events; checkpoints only where the filter names them. Rejects as the file system does. */
export async function newestEntries(dir: string, search: Search): Promise<Found<Entry>> {
  const pairs = new Pairs(search)
  return walk(dir, search, overlap, (line) => pairs.take(line))
}

/** Searches for stored lines, each for itself. */
export async function newestLines(dir: string, search: Search): Promise<Found<NumberedLine>> {
  const judge = new Judge(search.filter)
  return walk(dir, search, 0, ({ seq, bytes }) => (judge.wants(bytes) ? { seq, bytes: Buffer.from(bytes) } : null))
}

async function walk<T>(dir: string, search: Search, ahead: number, take: (line: BackwardsLine) => T | null): Promise<Found<T>> {
  const { before = Number.POSITIVE_INFINITY, limit, mostBytes = Number.POSITIVE_INFINITY, watch, signal } = search
  const found: T[] = []
  let reached: number | null = null
  let newest: number | null = null
  let bytes = 0
  for await (const line of backwards(dir, {
    before: before + ahead,
    ...(watch === undefined ? {} : { watch }),
    ...(signal === undefined ? {} : { signal }),
  })) {
    if (found.length >= limit || bytes > mostBytes) return { found, before: reached, reached, newest }
    newest ??= line.seq
    const one = take(line)
    if (line.seq >= before) continue
    reached = line.seq
    bytes += line.bytes.length
    if (one !== null) found.push(one)
    if (isLongBefore(search.filter.since, line)) break
  }
  return { found, before: null, reached, newest }
}

function isLongBefore(since: number | null, { bytes }: BackwardsLine): boolean {
  const time = since === null ? null : timeOf(bytes)
  return since !== null && time !== null && time < since - clockSlack
}

/** Joins outcomes with their decisions, which come later when one reads backwards. */
class Pairs {
  readonly #search: Search
  readonly #judge: Judge
  readonly #ends = new Map<string, NumberedLine>()

  constructor(search: Search) {
    this.#search = search
    this.#judge = new Judge(search.filter)
  }

  take({ seq, bytes }: BackwardsLine): Entry | null {
    const id = idOf(bytes)
    if (id !== null && isOutcome(bytes)) {
      // a copy: a piece would hold the whole chunk that was read
      this.#ends.set(id, { seq, bytes: Buffer.from(bytes) })
      const oldest = this.#ends.size > mostEnds ? this.#ends.keys().next().value : undefined
      if (oldest !== undefined) this.#ends.delete(oldest)
      return null
    }
    const end = id === null ? undefined : this.#ends.get(id)
    if (id !== null && end !== undefined) this.#ends.delete(id)
    if (seq >= (this.#search.before ?? Number.POSITIVE_INFINITY)) return null
    return this.#mayWant(bytes, end?.bytes ?? null) ? this.#judged({ seq, bytes }, end ?? null) : null
  }

  #mayWant(bytes: Buffer, end: Buffer | null): boolean {
    const near = nearFacts(bytes)
    if (near === null) return false
    if (end === null) return this.#judge.mayWant(near) && !this.#judge.outOfTime(bytes)
    if (!mayFitYet(this.#search.filter, near)) return false
    const nearEnd = nearFacts(end)
    return this.#judge.mayWant(nearEnd === null ? near : joined(near, nearEnd))
  }

  #judged({ seq, bytes }: NumberedLine, end: NumberedLine | null): Entry | null {
    const first = parseLine(bytes.toString())
    const outcome = end === null ? null : parseLine(end.bytes.toString())
    if (first === null) return null
    const facts = outcome === null ? factsOf(first) : joined(factsOf(first), factsOf(outcome))
    const { filter } = this.#search
    if (!isShown(filter, facts)) return null
    const lines = [{ seq, bytes: Buffer.from(bytes) }, ...(end === null ? [] : [end])]
    return fits(filter, facts) ? { seq, first, outcome, facts, lines } : null
  }
}
