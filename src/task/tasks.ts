/** What can be done to a task: open, pause, resume, complete, end. Each is an event in the ledger. */
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import type { Caller } from '../identify/identify.ts'
import type { NewId } from '../id.ts'
import type { Intent, OnBehalfOf, PausedBy, Seal, State, TaskRow } from '../state/state.ts'
import { notLive, type Agent } from './agents.ts'
import { endHanging, hangingOn, pauseHanging, resumeHanging } from './cascade.ts'
import { linksOf } from './chain.ts'
import { narrow, readLine, type AskedTask } from './intent.ts'
import { newRow, rootOf, subjectPurpose } from './row.ts'
import type { ProvenSubject } from './subject.ts'

/** What policy is asked (`countersign/task`) before a task is opened, or resumed by its agent. */
export interface TaskQuestion {
  readonly action: 'open' | 'resume'
  readonly caller: Caller
  readonly agent: Agent
  readonly intent: Intent
  /** How long it is to live from now on, ms. */
  readonly ttl: number
  /** Of the task that is resumed. */
  readonly id?: string
  /** Who it answers to, and who handed on until it came to the caller. */
  readonly delegation: Pick<TaskRow, 'root' | 'chain'>
}

/** What policy said. Anything but `allow` is a no; the agent reads `message_agent` alone. */
export interface TaskVerdict {
  readonly effect: 'allow' | 'deny' | 'ask'
  readonly reasons: readonly { readonly rule: string; readonly message_agent: string }[]
}

/** An event of a task, as the ledger takes it. */
export interface TaskEvent {
  readonly kind: `task.${'opened' | 'handed-on' | 'paused' | 'resumed' | 'completed' | 'revoked' | 'expired'}` | 'grant.withdrawn'
  readonly task: string
  readonly caller: string
  /** A SPIFFE ID, `person:<name>`, `rule:<id>` or `clock`. */
  readonly by: string
  readonly detail: Readonly<Record<string, unknown>>
}

/** On whose behalf a task is opened, proven by `token`. */
export interface Subject extends OnBehalfOf, Partial<Pick<ProvenSubject, 'acting'>> {
  readonly token: Secret
}

export interface Opening {
  readonly caller: Caller
  readonly agent: Agent
  readonly intent: Intent
  /** Milliseconds. */
  readonly ttl: number
  readonly subject: Subject | null
  readonly implicit: boolean
}

/** Who pauses or ends a task. */
export interface Actor {
  readonly kind: PausedBy
  /** As the ledger names it: a SPIFFE ID, `person:<name>`, `rule:<id>`. */
  readonly name: string
}

export interface TasksOptions {
  readonly state: State
  readonly clock: () => number
  readonly newId: NewId
  /** The active policy revision. */
  readonly revision: () => string
  /** Throws a Refusal when policy cannot answer. */
  readonly judge: (question: TaskQuestion) => TaskVerdict
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
 * The verbs. What widens (open, resume) is in the ledger before it is true; what narrows (pause, end) is true before
 * it is in the ledger, so a ledger that cannot be written never keeps a task running.
 */
export class Tasks {
  readonly #options: TasksOptions
  /** Task id → subject token, only without a seal. Written by `open` and `#end`. */
  readonly #subjects = new Map<string, Secret>()
  /** Caller → tasks being opened: they count before they are in the state. Written by `open`. */
  readonly #opening = new Map<string, number>()
  /** Task id → the last of its lifts that are under way. Written by `#inTurn`. */
  readonly #lifts = new Map<string, Promise<unknown>>()

  constructor(options: TasksOptions) {
    this.#options = options
  }

  /** What an agent asks for, within what it was registered for; throws decide.denied with every reason why not. */
  narrowed(body: Readonly<Record<string, unknown>>, agent: Agent): AskedTask {
    const narrowed = narrow(body, agent)
    if ('reasons' in narrowed) throw new Refusal('decide.denied', { reasons: narrowed.reasons })
    return narrowed.asked
  }

