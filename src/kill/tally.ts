/** Counts what happened lately, by key, and no further than it matters. */

/** Keys that are counted at once; the one that was quiet for longest makes room. */
const mostKeys = 16_384

export class Tally {
  readonly #most: number
  readonly #span: number
  /** Key → when it happened, epoch ms, oldest first; at most `most`. Longest quiet first. */
  readonly #times = new Map<string, number[]>()

  /** Counts up to `most` within `span` ms. */
  constructor(most: number, span: number) {
    this.#most = most
    this.#span = span
  }

  /** Counts one more; gives how many lie within the span, `most` at most. A clock put back forgets nothing. */
  add(key: string, now: number): number {
    const times = (this.#times.get(key) ?? []).filter((at) => at > now - this.#span)
    times.push(now)
    if (times.length > this.#most) times.shift()
    this.#times.delete(key)
    this.#times.set(key, times)
    if (this.#times.size > mostKeys) for (const quiet of this.#times.keys()) if (this.#times.delete(quiet)) break
    return times.length
  }

  forget(key: string): void {
    this.#times.delete(key)
  }
}
