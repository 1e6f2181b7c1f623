/** Swaps the facts a decision rests on, in the tick in which its permit is minted. */

import type { Decision, Question } from '../decide/decide.ts'
import type { Swap } from '../decide/permit.ts'
import type { SumsOf } from '../decide/sums.ts'
import type { MintAnswer, MintRequest, Raised } from '../state/mint.ts'
import type { State } from '../state/state.ts'
import { Refusal } from '../refusal.ts'

/** The facts changed between the look of policy and the mint: the decision must be made again. */
export class StaleFacts extends Error {
  constructor() {
    super('the facts of a decision changed before its permit was minted')
    this.name = 'StaleFacts'
  }
}

/** The approval of a decision is used up, taken back or too late: the decision must be made again without it. */
export class ApprovalGone extends Error {
  constructor() {
    super('the approval of a decision was gone before its permit was minted')
    this.name = 'ApprovalGone'
  }
}

export interface SwapOptions {
  readonly mint: State['mint']
  /**
   * Throws why what the question rests on does not hold any more at `now`: its agent, as it is registered in this tick, is not live
   * or another than the one that was judged, or an approval lapsed.
   */
  readonly stands: (question: Question, now: number) => void
  /** The refusal when a kill covers the call; null when none does. */
  readonly killed?: (question: Question) => Refusal | null
  /** The digest that tells a repeated call. */
  readonly repeat: (question: Question) => string
  /** What of the call adds up with others of its caller. */
  readonly sums?: SumsOf
  /** Epoch ms. */
  readonly clock: () => number
  /** Registers the call as open work, in the tick of the mint: from then on whatever ends its task cuts it. `reads`: what counts as read by it. `raised`: who else knows of it from now on. */
  readonly open?: (decision: Decision, reads: readonly string[], raised: readonly Raised[]) => void
}

/**
 * Makes the swap: re-reads kills, agent and task, then compares the versions that policy saw and swaps them together with step, budget
 * and what the call reads. The approval that it rests on is used in the same tick. Throws the refusal of the stage whose fact changed
 * (`kill.engaged`, `task.…`), StaleFacts or ApprovalGone.
 */
export function makeSwap(options: SwapOptions): Swap {
  return (decision) => {
    const { question, facts, duties } = decision
    const { call, task, target } = question
    const killed = options.killed?.(question) ?? null
    if (killed !== null) throw killed
    const now = options.clock()
    options.stands(question, now)
    if (call.signal.aborted) throw cutShort(call.signal.reason)
    const data = duties.classes.length === 0 ? target.tool.reads : [...target.tool.reads, ...duties.classes]
    const adding = options.sums?.(target, facts) ?? []
    const answer = options.mint({
      task: task.row.id,
      caller: task.row.caller,
      seen: { task: facts.task.version, caller: facts.caller.version },
      now,
      step: { tool: target.tool.name, effect: target.tool.effect, egress: target.tool.egress, at: now },
      host: target.route.to.authority,
      resource: target.resource,
      repeat: options.repeat(question),
      data,
      debit: duties.debit === null ? target.debit : sum(target.debit, duties.debit),
      ...(duties.limits.length > 0 && { limits: duties.limits }),
      ...(question.approval !== undefined && { approval: question.approval.id }),
      // of a body of unknown length nothing is known to add
      ...(adding.length > 0 && { sums: adding.map(([key, amount]) => [key, amount ?? 0] as const) }),
    })
    if (!answer.minted) throw refusalOf(answer)
    options.open?.(decision, data, answer.raised ?? nobody)
  }
}

const nobody: readonly Raised[] = []

function sum(one: MintRequest['debit'], other: MintRequest['debit']): MintRequest['debit'] {
  const both: Record<string, number> = Object.assign(Object.create(null), one)
  for (const meter in other) both[meter] = (both[meter] ?? 0) + (other[meter] ?? Number.NaN)
  return both
}

function refusalOf({ why, detail, wait }: Exclude<MintAnswer, { readonly minted: true }>): Refusal | StaleFacts | ApprovalGone {
  if (why === 'stale') return new StaleFacts()
  if (why === 'approval') return new ApprovalGone()
  if (wait === undefined) return new Refusal(why, { detail })
  return new Refusal(why, { detail, headers: { 'Retry-After': String(Math.max(1, Math.ceil(wait / 1000))) } })
}

/** A call that nobody waits for any more spends no budget. */
function cutShort(reason: unknown): Refusal {
  return reason instanceof Refusal
    ? reason
    : new Refusal('listen.malformed', { detail: 'the call ended before it was permitted', cause: reason })
}
