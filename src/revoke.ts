import type { Decision, Question } from './decide/decide.ts'
import { Refusal } from './refusal.ts'

/** One piece of open work: a call in flight, with the decision that its permit was minted from. */
export type OpenWork = Pick<Decision, 'question' | 'now' | 'revision'>

type Call = Question['call']

/**
 * Where a piece of work stands in the register; emptied when it is closed. The engine keeps the tables that a map or set has outgrown,
 * with all that was in them, until the next full collection: they shall hold this, and not each decision with its facts and its input.
 */
interface Place {
  work: OpenWork | null
}

/** Takes back every lease of a task; resolves when each is revoked, expired or discarded, or queued for retry. */
export type RevokeLeases = (task: string, cause: string) => Promise<void>

/**
 * The mirror of the request path: the single register of open work and the single list of what ends it.
 * Today: a task that ended (completed, revoked, expired), a judgement on facts that changed (`rejudge.ts`), and shutdown.
 */
export class Revoke {
  /** By call. Written by `open` and `close`. */
  readonly #open = new Map<Call, Place>()
  /** By caller: what an agent has read follows all that it has open. Written by `open` and `close`. */
  readonly #ofCaller = new Map<string, Set<Place>>()
  readonly #revokeLeases: RevokeLeases

  constructor(revokeLeases: RevokeLeases) {
    this.#revokeLeases = revokeLeases
  }

  /** Registers work in the tick in which its permit is minted; its call names it to `close`. */
  open(work: OpenWork): void {
    const { call, caller } = work.question
    const place: Place = { work }
    this.#open.set(call, place)
    const own = this.#ofCaller.get(caller.id)
    if (own === undefined) this.#ofCaller.set(caller.id, new Set([place]))
    else own.add(place)
  }

  /** The last byte has gone. Idempotent; a call that never got a permit was never registered. */
  close(call: Call): void {
    const place = this.#open.get(call)
    if (place === undefined || place.work === null) return
    this.#open.delete(call)
    const { id } = place.work.question.caller
    place.work = null
    const own = this.#ofCaller.get(id)
    own?.delete(place)
    if (own?.size === 0) this.#ofCaller.delete(id)
  }

  isOpen(call: Call): boolean {
    return this.#open.has(call)
  }

  /** What is open now, of one caller or of all. A list of its own: work may close while it is walked. */
  list(caller?: string): readonly OpenWork[] {
    const list: OpenWork[] = []
    for (const { work } of caller === undefined ? this.#open.values() : (this.#ofCaller.get(caller) ?? [])) {
      if (work !== null) list.push(work)
    }
    return list
  }

  /** A task of this caller ended: its open work is cut at once, then its leases are taken back. */
  async taskEnded(task: string, cause: string, caller: string): Promise<void> {
    for (const { question } of this.list(caller)) {
      if (question.task.row.id === task) question.call.cut(new Refusal('task.ended', { reasons: [`the task was ${cause}`] }))
    }
    await this.#revokeLeases(task, cause)
  }

  /** Shutdown after the drain deadline: whatever is still open is cut. */
  shutdown(): void {
    for (const { question } of this.list()) question.call.cut(new Refusal('listen.draining'))
  }

  /** Number of permits in use, for metrics. */
  get size(): number {
    return this.#open.size
  }
}
