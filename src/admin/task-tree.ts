/** Trees of tasks as people see them: who handed on to whom, with what, and what is left of it. */
import type { State, TaskRow } from '../state/state.ts'

/** A task in its tree. */
export interface TreeNode {
  readonly id: string
  readonly state: string
  readonly caller: string
  readonly purpose: string
  readonly depth: number
  readonly expires: string
  readonly budget: Readonly<Record<string, { readonly spent: number; readonly most: number | null }>>
  readonly sensitivity: readonly string[]
  readonly paused: { readonly by: string; readonly reason: string } | null
  readonly ended: { readonly by: string; readonly cause: string } | null
  /** Hand-offs that nobody has redeemed. */
  readonly offered: readonly { readonly id: string; readonly to: string; readonly expires: string }[]
  readonly children: readonly TreeNode[]
}

type Looked = Pick<State, 'children' | 'grants' | 'facts'>

/** The task with everything below it, in whatever state. */
export async function treeOf(state: Looked, row: TaskRow): Promise<TreeNode> {
  const { task, caller } = state.facts(row.id, row.caller)
  const children: TreeNode[] = []
  for (const child of await state.children(row.id)) children.push(await treeOf(state, child))
  return {
    id: row.id,
    state: row.state,
    caller: row.caller,
    purpose: row.intent.purpose,
    depth: row.depth,
    expires: time(row.expires),
    budget: budgetOf(row.intent.budget, task.spent),
    sensitivity: [...new Set([...task.sensitivity, ...(row.ended === null ? Object.keys(caller.sensitivity) : [])])].sort(),
    paused: row.paused && { by: row.paused.by, reason: row.paused.reason },
    ended: row.ended && { by: row.ended.by, cause: row.ended.cause },
    offered: state.grants.open(row.id).map(({ id, to, expires }) => ({ id, to, expires: time(expires) })),
    children,
  }
}

function budgetOf(limits: TaskRow['intent']['budget'], spent: Readonly<Record<string, number>>): TreeNode['budget'] {
  const meters = new Set([...Object.keys(limits), ...Object.keys(spent)])
  const of = (record: Readonly<Record<string, number>>, meter: string): number | null =>
    Object.hasOwn(record, meter) ? (record[meter] ?? null) : null
  return Object.fromEntries([...meters].sort().map((meter) => [meter, { spent: of(spent, meter) ?? 0, most: of(limits, meter) }]))
}

function time(ms: number): string {
  return new Date(ms).toISOString()
}
