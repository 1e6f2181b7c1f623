/** An outcome for every decision: which calls are open, line by line, and what checkpoints say of that. */

import { OpenCalls } from './open-calls.ts'
import type { StoredLine } from './stored-line.ts'

type Row = readonly [seq: number, id: string]

export class Pairing {
  #open = new OpenCalls(new Map())
  /** Decisions of the lines read, and not of those before, that are open: id → number. */
  readonly #seen = new Map<string, number>()
  /** False: there may be open decisions in lines that are not here. */
  #whole: boolean

  /** `whole`: the lines are read from the first one of the ledger on. */
  constructor(whole: boolean) {
    this.#whole = whole
  }

  /** Decisions without an outcome. */
  get size(): number {
    return this.#open.size
  }

  /** Takes every line in order; gives what is wrong with it. */
  take({ kind, id, seq }: Pick<StoredLine, 'kind' | 'id' | 'seq'>): string | null {
    if (kind === 'decision') {
      if (this.#open.ended(id)) return 'a second decision line for an open call'
      this.#open.began(id, seq)
      this.#seen.set(id, seq)
    }
    if (kind === 'outcome') {
      this.#seen.delete(id)
      if (!this.#open.ended(id) && this.#whole) return 'an outcome without an open decision'
    }
    return null
  }

  /** Is what the checkpoint with this number states of open calls what the lines before it give? */
  stated(seq: number, open: unknown, openFrom: unknown): string | null {
    const listed = rowsOf(open)
    if (listed === null || typeof openFrom !== 'number') return 'the checkpoint does not say which calls are open'
    if (!this.#whole) return this.#adopt(seq, listed, openFrom)
    const own = this.#open.statement(seq)
    return own.openFrom === openFrom && same(own.open, listed)
      ? null
      : 'the calls that the checkpoint states as open are not those that have no outcome before it'
  }

  /** What was open where the reading began is learnt from the first checkpoint that lists all. */
  #adopt(seq: number, listed: readonly Row[], openFrom: number): string | null {
    if (openFrom !== seq) return null
    const here = [...this.#seen].map(([id, at]): Row => [at, id])
    const begin = listed.length - here.length
    if (begin < 0 || !same(listed.slice(begin), here)) return 'the checkpoint does not list the open calls of the lines before it'
    this.#open = new OpenCalls(new Map(listed.map(([at, id]) => [id, at])))
    this.#whole = true
    return null
  }
}

function rowsOf(value: unknown): readonly Row[] | null {
  if (!Array.isArray(value)) return null
  const rows: Row[] = []
  for (const item of value as readonly unknown[]) {
    if (!Array.isArray(item) || item.length !== 2) return null
    const [seq, id] = item as readonly unknown[]
    if (typeof seq !== 'number' || typeof id !== 'string') return null
    rows.push([seq, id])
  }
  return rows
}

function same(a: readonly Row[], b: readonly Row[]): boolean {
  return a.length === b.length && a.every(([seq, id], at) => seq === b[at]?.[0] && id === b[at][1])
}
