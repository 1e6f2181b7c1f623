/** Approvals as they begin. */
import type { ApprovalAnswer, ApprovalRow, OfferedObjective, Shown } from '../state/approvals.ts'
import type { TaskRow } from '../state/state.ts'

/** What a call asks for. */
export interface Asking {
  readonly task: TaskRow
  readonly call: string
  readonly digest: string
  readonly tool: string
  readonly route: string
  readonly shown: Shown
  readonly approvers: readonly string[]
  readonly quorum: number
  /** How long people may answer, ms. */
  readonly ttl: number
  readonly single: boolean
  /** Of the policy that asks. */
  readonly revision: string
}

/** Nobody has answered. It never outlives its task. */
export function pendingRow(id: string, asking: Asking, excluded: readonly string[], now: number): ApprovalRow {
  const { task, ttl, call, digest, tool, route, shown, approvers, quorum, single, revision } = asking
  return {
    id,
    state: 'pending',
    task: task.id,
    caller: task.caller,
    call,
    digest,
    tool,
    route,
    shown,
    approvers,
    quorum,
    single,
    excluded,
    revision,
    opened: now,
    expires: Math.min(now + ttl, task.limit),
    objective: null,
    used: 0,
    answers: [],
    granted: null,
    closed: null,
  }
}

/** A person granted an objective before any call asked. */
export function grantedRow(id: string, task: TaskRow, shown: Shown, excluded: readonly string[], given: GivenAhead): ApprovalRow {
  const { objective, at } = given
  const until = Math.min(at + objective.ttl, task.limit)
  const nobodyAsked = { call: '', digest: '', tool: '', route: '', approvers: [], quorum: 1, ttl: objective.ttl, single: false }
  const row = pendingRow(id, { ...nobodyAsked, task, shown, revision: task.revision }, excluded, at)
  return {
    ...row,
    state: 'approved',
    expires: until,
    objective: { tools: objective.tools, calls: objective.calls, until },
    answers: [given],
    granted: at,
  }
}

export type GivenAhead = ApprovalAnswer & { readonly objective: OfferedObjective }
