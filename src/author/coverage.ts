/** How much of what agents do is judged under enforcement, and what enforcement would have refused of the rest. */

import { judgedCalls, lineCount, type LineCount, type Recorded } from './ledger-inputs.ts'
import { textAt } from './json-path.ts'
import { agentOf, toolOf } from './simulate.ts'
import { Tally } from './tally.ts'

export const coverageKinds = ['risk', 'tool', 'agent', 'rule'] as const

export type CoverageKind = (typeof coverageKinds)[number]

export interface CoverageRow {
  readonly name: string
  readonly calls: number
  /** Judged while the mode was enforce. */
  readonly enforced: number
  /** Judged while the mode was observe, or let through by an exception of a rule. */
  readonly observed: number
  /** Refused by policy or for want of a person, in either mode. */
  readonly refused: number
  /** Let through by observe mode alone. */
  readonly would_refuse: number
  /** Enforced of all calls, 0 to 1. */
  readonly share: number
}

export interface Coverage {
  readonly read: LineCount
  readonly by: CoverageKind
  readonly total: CoverageRow
  /** By risk: the riskiest first; else the largest first. A rule counts the calls in which it fired. */
  readonly rows: readonly CoverageRow[]
  /** Rules that would have refused, with how many calls of the riskiest kind that is not wholly enforced. */
  readonly would_refuse: readonly { readonly rule: string; readonly calls: number }[]
  /** What to enforce next; null when everything is enforced. */
  readonly next: {
    readonly risk: string
    readonly observed: number
    readonly would_refuse: number
    readonly rules: readonly string[]
  } | null
}

const risks = ['critical', 'high', 'medium', 'low']

/** Reads a record. Calls that ended before policy was asked are always enforced and not counted here. */
export async function coverage(
  lines: AsyncIterable<string | null>,
  by: CoverageKind,
  damaged: (line: number, why: string) => void,
): Promise<Coverage> {
  const read = lineCount()
  const total = new Counts()
  const chosen = new Counts()
  const byRisk = new Counts()
  const rules = new Map<string, Tally>()
  const watched = new Tally()
  for await (const recorded of judgedCalls(lines, read, damaged)) {
    const risk = textAt(recorded.input, 'tool.risk') || 'unknown'
    total.add('all', recorded)
    byRisk.add(risk, recorded)
    for (const name of namesOf(by, risk, recorded)) chosen.add(name, recorded)
    if (recorded.observed === null) continue
    for (const rule of recorded.said?.rules ?? []) {
      watched.add(rule)
      const ofRisk = rules.get(risk) ?? new Tally()
      rules.set(risk, ofRisk)
      ofRisk.add(rule)
    }
  }
  const rank = ({ name }: CoverageRow): number => (risks.includes(name) ? risks.indexOf(name) : risks.length)
  const ranked = byRisk.rows().sort((left, right) => rank(left) - rank(right))
  const rows = by === 'risk' ? ranked : chosen.rows().sort((left, right) => right.calls - left.calls || (left.name < right.name ? -1 : 1))
  const open = ranked.find(({ observed }) => observed > 0)
  return {
    read,
    by,
    total: total.rows()[0] ?? rowOf('all', [0, 0, 0, 0]),
    rows,
    would_refuse: watched.entries().map(([rule, calls]) => ({ rule, calls })),
    next:
      open === undefined
        ? null
        : {
            risk: open.name,
            observed: open.observed,
            would_refuse: open.would_refuse,
            rules: (rules.get(open.name)?.entries() ?? []).map(([rule]) => rule),
          },
  }
}

function namesOf(by: CoverageKind, risk: string, recorded: Recorded): readonly string[] {
  if (by === 'rule') return recorded.said?.rules ?? []
  return [by === 'tool' ? toolOf(recorded) : by === 'agent' ? agentOf(recorded) : risk]
}

class Counts {
  readonly #all = new Tally()
  readonly #observed = new Tally()
  readonly #refused = new Tally()
  readonly #wouldRefuse = new Tally()

  add(name: string, { input, code, observed }: Recorded): void {
    this.#all.add(name)
    if (textAt(input, 'context.mode') === 'observe' || observed !== null) this.#observed.add(name)
    if (code === 'decide.denied' || code === 'approve.required') this.#refused.add(name)
    if (observed !== null) this.#wouldRefuse.add(name)
  }

  rows(): CoverageRow[] {
    return this.#all
      .names()
      .map((name) => rowOf(name, [this.#all.of(name), this.#observed.of(name), this.#refused.of(name), this.#wouldRefuse.of(name)]))
  }
}

function rowOf(name: string, [calls, observed, refused, would]: readonly [number, number, number, number]): CoverageRow {
  return {
    name,
    calls,
    enforced: calls - observed,
    observed,
    refused,
    would_refuse: would,
    share: calls === 0 ? 1 : (calls - observed) / calls,
  }
}
