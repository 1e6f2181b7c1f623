/** Names past this are counted together: a record of years must not fill the memory. */
const mostNames = 2000

/** Counts by name in bounded memory; what is past the bound is counted under `*`. */
export class Tally {
  readonly #counts = new Map<string, number>()

  add(name: string, by = 1): void {
    const key = this.#counts.has(name) || this.#counts.size < mostNames ? name : '*'
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + by)
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  names(): readonly string[] {
    return [...this.#counts.keys()]
  }

  /** Largest first. */
  entries(): readonly (readonly [name: string, count: number])[] {
    return [...this.#counts].sort(([one, left], [other, right]) => right - left || (one < other ? -1 : 1))
  }

  record(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.entries())
  }
}
