/** Explains one decision: which rules fired, what they looked at, and what would have made it an allow. */

import type { Entrypoint } from '../decide/engine.ts'
import { findAllowing, type Allowing } from './allowing.ts'
import type { Candidate } from './candidate.ts'
import { controlsOf, judges, ruleOf, type CatalogueRule } from './catalogue.ts'
import { isRecord, valueAt, type JsonRecord } from './json-path.ts'
import { bodyPlace, type Effect, type Recorded } from './ledger-inputs.ts'

/** A fact that a rule judges, as this input has it. */
export interface Fact {
  readonly fact: string
  readonly value: unknown
  /** `missing`: the input does not have it. `hidden`: the record left it out. */
  readonly state: 'there' | 'missing' | 'hidden'
}

export interface FiredRule {
  readonly id: string
  readonly effect: string
  readonly severity: string
  readonly observable: boolean
  readonly controls: readonly string[]
  /** What the agent reads. */
  readonly message: string
  /** What the rule found, for the operator. */
  readonly detail: JsonRecord
  readonly title: string
  readonly description: string
  readonly remediation: string
  /** Where it stands; empty when the policy carries no source of it. */
  readonly file: string
  readonly facts: readonly Fact[]
}

export interface Explanation {
  readonly policy: { readonly name: string; readonly revision: string }
  readonly entrypoint: Entrypoint
  /** What the record says of it; null for an input that was never judged. */
  readonly recorded: {
    readonly id: string
    readonly time: string
    readonly revision: string
    readonly effect: Effect | null
    readonly rules: readonly string[]
    readonly observed: 'deny' | 'ask' | 'defer' | null
    readonly code: string | null
    readonly hidden: readonly string[]
  } | null
  readonly effect: Effect
  /** Why policy gave no well-formed decision; null when it did. */
  readonly fault: string | null
  readonly rules: readonly FiredRule[]
  readonly obligations: readonly unknown[]
  readonly approval: unknown
  readonly credential: unknown
  /** Null when it is an allow. */
  readonly allowing: Allowing | null
}

/** Judges an input and explains what came out. `recorded` is where it comes from. */
export function explain(input: JsonRecord, candidate: Candidate, entrypoint: Entrypoint, recorded: Recorded | null): Explanation {
  const verdict = candidate.judge(entrypoint, JSON.stringify(input))
  const hidden = recorded?.hidden ?? []
  const rules = (verdict.result?.reasons ?? []).map((reason): FiredRule => {
    const rule = ruleOf(candidate.catalogue, reason.rule, entrypoint)
    return {
      id: reason.rule,
      effect: reason.effect,
      severity: reason.severity,
      observable: reason.observable,
      controls: reason.controls.length > 0 || rule === null ? reason.controls : controlsOf(rule),
      message: reason.message_agent,
      detail: isRecord(reason.detail) ? reason.detail : {},
      title: rule?.title ?? '',
      description: rule?.description ?? '',
      remediation: rule?.remediation ?? '',
      file: rule?.file ?? '',
      facts: factsOf(rule, candidate, entrypoint)
        .map((fact) => factOf(input, fact, hidden))
        .filter(told(rule)),
    }
  })
  return {
    policy: { name: candidate.name, revision: candidate.bundle.revision },
    entrypoint,
    recorded: recorded === null ? null : summaryOf(recorded),
    effect: verdict.effect,
    fault: verdict.fault,
    rules,
    obligations: verdict.result?.obligations ?? [],
    approval: verdict.result?.approval ?? null,
    credential: verdict.result?.credential ?? null,
    allowing: verdict.effect === 'allow' || verdict.fault !== null ? null : findAllowing(input, verdict, candidate, entrypoint),
  }
}

/** A rule without facts of its own, such as the default, looks at everything: of that, what is missing is told. */
function told(rule: CatalogueRule | null): (fact: Fact) => boolean {
  return rule !== null && rule.facts.length > 0 ? () => true : ({ state }) => state !== 'there'
}

function factsOf(rule: CatalogueRule | null, { catalogue }: Candidate, entrypoint: Entrypoint): readonly string[] {
  if (rule !== null && rule.facts.length > 0) return rule.facts
  const facts = new Set(catalogue.rules.filter((one) => judges(one, entrypoint)).flatMap((one) => one.facts))
  return [...facts].sort()
}

function factOf(input: JsonRecord, fact: string, hidden: readonly string[]): Fact {
  const value = valueAt(input, fact)
  if (value !== undefined) return { fact, value, state: 'there' }
  const place = `/input/${fact.replaceAll('.', '/')}`
  const left = hidden.some((one) => place === one || place.startsWith(`${one}/`))
  return { fact, value: null, state: left ? 'hidden' : 'missing' }
}

function summaryOf({ id, time, revision, said, observed, code, hidden }: Recorded): Explanation['recorded'] {
  return { id, time, revision, effect: said?.effect ?? null, rules: said?.rules ?? [], observed, code, hidden }
}

/** Whether the record left the judged body out. */
export function lacksBody({ recorded }: Explanation): boolean {
  return recorded?.hidden.includes(bodyPlace) === true
}
