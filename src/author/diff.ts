/** What differs between two policies: what they say of themselves, their data, their rules. */

import { isRecord } from './json-path.ts'
import type { Candidate } from './candidate.ts'
import { controlsOf, type CatalogueRule } from './catalogue.ts'

export interface ValueChange {
  readonly place: string
  /** Undefined when it is only in the other. */
  readonly from?: unknown
  readonly to?: unknown
}

export interface RuleChange {
  readonly id: string
  readonly package: string
  /** `added` and `removed` have no changes. */
  readonly kind: 'added' | 'removed' | 'changed'
  readonly effect: string
  readonly severity: string
  /** Members of its annotation. */
  readonly metadata: readonly ValueChange[]
  /** Whether what it does was written otherwise. */
  readonly body: boolean
}

export interface PolicyDiff {
  readonly same: boolean
  readonly manifest: readonly ValueChange[]
  readonly data: readonly ValueChange[]
  readonly rules: readonly RuleChange[]
  /** Statements that are no rules of their own, as `package.name`. */
  readonly helpers: { readonly added: readonly string[]; readonly removed: readonly string[]; readonly changed: readonly string[] }
  /** Whether the compiled modules are the same, byte for byte: then the policies decide the same over the same data. */
  readonly module: 'same' | 'different'
  /** Bundles that carry no source of their rules: of those nothing can be said. */
  readonly without_sources: readonly string[]
}

/** Compares what can be read; how they judge is for a simulation. */
export function diffPolicies(from: Candidate, to: Candidate): PolicyDiff {
  const manifest = changesBetween('', manifestOf(from), manifestOf(to))
  const data = changesBetween('', dataOf(from), dataOf(to))
  const rules = ruleChanges(from, to)
  const helpers = helperChanges(from, to)
  const module = Buffer.compare(from.bundle.wasm, to.bundle.wasm) === 0 ? 'same' : 'different'
  const helped = helpers.added.length + helpers.removed.length + helpers.changed.length
  return {
    same: module === 'same' && manifest.length + data.length + rules.length + helped === 0,
    manifest,
    data,
    rules,
    helpers,
    module,
    without_sources: [from, to].filter(({ sources }) => sources.size === 0).map(({ name }) => name),
  }
}

function manifestOf({ bundle }: Candidate): unknown {
  const { manifest, revision } = bundle
  return { ...manifest, revision, roots: [...manifest.roots].sort(), entrypoints: [...manifest.entrypoints].sort() }
}

function dataOf({ bundle }: Candidate): unknown {
  return JSON.parse(Buffer.from(bundle.data).toString())
}

const mostChanges = 500

/** Leaves that differ, by place; lists are compared as wholes. */
function changesBetween(place: string, from: unknown, to: unknown): ValueChange[] {
  if (isRecord(from) && isRecord(to)) {
    const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort()
    return names.flatMap((name) => changesBetween(place === '' ? name : `${place}.${name}`, from[name], to[name])).slice(0, mostChanges)
  }
  if (JSON.stringify(from) === JSON.stringify(to)) return []
  return [{ place, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }]
}

/** Two rules are the same rule when id, package and name of file are; the second of one id in a package is told by its file. */
function ruleChanges(from: Candidate, to: Candidate): RuleChange[] {
  const before = keyed(from.catalogue.rules)
  const after = keyed(to.catalogue.rules)
  const changes: RuleChange[] = []
  for (const key of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [old, young] = [before.get(key), after.get(key)]
    const rule = young ?? old
    if (rule === undefined) continue
    const said = { id: rule.id, package: rule.package, effect: rule.effect, severity: rule.severity }
    if (old === undefined || young === undefined) {
      changes.push({ ...said, kind: old === undefined ? 'added' : 'removed', metadata: [], body: false })
      continue
    }
    const metadata = changesBetween('', metadataOf(old), metadataOf(young))
    const body = old.body !== young.body
    if (metadata.length > 0 || body) changes.push({ ...said, kind: 'changed', metadata, body })
  }
  return changes
}

function keyed(rules: readonly CatalogueRule[]): ReadonlyMap<string, CatalogueRule> {
  const map = new Map<string, CatalogueRule>()
  for (const rule of rules) {
    const key = `${rule.id} ${rule.package}`
    map.set(map.has(key) ? `${key} ${rule.file}` : key, rule)
  }
  return map
}

function metadataOf(rule: CatalogueRule): unknown {
  const { title, description, severity, effect, observable, facts, message, remediation, setting, level } = rule
  return { title, description, severity, effect, observable, facts, message, remediation, setting, level, controls: controlsOf(rule) }
}

function helperChanges(from: Candidate, to: Candidate): PolicyDiff['helpers'] {
  const [before, after] = [from.catalogue.helpers, to.catalogue.helpers]
  return {
    added: [...after.keys()].filter((name) => !before.has(name)).sort(),
    removed: [...before.keys()].filter((name) => !after.has(name)).sort(),
    changed: [...after.keys()].filter((name) => before.has(name) && before.get(name) !== after.get(name)).sort(),
  }
}
