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
  /** Task id → its open work. Written by `open` and the closer it returns. */
  readonly #open = new Map<string, Set<OpenWork>>()
  readonly #revokeLeases: RevokeLeases

  constructor(revokeLeases: RevokeLeases) {
    this.#revokeLeases = revokeLeases
  }

  /** Registers work under a permit; call what it returns when the last byte has gone. */
  open(work: OpenWork): () => void {
    let set = this.#open.get(work.task)
    if (!set) this.#open.set(work.task, (set = new Set()))
    set.add(work)
    return () => {
      set.delete(work)
      if (set.size === 0 && this.#open.get(work.task) === set) this.#open.delete(work.task)
    }
  }

  /** A task ended: its open work is cut, then its leases are taken back. */
  async taskEnded(task: string, cause: string): Promise<void> {
    for (const work of this.#open.get(task) ?? []) work.cut(new Refusal('task.ended', { reasons: [`the task was ${cause}`] }))
    await this.#revokeLeases(task, cause)
  }

  /** Shutdown after the drain deadline: whatever is still open is cut. */
  shutdown(): void {
    for (const set of this.#open.values()) {
      for (const work of set) work.cut(new Refusal('listen.draining'))
    }
  }

  /** Number of calls in flight, for metrics and drain. */
  get size(): number {
    let size = 0
    for (const set of this.#open.values()) size += set.size
    return size
  }
}
