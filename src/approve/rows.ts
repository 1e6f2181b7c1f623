/** Approvals as they begin. */
import type { ApprovalAnswer, ApprovalRow, Matter, OfferedObjective, Shown } from '../state/approvals.ts'
import type { TaskRow } from '../state/state.ts'

/** What a call, or whoever wants a task, asks for. */
export interface Asking {
  /** Absent: a call. */
  readonly about?: AboutTask
  /** Of a task that is to be opened, the one that it is handed on by. */
  readonly task: TaskRow | null
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

/** Of a task that is to be opened or gone on with. */
export interface AboutTask {
  readonly matter: Exclude<Matter, 'call'>
  /** Who asks. */
  readonly by: string
  /** Who is to use the task. */
  readonly worker: string
  /** From the root to those who ask: none of them answers. */
  readonly parties: readonly string[]
}

/** Nobody has answered. It never outlives its task. */
export function pendingRow(id: string, asking: Asking, excluded: readonly string[], now: number): ApprovalRow {
  const { about, task, ttl, call, digest, tool, route, shown, approvers, quorum, single, revision } = asking
  const caller = about?.by ?? task?.caller ?? ''
  const worker = about === undefined || about.worker === caller ? {} : { worker: about.worker }
  return {
    id,
    state: 'pending',
    matter: about?.matter ?? 'call',
    task: task?.id ?? null,
    caller,
    ...worker,
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
    expires: Math.min(now + ttl, task?.limit ?? Number.POSITIVE_INFINITY),
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
