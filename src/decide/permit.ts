import { Refusal } from '../refusal.ts'
import type { Decision } from './decide.ts'

/** Swaps the facts that the decision saw; returns, or throws the Refusal that stops the mint. One tick. */
export type Swap = (decision: Decision) => void

/**
 * The right to make one call, which only a decision can mint: the constructor is private and a brand proves the origin.
 * Credential and forward take nothing else, so no call leaves without one.
 */
export class Permit {
  readonly decision: Decision
  /** Aborts when the call, its task or its authority ends; credential and forward obey it until the last byte. */
  readonly signal: AbortSignal
  /** The brand: no other code can set it. */
  #minted = false

  private constructor(decision: Decision) {
    this.decision = decision
    this.signal = decision.question.call.signal
  }

  /**
   * Mints from a decision that allows, in the same tick as `swap` re-reads and swaps its facts.
   * Throws what `swap` throws, or `decide.denied` when the decision does not allow.
   */
  static mint(decision: Decision, swap: Swap): Permit {
    if (decision.effect !== 'allow') throw new Refusal('decide.denied')
    swap(decision)
    const permit = new Permit(decision)
    permit.#minted = true
    return permit
  }

  /** Throws `internal` unless the permit was minted here. */
  static check(permit: Permit): void {
    if (!(#minted in permit && permit.#minted)) throw new Refusal('internal', { detail: 'a permit that no decision minted' })
  }
}
