/** What can be done to kills: engage, and lift by a named person. A kill is true before it is in the ledger, a lift after. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { NewId } from '../id.ts'
import type { LedgerEvent } from '../record/record.ts'
import { Refusal } from '../refusal.ts'
import type { Killable, KillRow, KillScope } from '../state/kills.ts'
import type { KillTable } from '../state/kill-table.ts'
import { covers } from '../state/kill-table.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { TaskRow } from '../state/state.ts'
import type { Actor } from '../task/events.ts'
import type { Covering, Matched } from './covering.ts'

export interface KillsOptions {
  readonly kills: KillTable
  readonly covering: Covering
  readonly clock: () => number
  readonly newId: NewId
  /** Cuts the open and the held calls that `covered` says yes to, in this tick; gives their number. */
  readonly cut: (kill: KillRow, covered: (call: Matched) => boolean) => number
  /** Tasks that have not ended. */
  readonly liveTasks: () => readonly TaskRow[]
  readonly endTask: (row: TaskRow, by: Actor, cause: string) => Promise<unknown>
  /** Leases that are out. */
  readonly leases: () => readonly LeaseRow[]
  /** Where the use of a lease is; null when it is nowhere any more. */
  readonly place: (row: LeaseRow) => Parameters<Covering['lease']>[1]
  readonly takeBack: (lease: string, cause: string) => Promise<void>
  /** Why a kill may not be lifted now; null when it may. */
  readonly standing?: (kill: KillRow) => string | null
  readonly event: (event: LedgerEvent) => Promise<void>
  readonly log: { warn(fields: object, message: string): void; error(fields: object, message: string): void }
  /** Longest that ending tasks holds the event loop at a time, ms. */
  readonly turn?: number
}

/** What is to be stopped, by whom and why. */
export interface Stop {
  readonly scope: KillScope
  /** Null for everything. */
  readonly name: string | null
  /** `person:<name>`, `rule:<id>` or `file:<path>`. */
  readonly by: string
  readonly reason: string
  /** How the person came in. */
  readonly method?: string
  /** For the record: the task and the caller whose doing it was, and the facts that a rule went by. */
  readonly task?: string
  readonly caller?: string
  readonly facts?: Readonly<Record<string, unknown>>
}

/** What engaging came to, in the tick in which it was engaged. */
export interface Engaged {
  readonly kill: KillRow
  /** False: it was engaged before. */
  readonly fresh: boolean
  /** Calls that were cut. */
  readonly cut: number
  /** Tasks and leases that it covers and ends. */
  readonly tasks: number
  readonly leases: number
}

/** Kills of these end the tasks that they cover; those of a tool or a route cut and refuse, and the task goes on with the rest. */
const ending: ReadonlySet<KillScope> = new Set(['task', 'agent', 'owner', 'trust-domain', 'everything'])

/** Why a kill is not lifted: there is none, or something still asks for it. */
export class KillFault extends Error {
  readonly why: 'unknown' | 'standing'

  constructor(why: KillFault['why'], message: string) {
    super(message)
    this.name = 'KillFault'
    this.why = why
  }
}

export class Kills {
  readonly #options: KillsOptions
  /** Kills whose lift is being written to the ledger. Written by `lift`; whoever engages one of them again takes it out. */
  readonly #lifting = new Set<string>()
  /** Endings under way. Written by `#end`. */
  readonly #ends = new Set<Promise<unknown>>()
  readonly #watchers = new Set<(kill: KillRow, covered: (about: Killable) => boolean) => void>()

  constructor(options: KillsOptions) {
    this.#options = options
  }

  /**
   * In force, and every covered call cut, when the call returns; resolves when it is in the ledger, and tasks and leases end meanwhile.
   * Rejects with `record.failed` when it is in force and state or ledger could not be written. Idempotent: what is engaged already
   * gives that kill, and what it covers is ended again.
   */
  async engage(stop: Stop): Promise<Engaged> {
    const { kills, clock, newId, log } = this.#options
    const row: KillRow = { id: newId('k'), scope: stop.scope, name: stop.name, at: clock(), by: stop.by, reason: stop.reason, lifted: null }
    let kill = row
    let fault: unknown = null
    try {
      kill = kills.engage(row)
    } catch (error) {
      fault = error
      log.error({ kill: row.id, err: error }, 'a kill is in force and could not be written to the state: it does not survive a restart yet')
    }
    const taken = new Set<string>()
    const done = this.#stop(kill, taken)
    const fresh = kill === row || this.#lifting.delete(kill.id)
    if (fresh) await this.#tell('kill.engaged', kill, stop, done)
    // a task whose opening was in the ledger ahead of the kill is in the state by now
    if (fresh) this.#endAll(kill, 0, taken)
    if (fault !== null) throw new Refusal('record.failed', { reasons: ['the kill is in force'], cause: fault })
    return { kill, fresh, ...done }
  }

