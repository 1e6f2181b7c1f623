/** Budgets: meters that calls debit, each with the most that a task may spend. */

type Meters = Readonly<Record<string, number>>

/** Meters that count of themselves, whatever tools debit: without a limit they are unbounded, and any task may set itself one. */
export const counted: ReadonlySet<string> = new Set(['calls', 'bytes_out'])

/**
 * Says why a debit may not be made, for the operator's record, or null when it may.
 * A meter without a limit is nothing the task may spend, unless it counts of itself (`counted`).
 */
export function overBudget(limit: Meters, spent: Meters, debit: Meters): string | null {
  for (const meter in debit) {
    const amount = debit[meter] ?? Number.NaN
    // a negative or missing amount would pay the budget back
    if (!(amount >= 0 && amount < Number.POSITIVE_INFINITY)) return `${meter}: the amount is not a number of at least 0`
    const most = Object.hasOwn(limit, meter) ? limit[meter] : undefined
    if (most === undefined) {
      if (counted.has(meter)) continue
      return `${meter}: the task has no such budget`
    }
    const after = (spent[meter] ?? 0) + amount
    if (!(after <= most)) return `${meter}: ${after} would be spent of ${most}`
  }
  return null
}

/** What is spent after a debit; amounts that are no number of at least 0 are left out. */
export function spend(spent: Meters, debit: Meters): Meters {
  let after = spent
  for (const meter in debit) {
    const amount = debit[meter] ?? 0
    if (amount >= 0 && amount < Number.POSITIVE_INFINITY) after = { ...after, [meter]: (after[meter] ?? 0) + amount }
  }
  return after
}

/** What is left of each limit, never below 0. */
export function left(limit: Meters, spent: Meters): Record<string, number> {
  return Object.fromEntries(Object.entries(limit).map(([meter, most]) => [meter, Math.max(0, most - (spent[meter] ?? 0))]))
}
