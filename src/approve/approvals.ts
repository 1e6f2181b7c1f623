/** What people are asked and what they answer: each turn is an event in the ledger. */
import type { NewId } from '../id.ts'
import type { ApprovalBook, ApprovalRow, OfferedObjective, Wanted } from '../state/approvals.ts'
import type { Awaitable, TaskRow } from '../state/state.ts'
import type { Refusal } from '../refusal.ts'
import { checkAnswer, checkChain, keptGroups, type Answering, type Approver } from './answering.ts'
import type { ChainOf } from './chain.ts'
import { ApprovalFault } from './fault.ts'
import { granted, offered } from './objective.ts'
import { receiverOf, type GrantTo } from './receiver.ts'
import { grantedRow, pendingRow, sameTerms, type Asking } from './rows.ts'
import type { Agent } from '../task/agents.ts'
import type { Turns } from '../task/turns.ts'

/** An event of an approval, as the ledger takes it. */
export interface ApprovalEvent {
  readonly kind: `approval.${'opened' | 'answered' | 'approved' | 'declined' | 'expired' | 'withdrawn' | 'granted' | 'break-glass'}`
  /** Absent: it is about a task that is to be opened. */
  readonly task?: string
  readonly caller: string
  readonly by: string
  readonly detail: Readonly<Record<string, unknown>>
}

export interface ApprovalsOptions {
  readonly book: ApprovalBook
  /** Epoch ms. */
  readonly clock: () => number
  readonly newId: NewId
  /** By approval id, or by task and digest. */
  readonly turns: Turns
  readonly task: (id: string) => Awaitable<TaskRow | null>
  readonly chainOf: ChainOf
  /** The registration of a workload; null when there is none. */
  readonly agent: (caller: string) => Agent | null
  /** Why an agent may do nothing at present; null: it may. */
  readonly notLive: (agent: Agent) => string | null
  /** Of the policy in force. */
  readonly revision: () => string
  /** Resolves when the event is in the ledger; rejects with `record.failed`. */
  readonly event: (event: ApprovalEvent) => Promise<void>
  /** Takes back what it allowed: open work is cut at once, then leases are taken back; a task is ended or paused. */
  readonly revoke: (row: ApprovalRow) => Promise<void>
  /** Why nobody need answer it: its task has ended, or what it asks for is killed. Null: somebody must. */
  readonly gone: (row: ApprovalRow) => Refusal | null
  /** The text, when it is one line that is safe to show; else null. */
  readonly readLine: (value: unknown, longest: number) => string | null
  readonly log: { error(fields: object, message: string): void }
}

const longestReason = 500

/**
 * The verbs. What widens (an approval, a grant) is in the ledger before it is true; what narrows (a decline, an end) is true before it is in
 * the ledger. One answer to one approval after the other; an end waits for none of them.
 */
export class Approvals {
  readonly #options: ApprovalsOptions
  readonly #listeners = new Set<(row: ApprovalRow) => void>()
  #timer: NodeJS.Timeout | null = null

  constructor(options: ApprovalsOptions) {
    this.#options = options
  }

  list(filter: Parameters<ApprovalBook['approvals']>[0]): Awaitable<readonly ApprovalRow[]> {
    return this.#options.book.approvals(filter)
  }

  read(id: string): Awaitable<ApprovalRow | null> {
    return this.#options.book.approval(id)
  }

  /** The newest of this task and digest, whatever became of it. */
  latest(about: Pick<Wanted, 'task' | 'digest'>): Awaitable<ApprovalRow | null> {
    return this.#options.book.latest(about)
  }

  /** What may cover a call, in this tick: that for the action itself first. */
  usable(about: Wanted): readonly ApprovalRow[] {
    return this.#options.book.usable(about, this.#options.clock())
  }

  /** Uses one that is about a task, which it `opens` if it names one; null when another request was faster. Written when it answers. */
  spend(id: string, opens: string | null): ApprovalRow | null {
    const row = this.#options.book.spend(id, this.#options.clock(), opens)
    if (row !== null) this.#changed(row)
    return row
  }

  /** How many of a caller wait for people. */
  pending(caller: string): number {
    return this.#options.book.pending(caller)
  }

