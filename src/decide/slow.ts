/** Evaluations that take longer than the budget: each is counted, and one a minute and entrypoint is told. */

import type { Entrypoint } from './engine.ts'

export interface SlowOptions {
  /** ms. */
  readonly budget: number
  /** Epoch ms. */
  readonly clock: () => number
  readonly log: { warn(o: object, m: string): void }
  readonly count: (entrypoint: Entrypoint) => void
}

export interface Slow {
  /** Nanoseconds above which an evaluation is slow. */
  readonly above: number
  found(entrypoint: Entrypoint, revision: string, evalNs: number): void
}

const quiet = 60_000

export function makeSlow({ budget, clock, log, count }: SlowOptions): Slow {
  /** Entrypoint → when it was last told. */
  const told = new Map<Entrypoint, number>()
  return {
    above: budget * 1e6,
    found(entrypoint, revision, evalNs) {
      count(entrypoint)
      const now = clock()
      if (Math.abs(now - (told.get(entrypoint) ?? -Infinity)) < quiet) return
      told.set(entrypoint, now)
      log.warn(
        { code: 'CS1711', entrypoint, revision, ms: Math.round(evalNs / 1e6), budget },
        'an evaluation of policy took longer than its budget: every call waits for it',
      )
    },
  }
}
