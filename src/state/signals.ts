/** Signals: facts from outside that policy may wait for, given for a task, a caller or a resource, and for a time. */
import type { Awaitable } from './state.ts'

export const signalScopes = ['resource', 'task', 'caller'] as const

/** Policy sees all signals of a call at once: three keys of these stay below the cap of the input. */
export const mostOfKey = 10

/** What a signal may be called: a piece of a path such as `signals.malware-scan.value`. */
export const signalName = /^[a-z0-9][a-z0-9_-]{0,63}$/

export type SignalScope = (typeof signalScopes)[number]

export type SignalValue = string | number | boolean

export interface SignalRow {
  readonly scope: SignalScope
  /** A resource such as `customer:42`, a task or a SPIFFE ID. */
  readonly key: string
  /** Such as `malware-scan`. */
  readonly name: string
  readonly value: SignalValue
  /** What found it out. */
  readonly source: string
  /** `person:<name>`. */
  readonly by: string
  readonly reason: string
  /** Epoch ms. */
  readonly at: number
  readonly expires: number
}

/** What of a call a signal may be given for. */
export interface Signalled {
  readonly task: string
  readonly caller: string
  readonly resource: string | null
}

/** Named transactions on signals. On the embedded state `of` looks in memory and costs nothing while there are none. */
export interface SignalBook {
  /** Takes the place of the one of the same name; null when there are too many of that key, or of all. */
  give(row: SignalRow): Awaitable<SignalRow | null>
  /** Null when there is none. */
  withdraw(scope: SignalScope, key: string, name: string): Awaitable<SignalRow | null>
  /** Those in time, of one key or of all, by scope, key and name. */
  signals(
    filter?: { readonly scope?: SignalScope | undefined; readonly key?: string | undefined },
    now?: number,
  ): Awaitable<readonly SignalRow[]>
  /** Those in time for a call, one of each name: its resource's before its task's before its caller's. In the tick of the judgement. */
  of(about: Signalled, now: number): readonly SignalRow[]
}
