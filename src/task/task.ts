/** The task stage: no live task, no call. */
import { Refusal } from '../refusal.ts'
import type { Caller } from '../identify/identify.ts'
import type { Call } from '../listen/call.ts'
import type { Awaitable, Intent, State, TaskRow, Transaction } from '../state/state.ts'
import { notLive, type Agent, type AgentRegistry } from './agents.ts'
import { checkHosting } from './hosting.ts'
import { within } from './intent.ts'
import type { Cause } from './question.ts'
import type { Tasks } from './tasks.ts'
import type { TaskTokens } from './token.ts'
import type { ReadTransaction } from './transaction.ts'

/** A task as a call sees it: known, live and bound to its caller when it was looked up. */
export interface Task {
  readonly row: TaskRow
  readonly agent: Agent
  /** Of the `Txn-Token` that the call carries; null, as absent, without one. */
  readonly transaction?: Transaction | null
}

export interface TaskOptions {
  readonly state: State
  /** The agents of the configuration in force. */
  readonly agents: () => AgentRegistry
  readonly tasks: Tasks
  /** The refusal when a kill covers the caller, its registration or the task; null when none does. */
  readonly killed?: (caller: string, agent: Agent, row: TaskRow | null) => Refusal | null
  readonly clock: () => number
  /** Looks whether an active task has to be judged before it goes on. Absent: none ever has. */
  readonly due?: (row: TaskRow, caller: Caller, now: number) => Cause | 'unused' | null
  /** Reads task tokens. Absent: none is known. */
  readonly tokens?: Pick<TaskTokens, 'taskOf'>
  /** Reads the `Txn-Token` of a call. Absent: it is not looked at. */
  readonly transaction?: ReadTransaction
}

/** Who wants to use a task, and by which call. */
interface User {
  readonly call: Call
  readonly caller: Caller
  readonly agent: Agent
}

/** The expiry of an implicit task slides at most this often, ms. */
const slideEvery = 1000

/**
 * Makes the stage: `(call, caller) => task`. This is the early look; minting the permit looks again, in one tick.
 * Synchronous on a synchronous state, except where a task is opened or ended. Refuses with the codes of its own section.
 */
export function makeTask(options: TaskOptions): (call: Call, caller: Caller) => Awaitable<Task> {
  const stage = new TaskStage(options)
  return (call, caller) => stage.task(call, caller)
}

class TaskStage {
  readonly #options: TaskOptions
  /** Caller id → the implicit task being opened for it: calls that come together share one. Written by `#openImplicit`. */
  readonly #opening = new Map<string, Promise<TaskRow>>()
  /** Agent as registered → intents known to be within it. A reload makes new agents, so each task is compared again. */
  readonly #within = new WeakMap<Agent, WeakSet<Intent>>()

  constructor(options: TaskOptions) {
    this.#options = options
  }

  task(call: Call, caller: Caller): Awaitable<Task> {
    const agent = this.#agent(caller, call)
    const id = this.#id(call, caller)
    const user = { call, caller, agent }
    const task = id === null ? this.#unnamed(user) : after(this.#options.state.task(id), (row) => this.#named(row, user))
    const carried = call.carried?.transaction ?? null
    return carried === null ? task : after(task, (known) => this.#joined(known, carried))
  }

  /** By its id or its token. A token that names another task than the path does is no way to either. */
  #id({ address, carried }: Call, caller: Caller): string | null {
    const token = carried?.token ?? null
    if (token === null) return address.task
    const { tokens, clock } = this.#options
    const id = tokens?.taskOf(token, caller.id, clock()) ?? null
    if (id === null || (address.task !== null && address.task !== id)) throw new Refusal('task.unknown')
    return id
  }

