/** A decision that a person must answer: looks for an answer, asks for one, and waits for it if the client does. */
import type { Decision, Question } from '../decide/decide.ts'
import type { Call } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'
import type { ApprovalRow, Wanted } from '../state/approvals.ts'
import type { Approvals } from './approvals.ts'
import { isParty, type Chain, type ChainOf } from './chain.ts'
import { actionDigest } from './digest.ts'
import type { Holds } from './hold.ts'
import { deadlineOf } from './prefer.ts'
import { declinedOrLate, required } from './refusals.ts'
import { shownCall } from './shown.ts'

/** `approve` of the configuration; ms. */
export interface ApproveSetting {
  readonly hold: number
  readonly pending_per_caller: number
  readonly ttl: number
  readonly declined: number
  readonly unanswered: number
}

export interface AskOptions {
  readonly approvals: Pick<Approvals, 'usable' | 'latest' | 'pending' | 'ask'>
  readonly holds: Pick<Holds, 'wait'>
  /** Registers a call that waits, so that whatever ends its task ends the wait; gives what ends that. */
  readonly register: (question: Question) => () => void
  readonly judge: (question: Question) => Decision
  /** The same call on its task and agent as they are by now; throws the refusal of whoever is gone. */
  readonly again: (question: Question) => Question
  readonly chainOf: ChainOf
  /** Epoch ms. */
  readonly clock: () => number
  readonly setting: ApproveSetting
  /** Counts an ask, or a call that was declined before, among the facts of its task. */
  readonly refused: (decision: Decision) => void
}

/** Approvals that one call is held against: the one for the action, and some objectives. */
const mostTried = 4

/** The part of the stage that takes time: no call that policy allows comes here. */
export class Ask {
  readonly #options: AskOptions

  constructor(options: AskOptions) {
    this.#options = options
  }

  /** Until when a call is ready to wait, ms on the clock that nobody can set. */
  until(call: Call): number {
    return deadlineOf(call, this.#options.setting.hold)
  }

  /**
   * Takes a decision to ask and gives one that is none any more: by an approval, or because policy or facts changed while it was held. `told`
   * hears of each that takes the place of the one before. Rejects with `approve.required` while nobody has answered, `approve.declined`,
   * `approve.expired`, `decide.denied` for what nobody can be shown whole, `listen.overloaded`, `record.failed`, or why the call was cut.
   */
  async answered(first: Decision, until: number, told: (decision: Decision) => void): Promise<Decision> {
    const { judge, again, chainOf } = this.#options
    let decision = first
    let question = unanswered(first.question)
    for (;;) {
      const chain = chainOf(question.task.row)
      const { id: task, caller } = question.task.row
      const wanted = { task, caller, digest: actionDigest(question, chain.root), tool: question.target.tool.name }
      const settled = this.#settled(question, wanted, chain)
      if (settled !== null) return settled
      const row = await this.#asked(decision, wanted, chain)
      const woken = await this.#held(question, row, until - performance.now())
      if (woken === null) throw required(question.call, decision.refusedBy, row)
      this.#stop(woken, decision)
      question = again(question)
      decision = judge(question)
      told(decision)
      if (decision.effect !== 'ask') return decision
    }
  }

  /** What policy says when it sees an approval that may cover the call; null: none does. */
  #settled(question: Question, wanted: Wanted, { parties }: Chain): Decision | null {
    const { approvals, judge } = this.#options
    // whoever granted an objective to an agent answers for no task of his own by it
    const foreign = approvals.usable(wanted).filter(({ grantedBy }) => grantedBy === undefined || !isParty(parties, grantedBy))
    for (const approval of foreign.slice(0, mostTried)) {
      const decision = judge({ ...question, approval })
      if (decision.effect !== 'ask') return decision
    }
    return null
  }

  /** The approval that people owe an answer to: a new one, or the one that this very call was asked for before. */
  async #asked(decision: Decision, wanted: Wanted, chain: Chain): Promise<ApprovalRow> {
    const { approvals, setting, refused } = this.#options
    const { question, approval, revision, refusedBy } = decision
    const { call, task, target } = question
    if (!target.body.judged) {
      const why = 'a person cannot be asked about a body that was not read whole'
      throw new Refusal('decide.denied', { reasons: [...new Set(refusedBy.map(({ message_agent }) => message_agent)), why] })
    }
    const before = await approvals.latest(wanted)
    if (before !== null) this.#stop(before, decision)
    if (before?.state !== 'pending' && approvals.pending(task.row.caller) >= setting.pending_per_caller)
      throw new Refusal('listen.overloaded', { reasons: ['too many calls of this agent wait for a person'] })
    const row = await approvals.ask({
      task: task.row,
      call: call.id,
      digest: wanted.digest,
      tool: target.tool.name,
      route: target.route.name,
      shown: shownCall(decision, chain.parties),
      approvers: approval?.approvers ?? [],
      quorum: approval?.quorum ?? 1,
      ttl: approval?.ttl ?? setting.ttl,
      single: approval?.objective === false,
      revision,
    })
    this.#stop(row, decision)
    // asking again is not another refusal
    if (row.call === call.id) refused(decision)
    return row
  }

  async #held(question: Question, { id: approval }: ApprovalRow, wait: number): Promise<ApprovalRow | null> {
    if (wait <= 0) return null
    const { call, caller } = question
    const release = this.#options.register(question)
    try {
      return await this.#options.holds.wait({ call, caller: caller.id, approval, wait })
    } finally {
      release()
    }
  }

  /** Throws when people said no, or nothing, a short while ago. */
  #stop(row: ApprovalRow, decision: Decision): void {
    const refusal = declinedOrLate(decision.question.call, row, this.#options.clock(), this.#options.setting)
    if (refusal === null) return
    if (refusal.code === 'approve.declined') this.#options.refused(decision)
    throw refusal
  }
}

/** The question as it is asked first. */
export function unanswered(question: Question): Question {
  if (question.approval === undefined) return question
  const { call, caller, task, target } = question
  return { call, caller, task, target }
}
