/** The embedded state: one process, one SQLite file, and what is live authoritative in memory. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { overBudget } from '../task/budget.ts'
import { ApprovalTable } from './approval-table.ts'
import { CallerTable } from './caller-table.ts'
import { openDatabase } from './database.ts'
import { KillTable } from './kill-table.ts'
import { LeaseTable } from './lease-table.ts'
import { RateTable } from './rate-table.ts'
import { endStates, TaskTable, type Clocks } from './task-table.ts'
import type { Facts, LeaseRow, LeaseState, MintAnswer, MintRequest, Observation, PausedBy, State, TaskRow, TaskState } from './state.ts'

const day = 86_400_000

export interface SqliteOptions {
  /** A file, or `:memory:`. */
  readonly path: string
  /** Epoch ms. */
  readonly clock: () => number
  /** ms on a clock that nobody can set; `performance.now` by default. */
  readonly ticks?: () => number
  /** How long what a caller has read stays with it, ms; 24 h by default. */
  readonly memory?: number
  /** Survive power loss, not only the end of the process. */
  readonly synced?: boolean
  /** How long to wait for a process that is letting go of the file, ms. */
  readonly wait?: number
}

/** Opens the state and takes its file for this process; throws, with what to do, when it cannot. Every answer is synchronous. */
export function openSqlite(options: SqliteOptions): SqliteState {
  const db = openDatabase({ path: options.path, synced: options.synced ?? false, wait: options.wait ?? 1000 })
  try {
    const ticks = options.ticks ?? (() => performance.now())
    return new SqliteState(db, { clock: options.clock, ticks }, options.memory ?? day)
  } catch (error) {
    db.close()
    throw new Error(`the state ${options.path} cannot be read`, { cause: error })
  }
}

/**
 * `State` on SQLite. Transitions of tasks and leases are written before they are true in memory;
 * facts change in memory and reach the file with `flush`, which the record calls before anything leaves.
 */
export class SqliteState implements State {
  readonly kills: KillTable
  readonly #db: DatabaseSync
  readonly #clock: () => number
  readonly #tasks: TaskTable
  readonly #callers: CallerTable
  readonly #leases: LeaseTable
  readonly #rates: RateTable
  readonly approvals: ApprovalTable
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #getNote: StatementSync
  readonly #putNote: StatementSync

  constructor(db: DatabaseSync, clocks: Clocks, memory: number) {
    this.#db = db
    this.#clock = clocks.clock
    this.#tasks = new TaskTable(db, clocks)
    this.#callers = new CallerTable(db, memory)
    this.#leases = new LeaseTable(db)
    this.#rates = new RateTable(db, clocks.clock)
    this.approvals = new ApprovalTable(db)
    this.kills = new KillTable(db)
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
    this.#getNote = db.prepare('SELECT value FROM notes WHERE key = ?')
    this.#putNote = db.prepare('INSERT INTO notes (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')
  }

  openTask(row: TaskRow): void {
    this.#tasks.open(row, Object.keys(this.#callers.facts(row.caller, this.#clock()).sensitivity))
  }

  task(id: string): TaskRow | null {
    return this.#tasks.row(id)
  }