  /** Opens a task for a caller, judged first. Throws task.agent-not-live, listen.overloaded, decide.denied, record.failed. */
  open(opening: Opening): Promise<TaskRow> {
    return this.inRoom(opening.caller.id, () => this.#open(opening))
  }

  /** Opens a task as long as its caller has not too many open: those that are being opened count. Throws listen.overloaded. */
  async inRoom(id: string, open: () => Promise<TaskRow>): Promise<TaskRow> {
    const before = this.#opening.get(id) ?? 0
    this.#opening.set(id, before + 1)
    try {
      await this.#leaveRoom(id, before)
      return await open()
    } finally {
      const left = (this.#opening.get(id) ?? 1) - 1
      if (left > 0) this.#opening.set(id, left)
      else this.#opening.delete(id)
    }
  }

  async #open(opening: Opening): Promise<TaskRow> {
    const { state, event, newId, clock, revision, seal } = this.#options
    const { caller, agent, intent, ttl, implicit, subject } = opening
    const onBehalfOf = subject && { subject: subject.subject, issuer: subject.issuer }
    const chain = linksOf(subject?.acting ?? null, caller.id)
    this.judge({ action: 'open', caller, agent, intent, ttl, delegation: { root: rootOf(caller, onBehalfOf), chain } })
    const beginning = { ...opening, onBehalfOf, token: subject?.token ?? null, chain }
    const row = newRow(newId('t'), beginning, { seal, now: clock(), revision: revision() })
    const { purpose, ...scope } = intent
    const through = chain.length === 0 ? {} : { chain: chain.map(({ party }) => party) }
    const detail = {
      agent: agent.id,
      implicit,
      purpose,
      ...scope,
      on_behalf_of: onBehalfOf,
      root: row.root,
      ...through,
      expires: row.expires,
    }
    await event({ kind: 'task.opened', task: row.id, caller: caller.id, by: caller.id, detail: { ...detail, revision: row.revision } })
    await state.openTask(row)
    if (subject && row.subjectToken === null) this.#subjects.set(row.id, subject.token)
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
    const told = event({ kind: 'task.paused', task: row.id, caller: row.caller, by: by.name, detail: { by: by.kind, reason } })
    await Promise.all([told, ...pauseHanging(this.#options, paused, by.name)])
    return paused
  }

  /** paused → active, by the agent: only a pause it set itself, and judged again (CS-TASK-3). The session becomes that of `caller`. Idempotent. */
  resume(given: TaskRow, caller: Caller, agent: Agent): Promise<TaskRow> {
    return this.#inTurn(given.id, async (row) => {
      if (row.state === 'active') return row
      this.#checkPaused(row)
      if (row.paused?.by !== 'agent') throw new Refusal('task.paused', { reasons: ['only a person can lift this pause'] })
      const ttl = row.expires - this.#options.clock()
      this.judge({ action: 'resume', caller, agent, intent: row.intent, ttl, id: row.id, delegation: row })
      return this.#lift(row, caller.id, ['agent'], { session: caller.proof, revision: this.#options.revision() })
    })
  }

  /** paused → active, by a person (`person:<name>`), whoever paused it. Its calls are judged as every call is. Idempotent. */
  resumeByPerson(given: TaskRow, name: string): Promise<TaskRow> {
    return this.#inTurn(given.id, async (row) => {
      if (row.state === 'active') return row
      this.#checkPaused(row)
      return this.#lift(row, name, ['agent', 'person', 'rule'], { revision: this.#options.revision() })
    })
  }

  /** The agent is done. A pause by a person or a rule is not shaken off by ending the task. */
  async complete(row: TaskRow, by: Actor, reason: string): Promise<TaskRow> {
    if (by.kind === 'agent' && row.state === 'paused' && row.paused?.by !== 'agent') {
      throw new Refusal('task.paused', { reasons: ['only a person can lift this pause'] })
    }
    return this.#end(row, 'completed', by.name, reason)
  }

