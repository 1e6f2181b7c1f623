/** Approvals as the agent sees them: how its own stand, never who may answer nor what they said. */
import type { Caller } from '../identify/identify.ts'
import type { Holds } from '../approve/hold.ts'
import { waitOf } from '../approve/prefer.ts'
import { sentences } from '../approve/refusals.ts'
import type { Call } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { Awaitable } from '../state/state.ts'
import type { AgentNoun } from './agent-api.ts'
import type { Answer } from './tasks.ts'

export interface ApprovalNounOptions {
  readonly read: (id: string) => Awaitable<ApprovalRow | null>
  readonly holds: Pick<Holds, 'wait'>
  /** The most a question may wait for an answer, ms. */
  readonly hold: number
}

/** `GET /v1/approvals/<id>`, which waits for as long as `Prefer: wait=N` says. One answer for an id of another caller and one that never was. */
export function approvalNoun({ read, holds, hold }: ApprovalNounOptions): AgentNoun {
  const own = async (id: string, caller: Caller): Promise<ApprovalRow> => {
    const row = await read(id)
    if (row === null || row.caller !== caller.id)
      throw new Refusal('match.unroutable', { reasons: ['there is no such approval of this caller'] })
    return row
  }
  return async (call: Call, caller: Caller, path: readonly string[]): Promise<Answer> => {
    const [id, ...rest] = path
    if (call.method !== 'GET' || id === undefined || rest.length > 0) throw new Refusal('match.unroutable')
    const row = await own(id, caller)
    const wait = row.state === 'pending' ? waitOf(call, hold) : 0
    const woken = wait > 0 ? await holds.wait({ call, caller: caller.id, approval: id, wait }) : null
    return { status: 200, body: view(woken ?? (await own(id, caller))) }
  }
}

function view(row: ApprovalRow): Answer['body'] {
  const { id, matter, tool, state, opened, expires, objective, used } = row
  return {
    id,
    matter,
    // of the task that hands on nothing is told to whom it is handed
    task: matter === 'task-open' ? (row.opens ?? null) : row.task,
    state,
    reason: sentences[state],
    tool: matter === 'call' ? tool : null,
    opened: time(opened),
    expires: time(expires),
    objective: objective && { tools: objective.tools, calls: objective.calls, left: objective.calls - used, until: time(objective.until) },
  }
}

function time(ms: number): string {
  return new Date(ms).toISOString()
}
