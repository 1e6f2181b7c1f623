/** Tasks and their facts: the live ones in memory, all of them in the state file. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { spend } from '../task/budget.ts'
import { advance, concluded, refused, type Past } from '../task/sequence.ts'
import { withRead } from '../task/sensitivity.ts'
import { keep, restore } from './kept-facts.ts'
import type { MintRequest, Observation } from './mint.ts'
import type { TaskFacts, TaskRow, TaskState } from './state.ts'

export const endStates: ReadonlySet<TaskState> = new Set(['completed', 'revoked', 'expired'])

/** A task that has not ended. */
export interface LiveTask {
  /** Its row in the file. */
  readonly key: number
  row: TaskRow
  facts: TaskFacts
  /** When its time has passed on the clock that nobody can set, ms: a wall clock put back never lengthens a task. */
  until: number
  readonly past: Past
  /** The live task that handed it on; null for a root. */
  readonly parent: LiveTask | null
  /** Live tasks that it handed on; null until there is one. Written by the table alone. */
  children: Set<LiveTask> | null
}

/** The two clocks that a task's life is held to, ms. */
export interface Clocks {
  /** Epoch. */
  readonly clock: () => number
  /** Monotonic. */
  readonly ticks: () => number
}

/** Of a task opened further ahead of the clock than this nobody knows how much of its life is spent. */
const tolerableStepBack = 30_000

export class TaskTable {
  readonly #clocks: Clocks
  /** Live tasks by id and by caller. Written by `open`, `change`, `end`, `advance`, `conclude`, `refused` and `clear` only. */
  readonly #live = new Map<string, LiveTask>()
  readonly #byCaller = new Map<string, Set<LiveTask>>()
  #links = 0
  /** What `flush` has to write. */
  readonly #dirtyFacts = new Set<LiveTask>()
  readonly #dirtyRows = new Set<LiveTask>()
  readonly #addRow: StatementSync
  readonly #setRow: StatementSync
  readonly #putFacts: StatementSync
  readonly #getRow: StatementSync
  readonly #getFacts: StatementSync
  readonly #listEnded: StatementSync
  readonly #listChildren: StatementSync

