import type { Decision, Question } from './decide/decide.ts'
import { Bag } from './bag.ts'
import { Refusal } from './refusal.ts'
import type { KillRow } from './state/kills.ts'

/** One piece of open work: a call in flight, with the decision that its permit was minted from. */
export type OpenWork = Pick<Decision, 'question' | 'now' | 'revision'>

type Call = Question['call']

/** Takes back every lease of a task; resolves when each is revoked, expired or discarded, or queued for retry. */
export type RevokeLeases = (task: string, cause: string) => Promise<void>

/**
 * The mirror of the request path: the single register of open work and the single list of what ends it.
 *
 * | what happened | whose work | what becomes of it | by |
 * | --- | --- | --- | --- |
 * | a task completed, was revoked, expired | its own | cut in the tick; leases taken back | `taskEnded` |
 * | a kill was engaged | all that it covers, held calls too | cut in the tick; tasks and leases ended by `kill/kills.ts` | `killed` |
 * | an approval was withdrawn | calls under it, held ones too | cut in the tick | `approvalWithdrawn` |
 * | policy or configuration changed | everybody's | judged again | `rejudge.ts` |
 * | an agent or its owners changed | its callers', or everybody's | judged again | `rejudge.ts` |
 * | a caller came to know more, a task was paused | that caller's | judged again in the tick | `rejudge.ts` |
 * | a credential expired, a provider went | calls that wait for it | refused; those that hold it go on | `credential/lease-ends.ts` |
 * | shutdown, after the drain deadline | everybody's | cut | `shutdown` |
 *
 * Judged again means: it goes on if task, agent, kills, place and `countersign/continue` say so (`verdict.ts`), and live leases with it.
 */
export class Revoke {
  /** Written by `open` and `close`. */
  readonly #open = new Bag<OpenWork>()
  /** By caller: what an agent has read follows all that it has open. Written by `open` and `close`. */
  readonly #ofCaller = new Map<string, Bag<OpenWork>>()
  /** Calls without a permit yet that wait for a person or a fact: whatever would end it ends the wait. Written by `hold` and `close`. */
  readonly #held = new Map<Call, Question>()
  readonly #revokeLeases: RevokeLeases

  constructor(revokeLeases: RevokeLeases) {
    this.#revokeLeases = revokeLeases
  }

  /** Registers work in the tick in which its permit is minted; its call names it to `close`. */
  open(work: OpenWork): void {
    const { id } = work.question.caller
    let own = this.#ofCaller.get(id)
    if (own === undefined) this.#ofCaller.set(id, (own = new Bag()))
    own.add(work)
    this.#open.add(work)
  }

  /** Registers a call that begins to wait before it may have a permit; gives what ends that, and so does `close`. */
  hold(question: Question): () => void {
    this.#held.set(question.call, question)
    return () => void this.#held.delete(question.call)
  }

  /** The last byte has gone. Idempotent; a call that never got a permit was never registered. */
  close(call: Call): void {
    if (this.#held.size > 0) this.#held.delete(call)
    const work = this.#open.takeIf(({ question }) => question.call === call)
    if (work === undefined) return
    const { id } = work.question.caller
    const own = this.#ofCaller.get(id)
    own?.delete(work)
    if (own?.size === 0) this.#ofCaller.delete(id)
  }

  isOpen(call: Call): boolean {
    return this.#open.some(({ question }) => question.call === call)
  }

  /** What is open now, of one caller or of all. A list of its own: work may close while it is walked. */
  list(caller?: string): readonly OpenWork[] {
    return caller === undefined ? this.#open.list() : (this.#ofCaller.get(caller)?.list() ?? [])
  }

  /** A task of this caller ended: its open work is cut at once, then its leases are taken back. */
  async taskEnded(task: string, cause: string, caller: string): Promise<void> {
    this.#cut(caller, ({ task: { row } }) => row.id === task, new Refusal('task.ended', { reasons: [`the task was ${cause}`] }))
    await this.#revokeLeases(task, cause)
  }

  /** A kill was engaged: what it covers is cut in this tick. Gives the number of calls. */
  killed({ scope, name }: Pick<KillRow, 'scope' | 'name'>, covered: (question: Question) => boolean, why: Refusal): number {
    // the name of an agent may be a pattern; without one it is the caller that work is indexed by
    const caller = scope === 'agent' && name !== null && !name.endsWith('*') && this.#ofCaller.has(name) ? name : undefined
    return this.#cut(caller, covered, why)
  }

  /** An approval was withdrawn: calls that were minted under it are cut in this tick. Gives their number. */
  approvalWithdrawn(approval: string): number {
    const why = new Refusal('approve.declined', { reasons: ['a person took the approval back'] })
    return this.#cut(undefined, (question) => question.approval?.id === approval, why)
  }

  /** Shutdown after the drain deadline: whatever is still open is cut. */
  shutdown(): void {
    this.#cut(undefined, () => true, new Refusal('listen.draining'))
  }

  /** Number of permits in use, for metrics. */
  get size(): number {
    return this.#open.size
  }

  /** Number of calls that wait for a person or a fact. */
  get held(): number {
    return this.#held.size
  }

  #cut(caller: string | undefined, covered: (question: Question) => boolean, why: Refusal): number {
    let cut = 0
    for (const { question } of this.list(caller)) cut += cutIf(question, covered, why)
    for (const question of this.#held.size === 0 ? [] : [...this.#held.values()]) cut += cutIf(question, covered, why)
    return cut
  }
}

/** Work whose cover nobody can tell is cut: unknown means no. */
function cutIf(question: Question, covered: (question: Question) => boolean, why: Refusal): 0 | 1 {
  try {
    if (!covered(question)) return 0
  } catch {
    // cut all the same
  }
  question.call.cut(why)
  return 1
}
