/** What the rules of a policy say of themselves: the METADATA annotations of its Rego sources. */

import { parse } from 'yaml'
import type { Entrypoint } from '../decide/engine.ts'
import { isRecord, textAt, textsAt, valueAt, type JsonRecord } from './json-path.ts'
import { readModule, type Statement } from './rego-text.ts'

/** One rule that can refuse or ask, as its annotation describes it; everything but the id may be missing. */
export interface CatalogueRule {
  /** As reasons carry it. */
  readonly id: string
  readonly title: string
  readonly description: string
  readonly severity: string
  readonly effect: string
  readonly observable: boolean | null
  /** Places of the input that it judges, such as `task.intent.tools`. */
  readonly facts: readonly string[]
  /** Framework → control ids. */
  readonly frameworks: JsonRecord
  /** What the agent reads. */
  readonly message: string
  readonly remediation: string
  /** The member of `decide.settings` without which it is off; empty when it needs none. */
  readonly setting: string
  /** Where it stands among the others, such as `sequence` (docs/defer.md); empty: where whether it may be watched puts it. */
  readonly level: string
  readonly file: string
  readonly package: string
  /** Text of the statements that carry the annotation or use its constant, without comments, each on one line. */
  readonly body: string
}

export interface Catalogue {
  /** By id. The same id may stand in several packages: a rule of calls and one of tasks. */
  readonly rules: readonly CatalogueRule[]
  /** `package.name` → text of every other statement. */
  readonly helpers: ReadonlyMap<string, string>
  /** Annotations that could not be read, for the author. */
  readonly problems: readonly string[]
  /** Whether any source reads the judged body; true as well when there is no source to look at, for then nobody knows. */
  readonly readsBody: boolean
}

/** Reads the annotations of every source. Never throws: what cannot be read is a problem in the list. */
export function readCatalogue(sources: ReadonlyMap<string, string>): Catalogue {
  const rules: CatalogueRule[] = []
  const helpers = new Map<string, string>()
  const problems: string[] = []
  let readsBody = sources.size === 0
  for (const [file, text] of [...sources].sort(([left], [right]) => (left < right ? -1 : 1))) {
    const { package: name, statements } = readModule(text)
    readsBody ||= judgesCalls(name) && statements.some((statement) => /\bparsed\b/.test(statement.text))
    const used = new Set<Statement>()
    for (const statement of statements) {
      const annotation = annotationOf(statement, file, problems)
      if (annotation === null) continue
      const mine = statements.filter((other) => other === statement || (isConstant(statement) && mentions(other, statement.name)))
      for (const each of mine) used.add(each)
      rules.push({ ...annotation, file, package: name, body: mine.map((each) => each.text).join('\n') })
    }
    for (const statement of statements) {
      if (used.has(statement)) continue
      const key = `${name}.${statement.name}`
      helpers.set(key, helpers.has(key) ? `${helpers.get(key) ?? ''}\n${statement.text}` : statement.text)
    }
  }
  readsBody ||= rules.some(({ facts, package: name }) => judgesCalls(name) && facts.some((fact) => fact.startsWith('request.body.parsed')))
  return { rules: rules.sort((left, right) => (left.id < right.id ? -1 : left.id > right.id ? 1 : 0)), helpers, problems, readsBody }
}

/** Whether a package may have a say in the decision on a call: masks of the record and judges of answers and of open work have none. */
function judgesCalls(name: string): boolean {
  return !/^system\b/.test(name) && !/\.(answer|ongoing)\b/.test(name)
}

/** Entrypoint → the packages whose rules speak at no other. */
const apart: Readonly<Partial<Record<Entrypoint, RegExp>>> = {
  'countersign/decision': /\.call\b/,
  'countersign/task': /\.opening\b/,
  'countersign/response': /\.answer\b/,
  'countersign/continue': /\.ongoing\b/,
}

/** Whether a rule may speak at this entrypoint. */
export function judges(rule: CatalogueRule, entrypoint: Entrypoint): boolean {
  return !Object.entries(apart).some(([other, packages]) => other !== entrypoint && packages.test(rule.package))
}

/** The rule of a reason; null when the policy carries no annotation of it. */
export function ruleOf(catalogue: Catalogue, id: string, entrypoint: Entrypoint): CatalogueRule | null {
  const found = catalogue.rules.filter((rule) => rule.id === id)
  return found.find((rule) => judges(rule, entrypoint)) ?? found[0] ?? null
}

/** Framework ids of a rule, in the order of its annotation. */
export function controlsOf(rule: CatalogueRule): readonly string[] {
  return Object.keys(rule.frameworks).flatMap((framework) =>
    textsAt(rule.frameworks, framework).map((id) => (framework === 'csa_maestro' ? `MAESTRO ${id}` : id)),
  )
}

type Annotation = Omit<CatalogueRule, 'file' | 'package' | 'body'>

/** Null for a statement without an annotation, or with one that names no rule. */
function annotationOf(statement: Statement, file: string, problems: string[]): Annotation | null {
  if (statement.metadata === null) return null
  let found: unknown
  try {
    found = parse(statement.metadata)
  } catch (error) {
    problems.push(`${file}:${statement.line}: the METADATA is not YAML: ${error instanceof Error ? firstLine(error.message) : ''}`)
    return null
  }
  const custom = valueAt(found, 'custom')
  const id = textAt(custom, 'id')
  if (id === '') return null
  const frameworks = valueAt(custom, 'frameworks')
  const observable = valueAt(custom, 'observable')
  return {
    id,
    title: textAt(found, 'title'),
    description: textAt(found, 'description'),
    severity: textAt(custom, 'severity'),
    effect: textAt(custom, 'effect'),
    observable: typeof observable === 'boolean' ? observable : null,
    facts: textsAt(custom, 'facts'),
    frameworks: isRecord(frameworks) ? frameworks : {},
    message: textAt(custom, 'message'),
    remediation: textAt(custom, 'remediation'),
    setting: textAt(custom, 'setting'),
    level: textAt(custom, 'level'),
  }
}

/** `_x := rego.metadata.rule()`: the annotation stands on a constant, the rules that use it follow. */
function isConstant({ text }: Statement): boolean {
  return /^\w+ := rego\.metadata\.rule\(\)$/.test(text)
}

function mentions({ text }: Statement, name: string): boolean {
  return new RegExp(`(?<![\\w.])${name}(?!\\w)`).test(text)
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? ''
}

/** Of these rules, those that are off because the policy was opened without their setting. */
export function withoutSetting(catalogue: Catalogue, settings: ReadonlySet<string>, ids: readonly string[]): readonly string[] {
  const off = catalogue.rules.filter(({ id, setting }) => setting !== '' && !settings.has(setting) && ids.includes(id))
  return [...new Set(off.map(({ id }) => id))]
}
