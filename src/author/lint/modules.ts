/** Rego sources as the compiler parses them. */

import type { Composition } from '../compose.ts'
import { isRecord, textAt, valueAt, type JsonRecord } from '../json-path.ts'
import { runOpa } from '../opa.ts'

export interface RegoRule {
  /** What it defines: `deny`. */
  readonly name: string
  /** Whether it adds to a set: `deny contains …`. */
  readonly adds: boolean
  readonly isDefault: boolean
  readonly line: number
  /** METADATA of its own. */
  readonly annotations: readonly JsonRecord[]
  /** The whole of it, as the compiler prints it. */
  readonly node: JsonRecord
}

export interface RegoSource {
  /** As the author names it. */
  readonly file: string
  /** Such as `countersign.call`. */
  readonly package: string
  readonly isTest: boolean
  readonly rules: readonly RegoRule[]
  /** METADATA of the package. */
  readonly packageAnnotations: readonly JsonRecord[]
}

/** Parses the author's files. What does not parse is left out: the compiler's own check tells of it. */
export function parseSources({ folder, own, origins }: Composition, opa: string): readonly RegoSource[] {
  const sources: RegoSource[] = []
  for (const path of own.filter((one) => one.endsWith('.rego'))) {
    const { ok, stdout } = runOpa(opa, ['parse', '--format', 'json', '--json-include', 'locations,-comments', path], folder)
    if (ok) sources.push(sourceOf(JSON.parse(stdout), origins.get(path) ?? path, path.endsWith('_test.rego')))
  }
  return sources
}

function sourceOf(parsed: unknown, file: string, isTest: boolean): RegoSource {
  const annotations = recordsIn(valueAt(parsed, 'annotations'))
  return {
    file,
    package: recordsIn(valueAt(parsed, 'package.path'))
      .slice(1)
      .map((term) => textAt(term, 'value'))
      .join('.'),
    isTest,
    rules: recordsIn(valueAt(parsed, 'rules')).map(ruleOf),
    packageAnnotations: annotations.filter((one) => one['scope'] === 'package'),
  }
}

function ruleOf(node: JsonRecord): RegoRule {
  const head = valueAt(node, 'head')
  return {
    name: recordsIn(valueAt(head, 'ref'))
      .map((term) => textAt(term, 'value'))
      .join('.'),
    adds: isRecord(valueAt(head, 'key')) && !isRecord(valueAt(head, 'value')),
    isDefault: node['default'] === true,
    line: Number(valueAt(node, 'location.row') ?? 0),
    annotations: recordsIn(node['annotations']),
    node,
  }
}

/** Calls back with every object in a tree of the compiler, from the outside in. */
export function visit(node: unknown, see: (one: JsonRecord) => void): void {
  if (Array.isArray(node)) for (const one of node) visit(one, see)
  else if (isRecord(node)) {
    see(node)
    for (const [name, inner] of Object.entries(node)) if (name !== 'location' && name !== 'annotations') visit(inner, see)
  }
}

/** `time.now_ns` of a reference to it, as far as its names are plain; empty for anything else. */
export function refName(node: JsonRecord): string {
  if (node['type'] !== 'ref') return ''
  const names: string[] = []
  for (const [at, term] of recordsIn(node['value']).entries()) {
    if (term['type'] !== (at === 0 ? 'var' : 'string')) break
    names.push(textAt(term, 'value'))
  }
  return names.join('.')
}

export function lineOf(node: JsonRecord, otherwise: number): number {
  return Number(valueAt(node, 'location.row') ?? otherwise)
}

export function recordsIn(value: unknown): readonly JsonRecord[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}
