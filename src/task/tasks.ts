/** What can be done to a task: open, pause, resume, go on, complete, end. Each is an event in the ledger. */
import { Refusal } from '../refusal.ts'
import type { Secret } from '../secret.ts'
import type { Caller } from '../identify/identify.ts'
import type { NewId } from '../id.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { PausedBy, Seal, State, TaskRow } from '../state/state.ts'
import type { Agent } from './agents.ts'
import { endHanging, hangingOn, pauseHanging, resumeHanging } from './cascade.ts'
import { linksOf } from './chain.ts'
import type { Actor, ActedBy, TaskEvent } from './events.ts'
import type { GoingOn, Resuming } from './going-on.ts'
import { narrow, readLine, type AskedTask } from './intent.ts'
import { isProven, openedEvent, openerOf, rootOf, taskRow, type Opening } from './opening.ts'
import { answeredBy, judgeTask, type Asker, type AskPeople, type TaskQuestion, type TaskVerdict } from './question.ts'
import { Room } from './room.ts'
import { Sessions, type Held } from './session.ts'
import { SubjectTokens } from './subject-tokens.ts'
import { Turns } from './turns.ts'

export interface TasksOptions {
  readonly state: State
  readonly clock: () => number
  readonly newId: NewId
  /** The active policy revision. */
  readonly revision: () => string
  /** The session of a caller; its proof where nothing is said. */
  readonly session?: (caller: Caller) => string
  /** Throws a Refusal when policy cannot answer. */
  readonly judge: (question: TaskQuestion) => TaskVerdict
  readonly ask: AskPeople
  /** A person let a task go on: nobody need be asked about that any more. */
  readonly wentOn?: (task: string) => Promise<void>
  /** Resolves when the event is in the ledger; rejects with `record.failed`. */
  readonly event: (event: TaskEvent) => Promise<void>
  /** Called once per ended task, at once: cuts its open work and takes its leases back. */
  readonly ended: (task: string, cause: 'completed' | 'revoked' | 'expired', caller: string) => Promise<void>
  /** Called when a task was paused, at once: its open work is judged again. */
  readonly paused?: (row: TaskRow) => void
  /** Seals subject tokens; without one they live in memory only and are lost with the process. */
  readonly seal: Seal | null
  /** Most tasks one caller may have open; 64 by default. */
  readonly openPerCaller?: number
}

const longestReason = 500

/**
 * The verbs. What widens (open, resume, go on) is in the ledger before it is true; what narrows (pause, end) is true before
 * it is in the ledger, so a ledger that cannot be written never keeps a task running.
 */
export class Tasks {
  readonly #options: TasksOptions
  readonly #subjects: SubjectTokens
  readonly #room: Room
  /** Lifts of a task, one after the other: else two would both be told to the ledger, and one refused. */
  readonly #turns = new Turns()
  /** Who may use a task besides the session in its row. */
  readonly sessions = new Sessions()

  constructor(options: TasksOptions) {
    this.#options = options
    this.#subjects = new SubjectTokens(options.seal)
    this.#room = new Room(options.state, options.openPerCaller ?? 64)
  }

  /** What an agent asks for, within what it was registered for; throws decide.denied with every reason why not. */
  narrowed(body: Readonly<Record<string, unknown>>, agent: Agent): AskedTask {
    const narrowed = narrow(body, agent)
    if ('reasons' in narrowed) throw new Refusal('decide.denied', { reasons: narrowed.reasons })
    return narrowed.asked
  }

  /** Opens a task for a caller, judged first. Throws task.agent-not-live, listen.overloaded, decide.denied, what `ask` throws, record.failed. */
  open(opening: Opening): Promise<TaskRow> {
    return this.inRoom(opening.caller.id, () => this.#open(opening))
  }

  /** Opens a task as long as its caller has not too many open: those that are being opened count. Throws listen.overloaded. */
  inRoom<T>(caller: string, open: () => Promise<T>): Promise<T> {
    return this.#room.take(caller, open)
  }

  async #open(opening: Opening): Promise<TaskRow> {
    const { state, event, newId, clock, revision } = this.#options
    const { caller, agent, intent, ttl, subject } = opening
    const chain = linksOf(subject?.acting ?? null, caller.id)
    const id = newId('t')
    const opener = openerOf(opening)
    const question = { action: 'open', caller, agent, intent, ttl, opener, delegation: { root: rootOf(opening), chain } } as const
    const approval = await this.judge(question, {
      by: opener.name,
      call: opening.call ?? null,
      task: null,
      opens: id,
      onBehalfOf: subject && { subject: subject.subject, issuer: subject.issuer },
    })
    const session = isProven(caller) ? this.session(caller) : null
    const subjectToken = subject && this.#subjects.sealed(id, subject.token)
    const row = taskRow(opening, { id, now: clock(), revision: revision(), session, subjectToken, chain })
    await event(openedEvent(row, opening, approval))
    await state.openTask(row)
    if (approval !== null) await this.#checkApproval(row, approval)
    if (subject && subjectToken === null) this.#subjects.keep(id, subject.token)
    return row
  }

