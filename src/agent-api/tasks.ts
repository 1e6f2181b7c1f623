/** Tasks as the agent sees them: open, read, pause, resume, complete. */
import type { Caller } from '../identify/identify.ts'
import type { Call } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import type { Awaitable, State, TaskRow } from '../state/state.ts'
import type { Agent, AgentRegistry } from '../task/agents.ts'
import { checkHosting } from '../task/hosting.ts'
import { mayAct } from '../task/chain.ts'
import type { Delegation } from '../task/delegation.ts'
import type { ProvenSubject } from '../task/subject.ts'
import type { Subject, Tasks } from '../task/tasks.ts'
import { readObject, type ParseJson } from './body.ts'
import { HandOffs } from './delegation.ts'

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
  readonly delegation: Delegation
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
    const { tasks, parseJson } = this.#options
    const agent = this.#agent(caller)
    const body = await readObject(call, parseJson)
    if (body['grant'] !== undefined) return this.#redeem(caller, agent, body)
    const { on_behalf_of: token, ...asked } = body
    const { intent, ttl } = tasks.narrowed(asked, agent)
    const subject = await this.#subject(token, caller)
    const row = await tasks.open({ caller, agent, intent, ttl, subject, implicit: false })
    return { status: 201, body: this.#view(row) }
  }

  /** The other end of a hand-off: what the task is for, its grant says. */
  async #redeem(caller: Caller, agent: Agent, { grant, token, ...rest }: Readonly<Record<string, unknown>>): Promise<Answer> {
    refuseKeys(rest)
    return { status: 201, body: this.#view(await this.#options.delegation.redeem(caller, agent, grant, token)) }
  }

  async #read(caller: Caller, id: string): Promise<Answer> {
    return { status: 200, body: this.#view(await this.#options.tasks.own(id, caller.id)) }
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
    const agent = this.#agent(caller)
    const row = await this.#live(id, caller)
    return { status: 200, body: this.#view(await this.#options.tasks.resume(row, caller, agent)) }
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

  /** What its agent may know of a task. The reason of a pause is told only when the agent gave it. */
  #view(row: TaskRow): Answer['body'] {
    const { spent } = this.#options.state.facts(row.id, row.caller).task
    const { paused, ended } = row
    return {
      id: row.id,
      state: row.state,
      implicit: row.implicit,
      intent: row.intent,
      ...(row.chain === undefined ? {} : { handed_on_by: row.chain.at(-1)?.party, depth: row.depth }),
      on_behalf_of: row.onBehalfOf,
      opened: time(row.opened),
      expires: time(row.expires),
      spent,
      paused: paused && { by: paused.by, at: time(paused.at), reason: paused.by === 'agent' ? paused.reason : null },
      ended: ended && { at: time(ended.at) },
    }
  }
}

function refuseKeys(rest: Readonly<Record<string, unknown>>): void {
  if (Object.keys(rest).length > 0) throw new Refusal('match.body', { reasons: ['the body has keys that mean nothing here'] })
}

function time(ms: number): string {
  return new Date(ms).toISOString()
}
