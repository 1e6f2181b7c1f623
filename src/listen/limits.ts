/** What one caller may hold at a time. There is no pool that all callers share: one of them could fill it. */
import { Refusal } from '../refusal.ts'
import { Pressure, type PressureLimits } from './pressure.ts'
import type { RequestLimits } from './request.ts'

/** Bytes, counts and milliseconds; see `listen.limits` in the configuration. */
export interface Limits extends RequestLimits {
  readonly callsPerCaller: number
  readonly overload: PressureLimits
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
  readonly pressure = new Pressure()
  readonly #calls = new Map<string, number>()
  #all = 0

  /**
   * Counts one call; throws `listen.overloaded` when the caller has `most` in flight already, or more than its share while the process
   * falls behind, or while all callers together have too many: whoever holds the most is turned away first, and who holds none never.
   */
  take(caller: string, { callsPerCaller, overload }: Pick<Limits, 'callsPerCaller' | 'overload'>): void {
    const calls = this.#calls.get(caller) ?? 0
    if (calls >= callsPerCaller) throw overloaded('this caller has too many calls in flight')
    if (calls > 0) {
      if (calls >= this.pressure.most(callsPerCaller))
        throw overloaded('Countersign falls behind: this caller has more in flight than its share')
      if (this.#all >= overload.calls && calls >= overload.calls / this.#calls.size)
        throw overloaded('all callers together have too many calls in flight, and this one more than its share')
    }
    this.#calls.set(caller, calls + 1)
    this.#all += 1
  }

  leave(caller: string): void {
    const calls = this.#calls.get(caller) ?? 0
    this.#all -= 1
    if (calls > 1) this.#calls.set(caller, calls - 1)
    else this.#calls.delete(caller)
  }
}

function overloaded(reason: string): Refusal {
  return new Refusal('listen.overloaded', { reasons: [reason] })
}
