import type { Decision, Question } from './decide/decide.ts'
import { Refusal } from './refusal.ts'

/** One piece of open work: a call in flight, with the decision that its permit was minted from. */
export type OpenWork = Pick<Decision, 'question' | 'now' | 'revision'>

type Call = Question['call']

/** Takes back every lease of a task; resolves when each is revoked, expired or discarded, or queued for retry. */
export type RevokeLeases = (task: string, cause: string) => Promise<void>

/**
 * The mirror of the request path: the single register of open work and the single list of what ends it.
 * Today: a task that ended (completed, revoked, expired), an approval taken back, a judgement on facts that changed (`rejudge.ts`), and
 * shutdown.
 */
export class Revoke {
  /** By call. Written by `open` and `close`. */
  readonly #open = new Map<Call, OpenWork>()
  /** By caller: what an agent has read follows all that it has open. Written by `open` and `close`. */
  readonly #ofCaller = new Map<string, Set<OpenWork>>()
  /** Calls that wait for a person: there is no permit yet, but whatever would end it ends the wait. Written by `hold`. */
  readonly #held = new Set<Question>()
  readonly #revokeLeases: RevokeLeases

  constructor(revokeLeases: RevokeLeases) {
    this.#revokeLeases = revokeLeases
  }

  /** Registers work in the tick in which its permit is minted; its call names it to `close`. */
  open(work: OpenWork): void {
    const { call, caller } = work.question
    this.#open.set(call, work)
    const own = this.#ofCaller.get(caller.id)
    if (own === undefined) this.#ofCaller.set(caller.id, new Set([work]))
    else own.add(work)
  }

  /** The last byte has gone. Idempotent; a call that never got a permit was never registered. */
  close(call: Call): void {
    const work = this.#open.get(call)
    if (work === undefined) return
    this.#open.delete(call)
    const { id } = work.question.caller
    const own = this.#ofCaller.get(id)
    own?.delete(work)
    if (own?.size === 0) this.#ofCaller.delete(id)
  }

  /** Registers a call that waits for a person; gives what ends that. */
  hold(question: Question): () => void {
    this.#held.add(question)
    return () => void this.#held.delete(question)
  }

  /** Cuts all that is open or held and that `whose` is true of, at once. */
  end(whose: (question: Question) => boolean, refusal: Refusal): void {
    for (const { question } of this.list()) if (whose(question)) question.call.cut(refusal)
    for (const question of this.#held) if (whose(question)) question.call.cut(refusal)
  }

  isOpen(call: Call): boolean {
    return this.#open.has(call)
  }

  /** What is open now, of one caller or of all. A list of its own: work may close while it is walked. */
  list(caller?: string): readonly OpenWork[] {
    return [...(caller === undefined ? this.#open.values() : (this.#ofCaller.get(caller) ?? []))]
  }

  /** A task of this caller ended: its open work is cut at once, then its leases are taken back. */
  async taskEnded(task: string, cause: string, caller: string): Promise<void> {
    const ended = new Refusal('task.ended', { reasons: [`the task was ${cause}`] })
    const of = (question: Question): boolean => question.task.row.id === task
    for (const { question } of this.list(caller)) if (of(question)) question.call.cut(ended)
    for (const question of this.#held) if (of(question)) question.call.cut(ended)
    await this.#revokeLeases(task, cause)
  }

  /** Shutdown after the drain deadline: whatever is still open is cut. */
  shutdown(): void {
    this.end(() => true, new Refusal('listen.draining'))
  }

  /** Number of permits in use, for metrics. */
  get size(): number {
    return this.#open.size
  }

  /** Number of calls that wait for a person. */
  get held(): number {
    return this.#held.size
  }
}
