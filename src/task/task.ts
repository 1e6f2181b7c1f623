import type { Agent } from './agents.ts'
import type { TaskRow } from '../state/state.ts'

/** A task as a call sees it: known, live and bound to its caller when it was looked up. */
export interface Task {
  readonly row: TaskRow
  readonly agent: Agent
}
