/** A task and all it descends from: what ends or stops one of them ends or stops it. */
import type { TaskRow } from '../state/state.ts'

/** Far above any depth that a hand-off may reach: a circle in the rows must not hang a call. */
const deepest = 64

/** Ids of the task and its ancestors, root last. */
export function lineage(row: TaskRow, task: (id: string) => TaskRow | null): readonly string[] {
  const ids = [row.id]
  for (let { parent } = row; parent !== null && ids.length < deepest;) {
    ids.push(parent)
    parent = task(parent)?.parent ?? null
  }
  return ids
}
