/** How far the process falls behind, and what that leaves to each caller: see docs/design/0021-who-is-turned-away-first.md. */

import { getHeapStatistics } from 'node:v8'

/** When the process counts as falling behind; see `listen.overload` in the configuration. */
export interface PressureLimits {
  /** Lateness of the event loop, ms; 0 for no bound. */
  readonly delay: number
  /** Share of the memory that the heap may grow to, above 0, at most 1. */
  readonly heap: number
  /** Calls in flight of all callers together. */
  readonly calls: number
}

/** How often it is looked, ms. */
const every = 100
/** Looks in a row that must find the process behind: one long turn, of the collector say, is no overload. */
const inARow = 2
/** What one look that finds it well gives back of the share of every caller. */
const givenBack = 1 / 16
/** However bad it is, the share halves no further: every caller keeps one call. */
const leastShare = 1 / 1024

/** Whether the process can keep up. Owned by whoever counts the calls, who has it look. */
export class Pressure {
  #share = 1
  #behind = 0

  /** 1: callers may hold all that the limits allow; less: that part of it. */
  get share(): number {
    return this.#share
  }

  /** Calls that a caller may have in flight now, of `limit` in good times: never less than one. */
  most(limit: number): number {
    return this.#share === 1 ? limit : Math.max(1, Math.floor(limit * this.#share))
  }

  /** Takes what was found now: the lateness of the event loop in ms, the heap as a share of what it may grow to. */
  look(found: { readonly delay: number; readonly heap: number }, { delay, heap }: PressureLimits): void {
    const behind = (delay > 0 && found.delay > delay) || found.heap > heap
    this.#behind = behind ? this.#behind + 1 : 0
    if (this.#behind >= inARow) this.#share = Math.max(leastShare, this.#share / 2)
    else if (!behind) this.#share = Math.min(1, this.#share + givenBack)
  }
}

/** Has `pressure` look at this process from now on, by the limits of the moment; gives what ends that. */
export function watchPressure(pressure: Pressure, limits: () => PressureLimits): () => void {
  let expected = performance.now() + every
  const timer = setInterval(() => {
    const now = performance.now()
    const delay = Math.max(0, now - expected)
    expected = now + every
    const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics()
    pressure.look({ delay, heap: used / most }, limits())
  }, every).unref()
  return () => clearInterval(timer)
}