  /** The task, if this caller may know of it; throws task.unknown, the same for a foreign id as for one that never was. */
  async own(id: string, caller: string): Promise<TaskRow> {
    const row = await this.#options.state.task(id)
    if (row === null || row.caller !== caller) throw new Refusal('task.unknown')
    return row
  }

  /** active → paused; a person or a rule also takes over the pause of an agent. Throws match.body when `reason` is not one line, task.paused or task.ended when it cannot be paused. */
  async pause(row: TaskRow, by: Actor, reason: string): Promise<TaskRow> {
    const { state, event, clock } = this.#options
    if (readLine(reason, longestReason) === null) {
      throw new Refusal('match.body', { reasons: [`reason must be one line of 1 to ${longestReason} characters`] })
    }
    const paused = await state.pauseTask(row.id, { by: by.kind, at: clock(), reason })
    if (paused === null) throw await this.#whyNot(row.id)
    this.#options.paused?.(paused)
    const detail = { by: by.kind, reason, method: by.method }
    const told = event({ kind: 'task.paused', task: row.id, caller: row.caller, by: by.name, detail })
    await Promise.all([told, ...pauseHanging(this.#options, paused, by.name)])
    return paused
  }

  /**
   * paused → active, by the agent: only a pause it set itself, and judged again (CS-TASK-3), for whatever `due` says that it would be
   * judged for without the pause. The session becomes that of `caller`. Idempotent.
   */
  resume(given: TaskRow, { caller, agent, due, call }: Resuming): Promise<TaskRow> {
    return this.#inTurn(given.id, async (row) => {
      if (row.state === 'active') return row
      this.#checkPaused(row)
      if (row.paused?.by !== 'agent') throw new Refusal('task.paused', { reasons: ['only a person can lift this pause'] })
      const ttl = row.expires - this.#options.clock()
      // a pause in between shakes off nothing of what the task would be judged for
      const why = due?.(row) ?? null
      const cause = why === null || why === 'unused' ? {} : { cause: why }
      const session = this.session(caller)
      const question = { action: 'resume', caller, agent, intent: row.intent, ttl, id: row.id, ...cause, delegation: row } as const
      const approval = await this.judge(question, { by: caller.id, call: call ?? null, task: row, opens: null, session })
      return this.#lift(row, { name: caller.id }, ['agent'], { session, ...this.#now() }, approval)
    })
  }

  /**
   * paused → active, by a person (`person:<name>`), whoever paused it; and a session that policy did not let go on with an active task
   * goes on with it. Its calls are judged as every call is. Idempotent.
   */
  resumeByPerson(given: TaskRow, name: string, method?: string): Promise<TaskRow> {
    const by = { name, method }
    return this.#inTurn(given.id, async (row) => {
      const held = row.state === 'active' ? this.sessions.heldOf(row.id) : null
      if (row.state === 'active' && held === null) return row
      if (held === null) this.#checkPaused(row)
      const lift = (): Promise<TaskRow> => this.#lift(row, by, ['agent', 'person', 'rule'], this.#now(), null)
      const after = await (held === null ? lift() : this.#goOn(row, by, held, null))
      await this.#options.wentOn?.(row.id)
      return after
    })
  }

