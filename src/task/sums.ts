/** What a caller spent, and sent out, within the last hour and day: one risky act cut into small ones is seen as a whole. */
import type { Sum, SumKey } from '../state/facts.ts'

/** Sums are kept by quarter of an hour: what counts in a span counts for that long at least, and for a quarter more at most. */
const slot = 900_000
const perHour = 4
const perDay = 96
/** Names per caller. What a name has no room for counts with all others that have none, and with each of them. */
const mostNames = 128

/** Amounts by quarter of an hour, oldest first. */
type Slots = [slot: number, amount: number][]

export type KeptSums = readonly (readonly [name: string, slots: Slots])[]

/** The sums of one caller: live, written by the state when it mints. */
export class Sums {
  readonly #byName: Map<string, Slots>

  constructor(kept: KeptSums = []) {
    this.#byName = new Map(kept)
  }

  add(key: SumKey, amount: number, now: number): void {
    const at = Math.floor(now / slot)
    const name = this.#roomFor(nameOf(key), at)
    const slots = this.#byName.get(name) ?? []
    this.#byName.set(name, slots)
    const last = slots.at(-1)
    // a clock that was put back forgets nothing: what was counted counts as just now
    if (last !== undefined && last[0] >= at) last[1] += amount
    else slots.push([at, amount])
    while ((slots[0]?.[0] ?? at) < at - perDay) slots.shift()
  }

  of(key: SumKey, now: number): Sum {
    const at = Math.floor(now / slot)
    let hour = 0
    let day = 0
    for (const name of [nameOf(key), others]) {
      for (const [from, amount] of this.#byName.get(name) ?? []) {
        if (from >= at - perHour) hour += amount
        if (from >= at - perDay) day += amount
      }
    }
    return { hour, day }
  }

  kept(): KeptSums {
    return [...this.#byName]
  }

  #roomFor(name: string, at: number): string {
    if (this.#byName.has(name) || this.#byName.size < mostNames) return name
    for (const [known, slots] of this.#byName) if ((slots.at(-1)?.[0] ?? 0) < at - perDay) this.#byName.delete(known)
    return this.#byName.size < mostNames ? name : others
  }
}

const others = '*'
const longest = 256

function nameOf({ kind, name, resource }: SumKey): string {
  return `${kind} ${name.length > longest ? others : name} ${resource === null ? '' : resource.slice(0, longest)}`
}
