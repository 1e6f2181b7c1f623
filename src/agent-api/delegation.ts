/** Hand-offs as the agent that hands on sees them: offer, list, withdraw, and how its children are. */
import type { Caller } from '../identify/identify.ts'
import type { Call } from '../listen/call.ts'
import type { GrantRow } from '../state/grants.ts'
import type { State, TaskRow } from '../state/state.ts'
import type { Delegation } from '../task/delegation.ts'
import type { Tasks } from '../task/tasks.ts'
import { readObject, type ParseJson } from './body.ts'
import type { Answer, TaskActsOptions } from './tasks.ts'

export interface HandOffsOptions extends Pick<TaskActsOptions, 'agents' | 'due' | 'held'> {
  readonly tasks: Pick<Tasks, 'own' | 'goOn'>
  readonly delegation: Delegation
  readonly state: Pick<State, 'grants' | 'children'>
  readonly parseJson: ParseJson
  /** Epoch ms. */
  readonly clock: () => number
}

export class HandOffs {
  readonly #options: HandOffsOptions

  constructor(options: HandOffsOptions) {
    this.#options = options
  }

  /** Takes the path below `/v1/tasks`; null when it is none of a hand-off. Rejects with task.unknown for a task of another caller. */
  act(call: Call, caller: Caller, [id, noun, grant, verb, ...rest]: readonly string[]): Promise<Answer> | null {
    if (id === undefined || rest.length > 0) return null
    const { method } = call
    if (grant === undefined) {
      if (noun === 'hand-off' && method === 'POST') return this.#offer(call, caller, id)
      if (noun === 'grants' && method === 'GET') return this.#grants(caller, id)
      if (noun === 'children' && method === 'GET') return this.#children(caller, id)
    } else if (noun === 'grants' && verb === 'withdraw' && method === 'POST') return this.#withdraw(caller, id, grant)
    return null
  }

  async #offer(call: Call, caller: Caller, id: string): Promise<Answer> {
    const { tasks, delegation, parseJson, held } = this.#options
    const task = await held({ call, caller: caller.id }, async () => this.#goingOn(await tasks.own(id, caller.id), call, caller))
    const { grant, token } = await delegation.offer(task, await readObject(call, parseJson))
    return { status: 201, body: { id: grant.id, token: token.reveal(), to: grant.to, intent: grant.intent, expires: time(grant.expires) } }
  }

  /** What has to be judged before it goes on does not go on elsewhere either. */
  async #goingOn(row: TaskRow, call: Call, caller: Caller): Promise<TaskRow> {
    const { tasks, agents, due, clock } = this.#options
    const agent = agents().find(caller.id)
    if (row.state !== 'active' || row.expires <= clock() || agent === null) return row
    if (due === undefined || due(row, caller, clock()) === null) return row
    return tasks.goOn(row, { caller, agent, call, due: (now) => due(now, caller, clock()) })
  }

  async #grants(caller: Caller, id: string): Promise<Answer> {
    const { tasks, state } = this.#options
    const task = await tasks.own(id, caller.id)
    return { status: 200, body: { grants: (await state.grants.ofTask(task.id)).map((grant) => this.#shown(grant)) } }
  }

  async #withdraw(caller: Caller, id: string, grant: string): Promise<Answer> {
    const { tasks, delegation } = this.#options
    const task = await tasks.own(id, caller.id)
    return { status: 200, body: this.#shown(await delegation.withdraw(task, grant, caller.id)) }
  }

  /** How its children are, and no more of them: not what they did, and nothing below them. */
  async #children(caller: Caller, id: string): Promise<Answer> {
    const { tasks, state } = this.#options
    const task = await tasks.own(id, caller.id)
    return { status: 200, body: { children: (await state.children(task.id)).map(childShown) } }
  }

  #shown({ id, to, state, intent, offered, expires, child }: GrantRow): Answer['body'] {
    const past = state === 'offered' && expires <= this.#options.clock()
    return { id, to, state: past ? 'expired' : state, intent, offered: time(offered), expires: time(expires), child }
  }
}

function childShown({ id, caller, grant, state, opened, expires }: TaskRow): Answer['body'] {
  return { id, agent: caller, grant, state, opened: time(opened), expires: time(expires) }
}

function time(ms: number): string {
  return new Date(ms).toISOString()
}
