/** Most open decisions that a checkpoint lists one by one. */
const mostListed = 256

/** What a checkpoint says of open calls, so that the next start finds them without reading the whole ledger. */
export interface OpenStatement {
  /** The longest-open decisions without an outcome, oldest first. */
  readonly open: readonly (readonly [seq: number, id: string])[]
  /** Decisions without an outcome that `open` does not list have at least this number. */
  readonly openFrom: number
}

/** Acknowledged decisions whose outcome is not yet acknowledged. */
export class OpenCalls {
  /** id → number of the decision line, oldest first. */
  readonly #seqs: Map<string, number>

  constructor(recovered: ReadonlyMap<string, number>) {
    this.#seqs = new Map(recovered)
  }

  get size(): number {
    return this.#seqs.size
  }

  /** Number of the oldest; null when none is open. */
  get oldest(): number | null {
    return this.#seqs.values().next().value ?? null
  }

  began(id: string, seq: number): void {
    this.#seqs.set(id, seq)
  }

  /** False when no such decision is open. */
  ended(id: string): boolean {
    return this.#seqs.delete(id)
  }

  /** `next`: the number of the line that will hold the statement. */
  statement(next: number): OpenStatement {
    const open: [number, string][] = []
    for (const [id, seq] of this.#seqs) {
      if (open.length === mostListed) return { open, openFrom: seq }
      open.push([seq, id])
    }
    return { open, openFrom: next }
  }
}
