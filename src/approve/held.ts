/** Requests that are refused until a person answers, and wait for that if their client does. */
import type { Call } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'
import type { Awaitable } from '../state/state.ts'
import type { Holds } from './hold.ts'
import { deadlineOf } from './prefer.ts'

/** Whose request it is. */
export interface Requested {
  readonly call: Call
  /** Its caller. */
  readonly caller: string
}

/** Acts, and acts again when what the act was refused for has been answered in time. Rejects with what the last act did, or why the call was cut. */
export type Held = <T>(by: Requested, act: () => Awaitable<T>) => Promise<T>

export interface HeldOptions {
  readonly holds: Pick<Holds, 'wait'>
  /** The most a request waits, ms. */
  readonly hold: number
}

/** Makes it. An act holds nothing while its request waits: each starts anew, on what is true by then. */
export function makeHeld({ holds, hold }: HeldOptions): Held {
  return async ({ call, caller }, act) => {
    const until = deadlineOf(call, hold)
    for (;;) {
      try {
        return await act()
      } catch (error) {
        const approval = error instanceof Refusal && error.code === 'approve.required' ? error.approval : null
        if (approval === null) throw error
        const woken = await holds.wait({ call, caller, approval: approval.id, wait: until - performance.now() })
        if (woken === null) throw error
      }
    }
  }
}
