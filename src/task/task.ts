/** The task stage: no live task, no call. */
import { Refusal } from '../refusal.ts'
import type { Caller } from '../identify/identify.ts'
import type { Call } from '../listen/call.ts'
import type { Awaitable, Intent, State, TaskRow } from '../state/state.ts'
import { notLive, type Agent, type AgentRegistry } from './agents.ts'
import { checkHosting } from './hosting.ts'
import { within } from './intent.ts'
import type { Tasks } from './tasks.ts'

/** A task as a call sees it: known, live and bound to its caller when it was looked up. */
export interface Task {
  readonly row: TaskRow
  readonly agent: Agent
}

export interface TaskOptions {
  readonly state: State
  /** The agents of the configuration in force. */
  readonly agents: () => AgentRegistry
  readonly tasks: Tasks
  readonly clock: () => number
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
    const id = call.address.task
    if (id === null) return this.#unnamed(caller, agent)
    return after(this.#options.state.task(id), (row) => this.#named(row, caller, agent))
  }

  #agent(caller: Caller, call: Call): Agent {
    const agent = this.#options.agents().find(caller.id)
    if (agent === null) throw new Refusal('task.agent-not-live', { detail: `no agent is registered for ${caller.id}` })
    checkHosting(agent, caller, call)
    const why = notLive(agent, this.#options.clock())
    if (why !== null) throw new Refusal('task.agent-not-live', { detail: why })
    return agent
  }

  #named(row: TaskRow | null, caller: Caller, agent: Agent): Awaitable<Task> {
    // one answer for an id that never was and one of another caller: ids are names, and guessing them must teach nothing
    if (row === null || row.caller !== caller.id) throw new Refusal('task.unknown')
    if (row.ended !== null) throw new Refusal('task.ended', { reasons: [`the task was ${row.state}`] })
    if (row.expires <= this.#options.clock()) return this.#expired(row)
    if (row.state !== 'active') throw new Refusal('task.paused')
    return this.#live(row, agent)
  }

  /** A call without a task: never a guess between open ones. */
  #unnamed(caller: Caller, agent: Agent): Awaitable<Task> {
    const { state } = this.#options
    return after(state.activeTasks(caller.id), (active) =>
      after(state.tasks({ caller: caller.id, state: 'paused' }), (paused) => this.#implicit(active, paused, caller, agent)),
    )
  }

  #implicit(active: readonly TaskRow[], paused: readonly TaskRow[], caller: Caller, agent: Agent): Awaitable<Task> {
    const now = this.#options.clock()
    const open = [...active, ...paused].filter((row) => row.expires > now)
    // dropping the header is no way around an explicit task, nor around a pause
    if (open.some((row) => !row.implicit)) throw new Refusal('task.missing', { reasons: ['a task is open: name it in Countersign-Task'] })
    if (agent.implicit === null) throw new Refusal('task.missing', { reasons: ['open a task and name it in Countersign-Task'] })
    if (open.some((row) => row.state === 'paused')) throw new Refusal('task.paused')
    const row = open[0]
    return row === undefined ? this.#openImplicit(active, caller, agent) : this.#slid(row, agent, now)
  }

  #slid(row: TaskRow, agent: Agent, now: number): Awaitable<Task> {
    const expires = Math.min(now + agent.ttl, row.limit)
    if (expires - row.expires < slideEvery) return this.#live(row, agent)
    return after(this.#options.state.touchTask(row.id, expires), () => this.#live(row, agent))
  }

  #live(row: TaskRow, agent: Agent): Awaitable<Task> {
    if (row.parent !== null) {
      const outgrown = this.#uprooted(row)
      if (outgrown !== null) return this.#outgrown(outgrown)
    }
    if (!this.#isWithin(row.intent, agent)) return this.#outgrown(row)
    const most = row.intent.budget['calls']
    if (most !== undefined && (this.#options.state.facts(row.id, row.caller).task.spent['calls'] ?? 0) >= most) {
      throw new Refusal('task.budget', { reasons: ['its calls are spent'] })
    }
    return { row, agent }
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

  async #openImplicit(overdue: readonly TaskRow[], caller: Caller, agent: Agent): Promise<Task> {
    let opening = this.#opening.get(caller.id)
    if (opening === undefined) {
      opening = this.#replace(overdue, caller, agent).finally(() => this.#opening.delete(caller.id))
      this.#opening.set(caller.id, opening)
    }
    return { row: await opening, agent }
  }

  async #replace(overdue: readonly TaskRow[], caller: Caller, agent: Agent): Promise<TaskRow> {
    for (const row of overdue) await this.#expire(row)
    return this.#options.tasks.open({ caller, agent, intent: agent.intent, ttl: agent.ttl, subject: null, implicit: true })
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