  /** Called with each row that opens or changes, after it did; channels and held calls listen. Gives what ends that. */
  watch(listener: (row: ApprovalRow) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * Asks, or gives what is asked already by the same terms; one asked by other terms is given up. Gives it closed when its time has just
   * passed. The event is in the ledger when it resolves. Rejects with `record.failed`, or, with the approval closed, with why nobody need
   * answer it: what happened while it was written down did not find it.
   */
  ask(asking: Asking): Promise<ApprovalRow> {
    const { task, digest } = asking
    return this.#options.turns.take(`${task?.id ?? ''} ${digest}`, async () => {
      const before = await this.latest({ task: task?.id ?? null, digest })
      if (before?.state === 'pending') {
        if (before.expires <= this.#options.clock()) return (await this.#expire(before)) ?? before
        if (sameTerms(before, asking)) return before
      }
      if (before?.state === 'pending' || before?.state === 'approved') await this.#give(before, 'policy asks for other approvers now')
      return this.#open(asking)
    })
  }

  /** Takes a person's answer. Throws ApprovalFault, or `record.failed`. */
  answer(id: string, by: Approver, answer: Answering): Promise<ApprovalRow> {
    return this.#options.turns.take(id, async () => {
      const row = await this.#answerable(id, by, answer)
      const tools = answer.objective === undefined || row.task === null ? [] : ((await this.#options.task(row.task))?.intent.tools ?? [])
      const objective = answer.objective === undefined ? null : offered(answer.objective, row, tools)
      const { verdict, reason, breakGlass = false } = answer
      const at = this.#options.clock()
      const groups = keptGroups(row.approvers, by.groups)
      const given = { by: by.name, method: by.method, groups, verdict, reason, at, breakGlass, objective }
      if (breakGlass) await this.#tell('approval.break-glass', row, by.name, { verdict, reason, approvers: row.approvers })
      const answered = (): Promise<void> => this.#tell('approval.answered', row, by.name, { ...given, quorum: row.quorum })
      if (verdict === 'approve') await answered()
      const expires = at + (row.expires - row.opened)
      const after = await this.#options.book.answer(id, given, { expires, objective: granted([...row.answers, given], at) })
      if (after === null) throw new ApprovalFault('closed', 'it was closed in the meantime')
      this.#changed(after)
      if (verdict === 'decline') await answered()
      await this.#settled(after, by)
      return after
    })
  }

  /** A person takes an approval back, answered or not: what it allowed ends now. Throws ApprovalFault, or `record.failed`. */
  async withdraw(id: string, by: Approver, reason: string): Promise<ApprovalRow> {
    this.#checkReason(reason)
    const { book, clock, revoke } = this.#options
    if ((await book.approval(id)) === null) throw unknown()
    const row = await book.close(id, 'withdrawn', { at: clock(), by: by.name, reason })
    if (row === null) throw new ApprovalFault('closed', 'it was closed before')
    this.#changed(row)
    const told = this.#tell('approval.withdrawn', row, by.name, { reason, method: by.method, used: row.used })
    for (const one of await Promise.allSettled([revoke(row), told])) if (one.status === 'rejected') throw one.reason
    return row
  }

