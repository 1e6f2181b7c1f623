/** Counts of rules that stop by themselves, in memory and in the state file. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { CountBook, CountRule } from './counted.ts'

interface Counted {
  readonly rule: string
  readonly key: string
  /** When it happened, epoch ms, oldest first. */
  readonly times: readonly number[]
  /** From then on it counts nothing. */
  readonly until: number
}

/** Keys of one rule that are counted at once; the one that was quiet for longest makes room. */
const mostKeys = 16_384

export class CountedTable implements CountBook {
  /** Rule → key → what was counted, longest quiet first. Written by `add` and `#drop`. */
  readonly #counted = new Map<string, Map<string, Counted>>()
  /** Changed since the last flush: what is not counted any more is deleted. */
  readonly #dirty = new Map<string, Pick<Counted, 'rule' | 'key'>>()
  readonly #put: StatementSync
  readonly #delete: StatementSync

  constructor(db: DatabaseSync, clock: () => number) {
    this.#put = db.prepare('INSERT INTO counted (rule, key, row) VALUES (?, ?, ?) ON CONFLICT (rule, key) DO UPDATE SET row = excluded.row')
    this.#delete = db.prepare('DELETE FROM counted WHERE rule = ? AND key = ?')
    const rows = db.prepare('SELECT row FROM counted').all()
    // rows are ours: nobody else writes the file
    const kept = rows.flatMap(({ row }) => (typeof row === 'string' ? [JSON.parse(row) as Counted] : []))
    for (const counted of kept.sort((one, other) => one.until - other.until)) {
      if (counted.until > clock()) this.#ofRule(counted.rule).set(counted.key, counted)
      else this.#mark(counted)
    }
  }

  add({ id, most, span }: CountRule, key: string, now: number): number {
    const own = this.#ofRule(id)
    const times = (own.get(key)?.times ?? []).filter((at) => at > now - span)
    times.push(now)
    own.delete(key)
    const counted = { rule: id, key, times: times.slice(-most), until: now + span }
    own.set(key, counted)
    this.#mark(counted)
    for (const quiet of own.size > mostKeys ? own.values() : []) {
      this.#drop(quiet)
      break
    }
    return counted.times.length
  }

  forget({ id }: Pick<CountRule, 'id'>, key: string): void {
    if (this.#counted.get(id)?.has(key) === true) this.#drop({ rule: id, key })
  }

  get dirty(): number {
    return this.#dirty.size
  }

  /** Writes what changed; the marks stay until `clean`, for the transaction may yet fail. */
  writeDirty(): void {
    for (const { rule, key } of this.#dirty.values()) {
      const counted = this.#counted.get(rule)?.get(key)
      if (counted === undefined) this.#delete.run(rule, key)
      else this.#put.run(rule, key, JSON.stringify(counted))
    }
  }

  clean(): void {
    this.#dirty.clear()
  }

  #ofRule(id: string): Map<string, Counted> {
    let own = this.#counted.get(id)
    if (own === undefined) this.#counted.set(id, (own = new Map()))
    return own
  }

  #drop(counted: Pick<Counted, 'rule' | 'key'>): void {
    this.#counted.get(counted.rule)?.delete(counted.key)
    this.#mark(counted)
  }

  #mark({ rule, key }: Pick<Counted, 'rule' | 'key'>): void {
    this.#dirty.set(`${rule}\0${key}`, { rule, key })
  }
}
