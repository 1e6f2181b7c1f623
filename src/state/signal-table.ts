/** Signals: all in memory, which is what policy sees, and in the state file. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { mostOfKey, signalScopes, type SignalBook, type Signalled, type SignalRow, type SignalScope } from './signals.ts'

const mostOfAll = 100_000

const none: readonly SignalRow[] = []

/** `SignalBook` on SQLite. A signal is written before it counts, and gone before that is written. */
export class SignalTable implements SignalBook {
  /** Scope and key → name → signal. Written by `give` and `withdraw`; what is late leaves with the next one given. */
  readonly #rows = new Map<string, Map<string, SignalRow>>()
  #size = 0
  readonly #clock: () => number
  readonly #put: StatementSync
  readonly #delete: StatementSync

  constructor(db: DatabaseSync, clock: () => number) {
    this.#clock = clock
    this.#put = db.prepare(
      'INSERT INTO signals (scope, key, name, row) VALUES (?, ?, ?, ?) ON CONFLICT (scope, key, name) DO UPDATE SET row = excluded.row',
    )
    this.#delete = db.prepare('DELETE FROM signals WHERE scope = ? AND key = ? AND name = ?')
    for (const { row } of db.prepare('SELECT row FROM signals').all()) {
      // rows are ours: nobody else writes the file
      if (typeof row === 'string') this.#keep(JSON.parse(row) as SignalRow)
    }
  }

  give(row: SignalRow): SignalRow | null {
    const named = this.#rows.get(place(row.scope, row.key))
    const fresh = named?.has(row.name) !== true
    if (fresh && ((named?.size ?? 0) >= mostOfKey || this.#size >= mostOfAll)) {
      if (!this.#sweep(row)) return null
    }
    this.#put.run(row.scope, row.key, row.name, JSON.stringify(row))
    this.#keep(row)
    return row
  }

  withdraw(scope: SignalScope, key: string, name: string): SignalRow | null {
    const row = this.#drop(scope, key, name)
    if (row === null) return null
    this.#delete.run(scope, key, name)
    return row.expires > this.#clock() ? row : null
  }

  signals(
    filter: { readonly scope?: SignalScope | undefined; readonly key?: string | undefined } = {},
    now = this.#clock(),
  ): readonly SignalRow[] {
    const found: SignalRow[] = []
    for (const named of this.#rows.values())
      for (const row of named.values())
        if (row.expires > now && (filter.scope ?? row.scope) === row.scope && (filter.key ?? row.key) === row.key) found.push(row)
    const order = (row: SignalRow): string => `${row.scope}\0${row.key}\0${row.name}`
    return found.sort((a, b) => (order(a) < order(b) ? -1 : 1))
  }

  of({ task, caller, resource }: Signalled, now: number): readonly SignalRow[] {
    if (this.#size === 0) return none
    const keys = { resource, task, caller }
    const found = new Map<string, SignalRow>()
    for (const scope of signalScopes) {
      const key = keys[scope]
      const named = key === null ? undefined : this.#rows.get(place(scope, key))
      if (named === undefined) continue
      for (const row of named.values()) if (row.expires > now && !found.has(row.name)) found.set(row.name, row)
    }
    return found.size === 0 ? none : [...found.values()]
  }

  /** Lets go of what is late; whether there is room for this one then. */
  #sweep({ scope, key }: SignalRow): boolean {
    const now = this.#clock()
    for (const named of this.#rows.values())
      for (const row of named.values()) {
        if (row.expires > now) continue
        this.#delete.run(row.scope, row.key, row.name)
        this.#drop(row.scope, row.key, row.name)
      }
    return (this.#rows.get(place(scope, key))?.size ?? 0) < mostOfKey && this.#size < mostOfAll
  }

  #keep(row: SignalRow): void {
    const at = place(row.scope, row.key)
    let named = this.#rows.get(at)
    if (named === undefined) this.#rows.set(at, (named = new Map()))
    if (!named.has(row.name)) this.#size++
    named.set(row.name, row)
  }

  #drop(scope: SignalScope, key: string, name: string): SignalRow | null {
    const at = place(scope, key)
    const named = this.#rows.get(at)
    const row = named?.get(name)
    if (named === undefined || row === undefined) return null
    named.delete(name)
    if (named.size === 0) this.#rows.delete(at)
    this.#size--
    return row
  }
}

function place(scope: SignalScope, key: string): string {
  return `${scope}\0${key}`
}
