/** What hand-offs tie together: tasks that spend, pause and end with each other, and callers that share what they know. */
import { overBudget } from '../task/budget.ts'
import { readNow } from '../task/sensitivity.ts'
import type { CallerTable } from './caller-table.ts'
import type { MintAnswer, MintRequest, Raised } from './mint.ts'
import type { LiveTask, TaskTable } from './task-table.ts'

type Refused = Exclude<MintAnswer, { readonly minted: true }>
type Told = Readonly<Record<string, number>>

export class TaskTree {
  readonly #tasks: TaskTable
  readonly #callers: CallerTable

  constructor(tasks: TaskTable, callers: CallerTable) {
    this.#tasks = tasks
    this.#callers = callers
  }

  /** Why an ancestor holds a call back: it is not active, or the call would spend more than it has left. Null when none does. */
  heldBack({ parent }: LiveTask, { debit, now }: Pick<MintRequest, 'debit' | 'now'>): Refused | null {
    for (let up = parent; up !== null; up = up.parent) {
      const { row, facts } = up
      if (this.#tasks.late(up, now)) return { minted: false, why: 'task.ended', detail: `the time of its ancestor ${row.id} has passed` }
      if (row.state !== 'active') return { minted: false, why: 'task.paused', detail: `its ancestor ${row.id} is ${row.state}` }
      const over = overBudget(row.intent.budget, facts.spent, debit)
      if (over !== null) return { minted: false, why: 'task.budget', detail: `of its ancestor ${row.id}: ${over}` }
    }
    return null
  }

  /** What a task spends, its ancestors spend. */
  spend(parent: LiveTask | null, debit: MintRequest['debit']): void {
    for (let up = parent; up !== null; up = up.parent) this.#tasks.debit(up, debit)
  }

  /** A caller read something, under a task with this parent: its ancestors did, and whoever works on a tree with the caller may be told. */
  read(caller: string, parent: LiveTask | null, data: readonly string[], now: number): readonly Raised[] {
    if (data.length === 0 || (parent === null && this.#tasks.links === 0)) return none
    const from = [caller]
    for (let up = parent; up !== null; up = up.parent) {
      this.#tasks.raise(up, data)
      from.push(up.row.caller)
    }
    return this.#tell(connected(from, this.#tasks), readNow(data, now), now)
  }

  /** A task was handed on: it starts with what its parent has read, and from now on the callers of both know what each of them knows. */
  join(child: LiveTask, now: number): readonly Raised[] {
    const { parent } = child
    if (parent === null) return none
    const callers = connected([child.row.caller], this.#tasks)
    const told: Record<string, number> = Object.assign(
      Object.create(null) as Record<string, number>,
      readNow(parent.facts.sensitivity, now),
    )
    for (const name in told) told[name] = parent.facts.sources[name]?.at ?? now
    for (const caller of callers) {
      const { sensitivity } = this.#callers.facts(caller, now)
      for (const name in sensitivity) told[name] = Math.max(told[name] ?? 0, sensitivity[name] ?? now)
    }
    const before = [...parent.facts.sensitivity, ...Object.keys(this.#callers.facts(parent.row.caller, now).sensitivity)]
    this.#tasks.raise(child, before)
    return this.#tell(callers, told, now)
  }

  #tell(callers: Iterable<string>, told: Told, now: number): readonly Raised[] {
    const raised: Raised[] = []
    for (const caller of callers) {
      const learnt = this.#callers.learn(caller, told, now)
      if (learnt !== null) raised.push({ caller, more: learnt === 'more' })
    }
    return raised
  }
}

const none: readonly Raised[] = []

/** Everything below a task, parents before their children. */
export function below(live: LiveTask): LiveTask[] {
  const found: LiveTask[] = [...(live.children ?? [])]
  for (const each of found) if (each.children !== null) found.push(...each.children)
  return found
}

/** The callers of all trees that these callers work on, theirs and those that follow from them, and these callers themselves. */
function connected(from: readonly string[], tasks: TaskTable): ReadonlySet<string> {
  const callers = new Set(from)
  const walked = new Set<LiveTask>()
  // a set is walked on through what is added meanwhile
  for (const caller of callers) {
    for (const live of tasks.ofCaller(caller)) {
      if (live.parent === null && live.children === null) continue
      let root = live
      while (root.parent !== null) root = root.parent
      if (walked.has(root)) continue
      walked.add(root)
      callers.add(root.row.caller)
      for (const { row } of below(root)) callers.add(row.caller)
    }
  }
  return callers
}
