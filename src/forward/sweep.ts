/** Keeps time for all exchanges with one timer, in ticks of the monotonic clock that the event loop has. */

import { Bag } from '../bag.ts'

export interface Timed {
  /** Looks at its own deadlines; `tick` only ever grows. */
  expire(tick: number): void
}

const period = 100

export class Sweep {
  readonly #timed = new Bag<Timed>()
  #timer: NodeJS.Timeout | null = null
  /** Compared with what an exchange noted when it last moved. */
  tick = 0

  add(timed: Timed): void {
    this.#timed.add(timed)
    this.#timer ??= setInterval(() => this.#turn(), period).unref()
  }

  delete(timed: Timed): void {
    this.#timed.delete(timed)
  }

  get all(): readonly Timed[] {
    return this.#timed.list()
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** The timer runs on through short gaps between calls and stops in the first turn that finds none. */
  #turn(): void {
    this.tick++
    if (this.#timed.size === 0) return this.close()
    for (const timed of this.#timed.list()) timed.expire(this.tick)
  }
}

/** Ticks that are surely no less than this many milliseconds. */
export function ticksOf(ms: number): number {
  return Math.ceil(ms / period) + 1
}
