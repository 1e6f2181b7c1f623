/** The book of grants: offered ones in memory, all of them in the state file. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { GrantBook, GrantRow } from './grants.ts'

export class GrantTable implements GrantBook {
  readonly #isActive: (task: string) => boolean
  /** Offered grants by id and by task. Written by `#keep` and `settle` only. */
  readonly #offered = new Map<string, GrantRow>()
  readonly #byTask = new Map<string, Set<string>>()
  readonly #put: StatementSync
  readonly #get: StatementSync
  readonly #list: StatementSync

  /** `isActive`: of the task that hands on. */
  constructor(db: DatabaseSync, isActive: (task: string) => boolean) {
    this.#isActive = isActive
    this.#put = db.prepare(
      'INSERT INTO grants (id, task, state, expires, row) VALUES (?, ?, ?, ?, ?)' +
        ' ON CONFLICT (id) DO UPDATE SET state = excluded.state, row = excluded.row',
    )
    this.#get = db.prepare('SELECT row FROM grants WHERE id = ?')
    this.#list = db.prepare('SELECT row FROM grants WHERE task = ? ORDER BY id')
    for (const { row } of db.prepare("SELECT row FROM grants WHERE state = 'offered'").all()) {
      const grant = decode(row)
      if (grant !== null) this.#keep(grant)
    }
  }

  offer(row: GrantRow): boolean {
    if (!this.#isActive(row.task)) return false
    this.write(row)
    this.#keep(row)
    return true
  }

  grant(id: string): GrantRow | null {
    return this.#offered.get(id) ?? decode(this.#get.get(id)?.['row'])
  }

  ofTask(task: string): readonly GrantRow[] {
    return this.#list.all(task).flatMap(({ row }) => decode(row) ?? [])
  }

  open(task: string): readonly GrantRow[] {
    return [...(this.#byTask.get(task) ?? [])].flatMap((id) => this.#offered.get(id) ?? [])
  }

  redeem(id: string, by: { readonly to: string; readonly digest: string; readonly child: string }, now: number): GrantRow | null {
    const row = this.redeemed(id, by, now)
    if (row === null) return null
    this.write(row)
    this.settle(row)
    return row
  }

  withdraw(id: string): GrantRow | null {
    return this.#end(id, 'withdrawn')
  }

  overdue(now: number): readonly GrantRow[] {
    return [...this.#offered.values()].filter(({ expires }) => expires <= now)
  }

  expire(id: string): GrantRow | null {
    return this.#end(id, 'expired')
  }

  /** What the grant is once it is redeemed; null when it cannot be. Nothing is written. */
  redeemed(id: string, by: { readonly to: string; readonly digest: string; readonly child: string }, now: number): GrantRow | null {
    const offered = this.#offered.get(id)
    if (offered === undefined || offered.to !== by.to || offered.digest !== by.digest || offered.expires <= now) return null
    return { ...offered, state: 'redeemed', child: by.child }
  }

  /** Writes a row through; the caller may hold a transaction, and calls `settle` once it is through. */
  write(row: GrantRow): void {
    this.#put.run(row.id, row.task, row.state, row.expires, JSON.stringify(row))
  }

  /** It is not offered any more. */
  settle(row: GrantRow): void {
    this.#offered.delete(row.id)
    const own = this.#byTask.get(row.task)
    own?.delete(row.id)
    if (own?.size === 0) this.#byTask.delete(row.task)
  }

  #end(id: string, state: 'withdrawn' | 'expired'): GrantRow | null {
    const offered = this.#offered.get(id)
    if (offered === undefined) return null
    const row: GrantRow = { ...offered, state }
    this.write(row)
    this.settle(row)
    return row
  }

  #keep(row: GrantRow): void {
    this.#offered.set(row.id, row)
    let own = this.#byTask.get(row.task)
    if (own === undefined) this.#byTask.set(row.task, (own = new Set()))
    own.add(row.id)
  }
}

/** Rows are ours: nobody else writes the file. */
function decode(text: unknown): GrantRow | null {
  return typeof text === 'string' ? (JSON.parse(text) as GrantRow) : null
}
