import { Refusal } from './refusal.ts'

/** One piece of open work: a call in flight under a permit. */
export interface OpenWork {
  readonly task: string
  readonly caller: string
  readonly agent: string
  readonly tool: string
  readonly route: string
  /** Stops it now; the reason reaches the record. */
  cut(reason: Refusal): void
}

/** Takes back every lease of a task; resolves when each is revoked, expired or discarded, or queued for retry. */
export type RevokeLeases = (task: string, cause: string) => Promise<void>

/**
 * The mirror of the request path: the single register of open work and the single list of what ends it.
 * Today: a task that ended (completed, revoked, expired) and shutdown.
 */
export class Revoke {
  /** Task id → its open work, by call. Written by `open` and `close`. */
  readonly #open = new Map<string, Map<object, OpenWork>>()
  /** Call → its task. Written by `open` and `close`. */
  readonly #tasks = new Map<object, string>()
  readonly #revokeLeases: RevokeLeases

  constructor(revokeLeases: RevokeLeases) {
    this.#revokeLeases = revokeLeases
  }

  /** Registers work in the tick in which its permit is minted; `call` names it to `close`. */
  open(call: object, work: OpenWork): void {
    let set = this.#open.get(work.task)
    if (!set) this.#open.set(work.task, (set = new Map()))
    set.set(call, work)
    this.#tasks.set(call, work.task)
  }

  /** The last byte has gone. Idempotent; a call that never got a permit was never registered. */
  close(call: object): void {
    const task = this.#tasks.get(call)
    if (task === undefined) return
    this.#tasks.delete(call)
    const set = this.#open.get(task)
    set?.delete(call)
    if (set?.size === 0) this.#open.delete(task)
  }

  /** A task ended: its open work is cut at once, then its leases are taken back. */
  async taskEnded(task: string, cause: string): Promise<void> {
    const work = [...(this.#open.get(task)?.values() ?? [])]
    for (const one of work) one.cut(new Refusal('task.ended', { reasons: [`the task was ${cause}`] }))
    await this.#revokeLeases(task, cause)
  }

  /** Shutdown after the drain deadline: whatever is still open is cut. */
  shutdown(): void {
    for (const set of this.#open.values()) for (const one of set.values()) one.cut(new Refusal('listen.draining'))
  }

  /** Number of permits in use, for metrics. */
  get size(): number {
    return this.#tasks.size
  }
}