  /**
   * Has an active task judged before its caller goes on with it. Idempotent, one after the other. Throws task.paused, or what `ask` throws,
   * until policy allows it or a person says so, task.agent-not-live, task.ended, record.failed.
   */
  goOn(given: TaskRow, { caller, agent, due, call }: GoingOn): Promise<TaskRow> {
    return this.#inTurn(given.id, async (row) => {
      if (row.state !== 'active') throw await this.#whyNot(row.id)
      const cause = due(row)
      if (cause === null) return row
      const session = this.session(caller)
      if (cause === 'unused') return (await this.#options.state.reauthoriseTask(row.id, { session })) ?? row
      const ttl = row.expires - this.#options.clock()
      const question = { action: 'resume', caller, agent, intent: row.intent, ttl, id: row.id, cause, delegation: row } as const
      const asker = { by: caller.id, call: call ?? null, task: row, opens: null, session }
      const approval = await this.judge(question, asker, 'task.paused').catch((error: unknown) => {
        if (error instanceof Refusal && (error.code === 'task.paused' || error.code.startsWith('approve.')))
          this.sessions.hold(row.id, { cause, session })
        throw error
      })
      return this.#goOn(row, { name: caller.id }, { cause, session }, approval)
    })
  }

  /** The agent is done. A pause by a person or a rule is not shaken off by ending the task. */
  async complete(row: TaskRow, by: Actor, reason: string): Promise<TaskRow> {
    if (by.kind === 'agent' && row.state === 'paused' && row.paused?.by !== 'agent') {
      throw new Refusal('task.paused', { reasons: ['only a person can lift this pause'] })
    }
    return this.#end(row, 'completed', by, reason)
  }

  /** A person or a rule takes the task back. */
  revoke(row: TaskRow, by: Actor, reason: string): Promise<TaskRow> {
    return this.#end(row, 'revoked', by, reason)
  }

  /** Its time has passed. */
  expire(row: TaskRow): Promise<TaskRow> {
    return this.#end(row, 'expired', { name: 'clock' }, 'its time has passed')
  }

  /** The token of the person or workload a task acts for, for a later exchange; null when none was given or it is gone. */
  subjectToken(row: TaskRow): Secret | null {
    const own = this.#subjects.of(row)
    if (own !== null || row.parent === null) return own
    // what was handed on acts for whom its root acts for
    const [parent] = this.#options.state.ancestors(row.id)
    return parent === undefined ? null : this.subjectToken(parent)
  }

  /** Rejects unless policy, or the approval that it resolves with, lets the task be: see `judgeTask`. */
  judge(question: TaskQuestion, asker: Asker, refused?: 'task.paused'): Promise<ApprovalRow | null> {
    const { judge, ask, clock } = this.#options
    return judgeTask(question, { judge, ask, now: clock() }, asker, refused)
  }

  /** What tells the sessions of a caller apart. */
  session(caller: Caller): string {
    return this.#options.session?.(caller) ?? caller.proof
  }

  /** What a judgement of this moment leaves in the row. */
  #now(): Pick<TaskRow, 'revision'> & { readonly judged: number } {
    return { revision: this.#options.revision(), judged: this.#options.clock() }
  }

  /** Whoever took the approval back while the opening was written down found no task to end. */
  async #checkApproval(row: TaskRow, { id }: ApprovalRow): Promise<void> {
    const now = await this.#options.state.approvals.approval(id)
    if (now?.state !== 'withdrawn') return
    await this.#end(row, 'revoked', { name: now.closed?.by ?? 'countersign' }, `the approval ${id} was withdrawn`)
    throw new Refusal('approve.declined', { reasons: ['a person took the approval back'] })
  }

  /** Each on the row as it is then. */
  #inTurn(id: string, lift: (row: TaskRow) => Promise<TaskRow>): Promise<TaskRow> {
    return this.#turns.take(id, async () => {
      const row = await this.#options.state.task(id)
      if (row === null) throw new Refusal('task.unknown')
      return lift(row)
    })
  }

  #checkPaused(row: TaskRow): void {
    if (row.state !== 'paused' || row.expires <= this.#options.clock()) throw new Refusal('task.ended')
  }

  async #goOn(row: TaskRow, by: ActedBy, { cause, session }: Held, approval: ApprovalRow | null): Promise<TaskRow> {
    const { state, event } = this.#options
    const change = { session, ...this.#now() }
    const detail = { cause, ...change, method: by.method, ...answeredBy(approval) }
    await event({ kind: 'task.reauthorised', task: row.id, caller: row.caller, by: by.name, detail })
    const after = await state.reauthoriseTask(row.id, change)
    if (after === null) throw await this.#whyNot(row.id)
    this.sessions.allow(row.id, row.revision === after.revision ? [row.session, session] : [session], after.revision)
    return after
  }

  async #lift(
    row: TaskRow,
    by: ActedBy,
    liftable: readonly PausedBy[],
    change: Partial<Pick<TaskRow, 'session' | 'revision' | 'judged'>>,
    approval: ApprovalRow | null,
  ): Promise<TaskRow> {
    const { state, event } = this.#options
    const detail = { paused_by: row.paused?.by ?? null, ...change, method: by.method, ...answeredBy(approval) }
    await event({ kind: 'task.resumed', task: row.id, caller: row.caller, by: by.name, detail })
    await resumeHanging(this.#options, row, by.name)
    const resumed = await state.resumeTask(row.id, liftable, change)
    if (resumed === null) throw await this.#whyNot(row.id)
    return resumed
  }

  async #end(row: TaskRow, to: 'completed' | 'revoked' | 'expired', actor: ActedBy, cause: string): Promise<TaskRow> {
    const { state, event, ended, clock } = this.#options
    const by = actor.name
    const hanging = hangingOn(this.#options, row)
    const after = await state.endTask(row.id, to, { at: clock(), cause, by })
    if (after === null) throw new Refusal('task.ended')
    this.#subjects.forget(row.id)
    this.sessions.forget(row.id)
    const told = event({ kind: `task.${to}`, task: row.id, caller: row.caller, by, detail: { cause, method: actor.method } })
    const own = ended(row.id, to, row.caller)
    const below = endHanging(this.#options, hanging, after, by)
    for (const one of await Promise.allSettled([own, told, ...below])) if (one.status === 'rejected') throw one.reason
    return after
  }

  async #whyNot(id: string): Promise<Refusal> {
    const row = await this.#options.state.task(id)
    return new Refusal(row?.state === 'paused' || row?.state === 'active' ? 'task.paused' : 'task.ended')
  }
}
