/** Whether a kill stops a caller, a task, a call or a lease: what each may be stopped by, looked up when something is killed at all. */
import type { Question } from '../decide/decide.ts'
import type { Route } from '../match/route.ts'
import type { Tool } from '../match/tools.ts'
import { Refusal } from '../refusal.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { Killable, KillBook, KillRow } from '../state/kills.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { TaskRow } from '../state/state.ts'
import type { Agent } from '../task/agents.ts'
import type { TaskQuestion } from '../task/question.ts'

export interface CoveringOptions {
  readonly kills: Pick<KillBook, 'covering' | 'engaged'>
  readonly task: (id: string) => TaskRow | null
  /** The tasks that a task came from, root last: what stops one of them stops it. */
  readonly ancestors: (id: string) => readonly TaskRow[]
  /** The registration of a caller; null when there is none. */
  readonly agent: (caller: string) => Agent | null
  /** The route of this name; null when there is none any more. */
  readonly route: (name: string) => Route | null
}

/** As much of a call as is stopped by name. */
export interface Matched extends Pick<Question, 'task'> {
  readonly caller: { readonly id: string }
  readonly target: Pick<Question['target'], 'route' | 'tool'>
}

/** As much of an approval as is stopped by name. */
export type Asked = Pick<ApprovalRow, 'caller' | 'worker' | 'task' | 'tool' | 'route' | 'matter'>

/** While nothing is killed each look is one comparison. Every answer is the refusal, or null. */
export class Covering {
  readonly #options: CoveringOptions

  constructor(options: CoveringOptions) {
    this.#options = options
  }

  /** What is known before a call is matched: the caller, its registration and, once there is one, its task. */
  party(caller: string, agent: Agent | null, row: TaskRow | null): Refusal | null {
    const { kills } = this.#options
    return kills.engaged === 0 ? null : refusalOf(kills.covering(this.ofParty(caller, agent, row)))
  }

  /** Throws when who asks for a task, or the task that is to be resumed, is stopped. */
  admit({ caller, agent, id }: Pick<TaskQuestion, 'caller' | 'agent' | 'id'>): void {
    const stopped = this.party(caller.id, agent, id === undefined ? null : this.#options.task(id))
    if (stopped !== null) throw stopped
  }

  /** A call that was matched, of the caller of its task. */
  refuseMatched(task: Matched['task'], route: Route, tool: Tool): void {
    if (this.#options.kills.engaged === 0) return
    const stopped = this.call({ caller: { id: task.row.caller }, task, target: { route, tool } })
    if (stopped !== null) throw stopped
  }

  /** A call with all that is known of it. */
  call(question: Matched): Refusal | null {
    const { kills } = this.#options
    return kills.engaged === 0 ? null : refusalOf(kills.covering(this.ofCall(question)))
  }

  /** A lease that is out; `place` is where its use is now, as far as that is known. */
  lease(row: LeaseRow, place: { readonly route: Route } | null): Refusal | null {
    const { kills } = this.#options
    return kills.engaged === 0 ? null : refusalOf(kills.covering(this.ofLease(row, place)))
  }

  ofParty(caller: string, agent: Agent | null, row: TaskRow | null): Killable {
    return this.#about(caller, agent, row, null)
  }

  ofCall({ caller, task: { row, agent }, target: { route, tool } }: Matched): Killable {
    return { ...this.#about(caller.id, agent, row, route), tool: tool.name }
  }

  ofLease(row: LeaseRow, place: { readonly route: Route } | null): Killable {
    const { task, agent } = this.#options
    return { ...this.#about(row.caller, agent(row.caller), task(row.task), place?.route ?? null), tool: row.tool }
  }

  ofTask(row: TaskRow): Killable {
    return this.#about(row.caller, this.#options.agent(row.caller), row, null)
  }

  /** What people are asked: by each that it is asked for. */
  ofAsk({ caller, worker, task: id, tool, route: name, matter }: Asked): readonly Killable[] {
    const { task, agent, route } = this.#options
    const row = id === null ? null : task(id)
    const called = matter === 'call' ? { tool, route: name } : {}
    const parties = worker === undefined ? [caller] : [caller, worker]
    return parties.map((party) => ({ ...this.#about(party, agent(party), row, route(name)), ...called }))
  }

  /** The same for an approval that was opened in this tick. */
  asked(row: Asked): Refusal | null {
    const { kills } = this.#options
    if (kills.engaged === 0) return null
    return this.ofAsk(row).reduce<Refusal | null>((found, one) => found ?? refusalOf(kills.covering(one)), null)
  }

  #about(caller: string, agent: Agent | null, row: TaskRow | null, route: Route | null): Killable {
    const answering = [...Object.values(agent?.owners ?? {}), route?.owner, route?.lender?.owner]
    return {
      caller,
      trustDomain: caller.split('/')[2] ?? '',
      agent: agent?.id ?? row?.agent ?? caller,
      tasks: row === null ? [] : [row.id, ...this.#options.ancestors(row.id).map(({ id }) => id)],
      tool: null,
      route: route?.name ?? null,
      owners: answering.filter((owner) => typeof owner === 'string'),
    }
  }
}

function refusalOf(kill: KillRow | null): Refusal | null {
  return kill === null ? null : killed(kill)
}

/** What a call hears that a kill covers: that it was stopped, and nothing of why. */
export function killed({ id, scope, name, by }: Pick<KillRow, 'id' | 'scope' | 'name' | 'by'>): Refusal {
  return new Refusal('kill.engaged', {
    reasons: ['it is stopped until a person lifts that'],
    detail: `${id}: ${name === null ? scope : `${scope} ${name}`}, by ${by}`,
  })
}
