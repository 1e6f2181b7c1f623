/** Replays a record against a candidate policy: what would be decided otherwise. */

import type { Candidate, Verdict } from './candidate.ts'
import { textAt } from './json-path.ts'
import { bodyPlace, judgedCalls, lineCount, readLedgerLine, type LineCount, type Recorded } from './ledger-inputs.ts'
import { Tally } from './tally.ts'

/** What became of one recorded decision; `changed-reasons`: the same effect by other rules or with other obligations. */
export const classes = ['unchanged', 'changed-reasons', 'newly-denied', 'newly-allowed', 'newly-asking', 'not-judged'] as const

export type SimulationClass = (typeof classes)[number]

/** Why a recorded decision could not be judged again. */
export type Unjudgeable =
  /** Part of the input, or what policy said, was masked in the record. */
  | 'masked'
  /** The candidate reads the judged body, which no record keeps. */
  | 'body'

/** One decision that came out otherwise. */
export interface Sample {
  readonly id: string
  readonly time: string
  readonly tool: string
  readonly agent: string
  readonly from: string
  readonly to: string
  readonly rules_before: readonly string[]
  readonly rules_after: readonly string[]
  /** What the candidate could not do, such as give a well-formed decision. */
  readonly fault?: string
}

export interface Simulation {
  readonly policy: { readonly name: string; readonly revision: string; readonly digest: string }
  readonly read: LineCount
  readonly classes: Readonly<Record<SimulationClass, number>>
  /** `allow → deny` and so on. */
  readonly changes: Readonly<Record<string, number>>
  /** Why not judged. */
  readonly not_judged: Readonly<Record<Unjudgeable, number>>
  /** Calls whose body was judged at the time and were judged again without it: the candidate does not read it. */
  readonly without_body: number
  /** Revisions that judged at the time. */
  readonly revisions: Readonly<Record<string, number>>
  /** Rule → decisions in which it is new, and in which it is gone. */
  readonly rules: readonly { readonly name: string; readonly new: number; readonly gone: number }[]
  readonly tools: readonly ClassRow[]
  readonly agents: readonly ClassRow[]
  readonly samples: Readonly<Partial<Record<SimulationClass, readonly Sample[]>>>
}

export type ClassRow = { readonly name: string } & Readonly<Record<SimulationClass, number>>

export interface SimulateOptions {
  /** Most samples of a class. Default: 10. */
  readonly samples?: number
  /** Compare with what this policy says of the same input, in place of what was recorded. */
  readonly against?: Candidate
  /** Told of a line that could not be read. */
  readonly damaged: (line: number, why: string) => void
  /** Told how many decisions were judged, every few thousand. */
  readonly progress?: (decisions: number) => void
}

const progressEvery = 5000

/**
 * Judges every recorded decision again with the input that was recorded, at the time that was recorded, and compares what policy
 * said then (also where observe mode let the call through) with what the candidate says. `context.policy_revision` stays as
 * recorded. What masking hid is counted as not judged, never guessed.
 */
export async function simulate(lines: AsyncIterable<string | null>, candidate: Candidate, options: SimulateOptions): Promise<Simulation> {
  const read = lineCount()
  const totals = new Totals(options.samples ?? 10)
  const { against } = options
  for await (const found of judgedCalls(lines, read, options.damaged, readLedgerLine)) {
    const recorded = against === undefined ? found : judgedBy(against, found)
    const compared = recorded === null ? null : compare(recorded, candidate)
    if (recorded === null || compared === null || !isSound(recorded, compared, candidate)) {
      read.judged--
      read.damaged++
      options.damaged(read.lines, 'its input is not JSON')
      continue
    }
    totals.add(recorded, compared)
    if (read.judged % progressEvery === 0) options.progress?.(read.judged)
  }
  return totals.report(candidate, read)
}

/**
 * What is no JSON is no input to the engine, and gets the answer that no input gets. So whoever got another answer had one, and only
 * the rest is parsed to see.
 */
function isSound(recorded: Recorded, { verdict }: Compared, candidate: Candidate): boolean {
  if (verdict !== null && verdict.fault === null && !sameTexts(verdict.rules, rulesOfNothing(candidate))) return true
  try {
    return recorded.input !== null || recorded.inputText === null
  } catch {
    return false
  }
}

/** Policy → the rules that speak when there is no input. */
const nothings = new WeakMap<Candidate, readonly string[]>()

function rulesOfNothing(candidate: Candidate): readonly string[] {
  let rules = nothings.get(candidate)
  if (rules === undefined) nothings.set(candidate, (rules = candidate.judge('countersign/decision', '{"v":1,,}').rules))
  return rules
}

/** The same call as another policy would have recorded it; what that one cannot judge has no answer, what is damaged is null. */
function judgedBy(policy: Candidate, recorded: Recorded): Recorded | null {
  const compared = compare(recorded, policy)
  if (!isSound(recorded, compared, policy)) return null
  const { id, time, code, inputText, input, observed, hidden, own } = recorded
  return { id, time, code, inputText, input, observed, hidden, own, said: compared.verdict, revision: policy.bundle.revision }
}

interface Compared {
  readonly class: SimulationClass
  readonly why: Unjudgeable | null
  readonly withoutBody: boolean
  readonly verdict: Verdict | null
}