  constructor(db: DatabaseSync, clocks: Clocks) {
    this.#clocks = clocks
    this.#addRow = db.prepare('INSERT INTO tasks (id, caller, state, opened, row) VALUES (?, ?, ?, ?, ?)')
    this.#setRow = db.prepare('UPDATE tasks SET state = ?, closed = ?, row = ? WHERE key = ?')
    this.#putFacts = db.prepare('INSERT INTO facts (task, facts) VALUES (?, ?) ON CONFLICT (task) DO UPDATE SET facts = excluded.facts')
    this.#getRow = db.prepare('SELECT row FROM tasks WHERE id = ?')
    this.#getFacts = db.prepare('SELECT facts FROM facts JOIN tasks ON facts.task = tasks.key WHERE tasks.id = ?')
    this.#listEnded = db.prepare(
      "SELECT row FROM tasks WHERE state IN ('completed', 'revoked', 'expired') AND (?1 IS NULL OR caller = ?1) AND (?2 IS NULL OR state = ?2)" +
        ' ORDER BY opened DESC LIMIT ?3',
    )
    this.#listChildren = db.prepare("SELECT row FROM tasks WHERE row ->> '$.parent' = ? ORDER BY key")
    // by key: a parent was opened before its children
    for (const { key, row } of db.prepare("SELECT key, row FROM tasks WHERE state IN ('pending', 'active', 'paused') ORDER BY key").all())
      this.#load(key, row)
  }

  /** How many live tasks were handed on by one that lives. */
  get links(): number {
    return this.#links
  }

  live(id: string): LiveTask | undefined {
    return this.#live.get(id)
  }

  /** Has its time passed, by either clock? `now` in epoch ms. */
  late({ row, until }: LiveTask, now: number): boolean {
    return row.expires <= now || until <= this.#clocks.ticks()
  }

  all(): Iterable<LiveTask> {
    return this.#live.values()
  }

  ofCaller(caller: string): Iterable<LiveTask> {
    return this.#byCaller.get(caller) ?? []
  }

  row(id: string): TaskRow | null {
    return this.#live.get(id)?.row ?? decodeRow(this.#getRow.get(id)?.['row'])
  }

  /** Facts of a task in whatever state; those of one that made no call when it is unknown. */
  facts(id: string): TaskFacts {
    const live = this.#live.get(id)
    if (live) return live.facts
    return restore(this.#getFacts.get(id)?.['facts']).facts
  }

  ended(caller: string | null, state: TaskState | null, limit: number): TaskRow[] {
    return this.#listEnded.all(caller, state, limit).flatMap(({ row }) => decodeRow(row) ?? [])
  }

  /** Children in whatever state, oldest first. */
  childrenOf(id: string): TaskRow[] {
    return this.#listChildren.all(id).flatMap(({ row }) => decodeRow(row) ?? [])
  }

  /** Writes through, then keeps. `brought`: data classes that its caller knows already. Throws when the id is taken. */
  open(row: TaskRow, brought: readonly string[]): void {
    this.keep(this.add(row), brought)
  }

  /** Writes a task for the first time; the caller may hold a transaction, and calls `keep` once it is through. Throws when the id is taken. */
  add(row: TaskRow): LiveTask {
    const { lastInsertRowid } = this.#addRow.run(row.id, row.caller, row.state, row.opened, JSON.stringify(row))
    return this.#liveOf(Number(lastInsertRowid), row, this.#until(row), null)
  }

  /** `brought`: data classes that its caller knows already. */
  keep(live: LiveTask, brought: readonly string[] = []): void {
    this.#live.set(live.row.id, live)
    if (brought.length > 0) this.#replace(live, { ...live.facts, brought })
    let own = this.#byCaller.get(live.row.caller)
    if (!own) this.#byCaller.set(live.row.caller, (own = new Set()))
    own.add(live)
    if (live.parent === null) return
    live.parent.children ??= new Set()
    live.parent.children.add(live)
    this.#links++
  }

  /** Writes through, then replaces. */
  change(live: LiveTask, change: Partial<TaskRow>): TaskRow {
    const row = { ...live.row, ...change }
    this.#write(live.key, row)
    live.row = row
    if (change.expires !== undefined) live.until = this.#until(row)
    this.#dirtyRows.delete(live)
    return row
  }

  /** Keeps a later expiry, written with the next flush: losing one only ends a task sooner. */
  slide(live: LiveTask, expires: number): void {
    live.row = { ...live.row, expires }
    live.until = this.#until(live.row)
    this.#dirtyRows.add(live)
  }

  /** Writes row and facts for the last time; the caller holds a transaction and calls `forget` once it is through. */
  writeEnd(live: LiveTask, row: TaskRow): void {
    if (this.#dirtyFacts.has(live)) this.#writeFacts(live)
    this.#write(live.key, row)
  }

  forget(live: LiveTask): void {
    const { id, caller } = live.row
    if (live.parent?.children?.delete(live) === true) this.#links--
    this.#live.delete(id)
    this.#dirtyFacts.delete(live)
    this.#dirtyRows.delete(live)
    const own = this.#byCaller.get(caller)
    own?.delete(live)
    if (own?.size === 0) this.#byCaller.delete(caller)
  }

  advance(live: LiveTask, request: MintRequest): void {
    const { past, facts } = live
    past.course.walk(request, facts)
    past.counts.add(request.step.tool)
    past.hosts.add(request.host)
    if (request.resource != null) past.resources.add(request.resource)
    past.repeats.add(request.repeat)
    past.trail.add(request, facts)
    this.#replace(live, advance(facts, request))
  }

  conclude(live: LiveTask, observed: Observation): void {
    const after = concluded(live.facts, observed)
    const grew = live.past.course.concluded(after.step, after.failures, observed.sent ?? 0)
    this.#replace(live, grew ? grown(live, after) : after)
  }

  /** A rate limit that policy set stopped a call. */
  overRate(live: LiveTask): void {
    if (live.past.course.overRate()) this.#replace(live, grown(live, live.facts))
  }

  raise(live: LiveTask, classes: readonly string[]): void {
    live.past.course.learns(classes, live.facts)
    const sensitivity = withRead(live.facts.sensitivity, classes)
    const news = live.past.trail.raised(classes)
    if (news || sensitivity !== live.facts.sensitivity) this.#replace(live, { ...live.facts, version: live.facts.version + 1, sensitivity })
  }

  /** What a task spends while a call is under way, or what one spends that it handed on. */
  debit(live: LiveTask, debit: Readonly<Record<string, number>>): void {
    const spent = spend(live.facts.spent, debit)
    if (spent !== live.facts.spent) this.#replace(live, { ...live.facts, version: live.facts.version + 1, spent })
  }

  refused(live: LiveTask, rules: readonly string[]): void {
    const after = refused(live.facts, rules)
    this.#replace(live, live.past.course.refused(rules) ? grown(live, after) : after)
  }

  clear(live: LiveTask): void {
    live.past.trail.forgetSources()
    if (live.facts.sensitivity.length > 0) this.#replace(live, { ...live.facts, version: live.facts.version + 1, sensitivity: [] })
  }

  get dirty(): number {
    return this.#dirtyFacts.size + this.#dirtyRows.size
  }

  /** Writes what is dirty; the marks stay until `clean`, for the transaction may yet fail. */
  writeDirty(): void {
    for (const live of this.#dirtyFacts) this.#writeFacts(live)
    for (const live of this.#dirtyRows) this.#write(live.key, live.row)
  }

  clean(): void {
    this.#dirtyFacts.clear()
    this.#dirtyRows.clear()
  }

  #load(key: unknown, text: unknown): void {
    const row = decodeRow(text)
    if (row === null) return
    const fromTheFuture = row.opened > this.#clocks.clock() + tolerableStepBack
    // nothing outlives what it came from
    const orphaned = row.parent !== null && !this.#live.has(row.parent)
    const until = fromTheFuture || orphaned ? Number.NEGATIVE_INFINITY : this.#until(row)
    this.keep(this.#liveOf(Number(key), row, until, this.#getFacts.get(row.id)?.['facts']))
  }

  #liveOf(key: number, row: TaskRow, until: number, facts: unknown): LiveTask {
    const parent = row.parent === null ? null : (this.#live.get(row.parent) ?? null)
    return { key, row, until, parent, children: null, ...restore(facts) }
  }

  #until(row: TaskRow): number {
    const { clock, ticks } = this.#clocks
    return ticks() + (row.expires - clock())
  }

  #replace(live: LiveTask, facts: TaskFacts): void {
    if (facts === live.facts) return
    live.facts = facts
    this.#dirtyFacts.add(live)
  }

  #write(key: number, row: TaskRow): void {
    this.#setRow.run(row.state, row.ended?.at ?? null, JSON.stringify(row), key)
  }

  #writeFacts(live: LiveTask): void {
    this.#putFacts.run(live.key, keep(live.facts, live.past))
  }
}

/** The facts after the divergence score grew, which lives beside them; `after` when they are others already. */
function grown({ facts }: LiveTask, after: TaskFacts): TaskFacts {
  return after === facts ? { ...facts, version: facts.version + 1 } : after
}

/** Rows are ours: nobody else writes the file, which is held exclusively and kept at mode 0600. */
function decodeRow(text: unknown): TaskRow | null {
  return typeof text === 'string' ? (JSON.parse(text) as TaskRow) : null
}
