/** How long to wait before the next try: a second more each time, up to a bound. */

export interface BackoffOptions {
  /** Ms by which each wait is longer than the one before; default 1000. */
  readonly step?: number
  /** Ms of the longest wait; default 30 000. */
  readonly max?: number
  /** From 0 to 1; default `Math.random`. */
  readonly random?: () => number
}

/** A wait is shortened by up to this share, so that workloads of one host do not come back in step. */
const jitter = 0.1

export class Backoff {
  readonly step: number
  readonly #max: number
  readonly #random: () => number
  #tries = 0

  constructor({ step = 1000, max = 30_000, random = Math.random }: BackoffOptions = {}) {
    this.step = step
    this.#max = max
    this.#random = random
  }

  /** Ms to wait now; never more than `max`. */
  next(): number {
    this.#tries += 1
    return Math.min(this.step * this.#tries, this.#max) * (1 - jitter * this.#random())
  }

  reset(): void {
    this.#tries = 0
  }
}
