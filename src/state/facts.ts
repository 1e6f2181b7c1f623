/** What facts are made of besides plain numbers and names. */

/** How often each of some names came up. Past a bound the rest is counted as one, and a name in it as never. */
export interface Tally {
  /** Names. */
  readonly size: number
  times(name: string): number
}

/** What raised a divergence score, how often that counted, and what came of it. */
export interface DivergenceReason {
  readonly kind: string
  readonly count: number
  readonly points: number
}

/** How far a task has left what it declared. */
export interface Divergence {
  /** 0 to 100. */
  readonly score: number
  /** In a fixed order; another list whenever the score grows. */
  readonly reasons: readonly DivergenceReason[]
}

/** Amounts within the last hour and the last day. */
export interface Sum {
  readonly hour: number
  readonly day: number
}

/** What is summed up: a meter that calls debit, or bytes that leave while a data class is known; of all calls or on one resource. */
export interface SumKey {
  readonly kind: 'meter' | 'class'
  readonly name: string
  readonly resource: string | null
}
