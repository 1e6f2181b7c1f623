/** Swaps the facts a decision rests on, in the tick in which its permit is minted. */

import type { Agent } from '../task/agents.ts'
import type { Decision, Question } from '../decide/decide.ts'
import type { Swap } from '../decide/permit.ts'
import type { State } from '../state/state.ts'
import { Refusal } from '../refusal.ts'

/** The facts changed between the look of policy and the mint: the decision must be made again. */
export class StaleFacts extends Error {
  constructor() {
    super('the facts of a decision changed before its permit was minted')
    this.name = 'StaleFacts'
  }
}

export interface SwapOptions {
  readonly mint: State['mint']
  /** Why an agent may not act at `now` (owners missing or lapsed, not live); null when it may. For the operator's record. */
  readonly agentLive: (agent: Agent, now: number) => string | null
  /** The digest that tells a repeated call. */
  readonly repeat: (question: Question) => string
  /** Epoch ms. */
  readonly clock: () => number
  /** Registers the call as open work, in the tick of the mint: from then on whatever ends its task cuts it. */
  readonly open?: (decision: Decision) => void
}

/**
 * Makes the swap: re-reads agent and task, then compares the versions that policy saw and swaps them together with step, budget
 * and what the call reads. Throws the refusal of the stage whose fact changed (`task.…`), or StaleFacts.
 */
export function makeSwap(options: SwapOptions): Swap {
  return (decision) => {
    const { question, facts } = decision
    const { call, task, target } = question
    const now = options.clock()
    const dead = options.agentLive(task.agent, now)
    if (dead !== null) throw new Refusal('task.agent-not-live', { detail: dead })
    if (call.signal.aborted) throw cutShort(call.signal.reason)
    const answer = options.mint({
      task: task.row.id,
      caller: task.row.caller,
      seen: { task: facts.task.version, caller: facts.caller.version },
      now,
      step: { tool: target.tool.name, effect: target.tool.effect, egress: target.tool.egress, at: now },
      host: target.route.to.authority,
      repeat: options.repeat(question),
      data: target.tool.reads,
      debit: target.debit,
    })
    if (!answer.minted) {
      if (answer.why === 'stale') throw new StaleFacts()
      throw new Refusal(answer.why, { detail: answer.detail })
    }
    options.open?.(decision)
  }
}

/** A call that nobody waits for any more spends no budget. */
function cutShort(reason: unknown): Refusal {
  return reason instanceof Refusal
    ? reason
    : new Refusal('listen.malformed', { detail: 'the call ended before it was permitted', cause: reason })
}
