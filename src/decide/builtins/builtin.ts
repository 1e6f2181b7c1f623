/** What a builtin of the host is, and how much one call of it may do. */

import type { Term } from '../term.ts'

/** What a builtin may know besides its arguments: the epoch ms of this evaluation, the same for all of it. */
export interface Evaluation {
  now(): number
}

/**
 * Takes terms and answers in the engine's own text (`writeTerm`), or undefined where the policy language has a builtin error: the
 * expression is undefined then. Throws BuiltinLimit where the language has an answer that this host does not give.
 */
export type Builtin = (evaluation: Evaluation, ...terms: readonly Term[]) => string | undefined

/**
 * The language has an answer, and this host does not give it: too large, or not to be had here. Undefined would be another answer, so
 * the evaluation ends and the call is refused.
 */
export class BuiltinLimit extends Error {
  override readonly name = 'BuiltinLimit'
}

/** The most that one call of a builtin may do, in the units that are written beside each. */
export const bounds = {
  /** Addresses that `net.cidr_expand` may give. */
  addresses: 65_536,
  /** Pairs that `net.cidr_contains_matches` may compare. */
  pairs: 65_536,
  /** Numbers that `numbers.range_step` may give. */
  numbers: 65_536,
  /** Terms that `json.patch` may copy, compare and answer. */
  patched: 1_000_000,
  /** Terms that `graph.reachable_paths` may visit and answer, and the longest path. */
  walked: 65_536,
  path: 1_000,
  /** Characters that `sprintf` may have written when it goes on: each verb may pad to a million. */
  formatted: 2_000_000,
  /** Digits and exponent of a number in `units.parse` and `units.parse_bytes`. */
  digits: 1_000,
} as const

/** Counts down; owned by one call of a builtin. */
export class Budget {
  readonly #of: string
  readonly #most: number
  #left: number

  constructor(of: string, most: number) {
    this.#of = of
    this.#most = most
    this.#left = most
  }

  /** Throws BuiltinLimit when more than all was spent. */
  spend(amount: number): void {
    this.#left -= amount
    if (this.#left < 0) throw new BuiltinLimit(`${this.#of} may do ${this.#most} at most`)
  }
}
