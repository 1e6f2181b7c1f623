/** Lists of tasks, as they are asked for. */
import { endStates, type TaskTable } from './task-table.ts'
import type { TaskRow, TaskState } from './state.ts'

/** Live tasks first, then ended ones, each newest first; at most `limit` (1,000). */
export function listTasks(
  tasks: TaskTable,
  { caller, state, limit = 1000 }: { readonly caller?: string; readonly state?: TaskState; readonly limit?: number },
): readonly TaskRow[] {
  const found: TaskRow[] = []
  if (state === undefined || !endStates.has(state)) {
    for (const { row } of caller === undefined ? tasks.all() : tasks.ofCaller(caller)) {
      if (state === undefined || row.state === state) found.push(row)
    }
    found.sort((a, b) => b.opened - a.opened)
  }
  if (found.length < limit && (state === undefined || endStates.has(state))) {
    found.push(...tasks.ended(caller ?? null, state ?? null, limit - found.length))
  }
  return found.slice(0, limit)
}

/** The active tasks of a caller, explicit ones first. */
export function listActive(tasks: TaskTable, caller: string): readonly TaskRow[] {
  const explicit: TaskRow[] = []
  const implicit: TaskRow[] = []
  for (const { row } of tasks.ofCaller(caller)) {
    if (row.state === 'active') (row.implicit ? implicit : explicit).push(row)
  }
  return explicit.length === 0 ? implicit : [...explicit, ...implicit]
}
