/** What is counted for rules that stop by themselves: a restart, or a reload, gives nothing back. */

/** What a rule counts: up to `most` within `span` ms. */
export interface CountRule {
  readonly id: string
  readonly most: number
  readonly span: number
}

/** Times at which something happened, by rule and by task or agent. In one tick; written with the next flush. */
export interface CountBook {
  /** Counts one more; gives how many lie within the span, `most` at most. A clock put back forgets nothing. `now` in epoch ms. */
  add(rule: CountRule, key: string, now: number): number
  forget(rule: Pick<CountRule, 'id'>, key: string): void
}
