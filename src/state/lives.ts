/** How tasks are handed on, paused, resumed and ended: each with all that came from it, or not at all. */
import type { GrantTable } from './grant-table.ts'
import type { GrantRow, OpenedChild, Redemption } from './grants.ts'
import type { PausedBy, TaskRow } from './state.ts'
import type { LiveTask, TaskTable } from './task-table.ts'
import { below, type TaskTree } from './tree.ts'

/** Far above any depth that a hand-off may reach: a circle in the rows must not hang a call. */
const deepest = 64

export interface LivesParts {
  readonly tasks: TaskTable
  readonly tree: TaskTree
  readonly grants: GrantTable
  /** Writes all of it or nothing. */
  readonly transaction: <T>(write: () => T) => T
}

export class Lives {
  readonly #parts: LivesParts

  constructor(parts: LivesParts) {
    this.#parts = parts
  }

  /** As `State.pauseTask`. */
  pause(id: string, paused: NonNullable<TaskRow['paused']>): TaskRow | null {
    const { tasks } = this.#parts
    const live = tasks.live(id)
    // else an agent that paused first could lift what a person meant to stop
    const lighter = live?.row.paused?.by === 'agent' || live?.row.paused?.from !== undefined
    if (!live || !(live.row.state === 'active' || (lighter && paused.by !== 'agent'))) return null
    const held = { by: 'rule', at: paused.at, reason: 'the task that handed it on is paused', from: id } as const
    return this.#together(live, () => {
      for (const each of below(live)) {
        if (each.row.state === 'active' || each.row.state === 'pending') tasks.change(each, { state: 'paused', paused: held })
      }
      return tasks.change(live, { state: 'paused', paused })
    })
  }

  /** As `State.resumeTask`. */
  resume(id: string, liftable: readonly PausedBy[], change: Partial<TaskRow>): TaskRow | null {
    const { tasks } = this.#parts
    const live = tasks.live(id)
    const by = live?.row.paused?.by
    if (live?.row.state !== 'paused' || by === undefined || !liftable.includes(by)) return null
    for (let up = live.parent; up !== null; up = up.parent) if (up.row.state !== 'active') return null
    return this.#together(live, () => {
      for (const each of below(live)) {
        if (each.row.paused?.from === id) tasks.change(each, { state: 'active', paused: null })
      }
      return tasks.change(live, { ...change, state: 'active', paused: null })
    })
  }

  /** As `State.endTask`, with everything that ended, the task itself first; empty when it had ended before. */
  end(id: string, state: 'completed' | 'revoked' | 'expired', ended: NonNullable<TaskRow['ended']>): readonly TaskRow[] {
    const { tasks, grants, transaction } = this.#parts
    const live = tasks.live(id)
    if (!live) return []
    const ending: [LiveTask, TaskRow][] = [[live, { ...live.row, state, ended, paused: null, subjectToken: null }]]
    const inherited = { at: ended.at, cause: `its parent ${id} was ${state}`, by: ended.by }
    const how = state === 'expired' ? 'expired' : 'revoked'
    for (const each of below(live)) ending.push([each, { ...each.row, state: how, ended: inherited, paused: null, subjectToken: null }])
    const offered = ending.flatMap(([{ row }]) => grants.open(row.id)).map((grant): GrantRow => ({ ...grant, state: 'withdrawn' }))
    transaction(() => {
      for (const [each, row] of ending) tasks.writeEnd(each, row)
      for (const grant of offered) grants.write(grant)
    })
    // children first: a child that is gone is no link any more
    for (const [each] of ending.toReversed()) tasks.forget(each)
    for (const grant of offered) grants.settle(grant)
    return ending.map(([, row]) => row)
  }

  /** As `State.openChild`. */
  openChild(row: TaskRow, { grant, to, digest, now }: Redemption): OpenedChild {
    const { tasks, tree, grants, transaction } = this.#parts
    const parent = row.parent === null ? undefined : tasks.live(row.parent)
    if (parent === undefined || tasks.late(parent, now)) return { opened: false, why: 'task.ended' }
    if (parent.row.state !== 'active') return { opened: false, why: 'task.paused' }
    const redeemed = grants.redeemed(grant, { to, digest, child: row.id }, now)
    if (redeemed === null || redeemed.task !== row.parent) return { opened: false, why: 'grant' }
    const child = transaction(() => {
      grants.write(redeemed)
      return tasks.add(row)
    })
    grants.settle(redeemed)
    tasks.keep(child)
    return { opened: true, raised: tree.join(child, now) }
  }

  /** As `State.ancestors`. */
  ancestors(id: string): readonly TaskRow[] {
    const found: TaskRow[] = []
    let up = this.#parts.tasks.row(id)?.parent ?? null
    while (up !== null && found.length < deepest) {
      const row = this.#parts.tasks.row(up)
      if (row === null) break
      found.push(row)
      up = row.parent
    }
    return found
  }

  /** One transaction where more than the task itself may be written. */
  #together<T>({ children }: LiveTask, write: () => T): T {
    return children === null ? write() : this.#parts.transaction(write)
  }
}
