/** What can be wrong with a ledger or an evidence set, by kind, and the exit code of each. */

/** Kind → exit code of `countersign evidence verify`. The last four are of evidence sets alone. */
export const faults = {
  parse: 10,
  order: 11,
  sequence: 11,
  chain: 12,
  checkpoint: 13,
  signature: 14,
  pairing: 15,
  truncated: 16,
  proof: 17,
  manifest: 18,
  correlation: 19,
  summary: 20,
} as const

export type Fault = keyof typeof faults

/** A fault and what is wrong, in words for whoever reads the report. */
export interface Problem {
  readonly fault: Fault
  readonly detail: string
}

/** The exit code that says which kind of fault was found first. */
export function exitOf(fault: Fault): number {
  return faults[fault]
}
