/** How long a sink is left alone after a failure. */

export interface BackoffOptions {
  /** Ms before the second attempt. */
  readonly first: number
  /** Ms that no wait of ours is longer than. */
  readonly most: number
  /** From 0 to 1. */
  readonly random: () => number
}

/** No receiver may put us off for longer than this, ms. */
const longestAsked = 300_000

/** Twice as long each time, of which half is left to chance, so that many sidecars do not come back in step. */
export class Backoff {
  readonly #options: BackoffOptions
  #failures = 0

  constructor(options: BackoffOptions) {
    this.#options = options
  }

  /** Ms to wait now; `asked`: what the receiver said (Retry-After), which is the least then. */
  next(asked: number | null): number {
    const { first, most, random } = this.#options
    const full = Math.min(most, first * 2 ** Math.min(this.#failures, 30))
    this.#failures += 1
    const own = full / 2 + (full / 2) * random()
    return asked === null ? own : Math.max(own, Math.min(asked, longestAsked))
  }

  reset(): void {
    this.#failures = 0
  }
}
