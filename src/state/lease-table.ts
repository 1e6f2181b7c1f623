/** The lease book: open leases in memory, all of them in the state file. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { LeaseRow, LeaseState } from './leases.ts'

/** Nothing is owed for a lease in one of these. */
const closedStates: ReadonlySet<LeaseState> = new Set(['revoked', 'expired', 'discarded', 'orphaned'])

export class LeaseTable {
  /** Open leases by id and by task. Written by `put` only. */
  readonly #open = new Map<string, LeaseRow>()
  readonly #byTask = new Map<string, Set<string>>()
  readonly #put: StatementSync
  readonly #get: StatementSync
  readonly #closed: StatementSync

  constructor(db: DatabaseSync) {
    this.#put = db.prepare(
      'INSERT INTO leases (id, task, state, expires, row) VALUES (?, ?, ?, ?, ?)' +
        ' ON CONFLICT (id) DO UPDATE SET state = excluded.state, expires = excluded.expires, row = excluded.row',
    )
    this.#get = db.prepare('SELECT row FROM leases WHERE id = ?')
    this.#closed = db.prepare(
      "SELECT row FROM leases WHERE state IN ('revoked', 'expired', 'discarded', 'orphaned') AND (?1 IS NULL OR task = ?1)",
    )
    const open = db.prepare("SELECT row FROM leases WHERE state NOT IN ('revoked', 'expired', 'discarded', 'orphaned')")
    for (const { row } of open.all()) this.#keep(decode(row))
  }

  lease(id: string): LeaseRow | null {
    return this.#open.get(id) ?? decode(this.#get.get(id)?.['row'])
  }

  /** Writes through, then keeps. The sealed secret of a closed lease is erased whatever the row says. */
  put(given: LeaseRow): LeaseRow {
    const row = closedStates.has(given.state) && given.sealed !== null ? { ...given, sealed: null } : given
    this.#put.run(row.id, row.task, row.state, row.expires, JSON.stringify(row))
    if (closedStates.has(row.state)) this.#forget(row)
    else this.#keep(row)
    return row
  }

  /** The compare-and-swap of a lease: null when it is not in one of `from`. */
  change(id: string, from: readonly LeaseState[], change: Partial<LeaseRow>): LeaseRow | null {
    const row = this.lease(id)
    if (row === null || !from.includes(row.state)) return null
    return this.put({ ...row, ...change, id: row.id, task: row.task })
  }

  list(task: string | undefined, states: readonly LeaseState[] | undefined): LeaseRow[] {
    const found: LeaseRow[] = []
    for (const id of task === undefined ? this.#open.keys() : (this.#byTask.get(task) ?? [])) {
      const row = this.#open.get(id)
      if (row && (states === undefined || states.includes(row.state))) found.push(row)
    }
    if (states !== undefined && !states.some((state) => closedStates.has(state))) return found
    for (const { row } of this.#closed.all(task ?? null)) {
      const closed = decode(row)
      if (closed && (states === undefined || states.includes(closed.state))) found.push(closed)
    }
    return found
  }

  #keep(row: LeaseRow | null): void {
    if (row === null) return
    this.#open.set(row.id, row)
    let own = this.#byTask.get(row.task)
    if (!own) this.#byTask.set(row.task, (own = new Set()))
    own.add(row.id)
  }

  #forget(row: LeaseRow): void {
    this.#open.delete(row.id)
    const own = this.#byTask.get(row.task)
    own?.delete(row.id)
    if (own?.size === 0) this.#byTask.delete(row.task)
  }
}

function decode(text: unknown): LeaseRow | null {
  return typeof text === 'string' ? (JSON.parse(text) as LeaseRow) : null
}