  /** A named person ends a kill; what it ended stays ended. Throws KillFault, or `record.failed` when it cannot be told to the ledger. */
  async lift(id: string, by: string, reason: string, method?: string): Promise<KillRow> {
    const { kills, clock, event, standing } = this.#options
    const kill = kills.kills().find((one) => one.id === id)
    if (kill === undefined || this.#lifting.has(id)) throw new KillFault('unknown', `no kill ${id} is engaged`)
    const why = standing?.(kill) ?? null
    if (why !== null) throw new KillFault('standing', why)
    this.#lifting.add(id)
    try {
      await event({ kind: 'kill.lifted', by, ...taskOf(kill), detail: { ...shown(kill), reason, method } })
      if (!this.#lifting.has(id)) throw new KillFault('standing', 'it was engaged again while it was lifted')
      const lifted = kills.lift(id, { at: clock(), by, reason })
      if (lifted === null) throw new KillFault('unknown', `no kill ${id} is engaged`)
      return lifted
    } finally {
      this.#lifting.delete(id)
    }
  }

  /** At start, before anybody calls: says in the ledger what is in force, and ends what a crash left of it. */
  async resume(): Promise<void> {
    for (const kill of this.#options.kills.kills())
      await this.#tell('kill.in-force', kill, { by: 'countersign' }, this.#stop(kill, new Set()))
  }

  /** Told of every kill in the tick in which it is engaged, and whether it covers something: whoever keeps what is waiting ends it. */
  watch(watcher: (kill: KillRow, covered: (about: Killable) => boolean) => void): () => void {
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  /** Resolves when everything that is to end by now has ended, or is queued for retry. */
  async settled(): Promise<void> {
    while (this.#ends.size > 0) await Promise.all(this.#ends)
  }

  #stop(kill: KillRow, taken: Set<string>): Pick<Engaged, 'cut' | 'tasks' | 'leases'> {
    const { covering, cut } = this.#options
    const calls = cut(kill, (call) => covers(kill, covering.ofCall(call)))
    for (const watcher of this.#watchers) watcher(kill, (about) => covers(kill, about))
    return { cut: calls, ...this.#endAll(kill, calls, taken) }
  }

  /** `taken`: ids of what is ending already; gets those of what ends from now on. */
  #endAll(kill: KillRow, cut: number, taken: Set<string>): Pick<Engaged, 'tasks' | 'leases'> {
    const { covering, liveTasks, leases, place, log } = this.#options
    try {
      const tasks = ending.has(kill.scope) ? liveTasks().filter((row) => !taken.has(row.id) && covers(kill, covering.ofTask(row))) : []
      for (const { id } of tasks) taken.add(id)
      const lent = leases().filter((row) => !taken.has(row.id) && (taken.has(row.task) || covers(kill, covering.ofLease(row, place(row)))))
      for (const { id } of lent) taken.add(id)
      if (tasks.length + lent.length > 0) {
        const ends: Promise<unknown> = this.#end(kill, tasks, lent, cut).finally(() => this.#ends.delete(ends))
        this.#ends.add(ends)
      }
      return { tasks: tasks.length, leases: lent.length }
    } catch (error) {
      log.error({ kill: kill.id, err: error }, 'a kill is in force, and what it ends could not be looked up')
      return { tasks: 0, leases: 0 }
    }
  }

  /** Turn by turn, after the connections that were cut have gone: no task of these gets another permit anyway. Never rejects. */
  async #end(kill: KillRow, tasks: readonly TaskRow[], leases: readonly LeaseRow[], cut: number): Promise<void> {
    const { endTask, takeBack, event, log, turn = 4 } = this.#options
    const by: Actor = { kind: kill.by.startsWith('person:') ? 'person' : 'rule', name: kill.by }
    const cause = `killed by ${kill.id}: ${kill.reason}`
    const work: Promise<unknown>[] = []
    let until = 0
    for (const end of [
      ...tasks.map((row) => () => endTask(row, by, cause)),
      ...leases.map(
        ({ id }) =>
          () =>
            takeBack(id, 'killed'),
      ),
    ]) {
      if (performance.now() > until) {
        await nextTurn()
        until = performance.now() + turn
      }
      work.push(end())
    }
    // one that ended by itself is as good
    const failed = (await Promise.allSettled(work)).filter((one) => one.status === 'rejected' && !isEnded(one.reason)).length
    if (failed > 0) log.error({ kill: kill.id, failed }, 'a kill is in force, and not all that it ends could be written down')
    const detail = { kill: kill.id, cut, tasks: tasks.length, leases: leases.length, failed }
    await event({ kind: 'kill.completed', by: 'countersign', ...taskOf(kill), detail }).catch((error: unknown) =>
      log.error({ kill: kill.id, err: error }, 'the end of a kill could not be written to the ledger'),
    )
  }

  #tell(kind: string, kill: KillRow, { by, method, task, caller, facts }: Partial<Stop> & { by: string }, done: object): Promise<void> {
    const { event, log } = this.#options
    log.warn({ ...shown(kill), by: kill.by, ...done }, kind === 'kill.engaged' ? 'a kill is engaged' : 'a kill is in force')
    const about = { ...taskOf(kill), ...(task === undefined ? {} : { task }), ...(caller === undefined ? {} : { caller }) }
    const more = facts === undefined ? {} : { facts }
    return event({ kind, by, ...about, detail: { ...shown(kill), at: kill.at, ...done, ...more, method } })
  }
}

function shown({ id, scope, name, reason }: KillRow): { kill: string; scope: KillScope; name: string | null; reason: string } {
  return { kill: id, scope, name, reason }
}

/** The kill of a task stands among the lines of that task. */
function taskOf({ scope, name }: KillRow): { task?: string } {
  return scope === 'task' && name !== null ? { task: name } : {}
}

function isEnded(error: unknown): boolean {
  return error instanceof Refusal && error.code === 'task.ended'
}
