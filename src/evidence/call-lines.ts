/** Picks wanted lines out of a ledger that is read forwards, each for itself, or the calls they are of: an outcome does not say what its decision did. */

import type { Facts } from './facts.ts'
import { mayFitYet, type Filter } from './filter.ts'
import { Judge, nearFacts } from './judge.ts'
import { idOf } from './line-head.ts'

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
  readonly state: 'given' | 'refused' | 'held'
  /** Of one that is held. */
  readonly bytes: Buffer
  readonly facts: Facts
}

/** Bytes of decisions that are kept because their outcome may make them wanted. */
const mostHeld = 8 * 1024 * 1024
const mostOpen = 20_000
const none = Buffer.alloc(0)

/**
 * Gives every line that the filter fits, of every call that may fit both lines. Whoever shows calls asks the filter again, with both lines
 * joined. A decision that was kept too long is forgotten; its outcome is then judged alone.
 */
class CallLines implements Lines {
  readonly #filter: Filter
  readonly #judge: Judge
  readonly #open = new Map<string, Open>()
  #held = 0

  constructor(filter: Filter) {
    this.#filter = filter
    this.#judge = new Judge(filter)
  }

  push(seq: number, bytes: Buffer, known = false): readonly PickedLine[] {
    const id = idOf(bytes)
    const before = id === null ? undefined : this.#open.get(id)
    if (id !== null && before !== undefined) {
      this.#forget(id, before)
      return known ? [] : this.#second(before, { seq, bytes })
    }
    const facts = nearFacts(bytes)
    if (facts === null) return []
    const given = !known && isShown(this.#filter, facts) && this.#judge.wants(bytes, facts)
    if (id?.startsWith('c_') === true && facts.kinds.includes('decision')) this.#keep(id, bytes, facts, given)
    return given ? [{ seq, bytes }] : []
  }

  #second({ state, bytes, facts }: Open, line: PickedLine): readonly PickedLine[] {
    if (state === 'given') return [line]
    if (state === 'refused' || !this.#judge.wantsBoth(bytes, facts, line.bytes)) return []
    return [{ seq: null, bytes }, line]
  }

  #keep(id: string, bytes: Buffer, facts: Facts, given: boolean): void {
    const held = !given && mayFitYet(this.#filter, facts)
    this.#open.set(id, { state: given ? 'given' : held ? 'held' : 'refused', bytes: held ? Buffer.from(bytes) : none, facts })
    this.#held += held ? bytes.length : 0
    for (const [oldest, which] of this.#open) {
      if (this.#held <= mostHeld && this.#open.size <= mostOpen) return
      this.#forget(oldest, which)
    }
  }

  #forget(id: string, { bytes }: Open): void {
    this.#open.delete(id)
    this.#held -= bytes.length
  }
}

/** Gives every line that the filter fits, whatever call it is of. */
class LoneLines implements Lines {
  readonly #judge: Judge

  constructor(filter: Filter) {
    this.#judge = new Judge(filter)
  }

  push(seq: number, bytes: Buffer, known = false): readonly PickedLine[] {
    return !known && this.#judge.wants(bytes) ? [{ seq, bytes }] : []
  }
}

/** Nobody who reads along looks for checkpoints unless they say so. */
export function isShown({ lists }: Filter, { kinds }: Facts): boolean {
  return lists.has('kind') || !kinds.includes('checkpoint')
}