  #joined(task: Task, carried: string): Awaitable<Task> {
    const { transaction: read } = this.#options
    return read === undefined ? task : after(read(carried), (transaction) => ({ ...task, transaction }))
  }

  #agent(caller: Caller, call: Call): Agent {
    const agent = this.#options.agents().find(caller.id)
    if (agent === null) throw new Refusal('task.agent-not-live', { detail: `no agent is registered for ${caller.id}` })
    this.#stopped(caller, agent, null)
    checkHosting(agent, caller, call)
    const why = notLive(agent, this.#options.clock())
    if (why !== null) throw new Refusal('task.agent-not-live', { detail: why })
    return agent
  }

  /** The early look: what it lets through, minting may yet refuse. */
  #stopped({ id }: Caller, agent: Agent, row: TaskRow | null): void {
    const killed = this.#options.killed?.(id, agent, row) ?? null
    if (killed !== null) throw killed
  }

  #named(row: TaskRow | null, user: User): Awaitable<Task> {
    const { caller, agent } = user
    // one answer for an id that never was and one of another caller: ids are names, and guessing them must teach nothing
    if (row === null || row.caller !== caller.id) throw new Refusal('task.unknown')
    this.#stopped(caller, agent, row)
    if (row.ended !== null) throw new Refusal('task.ended', { reasons: [`the task was ${row.state}`] })
    if (row.expires <= this.#options.clock()) return this.#expired(row)
    if (row.state !== 'active') throw new Refusal('task.paused')
    return this.#live(row, user)
  }

  /** A call without a task: never a guess between open ones. */
  #unnamed(user: User): Awaitable<Task> {
    const { state } = this.#options
    const { caller } = user
    return after(state.activeTasks(caller.id), (active) =>
      after(state.tasks({ caller: caller.id, state: 'paused' }), (paused) => this.#implicit(active, paused, user)),
    )
  }

  #implicit(active: readonly TaskRow[], paused: readonly TaskRow[], user: User): Awaitable<Task> {
    const { caller, agent } = user
    const now = this.#options.clock()
    const open = [...active, ...paused].filter((row) => row.expires > now)
    // dropping the header is no way around an explicit task, nor around a pause
    if (open.some((row) => !row.implicit)) throw new Refusal('task.missing', { reasons: ['a task is open: name it in Countersign-Task'] })
    if (agent.implicit === null) throw new Refusal('task.missing', { reasons: ['open a task and name it in Countersign-Task'] })
    if (open.some((row) => row.state === 'paused')) throw new Refusal('task.paused')
    const row = open[0]
    if (row !== undefined) this.#stopped(caller, agent, row)
    return row === undefined ? this.#openImplicit(active, user) : this.#slid(row, user, now)
  }

  #slid(row: TaskRow, user: User, now: number): Awaitable<Task> {
    const expires = Math.min(now + user.agent.ttl, row.limit)
    if (expires - row.expires < slideEvery) return this.#live(row, user)
    return after(this.#options.state.touchTask(row.id, expires), () => this.#live(row, user))
  }

  #live(row: TaskRow, user: User): Awaitable<Task> {
    const { caller, agent } = user
    if (row.parent !== null) {
      const outgrown = this.#uprooted(row)
      if (outgrown !== null) return this.#outgrown(outgrown)
    }
    if (!this.#isWithin(row.intent, agent)) return this.#outgrown(row)
    const most = row.intent.budget['calls']
    if (most !== undefined && (this.#options.state.facts(row.id, row.caller).task.spent['calls'] ?? 0) >= most) {
      throw new Refusal('task.budget', { reasons: ['its calls are spent'] })
    }
    const { due } = this.#options
    if (due === undefined || due(row, caller, this.#options.clock()) === null) return { row, agent }
    return this.#goOn(row, user, due)
  }

  /** In another session, after a silence, or under another policy: it is judged before it goes on. */
  async #goOn(row: TaskRow, user: User, due: NonNullable<TaskOptions['due']>): Promise<Task> {
    const { tasks, clock } = this.#options
    const { caller, agent } = user
    return { row: await tasks.goOn(row, { ...user, due: (now) => due(now, caller, clock()) }), agent }
  }

  /** What a task rests on must hold as it does itself: throws when an ancestor's agent is not live, gives an ancestor that outgrew its agent. */
  #uprooted({ id }: TaskRow): TaskRow | null {
    for (const row of this.#options.state.ancestors(id)) {
      const agent = this.#options.agents().find(row.caller)
      const why = agent === null ? `no agent is registered for ${row.caller}` : notLive(agent, this.#options.clock())
      if (why !== null || agent === null)
        throw new Refusal('task.agent-not-live', { reasons: ['an agent that handed this task on is not live'], detail: why ?? '' })
      if (!this.#isWithin(row.intent, agent)) return row
    }
    return null
  }

  async #openImplicit(overdue: readonly TaskRow[], user: User): Promise<Task> {
    const { caller, agent } = user
    let opening = this.#opening.get(caller.id)
    if (opening === undefined) {
      opening = this.#replace(overdue, user).finally(() => this.#opening.delete(caller.id))
      this.#opening.set(caller.id, opening)
    }
    return { row: await opening, agent }
  }

  async #replace(overdue: readonly TaskRow[], { call, caller, agent }: User): Promise<TaskRow> {
    for (const row of overdue) await this.#expire(row)
    return this.#options.tasks.open({ caller, agent, intent: agent.intent, ttl: agent.ttl, subject: null, implicit: true, call })
  }

  async #expired(row: TaskRow): Promise<never> {
    await this.#expire(row)
    throw new Refusal('task.ended', { reasons: ['the task was expired'] })
  }

  /** Another call, or the clock, may have ended it a moment ago: that is as good. */
  async #expire(row: TaskRow): Promise<void> {
    try {
      await this.#options.tasks.expire(row)
    } catch (error) {
      if (!(error instanceof Refusal && error.code === 'task.ended')) throw error
    }
  }

  /** The agent's registration was narrowed under a running task: what was granted before does not outlive it. */
  async #outgrown(row: TaskRow): Promise<never> {
    const cause = 'the agent is registered for less than this task was opened for'
    await this.#options.tasks.revoke(row, { kind: 'rule', name: 'rule:task.within-agent' }, cause)
    throw new Refusal('task.ended', { reasons: ['the task was revoked'], detail: cause })
  }

  #isWithin(intent: Intent, agent: Agent): boolean {
    let known = this.#within.get(agent)
    if (known?.has(intent) === true) return true
    if (!within(intent, agent.intent)) return false
    if (known === undefined) this.#within.set(agent, (known = new WeakSet()))
    known.add(intent)
    return true
  }
}

/** Goes on at once when the value is there, so that nothing waits a tick for nothing. */
function after<T, U>(value: Awaitable<T>, next: (value: T) => Awaitable<U>): Awaitable<U> {
  return value instanceof Promise ? later(value, next) : next(value)
}

async function later<T, U>(value: Promise<T>, next: (value: T) => Awaitable<U>): Promise<U> {
  return next(await value)
}