/** Judges one recorded decision again. */
export function compare(recorded: Recorded, candidate: Candidate): Compared {
  const { inputText, said, hidden } = recorded
  const withoutBody = hidden.includes(bodyPlace)
  const masked = hidden.some(
    (place) => place !== bodyPlace && (place === '/input' || place.startsWith('/input/') || place.startsWith('/result')),
  )
  if (inputText === null || masked) return { class: 'not-judged', why: 'masked', withoutBody: false, verdict: null }
  // without an answer to compare with, a body that the other policy reads is the reason as well
  if (withoutBody && (candidate.catalogue.readsBody || said === null))
    return { class: 'not-judged', why: 'body', withoutBody: false, verdict: null }
  if (said === null) return { class: 'not-judged', why: 'masked', withoutBody: false, verdict: null }
  const verdict = candidate.judge('countersign/decision', inputText)
  return { class: classOf(recorded, verdict), why: null, withoutBody, verdict }
}

function classOf({ said }: Recorded, verdict: Verdict): SimulationClass {
  if (said === null) return 'not-judged'
  if (said.effect !== verdict.effect) {
    return verdict.effect === 'deny' ? 'newly-denied' : verdict.effect === 'allow' ? 'newly-allowed' : 'newly-asking'
  }
  const same = sameTexts(said.rules, verdict.rules) && sameTexts(said.obligations, verdict.obligations)
  return same ? 'unchanged' : 'changed-reasons'
}

function sameTexts(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((text, at) => text === right[at])
}

/** Counts in bounded memory. */
class Totals {
  readonly #most: number
  readonly #classes = zeroes()
  readonly #changes = new Tally()
  readonly #why = { masked: 0, body: 0 }
  #withoutBody = 0
  readonly #revisions = new Tally()
  readonly #new = new Tally()
  readonly #gone = new Tally()
  readonly #tools = new Map<SimulationClass, Tally>()
  readonly #agents = new Map<SimulationClass, Tally>()
  readonly #samples: Partial<Record<SimulationClass, Sample[]>> = {}

  constructor(most: number) {
    this.#most = most
  }

  add(recorded: Recorded, compared: Compared): void {
    const { class: found, why, withoutBody, verdict } = compared
    this.#classes[found]++
    if (why !== null) this.#why[why]++
    if (withoutBody) this.#withoutBody++
    this.#revisions.add(recorded.revision)
    tallyOf(this.#tools, found).add(toolOf(recorded))
    tallyOf(this.#agents, found).add(agentOf(recorded))
    if (found === 'unchanged') return
    const { said } = recorded
    if (said !== null && verdict !== null) {
      if (said.effect !== verdict.effect) this.#changes.add(`${said.effect} → ${verdict.effect}`)
      for (const rule of verdict.rules) if (!said.rules.includes(rule)) this.#new.add(rule)
      for (const rule of said.rules) if (!verdict.rules.includes(rule)) this.#gone.add(rule)
    }
    const samples = (this.#samples[found] ??= [])
    if (samples.length < this.#most) samples.push(sample(recorded, compared))
  }

  report(candidate: Candidate, read: LineCount): Simulation {
    const { bundle, name } = candidate
    const named = [...new Set([...this.#new.names(), ...this.#gone.names()])]
    const moved = named.map((rule) => ({ name: rule, new: this.#new.of(rule), gone: this.#gone.of(rule) }))
    return {
      policy: { name, revision: bundle.revision, digest: bundle.digest },
      read,
      classes: this.#classes,
      changes: this.#changes.record(),
      not_judged: this.#why,
      without_body: this.#withoutBody,
      revisions: this.#revisions.record(),
      rules: moved.sort((left, right) => right.new + right.gone - left.new - left.gone || (left.name < right.name ? -1 : 1)),
      tools: rowsOf(this.#tools),
      agents: rowsOf(this.#agents),
      samples: this.#samples,
    }
  }
}

// the input is parsed only where a line does not say it itself

export const toolOf = (recorded: Recorded): string => textAt(recorded.own, 'tool') || textAt(recorded.input, 'tool.name') || '-'

export const agentOf = (recorded: Recorded): string => textAt(recorded.own, 'agent') || textAt(recorded.input, 'agent.id') || '-'

function sample(recorded: Recorded, { why, verdict }: Compared): Sample {
  return {
    id: recorded.id,
    time: recorded.time,
    tool: toolOf(recorded),
    agent: agentOf(recorded),
    from: recorded.said?.effect ?? 'masked',
    to: verdict?.effect ?? (why === 'body' ? 'needs the body' : 'masked'),
    rules_before: recorded.said?.rules ?? [],
    rules_after: verdict?.rules ?? [],
    ...(verdict?.fault ? { fault: verdict.fault } : {}),
  }
}

function zeroes(): Record<SimulationClass, number> {
  return { unchanged: 0, 'changed-reasons': 0, 'newly-denied': 0, 'newly-allowed': 0, 'newly-asking': 0, 'not-judged': 0 }
}

function tallyOf(map: Map<SimulationClass, Tally>, found: SimulationClass): Tally {
  let tally = map.get(found)
  if (tally === undefined) map.set(found, (tally = new Tally()))
  return tally
}

/** Rows with what changed first, then by size. */
function rowsOf(map: ReadonlyMap<SimulationClass, Tally>): ClassRow[] {
  const rows = new Map<string, { name: string } & Record<SimulationClass, number>>()
  for (const [found, tally] of map) {
    for (const name of tally.names()) {
      let row = rows.get(name)
      if (row === undefined) rows.set(name, (row = { name, ...zeroes() }))
      row[found] = tally.of(name)
    }
  }
  const changed = (row: ClassRow): number => row['newly-denied'] + row['newly-allowed'] + row['newly-asking'] + row['changed-reasons']
  return [...rows.values()].sort(
    (left, right) => changed(right) - changed(left) || right.unchanged - left.unchanged || (left.name < right.name ? -1 : 1),
  )
}
