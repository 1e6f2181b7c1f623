import { tolerableStepBack } from '../step-back.ts'
import type { WatchEvent } from '../workload-api/watch.ts'

/**
 * The state that a stream of the Workload API gave last, and whether it may still be used: as long as the stream is there, and for so
 * long after it was lost. A redaction forgets it at once.
 */
export class Streamed<Value> {
  readonly #maxAge: number
  readonly #clock: () => number
  // all written by `take` alone
  #value: Value | null = null
  /** Epoch ms since when the stream is not there; null while it is. */
  #lost: number | null = null
  #served = true

  /** `maxAge`: ms that the state serves without its stream; `clock`: epoch ms. */
  constructor(maxAge: number, clock: () => number) {
    this.#maxAge = maxAge
    this.#clock = clock
  }

  /** Takes what the stream tells; true when the state is another one now. */
  take(event: WatchEvent<Value>): boolean {
    if (event.kind === 'update' || event.kind === 'redacted') {
      this.#value = event.kind === 'update' ? event.value : null
      this.#lost = null
      return true
    }
    if (event.kind !== 'discarded') this.#lost ??= this.#clock()
    if (event.kind === 'ended') this.#served = event.fault.code !== 'unimplemented'
    return false
  }

  /** The state, or null when there is none fit for use. */
  usable(): Value | null {
    if (this.#lost === null) return this.#value
    const age = this.#clock() - this.#lost
    return age < this.#maxAge && age > -tolerableStepBack ? this.#value : null
  }

  /** False once the endpoint said that it does not serve this stream at all. */
  get served(): boolean {
    return this.#served
  }
}
