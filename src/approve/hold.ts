/** Calls that wait for a person, for a while: whatever would end open work ends the wait. */
import type { Call } from '../listen/call.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { Awaitable } from '../state/state.ts'
import { Refusal } from '../refusal.ts'

/** Who waits for what. */
export interface Waiting {
  readonly call: Pick<Call, 'id' | 'signal' | 'preference'>
  readonly caller: string
  readonly approval: string
  /** ms. */
  readonly wait: number
}

export interface HoldsOptions {
  readonly watch: (listener: (row: ApprovalRow) => void) => () => void
  readonly read: (id: string) => Awaitable<ApprovalRow | null>
  /** Calls of one caller that may wait at a time. */
  readonly most: () => number
}

/** The one register of them; it outlives a configuration. */
export class Holds {
  readonly #options: HoldsOptions
  /** Approval → who waits for it. Written by `wait`. */
  readonly #waiting = new Map<string, Set<(row: ApprovalRow | null) => void>>()
  /** Call → the approval that it waits for. Written by `wait`. */
  readonly #ofCall = new Map<string, string>()
  /** Caller → how many wait. Written by `wait`. */
  readonly #ofCaller = new Map<string, number>()
  readonly #unwatch: () => void
  #closed = false

  constructor(options: HoldsOptions) {
    this.#options = options
    this.#unwatch = options.watch((row) => {
      if (row.state !== 'pending') for (const wake of this.#waiting.get(row.id) ?? []) wake(row)
    })
  }

  /**
   * Resolves with the approval once it is not pending any more; with null when the time is over, too many wait already, or Countersign
   * shuts down. Rejects with why the call ended, as soon as it does.
   */
  async wait({ call, caller, approval, wait }: Waiting): Promise<ApprovalRow | null> {
    const before = this.#ofCaller.get(caller) ?? 0
    if (this.#closed || wait <= 0 || before >= this.#options.most()) return null
    this.#ofCaller.set(caller, before + 1)
    this.#ofCall.set(call.id, approval)
    call.preference ??= `wait=${Math.ceil(wait / 1000)}`
    try {
      return await this.#woken(call.signal, approval, wait)
    } finally {
      this.#ofCall.delete(call.id)
      const left = (this.#ofCaller.get(caller) ?? 1) - 1
      if (left > 0) this.#ofCaller.set(caller, left)
      else this.#ofCaller.delete(caller)
    }
  }

  /** The approval that a call waits for; null when it waits for none. */
  approvalOf(call: string): string | null {
    return this.#ofCall.get(call) ?? null
  }

  get size(): number {
    let size = 0
    for (const count of this.#ofCaller.values()) size += count
    return size
  }

  /** Wakes whoever waits, with nothing; from now on nobody waits. */
  close(): void {
    this.#closed = true
    this.#unwatch()
    for (const waiting of this.#waiting.values()) for (const wake of waiting) wake(null)
  }

  async #woken(signal: AbortSignal, approval: string, wait: number): Promise<ApprovalRow | null> {
    const { promise, resolve, reject } = Promise.withResolvers<ApprovalRow | null>()
    const cut = (): void => reject(cutShort(signal.reason))
    const timer = setTimeout(resolve, wait, null).unref()
    let waiting = this.#waiting.get(approval)
    if (waiting === undefined) this.#waiting.set(approval, (waiting = new Set()))
    waiting.add(resolve)
    signal.addEventListener('abort', cut)
    try {
      if (signal.aborted) cut()
      else void this.#look(approval, resolve).catch(reject)
      return await promise
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', cut)
      waiting.delete(resolve)
      if (waiting.size === 0 && this.#waiting.get(approval) === waiting) this.#waiting.delete(approval)
    }
  }

  /** It may have been answered while nobody listened. */
  async #look(approval: string, wake: (row: ApprovalRow | null) => void): Promise<void> {
    const row = await this.#options.read(approval)
    if (row === null || row.state !== 'pending') wake(row)
  }
}

export function cutShort(reason: unknown): Refusal {
  return reason instanceof Refusal ? reason : new Refusal('listen.malformed', { detail: 'the call ended while it was held', cause: reason })
}
