/** A seeded source of numbers (mulberry32): the same seed, the same run. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 up to 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number below `most`. */
  below(most: number): number {
    return Math.floor(this.next() * most)
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!
  }
}

/** The seed of a run: `COUNTERSIGN_SEED`, or a fresh one. */
export function seedOf(env: Readonly<Record<string, string | undefined>>): number {
  const given = Number(env['COUNTERSIGN_SEED'] ?? Number.NaN)
  return Number.isInteger(given) ? given : Math.floor(Math.random() * 2 ** 31)
}
