/** What people are asked, wired to what their answers allow and to who waits for them; it outlives a configuration. */
import { Approvals } from './approve/approvals.ts'
import { makeChainOf } from './approve/chain.ts'
import { Holds } from './approve/hold.ts'
import { covers } from './approve/objective.ts'
import { makeTaskAsk, type TaskAskOptions } from './approve/task-ask.ts'
import type { AuthorityParts, Authority } from './authority.ts'
import type { LedgerEvent } from './record/record.ts'
import { Refusal } from './refusal.ts'
import { notLive } from './task/agents.ts'
import { readLine } from './task/intent.ts'
import type { AskPeople } from './task/question.ts'
import { Turns } from './task/turns.ts'
import type { ApprovalRow } from './state/approvals.ts'

export interface ApprovingParts extends Pick<Authority, 'revoke' | 'credential' | 'tasks'> {
  readonly event: (event: LedgerEvent) => Promise<void>
  /** The refusal when a kill covers what is asked; null when none does. */
  readonly killed: (row: ApprovalRow) => Refusal | null
}

export function openApprovals(parts: AuthorityParts, more: ApprovingParts): Pick<Authority, 'approvals' | 'holds'> {
  const { state, clock, newId, log, inForce, policy } = parts
  const approvals = new Approvals({
    book: state.approvals,
    clock,
    newId,
    turns: new Turns(),
    task: (id) => state.task(id),
    chainOf: makeChainOf((id) => state.ancestors(id)),
    agent: (caller) => inForce()?.standing.agent(caller) ?? null,
    notLive: (agent) => notLive(agent, clock()),
    revision: () => policy.revision,
    event: more.event,
    revoke: (row) => (row.matter === 'call' ? revoke(row, more) : undo(row, parts, more)),
    gone: (row) => (row.task !== null && state.task(row.task)?.ended !== null ? new Refusal('task.ended') : more.killed(row)),
    readLine,
    log,
  })
  const holds = new Holds({
    watch: (listener) => approvals.watch(listener),
    read: (id) => approvals.read(id),
    most: () => inForce()?.loaded.config.approve.held_per_caller ?? 0,
  })
  return { approvals, holds }
}

/** Asks people about tasks, as the configuration in force says. */
export function askTasks(
  { state, clock }: Pick<AuthorityParts, 'state' | 'clock'>,
  more: Pick<TaskAskOptions, 'approvals' | 'judge' | 'setting'>,
): AskPeople {
  const chainOf = makeChainOf((id) => state.ancestors(id))
  return makeTaskAsk({ ...more, chainOf, facts: (task, caller) => state.facts(task, caller), clock })
}

/** What was allowed by it is cut at once; then every lease is taken back that a call under it may have used. */
async function revoke(row: ApprovalRow, { revoke: open, credential }: ApprovingParts): Promise<void> {
  const { id, task, caller, tool, objective } = row
  open.approvalWithdrawn(id)
  const used = (lent: string): boolean => (objective === null ? lent === tool : covers(objective, lent))
  // without a task it was an objective for every one of its caller
  const book = task === null ? credential.book.all().filter((held) => held.row.caller === caller) : credential.book.ofTask(task)
  const lent = book.filter((held) => used(held.row.tool))
  await Promise.all(lent.map((held) => credential.takeBack(held.row.id, 'approval', {})))
}

/** A task that was opened under it ends; one that went on is paused, until a person lifts that. One that has ended, or that a person paused, is left. */
async function undo(row: ApprovalRow, { state }: AuthorityParts, { tasks }: ApprovingParts): Promise<void> {
  const id = row.matter === 'task-open' ? (row.opens ?? null) : row.task
  const task = id === null || row.used === 0 ? null : state.task(id)
  if (task === null || task.ended !== null) return
  const by = { kind: 'person', name: row.closed?.by ?? 'countersign' } as const
  const reason = `the approval ${row.id} was withdrawn`
  try {
    await (row.matter === 'task-open' ? tasks.revoke(task, by, reason) : tasks.pause(task, by, reason))
  } catch (error) {
    if (!(error instanceof Refusal && (error.code === 'task.paused' || error.code === 'task.ended'))) throw error
  }
}
