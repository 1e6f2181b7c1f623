/** Tasks as the agent sees them: open, read, pause, resume, complete. */
import type { Held } from '../approve/held.ts'
import type { Caller } from '../identify/identify.ts'
import type { Call } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import { traceId } from '../trace-context.ts'
import type { Awaitable, Correlation, State, TaskRow } from '../state/state.ts'
import { mayOpenFor, notLive, type Agent, type AgentRegistry } from '../task/agents.ts'
import { mayAct } from '../task/chain.ts'
import type { Delegation } from '../task/delegation.ts'
import { checkHosting } from '../task/hosting.ts'
import type { Opening, Subject } from '../task/opening.ts'
import { named, type Cause } from '../task/question.ts'
import type { ProvenSubject } from '../task/subject.ts'
import type { Tasks } from '../task/tasks.ts'
import type { TaskTokens } from '../task/token.ts'
import type { ReadTransaction } from '../task/transaction.ts'
import { readObject, type ParseJson } from './body.ts'
import { HandOffs } from './delegation.ts'
import { approvalsView, taskView, type HeldCall } from './view.ts'

/** What an act answers. */
export interface Answer {
  readonly status: 200 | 201
  readonly body: Readonly<Record<string, unknown>>
}

export interface TaskActsOptions {
  readonly tasks: Tasks
  readonly state: State
  readonly agents: () => AgentRegistry
  readonly parseJson: ParseJson
  /** Verifies the token that proves on whose behalf a task is opened; null when it proves nothing. */
  readonly verifySubject: (token: Secret) => Awaitable<(Pick<ProvenSubject, 'subject' | 'issuer'> & Partial<ProvenSubject>) | null>
  /** Reads the `Txn-Token` that a task is opened with. */
  readonly transaction: ReadTransaction
  readonly tokens: Pick<TaskTokens, 'issue'>
  readonly delegation: Delegation
  /** Looks whether a task has to be judged before it goes on. Absent: none ever has. */
  readonly due?: (row: TaskRow, caller: Caller, now: number) => Cause | 'unused' | null
  /** Calls of a task that wait now. */
  readonly waiting: (task: string) => readonly HeldCall[]
  /** Waits for people, where a request is ready to. */
  readonly held: Held
  /** Epoch ms. */
  readonly clock: () => number
}

const longestToken = 8192

export class TaskActs {
  readonly #options: TaskActsOptions
  readonly #handOffs: HandOffs

  constructor(options: TaskActsOptions) {
    this.#options = options
    this.#handOffs = new HandOffs(options)
  }

  /** Takes the path below `/.countersign/v1/tasks`, such as `[]`, `[id]` or `[id, 'pause']`; throws match.unroutable for every other. */
  act(call: Call, caller: Caller, path: readonly string[]): Promise<Answer> {
    const agent = this.#options.agents().find(caller.id)
    if (agent !== null) checkHosting(agent, caller, call)
    const handOff = this.#handOffs.act(call, caller, path)
    if (handOff !== null) return handOff
    const [id, verb] = path
    const { method } = call
    if (path.length === 0 && method === 'POST') return this.#open(call, caller)
    if (id !== undefined && path.length === 1 && method === 'GET') return this.#read(caller, id)
    if (id !== undefined && path.length === 2 && method === 'POST') {
      if (verb === 'pause') return this.#pause(call, caller, id)
      if (verb === 'resume') return this.#resume(call, caller, id)
      if (verb === 'complete') return this.#complete(call, caller, id)
    }
    throw new Refusal('match.unroutable')
  }

  async #open(call: Call, caller: Caller): Promise<Answer> {
    const { held, tokens, parseJson, clock } = this.#options
    this.#agent(caller)
    const body = await readObject(call, parseJson)
    if (body['grant'] !== undefined) return this.#redeem(call, caller, body)
    const row = await held({ call, caller: caller.id }, () => this.#opened(call, caller, body))
    return { status: 201, body: { ...this.#view(row), token: await tokens.issue(row, clock()) } }
  }

  /** Everything is looked at anew when the request has waited for a person. */
  async #opened(call: Call, caller: Caller, body: Readonly<Record<string, unknown>>): Promise<TaskRow> {
    const { tasks } = this.#options
    const own = this.#agent(caller)
    const { on_behalf_of: token, caller: other, ...asked } = body
    const { agent, ...who } = other === undefined || other === caller.id ? { caller, agent: own } : this.#other(other, caller, own)
    const { intent, ttl } = tasks.narrowed(asked, agent)
    const subject = await this.#subject(token, caller)
    const correlation = await this.#correlation(call)
    return tasks.open({ ...who, agent, intent, ttl, subject, implicit: false, correlation, call })
  }

  /** Who else the task is for. One answer for whoever it may not open tasks for: an orchestrator learns nothing of others by asking. */
  #other(other: unknown, caller: Caller, own: Agent): Pick<Opening, 'caller' | 'agent' | 'opener'> {
    const { agents, clock } = this.#options
    const why = notLive(own, clock())
    if (why !== null) throw new Refusal('task.agent-not-live', { detail: why })
    const agent = typeof other === 'string' && mayOpenFor(own, other) ? agents().find(other) : null
    if (typeof other !== 'string' || agent === null)
      throw new Refusal('decide.denied', { reasons: ['this agent may not open tasks for that caller'] })
    return { caller: named(other), agent, opener: { kind: 'orchestrator', name: caller.id } }
  }

