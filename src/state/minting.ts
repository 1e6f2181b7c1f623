/** What minting a permit changes, in one tick: all of it, or nothing. */
import { overBudget } from '../task/budget.ts'
import type { ApprovalTable } from './approval-table.ts'
import type { CallerTable } from './caller-table.ts'
import type { MintAnswer, MintRequest } from './mint.ts'
import type { RateTable } from './rate-table.ts'
import type { TaskTable } from './task-table.ts'
import type { TaskTree } from './tree.ts'

/** What a mint looks at and changes. */
export interface MintingParts {
  readonly tasks: TaskTable
  readonly callers: CallerTable
  readonly tree: TaskTree
  readonly rates: RateTable
  readonly approvals: ApprovalTable
  /** Epoch ms. */
  readonly clock: () => number
}

export class Minting {
  readonly #on: MintingParts

  constructor(on: MintingParts) {
    this.#on = on
  }

  /** Compares with what policy saw, then swaps facts, budgets, limits and the approval together. */
  mint(request: MintRequest): MintAnswer {
    const live = this.#on.tasks.live(request.task)
    if (!live) return this.#refuseEnded(request)
    const { row, facts } = live
    if (row.caller !== request.caller) return refused('task.unknown', 'bound to another caller')
    if (row.state !== 'active') return refused('task.paused', row.state)
    if (this.#on.tasks.late(live, request.now)) return refused('task.ended', 'its time has passed')
    if (facts.version !== request.seen.task || this.#on.callers.version(request.caller) !== request.seen.caller) {
      return refused('stale', 'the facts changed since policy saw them')
    }
    const over = overBudget(row.intent.budget, facts.spent, request.debit)
    if (over !== null) return refused('task.budget', over)
    if (request.approval !== undefined && !this.#on.approvals.redeemable(request.approval, request, request.now))
      return refused('approval', 'it was used, withdrawn or too late')
    const held = live.parent === null ? null : this.#on.tree.heldBack(live, request)
    if (held !== null) return held
    if (request.limits !== undefined) {
      const limited = this.#on.rates.limited(request)
      if (limited !== null) {
        this.#on.tasks.overRate(live)
        return { minted: false, why: 'decide.rate-limited', ...limited }
      }
      this.#on.rates.take(request)
    }
    if (request.approval !== undefined) this.#on.approvals.redeem(request.approval, request.now)
    this.#on.tasks.advance(live, request)
    this.#on.callers.remember(request.caller, request.data, request.now)
    if (request.sums !== undefined) this.#on.callers.count(request.caller, request.sums, request.now)
    if (this.#on.tasks.links === 0) return granted
    this.#on.tree.spend(live.parent, request.debit)
    const raised = this.#on.tree.read(request.caller, live.parent, request.data, request.now)
    return raised.length === 0 ? granted : { minted: true, raised }
  }

  /** Debits what becomes known only while a permitted call is under way. */
  spend(task: string, debit: Readonly<Record<string, number>>): string | null {
    const live = this.#on.tasks.live(task)
    if (!live) return 'the task has ended'
    const over = overBudget(live.row.intent.budget, live.facts.spent, debit)
    if (over !== null) return over
    const held = live.parent === null ? null : this.#on.tree.heldBack(live, { debit, now: this.#on.clock() })
    if (held !== null) return held.detail
    this.#on.tasks.debit(live, debit)
    this.#on.tree.spend(live.parent, debit)
    return null
  }

  #refuseEnded(request: MintRequest): MintAnswer {
    const row = this.#on.tasks.row(request.task)
    return row?.caller === request.caller ? refused('task.ended', row.state) : refused('task.unknown', 'no such task of this caller')
  }
}

const granted: MintAnswer = { minted: true }

function refused(why: Exclude<MintAnswer, { readonly minted: true }>['why'], detail: string): MintAnswer {
  return { minted: false, why, detail }
}
