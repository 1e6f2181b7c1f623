/** How long a bundle may judge after it was last confirmed; a clock that is put back never makes that longer. */

export interface AgeOptions {
  /** Longest time since it was confirmed, ms; null: no limit. */
  readonly maxAge: number | null
  /** When it was confirmed, epoch ms. */
  readonly confirmed: number
  /** Ms that it was old at least when that was last written down. */
  readonly atLeast: number
  /** From when on its signature is too old, epoch ms; null: never. */
  readonly signedUntil: number | null
  /** Epoch ms. */
  readonly clock: () => number
}

/** A clock may be set right by so many ms without anything being the matter. */
const tolerableStepBack = 2000

/**
 * Counts the steps of the clock forward alone, and holds them against the time that this process knows to have passed. A bundle that was
 * confirmed in what the clock calls the future has an age that nobody knows: it is too old.
 */
export class Age {
  readonly #maxAge: number | null
  readonly #signedUntil: number | null
  /** Ms that its signature had left when this began. */
  readonly #signedLeft: number
  readonly #born = performance.now()
  /** Once too old it stays so, wherever the clock goes. */
  #signedLongAgo = false
  readonly #clock: () => number
  #confirmed: number
  /** Sum of the steps forward, ms. */
  #walked: number
  #last: number
  /** `performance.now()` at which `#base` was the age. */
  #started: number
  #base: number

  constructor({ maxAge, confirmed, atLeast, signedUntil, clock }: AgeOptions) {
    const now = clock()
    this.#maxAge = maxAge
    this.#signedUntil = signedUntil
    this.#signedLeft = signedUntil === null ? Number.POSITIVE_INFINITY : signedUntil - now
    this.#clock = clock
    this.#confirmed = confirmed
    this.#base = confirmed - now > tolerableStepBack ? Number.POSITIVE_INFINITY : Math.max(atLeast, now - confirmed, 0)
    this.#walked = this.#base
    this.#last = now
    this.#started = performance.now()
  }

  /** When it was last confirmed, epoch ms. */
  get confirmed(): number {
    return this.#confirmed
  }

  /** The source still has it. */
  confirm(): void {
    this.#confirmed = this.#last = this.#clock()
    this.#walked = this.#base = 0
    this.#started = performance.now()
  }

  /** Ms since it was confirmed. */
  since(): number {
    const now = this.#clock()
    if (now > this.#last) this.#walked += now - this.#last
    this.#last = now
    return Math.max(this.#walked, this.#base + performance.now() - this.#started)
  }

  /** Ms that it may still judge without being confirmed, unless its signature gets too old before. */
  left(): number {
    return this.#maxAge === null ? Number.POSITIVE_INFINITY : Math.max(0, this.#maxAge - this.since())
  }

  /** Why it may not judge any more; null while it may. */
  lapsed(): string | null {
    if (this.#maxAge !== null && this.since() > this.#maxAge) return 'its source has not confirmed it for longer than max_age'
    if (this.#signedUntil !== null)
      this.#signedLongAgo ||= this.#clock() >= this.#signedUntil || performance.now() - this.#born >= this.#signedLeft
    if (this.#signedLongAgo) return 'its signature is older than signed_within'
    return null
  }
}