  /** Live tasks first, then ended ones, each newest first; at most `limit` (1,000). */
  tasks(filter: { readonly caller?: string; readonly state?: TaskState; readonly limit?: number }): readonly TaskRow[] {
    const { caller, state, limit = 1000 } = filter
    const found: TaskRow[] = []
    if (state === undefined || !endStates.has(state)) {
      for (const { row } of caller === undefined ? this.#tasks.all() : this.#tasks.ofCaller(caller)) {
        if (state === undefined || row.state === state) found.push(row)
      }
      found.sort((a, b) => b.opened - a.opened)
    }
    if (found.length < limit && (state === undefined || endStates.has(state))) {
      found.push(...this.#tasks.ended(caller ?? null, state ?? null, limit - found.length))
    }
    return found.slice(0, limit)
  }

  activeTasks(caller: string): readonly TaskRow[] {
    const explicit: TaskRow[] = []
    const implicit: TaskRow[] = []
    for (const { row } of this.#tasks.ofCaller(caller)) {
      if (row.state === 'active') (row.implicit ? implicit : explicit).push(row)
    }
    return explicit.length === 0 ? implicit : [...explicit, ...implicit]
  }

  pauseTask(id: string, paused: NonNullable<TaskRow['paused']>): TaskRow | null {
    const live = this.#tasks.live(id)
    // else an agent that paused first could lift what a person meant to stop
    const takenOver = live?.row.paused?.by === 'agent' && paused.by !== 'agent'
    return live && (live.row.state === 'active' || takenOver) ? this.#tasks.change(live, { state: 'paused', paused }) : null
  }

  resumeTask(
    id: string,
    liftable: readonly PausedBy[],
    change: Partial<Pick<TaskRow, 'session' | 'revision' | 'expires' | 'judged'>>,
  ): TaskRow | null {
    const live = this.#tasks.live(id)
    const by = live?.row.paused?.by
    if (live?.row.state !== 'paused' || by === undefined || !liftable.includes(by)) return null
    return this.#tasks.change(live, { ...change, state: 'active', paused: null })
  }

  reauthoriseTask(id: string, change: Partial<Pick<TaskRow, 'session' | 'revision' | 'judged'>>): TaskRow | null {
    const live = this.#tasks.live(id)
    return live?.row.state === 'active' ? this.#tasks.change(live, change) : null
  }

  endTask(id: string, state: 'completed' | 'revoked' | 'expired', ended: NonNullable<TaskRow['ended']>): TaskRow | null {
    const live = this.#tasks.live(id)
    if (!live) return null
    const row: TaskRow = { ...live.row, state, ended, paused: null, subjectToken: null }
    this.#transaction(() => this.#tasks.writeEnd(live, row))
    this.#tasks.forget(live)
    this.#rates.forget(id, row.caller)
    return row
  }

  touchTask(id: string, expires: number): void {
    const live = this.#tasks.live(id)
    const later = live && Math.min(expires, live.row.limit)
    if (live?.row.state === 'active' && later !== undefined && later > live.row.expires) this.#tasks.slide(live, later)
  }

  overdueTasks(now: number): readonly TaskRow[] {
    const overdue: TaskRow[] = []
    for (const live of this.#tasks.all()) if (this.#tasks.late(live, now)) overdue.push(live.row)
    return overdue
  }

  facts(task: string, caller: string): Facts {
    return { task: this.#tasks.facts(task), caller: this.#callers.facts(caller, this.#clock()) }
  }

  mint(request: MintRequest): MintAnswer {
    const live = this.#tasks.live(request.task)
    if (!live) return this.#refuseEnded(request)
    const { row, facts } = live
    if (row.caller !== request.caller) return refused('task.unknown', 'bound to another caller')
    if (row.state !== 'active') return refused('task.paused', row.state)
    if (this.#tasks.late(live, request.now)) return refused('task.ended', 'its time has passed')
    if (facts.version !== request.seen.task || this.#callers.version(request.caller) !== request.seen.caller) {
      return refused('stale', 'the facts changed since policy saw them')
    }
    const over = overBudget(row.intent.budget, facts.spent, request.debit)
    if (over !== null) return refused('task.budget', over)
    if (request.approval !== undefined && !this.approvals.redeemable(request.approval, request.task, request.now))
      return refused('approval', 'it was used, withdrawn or too late')
    if (request.limits !== undefined) {
      const limited = this.#rates.limited(request)
      if (limited !== null) {
        this.#tasks.overRate(live)
        return { minted: false, why: 'decide.rate-limited', ...limited }
      }
      this.#rates.take(request)
    }
    if (request.approval !== undefined) this.approvals.redeem(request.approval, request.now)
    this.#tasks.advance(live, request)
    this.#callers.remember(request.caller, request.data, request.now)
    if (request.sums !== undefined) this.#callers.count(request.caller, request.sums, request.now)
    return granted
  }

  observe(task: string, outcome: Observation): void {
    const live = this.#tasks.live(task)
    if (live) this.#tasks.conclude(live, outcome)
  }

  spend(task: string, debit: Readonly<Record<string, number>>): string | null {
    const live = this.#tasks.live(task)
    if (!live) return 'the task has ended'
    const over = overBudget(live.row.intent.budget, live.facts.spent, debit)
    if (over === null) this.#tasks.debit(live, debit)
    return over
  }

  raise(task: string, caller: string, classes: readonly string[]): void {
    const live = this.#tasks.live(task)
    if (live) this.#tasks.raise(live, classes)
    this.#callers.remember(caller, classes, this.#clock())
    this.flush()
  }

  denied(task: string, rules: readonly string[]): void {
    const live = this.#tasks.live(task)
    if (live) this.#tasks.refused(live, rules)
  }

  clearSensitivity(caller: string): void {
    this.#callers.clear(caller)
    for (const live of this.#tasks.ofCaller(caller)) this.#tasks.clear(live)
    this.flush()
  }

  lease(id: string): LeaseRow | null {
    return this.#leases.lease(id)
  }

  putLease(row: LeaseRow): void {
    this.#leases.put(row)
  }

  changeLease(id: string, from: readonly LeaseState[], change: Partial<LeaseRow>): LeaseRow | null {
    return this.#leases.change(id, from, change)
  }

  leases(filter: { readonly task?: string; readonly states?: readonly LeaseState[] }): readonly LeaseRow[] {
    return this.#leases.list(filter.task, filter.states)
  }

  note(key: string): string | null {
    const value = this.#getNote.get(key)?.['value']
    return typeof value === 'string' ? value : null
  }

  putNote(key: string, value: string): void {
    this.#putNote.run(key, value)
  }

  flush(): void {
    const dirty = this.#tasks.dirty + this.#callers.dirty + this.#rates.dirty + this.approvals.dirty + this.kills.dirty
    if (dirty === 0) return
    if (dirty === 1) this.#writeDirty()
    else this.#transaction(() => this.#writeDirty())
    this.#tasks.clean()
    this.#callers.clean()
    this.#rates.clean()
    this.approvals.clean()
    this.kills.clean()
  }

  /** Flushes and lets go of the file. Idempotent. */
  close(): void {
    if (!this.#db.isOpen) return
    try {
      this.flush()
    } finally {
      this.#db.close()
    }
  }

  #refuseEnded(request: MintRequest): MintAnswer {
    const row = this.#tasks.row(request.task)
    return row?.caller === request.caller ? refused('task.ended', row.state) : refused('task.unknown', 'no such task of this caller')
  }

  #writeDirty(): void {
    this.#tasks.writeDirty()
    this.#callers.writeDirty()
    this.#rates.writeDirty()
    this.approvals.writeDirty()
    this.kills.writeDirty()
  }

  #transaction(write: () => void): void {
    this.#begin.run()
    try {
      write()
      this.#commit.run()
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }
}

const granted: MintAnswer = { minted: true }

function refused(why: Exclude<MintAnswer, { readonly minted: true }>['why'], detail: string): MintAnswer {
  return { minted: false, why, detail }
}
