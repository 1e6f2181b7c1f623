/** Approvals as they begin. */
import type { ApprovalAnswer, ApprovalRow, Matter, OfferedObjective, Shown } from '../state/approvals.ts'
import type { TaskRow } from '../state/state.ts'
import type { Receiver } from './receiver.ts'
import { shownGrant } from './shown.ts'

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

/** A person granted an objective before any call asked. `names`: all that the sign-in of that person proved. */
export function grantedRow(id: string, to: Receiver, given: GivenAhead, names: readonly string[]): ApprovalRow {
  const { task, caller, parties, revision } = to
  const { objective, at } = given
  const until = Math.min(at + objective.ttl, task?.limit ?? Number.POSITIVE_INFINITY)
  const nobodyAsked = { call: '', digest: '', tool: '', route: '', approvers: [], quorum: 1, ttl: objective.ttl, single: false }
  const row = pendingRow(id, { ...nobodyAsked, task, shown: shownGrant(to, objective), revision }, parties, at)
  return {
    ...row,
    caller,
    ...(task === null && { grantedBy: names }),
    state: 'approved',
    expires: until,
    objective: { tools: objective.tools, calls: objective.calls, until },
    answers: [given],
    granted: at,
  }
}

export type GivenAhead = ApprovalAnswer & { readonly objective: OfferedObjective }

/** Whether as many of the same people are asked. */
export function sameTerms(row: ApprovalRow, { approvers, quorum, single }: Asking): boolean {
  const named = row.approvers
  return (
    row.quorum === quorum && row.single === single && named.length === approvers.length && named.every((one) => approvers.includes(one))
  )
}
