/** What stays with each caller after its tasks, in memory and in the state file. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { decay, learned, nothingRead, remember } from '../task/sensitivity.ts'
import { Sums, type KeptSums } from '../task/sums.ts'
import type { MintRequest } from './mint.ts'
import type { CallerFacts } from './state.ts'

export class CallerTable {
  /** Facts by caller, faded classes included until the next change. Written by `remember` and `clear` only. */
  readonly #callers = new Map<string, CallerFacts>()
  /** What each caller spent and sent lately, where that is anything. Written by `count` only. */
  readonly #sums = new Map<string, Sums>()
  readonly #dirty = new Set<string>()
  readonly #window: number
  readonly #put: StatementSync

  /** `window`: how long what was read stays, ms. */
  constructor(db: DatabaseSync, window: number) {
    this.#window = window
    this.#put = db.prepare('INSERT INTO callers (id, facts) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET facts = excluded.facts')
    for (const { id, facts } of db.prepare('SELECT id, facts FROM callers').all()) {
      if (typeof id === 'string' && typeof facts === 'string') this.#load(id, JSON.parse(facts) as KeptCaller)
    }
  }

  version(caller: string): number {
    return (this.#callers.get(caller) ?? nothingRead).version
  }

  facts(caller: string, now: number): CallerFacts {
    const facts = this.#callers.get(caller)
    return facts === undefined ? nothingRead : decay(facts, now, this.#window)
  }

  remember(caller: string, data: readonly string[], now: number): void {
    const facts = this.#callers.get(caller) ?? nothingRead
    this.#replace(caller, facts, remember(facts, data, now, this.#window))
  }

  /** Told what others read (class → epoch ms): whether it knows `more` by it, or the same of later (`anew`); null when it is nothing new. */
  learn(caller: string, told: Readonly<Record<string, number>>, now: number): 'more' | 'anew' | null {
    const facts = this.#callers.get(caller) ?? nothingRead
    const after = learned(facts, told, now, this.#window)
    if (after === facts) return null
    const before = decay(facts, now, this.#window).sensitivity
    this.#replace(caller, facts, after)
    for (const name in after.sensitivity) if (!Object.hasOwn(before, name)) return 'more'
    return 'anew'
  }

  clear(caller: string): void {
    const facts = this.#callers.get(caller)
    if (facts) this.#replace(caller, facts, { ...facts, version: facts.version + 1, sensitivity: nothingRead.sensitivity })
  }

  /** Adds amounts up. Another call that was judged on the sums before is judged again. */
  count(caller: string, amounts: NonNullable<MintRequest['sums']>, now: number): void {
    const facts = this.#callers.get(caller) ?? nothingRead
    const sums = this.#sums.get(caller) ?? new Sums()
    this.#sums.set(caller, sums)
    for (const [key, amount] of amounts) sums.add(key, amount, now)
    this.#replace(caller, facts, { ...facts, version: facts.version + 1, sums })
  }

  get dirty(): number {
    return this.#dirty.size
  }

  /** Writes what is dirty; the marks stay until `clean`, for the transaction may yet fail. */
  writeDirty(): void {
    for (const caller of this.#dirty) {
      const { version, sensitivity } = this.#callers.get(caller) ?? nothingRead
      const kept: KeptCaller = { version, sensitivity, sums: this.#sums.get(caller)?.kept() ?? [] }
      this.#put.run(caller, JSON.stringify(kept))
    }
  }

  clean(): void {
    this.#dirty.clear()
  }

  #load(caller: string, { version, sensitivity, sums = [] }: KeptCaller): void {
    const own = sums.length > 0 ? new Sums(sums) : null
    if (own !== null) this.#sums.set(caller, own)
    this.#callers.set(caller, { version, sensitivity, sums: own })
  }

  #replace(caller: string, before: CallerFacts, after: CallerFacts): void {
    if (after === before) return
    this.#callers.set(caller, after)
    this.#dirty.add(caller)
  }
}

/** As the file has it; from before there were sums, without. */
type KeptCaller = Pick<CallerFacts, 'version' | 'sensitivity'> & { readonly sums?: KeptSums }
