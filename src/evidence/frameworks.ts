/** What others ask of the controls around an agent, and what of it Countersign holds. Kept in frameworks/*.yaml beside this file. */

import { readFileSync } from 'node:fs'

/** enforced: a rule or an invariant stops what breaks it. evidenced: the record shows it. recipe: by a set-up that a page describes. */
export type Coverage = 'enforced' | 'evidenced' | 'recipe' | 'none'

/** Each coverage in words. */
export const coverageWords: Readonly<Record<Coverage, string>> = {
  enforced: 'enforced',
  evidenced: 'evidenced',
  recipe: 'by recipe',
  none: 'not covered',
}

/** One requirement, risk, technique or layer of a framework. */
export interface FrameworkRow {
  /** Short name of its framework, such as `owasp-agentic`. */
  readonly framework: string
  /** As the framework writes it, such as `ASI01`. */
  readonly id: string
  /** As decisions carry it in `controls`, such as `MAESTRO L6`. */
  readonly label: string
  /** The official title; where the text is not free or has none, a paraphrase. */
  readonly title: string
  readonly status: Coverage
  /** Ids of `ownControls`. */
  readonly controls: readonly string[]
  /** Ids of rules of the default policy that serve it. */
  readonly rules: readonly string[]
  /** Test files that hold it. */
  readonly tests: readonly string[]
  /** References into test/scenarios/catalogue.yaml that stand for it alone; empty: those of its controls do. */
  readonly cases: readonly string[]
  /** Verification level of OWASP AISVS; null elsewhere. */
  readonly level: number | null
  /** A command that shows the evidence; null where there is none. */
  readonly query: string | null
  /** What it does not mean. */
  readonly note: string
}

export interface Framework {
  readonly framework: string
  readonly title: string
  /** As it is cited, such as `2.0`. */
  readonly version: string
  readonly date: string
  /** The text that the ids were checked against. */
  readonly source: string
  /** The name that annotations of rules use; null: rules do not name it. */
  readonly annotation: string | null
  /** Whether every id of the framework has a row. */
  readonly whole: boolean
  readonly note: string
  readonly rows: readonly FrameworkRow[]
}

/** One thing that Countersign does, by which rows are served. */
export interface OwnControl {
  readonly id: string
  readonly title: string
  readonly about: string
  /** Below docs/. */
  readonly page: string
  readonly rules: readonly string[]
  /** Codes of refusals that it gives. */
  readonly codes: readonly string[]
  /** Events of the ledger that it leaves. */
  readonly events: readonly string[]
  readonly cases: readonly string[]
  readonly tests: readonly string[]
}

/** What rego/frameworks.json holds: the files of frameworks/ as `npm run frameworks` checked them. */
export interface FrameworkData {
  readonly frameworks: readonly Framework[]
  readonly controls: readonly OwnControl[]
}

let known: FrameworkData | null = null

/** Every framework, by its short name. Read once. */
export function allFrameworks(): readonly Framework[] {
  return data().frameworks
}

/** Every row of every framework, in their order. */
export function frameworks(): readonly FrameworkRow[] {
  return allFrameworks().flatMap(({ rows }) => rows)
}

/** What Countersign does, in the words of the framework files. */
export function ownControls(): readonly OwnControl[] {
  return data().controls
}

/** It travels with the policy, which is in the package and the image, and parses in a moment where YAML would hold up a call. */
function data(): FrameworkData {
  known ??= JSON.parse(readFileSync(new URL('../../rego/frameworks.json', import.meta.url), 'utf8')) as FrameworkData
  return known
}
