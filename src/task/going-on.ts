/** Whether an active task may go on as it is: state that outlives a session does not carry the old authorisation with it. */
import type { Caller } from '../identify/identify.ts'
import type { Call } from '../listen/call.ts'
import type { State, TaskRow } from '../state/state.ts'
import type { Agent } from './agents.ts'
import type { Cause } from './question.ts'
import { sessionOf, type SessionRule, type Sessions } from './session.ts'

/** An active task that has to be judged before it goes on. */
export interface GoingOn {
  readonly caller: Caller
  readonly agent: Agent
  /** Looks at the row as it is when its turn has come; null: it may go on as it is. `unused`: nobody has used it yet. */
  readonly due: (row: TaskRow) => Cause | 'unused' | null
  /** The request that wants to go on; absent: no agent waits for the answer. */
  readonly call?: Call
}

/** Who resumes a task, and by which request. */
export interface Resuming extends Omit<GoingOn, 'due'> {
  readonly due?: GoingOn['due']
}

/** When a task is judged before it goes on. */
export interface GoOnRules {
  /** What a session is; null: no session is new. */
  readonly session: SessionRule | null
  /** After so long without a permitted call, ms; null: never. */
  readonly idle: number | null
  /** Under another policy revision. */
  readonly policy: boolean
}

export interface GoOnOptions {
  readonly rules: GoOnRules
  readonly sessions: Pick<Sessions, 'knows'>
  readonly state: Pick<State, 'facts'>
  /** Of the policy in force. */
  readonly revision: () => string
}

/**
 * Makes the look at a task that a caller wants to go on with at `now` (epoch ms): why it has to be judged first, or null. Three
 * comparisons where nothing changed.
 */
export function makeDue({
  rules,
  sessions,
  state,
  revision,
}: GoOnOptions): (row: TaskRow, caller: Caller, now: number) => Cause | 'unused' | null {
  const { session: rule, idle, policy } = rules
  return (row, caller, now) => {
    if (rule !== null) {
      const session = sessionOf(caller, rule)
      if (row.session === null) return 'unused'
      if (row.session !== session && !sessions.knows(row.id, session, row.revision)) return 'session'
    }
    if (policy && row.revision !== revision()) return 'policy'
    const judged = row.judged ?? row.opened
    if (idle === null || now - judged <= idle) return null
    const last = state.facts(row.id, row.caller).task.last.at(-1)?.at ?? judged
    return now - last > idle ? 'idle' : null
  }
}
