/** Picks wanted lines out of a ledger that is read forwards, each for itself, or the calls they are of: an outcome does not say what its decision did. */

import { factsOf, joined, parseLine, type Facts } from './facts.ts'
import { fits, type Filter } from './filter.ts'
import { idOf } from './line-head.ts'
import { Prefilter } from './prefilter.ts'

/** A stored line under its number; `seq` null: it came before, and is given now with the one that made it wanted. */
export interface PickedLine {
  readonly seq: number | null
  readonly bytes: Buffer
}

/** Takes the lines of a ledger in order, and gives those to show. */
export interface Lines {
  /** `known`: the line was given before, and counts only for what comes after it. */
  push(seq: number, bytes: Buffer, known?: boolean): readonly PickedLine[]
}

/** `calls`: calls with both their lines; else each line for itself. */
export function linesOf(filter: Filter, calls: boolean): Lines {
  return calls ? new CallLines(filter) : new LoneLines(filter)
}

interface Open {
  /** Null when the line was given. */
  readonly held: Buffer | null
  readonly mask: number
}

/** Bytes of decisions that are kept because their outcome may make them wanted. */
const mostHeld = 8 * 1024 * 1024
const mostOpen = 20_000
const decisionWord = Buffer.from('"decision"')

/**
 * Gives every line that the filter fits, of every call that may fit both lines. Whoever shows calls asks the filter again, with both lines
 * joined. A decision that was kept too long is forgotten; its outcome is then judged alone.
 */
class CallLines implements Lines {
  readonly #filter: Filter
  readonly #prefilter: Prefilter
  readonly #open = new Map<string, Open>()
  #held = 0

  constructor(filter: Filter) {
    this.#filter = filter
    this.#prefilter = new Prefilter(filter)
  }

  push(seq: number, bytes: Buffer, known = false): readonly PickedLine[] {
    const id = idOf(bytes)
    const before = id === null ? undefined : this.#open.get(id)
    if (id !== null && before !== undefined) {
      this.#forget(id, before)
      return known ? [] : this.#second(before, { seq, bytes })
    }
    const mask = this.#prefilter.mask(bytes)
    const text = mask === this.#prefilter.all && !this.#prefilter.outOfTime(bytes) ? bytes.toString() : null
    const facts = text === null ? null : factsIn(text)
    const wanted = facts !== null && isShown(this.#filter, facts) && fits(this.#filter, facts)
    if (id?.startsWith('c_') === true && (facts === null ? bytes.includes(decisionWord) : facts.kinds.includes('decision')))
      this.#keep(id, { held: wanted && !known ? null : Buffer.from(bytes), mask })
    return wanted && !known ? [{ seq, bytes }] : []
  }

  #second({ held, mask }: Open, line: PickedLine): readonly PickedLine[] {
    if (held === null) return [line]
    if ((mask | this.#prefilter.mask(line.bytes)) !== this.#prefilter.all) return []
    const [first, last] = [factsIn(held.toString()), factsIn(line.bytes.toString())]
    if (first === null || last === null || !fits(this.#filter, joined(first, last))) return []
    return [{ seq: null, bytes: held }, line]
  }

  #keep(id: string, open: Open): void {
    this.#open.set(id, open)
    this.#held += open.held?.length ?? 0
    for (const [oldest, which] of this.#open) {
      if (this.#held <= mostHeld && this.#open.size <= mostOpen) return
      this.#forget(oldest, which)
    }
  }

  #forget(id: string, { held }: Open): void {
    this.#open.delete(id)
    this.#held -= held?.length ?? 0
  }
}

/** Gives every line that the filter fits, whatever call it is of. */
class LoneLines implements Lines {
  readonly #filter: Filter
  readonly #prefilter: Prefilter

  constructor(filter: Filter) {
    this.#filter = filter
    this.#prefilter = new Prefilter(filter)
  }

  push(seq: number, bytes: Buffer, known = false): readonly PickedLine[] {
    if (known || this.#prefilter.rejects(bytes)) return []
    const facts = factsIn(bytes.toString())
    return facts !== null && fits(this.#filter, facts) ? [{ seq, bytes }] : []
  }
}

/** Nobody who reads along looks for checkpoints unless they say so. */
export function isShown({ lists }: Filter, { kinds }: Facts): boolean {
  return lists.has('kind') || !kinds.includes('checkpoint')
}

function factsIn(text: string): Facts | null {
  const line = parseLine(text)
  return line === null ? null : factsOf(line)
}
