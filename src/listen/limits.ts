/** What one caller may hold at a time. There is no pool that all callers share: one of them could fill it. */
import { Refusal } from '../refusal.ts'
import type { RequestLimits } from './request.ts'

/** Bytes, counts and milliseconds; see `listen.limits` in the configuration. */
export interface Limits extends RequestLimits {
  readonly callsPerCaller: number
  /** Open connections per listener. */
  readonly connections: number
  /** Time for a request head to arrive. */
  readonly headerTime: number
  /** Time for a body to arrive after its head; 0 for no bound. */
  readonly bodyTime: number
  /** Time for a call in all; 0 for no bound. */
  readonly callTime: number
}

/** Calls in flight by caller. Survives a reload: what is in flight stays counted. */
export class CallerLoad {
  readonly #calls = new Map<string, number>()

  /** Counts one call; throws `listen.overloaded` when the caller has `most` in flight already. */
  take(caller: string, most: number): void {
    const calls = this.#calls.get(caller) ?? 0
    if (calls >= most) throw new Refusal('listen.overloaded', { reasons: ['this caller has too many calls in flight'] })
    this.#calls.set(caller, calls + 1)
  }

  leave(caller: string): void {
    const calls = this.#calls.get(caller) ?? 0
    if (calls > 1) this.#calls.set(caller, calls - 1)
    else this.#calls.delete(caller)
  }
}
