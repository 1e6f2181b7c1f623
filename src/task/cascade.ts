/** What follows for the tasks that a task handed on, in events: each with its cause. */
import type { State, TaskRow } from '../state/state.ts'
import type { GrantRow } from '../state/grants.ts'
import type { TaskEvent } from './events.ts'

export interface CascadeOptions {
  readonly state: Pick<State, 'descendants' | 'grants'>
  readonly event: (event: TaskEvent) => Promise<void>
  readonly ended: (task: string, cause: 'completed' | 'revoked' | 'expired', caller: string) => Promise<void>
  readonly paused?: (row: TaskRow) => void
}

/** What hangs on a task. */
export interface Hanging {
  readonly tasks: readonly TaskRow[]
  readonly grants: readonly GrantRow[]
}

/** Looked at in the tick before a task ends: what will end with it. */
export function hangingOn({ state }: CascadeOptions, row: TaskRow): Hanging {
  const tasks = state.descendants(row.id)
  return { tasks, grants: [row, ...tasks].flatMap(({ id }) => state.grants.open(id)) }
}

/** The task has ended, and so has what hung on it: its open work is cut at once, its leases are taken back, and each end is told. */
export function endHanging(
  { event, ended }: CascadeOptions,
  { tasks, grants }: Hanging,
  { id, state }: TaskRow,
  by: string,
): readonly Promise<void>[] {
  const to = state === 'expired' ? 'expired' : 'revoked'
  const cause = `its parent ${id} was ${state}`
  return [
    ...tasks.map((row) => ended(row.id, to, row.caller)),
    ...tasks.map((row) => event({ kind: `task.${to}`, task: row.id, caller: row.caller, by, detail: { cause, parent: row.parent } })),
    ...grants.map((grant) => event(withdrawn(grant, by, grant.task === id ? `its task was ${state}` : cause))),
  ]
}

/** The task was paused, and what it handed on was paused from it: open work is judged again, and each pause is told. */
export function pauseHanging({ state, event, paused }: CascadeOptions, { id }: TaskRow, by: string): readonly Promise<void>[] {
  const held = state.descendants(id).filter((row) => row.paused?.from === id)
  for (const row of held) paused?.(row)
  return held.map((row) =>
    event({
      kind: 'task.paused',
      task: row.id,
      caller: row.caller,
      by,
      detail: { by: 'rule', reason: `its parent ${id} was paused`, parent: row.parent },
    }),
  )
}

/** The task is about to be resumed, and with it what was paused from it: told before it is true. */
export async function resumeHanging({ state, event }: CascadeOptions, { id }: TaskRow, by: string): Promise<void> {
  for (const row of state.descendants(id)) {
    if (row.paused?.from !== id) continue
    await event({
      kind: 'task.resumed',
      task: row.id,
      caller: row.caller,
      by,
      detail: { cause: `its parent ${id} is resumed`, parent: row.parent },
    })
  }
}

/** The end of a grant that nobody redeemed. */
export function withdrawn(grant: GrantRow, by: string, cause: string): TaskEvent {
  return { kind: 'grant.withdrawn', task: grant.task, caller: grant.from, by, detail: { grant: grant.id, to: grant.to, cause } }
}
