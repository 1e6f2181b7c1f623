/** The embedded state: one process, one SQLite file, and what is live authoritative in memory. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { ApprovalTable } from './approval-table.ts'
import { CallerTable } from './caller-table.ts'
import { CountedTable } from './counted-table.ts'
import { copyOf } from './copy.ts'
import { openDatabase } from './database.ts'
import { GrantTable } from './grant-table.ts'
import type { OpenedChild, Redemption } from './grants.ts'
import { KillTable } from './kill-table.ts'
import { LeaseTable } from './lease-table.ts'
import { listActive, listTasks } from './listing.ts'
import { Lives } from './lives.ts'
import { Minting } from './minting.ts'
import { RateTable } from './rate-table.ts'
import { RegistrationTable } from './registration-table.ts'
import { SignalTable } from './signal-table.ts'
import { TaskTable, type Clocks, type LiveTask } from './task-table.ts'
import { transactions } from './transaction.ts'
import { below, TaskTree } from './tree.ts'
import type { LeaseRow, LeaseState } from './leases.ts'
import type { MintAnswer, MintRequest, Observation, Raised } from './mint.ts'
import type { Facts, PausedBy, State, TaskRow, TaskState } from './state.ts'

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

/** A table whose changes wait for a flush. */
interface Flushed {
  readonly dirty: number
  writeDirty(): void
  clean(): void
}

/**
 * `State` on SQLite. Transitions of tasks and leases are written before they are true in memory;
 * facts change in memory and reach the file with `flush`, which the record calls before anything leaves.
 */
export class SqliteState implements State {
  readonly grants: GrantTable
  readonly kills: KillTable
  readonly registrations: RegistrationTable
  readonly #db: DatabaseSync
  readonly #clock: () => number
  readonly #tasks: TaskTable
  readonly #callers: CallerTable
  readonly #tree: TaskTree
  readonly #lives: Lives
  readonly #leases: LeaseTable
  readonly #rates: RateTable
  readonly approvals: ApprovalTable
  readonly signals: SignalTable
  readonly counted: CountedTable
  readonly #minting: Minting
  /** What changes in memory and is written by `flush`. */
  readonly #tables: readonly Flushed[]
  readonly #transaction: <T>(write: () => T) => T
  readonly #getNote: StatementSync
  readonly #putNote: StatementSync