  /** A person or a rule takes the task back. */
  revoke(row: TaskRow, by: Actor, reason: string): Promise<TaskRow> {
    return this.#end(row, 'revoked', by.name, reason)
  }

  /** Its time has passed. */
  expire(row: TaskRow): Promise<TaskRow> {
    return this.#end(row, 'expired', 'clock', 'its time has passed')
  }

  /** The token of the person or workload a task acts for, for a later exchange; null when none was given or it is gone. */
  subjectToken(row: TaskRow): Secret | null {
    const { seal, state } = this.#options
    if (row.subjectToken !== null && seal !== null) return new Secret(seal.open(row.subjectToken, subjectPurpose(row.id)))
    const own = this.#subjects.get(row.id) ?? null
    if (own !== null || row.parent === null) return own
    // what was handed on acts for whom its root acts for
    const [parent] = state.ancestors(row.id)
    return parent === undefined ? null : this.subjectToken(parent)
  }

  /** Throws task.agent-not-live, decide.denied or approve.required unless policy lets the task be. */
  judge(question: TaskQuestion): void {
    const why = notLive(question.agent, this.#options.clock())
    if (why !== null) throw new Refusal('task.agent-not-live', { detail: why })
    const { effect, reasons } = this.#options.judge(question)
    if (effect === 'allow') return
    throw new Refusal(effect === 'ask' ? 'approve.required' : 'decide.denied', {
      reasons: reasons.map((one) => one.message_agent),
      detail: reasons.map((one) => one.rule).join(' '),
    })
  }

  /** One caller cannot fill the memory that its neighbours share. */
  async #leaveRoom(caller: string, opening: number): Promise<void> {
    const most = this.#options.openPerCaller ?? 64
    let open = opening
    for (const state of ['active', 'paused'] as const) open += (await this.#options.state.tasks({ caller, state, limit: most })).length
    if (open >= most) throw new Refusal('listen.overloaded', { reasons: [`at most ${most} tasks may be open at once`] })
  }

  /** One lift of a task after the other, each on the row as it is then: else two would both be told to the ledger, and one refused. */
  async #inTurn(id: string, lift: (row: TaskRow) => Promise<TaskRow>): Promise<TaskRow> {
    const turn = Promise.resolve(this.#lifts.get(id)).then(async () => {
      const row = await this.#options.state.task(id)
      if (row === null) throw new Refusal('task.unknown')
      return lift(row)
    })
    const over = turn.catch(() => null)
    this.#lifts.set(id, over)
    try {
      return await turn
    } finally {
      if (this.#lifts.get(id) === over) this.#lifts.delete(id)
    }
  }

  #checkPaused(row: TaskRow): void {
    if (row.state !== 'paused' || row.expires <= this.#options.clock()) throw new Refusal('task.ended')
  }

  async #lift(
    row: TaskRow,
    by: string,
    liftable: readonly PausedBy[],
    change: Partial<Pick<TaskRow, 'session' | 'revision'>>,
  ): Promise<TaskRow> {
    const { state, event } = this.#options
    await event({ kind: 'task.resumed', task: row.id, caller: row.caller, by, detail: { paused_by: row.paused?.by ?? null, ...change } })
    await resumeHanging(this.#options, row, by)
    const resumed = await state.resumeTask(row.id, liftable, change)
    if (resumed === null) throw await this.#whyNot(row.id)
    return resumed
  }

  async #end(row: TaskRow, to: 'completed' | 'revoked' | 'expired', by: string, cause: string): Promise<TaskRow> {
    const { state, event, ended, clock } = this.#options
    const hanging = hangingOn(this.#options, row)
    const after = await state.endTask(row.id, to, { at: clock(), cause, by })
    if (after === null) throw new Refusal('task.ended')
    this.#subjects.delete(row.id)
    const told = event({ kind: `task.${to}`, task: row.id, caller: row.caller, by, detail: { cause } })
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
