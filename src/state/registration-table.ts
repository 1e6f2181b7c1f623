/** The registration book: all rows in memory, each written through. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { RegistrationBook, RegistrationRow } from './registrations.ts'

export class RegistrationTable implements RegistrationBook {
  /** By id. Written by `put` only. */
  readonly #rows = new Map<string, RegistrationRow>()
  readonly #put: StatementSync
  #version = 0

  constructor(db: DatabaseSync) {
    this.#put = db.prepare('INSERT INTO registrations (id, row) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET row = excluded.row')
    for (const { row } of db.prepare('SELECT row FROM registrations ORDER BY id').all()) this.#keep(decode(row))
  }

  get version(): number {
    return this.#version
  }

  registration(id: string): RegistrationRow | null {
    return this.#rows.get(id) ?? null
  }

  registrations(): readonly RegistrationRow[] {
    return [...this.#rows.values()]
  }

  /** Writes through, then keeps. */
  put(row: RegistrationRow): void {
    this.#put.run(row.id, JSON.stringify(row))
    this.#keep(row)
  }

  #keep(row: RegistrationRow | null): void {
    if (row === null) return
    this.#rows.set(row.id, row)
    this.#version++
  }
}

function decode(text: unknown): RegistrationRow | null {
  return typeof text === 'string' ? (JSON.parse(text) as RegistrationRow) : null
}
