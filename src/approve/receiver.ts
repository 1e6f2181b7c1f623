/** Who is granted an objective before any call asked. */
import type { Shown } from '../state/approvals.ts'
import type { Awaitable, Intent, TaskRow } from '../state/state.ts'
import type { Agent } from '../task/agents.ts'
import type { ChainOf } from './chain.ts'
import { ApprovalFault } from './fault.ts'

/** A task by its id, or a workload by its SPIFFE ID. */
export type GrantTo = { readonly task: string } | { readonly agent: string }

/** What an objective is granted to. */
export interface Receiver {
  /** Null: every task of the workload, as long as the objective lasts. */
  readonly task: TaskRow | null
  readonly caller: string
  /** The registration. */
  readonly agent: string
  readonly intent: Intent
  readonly tools: readonly string[]
  readonly owners: Shown['owners']
  readonly human: string | null
  /** From the root on: none of them grants it. */
  readonly parties: readonly string[]
  /** Policy revision. */
  readonly revision: string
}

export interface ReceiverOptions {
  readonly task: (id: string) => Awaitable<TaskRow | null>
  readonly agent: (caller: string) => Agent | null
  readonly chainOf: ChainOf
  readonly revision: () => string
  /** Why an agent may do nothing at present; null: it may. */
  readonly notLive: (agent: Agent) => string | null
}

/** Throws ApprovalFault for a task that is not live, and for a workload without a live registration of its own. */
export async function receiverOf(to: GrantTo, options: ReceiverOptions): Promise<Receiver> {
  const { agent: find, chainOf, revision, notLive } = options
  if ('task' in to) {
    const task = await options.task(to.task)
    if (task === null || task.ended !== null) throw new ApprovalFault('unknown', 'there is no such live task')
    const { caller, agent, intent, onBehalfOf } = task
    const human = onBehalfOf === null ? null : onBehalfOf.subject
    const { parties } = chainOf(task)
    return {
      task,
      caller,
      agent,
      intent,
      tools: intent.tools,
      owners: { ...find(caller)?.owners },
      human,
      parties,
      revision: task.revision,
    }
  }
  const { agent: caller } = to
  const agent = caller.includes('*') ? null : find(caller)
  if (agent === null) throw new ApprovalFault('unknown', 'no agent is registered for that SPIFFE ID')
  if (notLive(agent) !== null) throw new ApprovalFault('unknown', 'the agent is not live')
  const { id, intent, owners } = agent
  const parties = [`agent:${caller}`]
  return { task: null, caller, agent: id, intent, tools: intent.tools, owners: { ...owners }, human: null, parties, revision: revision() }
}