  /**
   * A person grants an objective before any call asked: to a live task, or to a workload for every task of it. Throws ApprovalFault, or
   * `record.failed`, or why nobody need grant it.
   */
  async grant(to: GrantTo, objective: OfferedObjective, by: Approver, reason: string): Promise<ApprovalRow> {
    this.#checkReason(reason)
    const { clock, newId } = this.#options
    const receiver = await receiverOf(to, this.#options)
    checkChain(receiver.parties, by)
    const asked = offered(objective, { tool: '', single: false }, receiver.tools)
    const { name, method } = by
    const groups = keptGroups([], by.groups)
    const answer = { by: name, method, groups, verdict: 'approve', reason, at: clock(), breakGlass: false, objective: asked } as const
    const open = grantedRow(newId('a'), receiver, answer, [name, ...(by.also ?? [])])
    await this.#tell('approval.granted', open, name, { reason, method, groups, objective: open.objective })
    return this.#begun(open)
  }

  /** The task ended: nobody answers for it any more, and nothing of what was granted is left. */
  async taskEnded(task: string, cause: string): Promise<void> {
    for (const row of await this.list({ task, states: ['pending', 'approved'] })) await this.#give(row, `the task was ${cause}`)
  }

  /** A person let a task go on: what others were asked about that is asked no more. */
  async taskWentOn(task: string): Promise<void> {
    const pending = await this.list({ task, states: ['pending'] })
    for (const row of pending) if (row.matter === 'task-resume') await this.#give(row, 'a person let the task go on')
  }

  /** Something was stopped: nobody is asked any more for what `covered` says yes to. */
  async stopped(reason: string, covered: (row: ApprovalRow) => boolean): Promise<void> {
    const pending = await this.list({ states: ['pending'], limit: Number.MAX_SAFE_INTEGER })
    const gone = await Promise.allSettled(pending.filter(covered).map((row) => this.#give(row, reason)))
    for (const one of gone) if (one.status === 'rejected') throw one.reason
  }

  /** Ends what is overdue. */
  async sweep(): Promise<void> {
    const { book, clock } = this.#options
    await Promise.all(book.overdue(clock()).map((row) => this.#expire(row)))
  }

  /** Sweeps until closed; its timer keeps no process alive. */
  start(every = 1000): void {
    this.#timer ??= setInterval(() => {
      this.sweep().catch((error: unknown) => this.#options.log.error({ err: error }, 'an approval could not be ended'))
    }, every).unref()
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  async #open(asking: Asking): Promise<ApprovalRow> {
    const { clock, newId, chainOf } = this.#options
    const { call, digest, tool, route, approvers, quorum, revision, task, about } = asking
    const parties = about?.parties ?? (task === null ? [] : chainOf(task).parties)
    const row = pendingRow(newId('a'), asking, parties, clock())
    const { matter, worker, expires } = row
    const what = matter === 'call' ? { tool, route } : { matter, ...(worker !== undefined && { worker }) }
    await this.#tell('approval.opened', row, row.caller, { call, digest, ...what, approvers, quorum, expires, revision })
    return this.#begun(row)
  }

  /** It is in the ledger. Whatever ended its task, or killed what it asks for, while it was written did not find it yet. */
  async #begun(row: ApprovalRow): Promise<ApprovalRow> {
    const { book, gone } = this.#options
    const open = await book.open(row)
    const why = gone(open)
    if (why === null) {
      this.#changed(open)
      return open
    }
    await this.#give(open, why.message)
    throw why
  }

  async #answerable(id: string, by: Approver, answer: Answering): Promise<ApprovalRow> {
    const { book, clock } = this.#options
    const row = await book.approval(id)
    if (row === null) throw unknown()
    this.#checkReason(answer.reason)
    if (row.state === 'pending' && row.expires <= clock()) {
      await this.#expire(row)
      throw new ApprovalFault('closed', 'its time has passed')
    }
    checkAnswer(row, by, answer)
    return row
  }

  async #settled(row: ApprovalRow, by: Approver): Promise<void> {
    const { state, expires, objective } = row
    if (state !== 'approved' && state !== 'declined') return
    const waited = this.#options.clock() - row.opened
    await this.#tell(`approval.${state}`, row, by.name, { expires, objective, by: approversOf(row), waited })
  }

  #checkReason(reason: unknown): void {
    if (this.#options.readLine(reason, longestReason) === null)
      throw new ApprovalFault('reason', `say why, in one line of 1 to ${longestReason} characters`)
  }

  /** Countersign gives it up itself. */
  async #give(row: ApprovalRow, reason: string): Promise<void> {
    const closed = await this.#options.book.close(row.id, 'withdrawn', { at: this.#options.clock(), by: 'countersign', reason })
    if (closed === null) return
    this.#changed(closed)
    await this.#tell('approval.withdrawn', closed, 'countersign', { reason, used: closed.used })
  }

  async #expire(row: ApprovalRow): Promise<ApprovalRow | null> {
    const reason = row.granted === null ? 'nobody answered in time' : 'it was not used up in time'
    const closed = await this.#options.book.close(row.id, 'expired', { at: this.#options.clock(), by: 'clock', reason })
    if (closed === null) return null
    this.#changed(closed)
    await this.#tell('approval.expired', closed, 'clock', { reason, used: closed.used })
    return closed
  }

  #tell(kind: ApprovalEvent['kind'], row: ApprovalRow, by: string, detail: ApprovalEvent['detail']): Promise<void> {
    const { id, task, caller } = row
    return this.#options.event({ kind, ...(task !== null && { task }), caller, by, detail: { approval: id, ...detail } })
  }

  #changed(row: ApprovalRow): void {
    for (const listener of this.#listeners) {
      try {
        listener(row)
      } catch (error) {
        this.#options.log.error({ err: error, approval: row.id }, 'whoever watches approvals failed')
      }
    }
  }
}

/** Who said yes. */
export function approversOf({ answers }: Pick<ApprovalRow, 'answers'>): readonly string[] {
  return answers.filter(({ verdict }) => verdict === 'approve').map(({ by }) => by)
}

function unknown(): ApprovalFault {
  return new ApprovalFault('unknown', 'there is no such approval')
}
