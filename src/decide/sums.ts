/** What of a call adds up with other calls of its caller, as far as policy looks at it: meters, and bodies that leave the house. */

import type { Target } from '../match/match.ts'
import type { SumKey } from '../state/facts.ts'
import type { Facts } from '../state/state.ts'

/** A key and what this call adds to it; null where nobody knows. */
export type Adding = readonly (readonly [key: SumKey, amount: number | null])[]

/** What a call adds, by its target and what was read before it. */
export type SumsOf = (target: Pick<Target, 'tool' | 'resource' | 'body' | 'debit'>, facts: Facts) => Adding

const none: Adding = []

/** Nothing is added up. */
export const noSums: SumsOf = () => none

/**
 * Makes the function. It gives each wanted meter that the tool debits, and each wanted data class that is known while a body leaves: once
 * for all calls of the caller and, where the call touches a resource, once for that.
 */
export function makeSums(meters: ReadonlySet<string>, classes: ReadonlySet<string>): SumsOf {
  if (meters.size === 0 && classes.size === 0) return noSums
  return ({ tool, resource, body, debit }, { task, caller }) => {
    let adding: [SumKey, number | null][] | null = null
    const add = (kind: SumKey['kind'], name: string, amount: number | null): void => {
      adding ??= []
      adding.push([{ kind, name, resource: null }, amount])
      if (resource !== null) adding.push([{ kind, name, resource }, amount])
    }
    for (const meter in tool.debit) if (meters.has(meter)) add('meter', meter, debit[meter] ?? null)
    if (tool.egress === 'internal' || body.kind === 'none') return adding ?? none
    for (const name of classes) {
      if (task.sensitivity.includes(name) || Object.hasOwn(caller.sensitivity, name)) add('class', name, body.size)
    }
    return adding ?? none
  }
}