  async #correlation(call: Call): Promise<Correlation> {
    const carried = call.carried?.transaction ?? null
    return {
      traceId: call.trace?.id ?? traceId(call.header('traceparent')),
      transaction: carried === null ? null : await this.#options.transaction(carried),
    }
  }

  /** The other end of a hand-off: what the task is for, its grant says. */
  async #redeem(call: Call, caller: Caller, { grant, token, ...rest }: Readonly<Record<string, unknown>>): Promise<Answer> {
    refuseKeys(rest)
    const { held, delegation } = this.#options
    const redeem = (): Promise<TaskRow> => delegation.redeem({ caller, agent: this.#agent(caller), call }, grant, token)
    const row = await held({ call, caller: caller.id }, redeem)
    return { status: 201, body: this.#view(row) }
  }

  async #read(caller: Caller, id: string): Promise<Answer> {
    const { tasks, state, waiting } = this.#options
    const row = await tasks.own(id, caller.id)
    const open = await state.approvals.approvals({ task: id, states: ['pending', 'approved'] })
    return { status: 200, body: { ...this.#view(row), held: waiting(id), approvals: approvalsView(open) } }
  }

  async #pause(call: Call, caller: Caller, id: string): Promise<Answer> {
    const { reason = 'asked by the agent', ...rest } = await readObject(call, this.#options.parseJson)
    refuseKeys(rest)
    if (typeof reason !== 'string') throw new Refusal('match.body', { reasons: ['reason must be text'] })
    const row = await this.#live(id, caller)
    return { status: 200, body: this.#view(await this.#options.tasks.pause(row, { kind: 'agent', name: caller.id }, reason)) }
  }

  async #resume(call: Call, caller: Caller, id: string): Promise<Answer> {
    refuseKeys(await readObject(call, this.#options.parseJson))
    const { tasks, due, clock, held } = this.#options
    const after = await held({ call, caller: caller.id }, async () => {
      const agent = this.#agent(caller)
      const row = await this.#live(id, caller)
      return tasks.resume(row, { caller, agent, call, ...(due && { due: (now: TaskRow) => due(now, caller, clock()) }) })
    })
    return { status: 200, body: this.#view(after) }
  }

  async #complete(call: Call, caller: Caller, id: string): Promise<Answer> {
    refuseKeys(await readObject(call, this.#options.parseJson))
    const row = await this.#live(id, caller)
    const after = await this.#options.tasks.complete(row, { kind: 'agent', name: caller.id }, 'completed by the agent')
    return { status: 200, body: this.#view(after) }
  }

  async #live(id: string, caller: Caller): Promise<TaskRow> {
    const row = await this.#options.tasks.own(id, caller.id)
    if (row.ended !== null) throw new Refusal('task.ended', { reasons: [`the task was ${row.state}`] })
    return row
  }

  #agent(caller: Caller): Agent {
    const agent = this.#options.agents().find(caller.id)
    if (agent === null) throw new Refusal('task.agent-not-live', { detail: `no agent is registered for ${caller.id}` })
    return agent
  }

  async #subject(token: unknown, caller: Caller): Promise<Subject | null> {
    if (token === undefined || token === null) return null
    const proof = typeof token === 'string' && token.length > 0 && token.length <= longestToken ? new Secret(token) : null
    const subject = proof && (await this.#options.verifySubject(proof))
    if (proof === null || subject === null) throw new Refusal('decide.denied', { reasons: ['on_behalf_of could not be verified'] })
    const { subject: name, issuer, acting = null } = subject
    if (!mayAct(acting?.mayAct, caller)) throw new Refusal('decide.denied', { reasons: ['on_behalf_of names another party that may act'] })
    return { subject: name, issuer, acting, token: proof }
  }

  #view(row: TaskRow): Answer['body'] {
    return taskView(row, this.#options.state.facts(row.id, row.caller).task)
  }
}

function refuseKeys(rest: Readonly<Record<string, unknown>>): void {
  if (Object.keys(rest).length > 0) throw new Refusal('match.body', { reasons: ['the body has keys that mean nothing here'] })
}
