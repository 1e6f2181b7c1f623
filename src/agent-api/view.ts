/** A task as its agent sees it. */
import { left } from '../task/budget.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { TaskFacts, TaskRow } from '../state/state.ts'

/** What its agent may know of a task. The reason of a pause is told only when the agent gave it. */
export function taskView(row: TaskRow, facts: TaskFacts): Readonly<Record<string, unknown>> {
  const { paused, ended } = row
  return {
    id: row.id,
    state: row.state,
    caller: row.caller,
    opened_by: row.openedBy ?? row.caller,
    implicit: row.implicit,
    intent: row.intent,
    ...(row.chain === undefined ? {} : { handed_on_by: row.chain.at(-1)?.party, depth: row.depth }),
    on_behalf_of: row.onBehalfOf,
    opened: time(row.opened),
    expires: time(row.expires),
    spent: facts.spent,
    left: left(row.intent.budget, facts.spent),
    ...belonging(row, facts),
    paused: paused && { by: paused.by, at: time(paused.at), reason: paused.by === 'agent' ? paused.reason : null },
    ended: ended && { at: time(ended.at) },
  }
}

/** The prompt that a task goes back to, and what it belongs to elsewhere. */
export function belonging({ intent, correlation }: TaskRow, { model }: TaskFacts): Readonly<Record<string, unknown>> {
  return {
    prompt: {
      declared: intent.prompt,
      model_call: model?.call ?? null,
      request_sha256: model?.request ?? null,
      answer_sha256: model?.answer ?? null,
    },
    correlation: { trace_id: correlation?.traceId ?? null, txn: correlation?.transaction?.id ?? null },
  }
}

/** A call of the task that waits, as its agent sees it: `Countersign-Depends-On` may name it before its answer is there. */
export interface HeldCall {
  readonly call: string
  readonly tool: string
  readonly code: 'approve.required' | 'approve.deferred'
  /** The approval that it waits for. */
  readonly approval?: string
}

/** Approvals of the task that people owe an answer to, or that wait to be used. */
export function approvalsView(rows: readonly ApprovalRow[]): readonly Readonly<Record<string, unknown>>[] {
  const own = rows.filter(({ matter }) => matter !== 'task-open')
  return own.map(({ id, matter, state, tool, expires }) => ({ id, matter, state, tool: tool || null, expires: time(expires) }))
}

/** RFC 3339. */
export function time(ms: number): string {
  return new Date(ms).toISOString()
}