  constructor(db: DatabaseSync, clocks: Clocks, memory: number) {
    this.#db = db
    this.#clock = clocks.clock
    this.#tasks = new TaskTable(db, clocks)
    this.#callers = new CallerTable(db, memory)
    this.#transaction = transactions(db)
    this.#tree = new TaskTree(this.#tasks, this.#callers)
    this.grants = new GrantTable(db, (task) => this.#tasks.live(task)?.row.state === 'active')
    this.#lives = new Lives({ tasks: this.#tasks, tree: this.#tree, grants: this.grants, transaction: this.#transaction })
    this.#leases = new LeaseTable(db)
    this.#rates = new RateTable(db, clocks.clock)
    this.approvals = new ApprovalTable(db)
    this.kills = new KillTable(db)
    this.signals = new SignalTable(db, clocks.clock)
    this.counted = new CountedTable(db, clocks.clock)
    this.registrations = new RegistrationTable(db)
    this.#minting = new Minting({
      tasks: this.#tasks,
      callers: this.#callers,
      tree: this.#tree,
      rates: this.#rates,
      approvals: this.approvals,
      clock: clocks.clock,
    })
    this.#tables = [this.#tasks, this.#callers, this.#rates, this.approvals, this.kills, this.counted]
    this.#getNote = db.prepare('SELECT value FROM notes WHERE key = ?')
    this.#putNote = db.prepare('INSERT INTO notes (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')
  }

  openTask(row: TaskRow): void {
    this.#tasks.open(row, Object.keys(this.#callers.facts(row.caller, this.#clock()).sensitivity))
  }

  task(id: string): TaskRow | null {
    return this.#tasks.row(id)
  }

  tasks(filter: { readonly caller?: string; readonly state?: TaskState; readonly limit?: number }): readonly TaskRow[] {
    return listTasks(this.#tasks, filter)
  }

  activeTasks(caller: string): readonly TaskRow[] {
    return listActive(this.#tasks, caller)
  }

  pauseTask(id: string, paused: NonNullable<TaskRow['paused']>): TaskRow | null {
    return this.#lives.pause(id, paused)
  }

  resumeTask(
    id: string,
    liftable: readonly PausedBy[],
    change: Partial<Pick<TaskRow, 'session' | 'revision' | 'expires' | 'judged'>>,
  ): TaskRow | null {
    return this.#lives.resume(id, liftable, change)
  }

  reauthoriseTask(id: string, change: Partial<Pick<TaskRow, 'session' | 'revision' | 'judged'>>): TaskRow | null {
    const live = this.#tasks.live(id)
    return live?.row.state === 'active' ? this.#tasks.change(live, change) : null
  }

  endTask(id: string, state: 'completed' | 'revoked' | 'expired', ended: NonNullable<TaskRow['ended']>): TaskRow | null {
    const gone = this.#lives.end(id, state, ended)
    for (const row of gone) this.#rates.forget(row.id, row.caller)
    return gone[0] ?? null
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

  ancestors(id: string): readonly TaskRow[] {
    return this.#lives.ancestors(id)
  }

  descendants(id: string): readonly TaskRow[] {
    const live = this.#tasks.live(id)
    return live === undefined || live.children === null ? [] : below(live).map(({ row }) => row)
  }

  children(id: string): readonly TaskRow[] {
    return this.#tasks.childrenOf(id)
  }

  openChild(row: TaskRow, by: Redemption): OpenedChild {
    const answer = this.#lives.openChild(row, by)
    this.flush()
    return answer
  }

  activateTask(id: string): TaskRow | null {
    const live = this.#tasks.live(id)
    return live?.row.state === 'pending' ? this.#tasks.change(live, { state: 'active' }) : null
  }

  facts(task: string, caller: string): Facts {
    return { task: this.#tasks.facts(task), caller: this.#callers.facts(caller, this.#clock()) }
  }

  mint(request: MintRequest): MintAnswer {
    return this.#minting.mint(request)
  }

  observe(task: string, outcome: Observation): void {
    const live = this.#tasks.live(task)
    if (live) this.#tasks.conclude(live, outcome)
    if (outcome.debit !== undefined) this.#tree.spend(live ? live.parent : this.#parentOf(task), outcome.debit)
  }

  spend(task: string, debit: Readonly<Record<string, number>>): string | null {
    return this.#minting.spend(task, debit)
  }

  raise(task: string, caller: string, classes: readonly string[]): readonly Raised[] {
    const live = this.#tasks.live(task)
    if (live) this.#tasks.raise(live, classes)
    const now = this.#clock()
    this.#callers.remember(caller, classes, now)
    const raised = this.#tree.read(caller, live ? live.parent : this.#parentOf(task), classes, now)
    this.flush()
    return raised
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
    const dirty = this.#tables.reduce((sum, table) => sum + table.dirty, 0)
    if (dirty === 0) return
    if (dirty === 1) this.#writeDirty()
    else this.#transaction(() => this.#writeDirty())
    for (const table of this.#tables) table.clean()
  }

  /** The whole state at this moment, as the bytes of a file that `openSqlite` opens. */
  copy(): Uint8Array {
    this.flush()
    return copyOf(this.#db)
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

  /** The live task that handed on one that has ended. */
  #parentOf(task: string): LiveTask | null {
    const parent = this.#tasks.row(task)?.parent ?? null
    return parent === null ? null : (this.#tasks.live(parent) ?? null)
  }

  #writeDirty(): void {
    for (const table of this.#tables) table.writeDirty()
  }
}
