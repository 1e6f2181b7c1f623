/** What opa did with the lines around the rules that fired: which held, which did not, and with which values. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Candidate } from './candidate.ts'
import { isRecord, textAt, valueAt, type JsonRecord } from './json-path.ts'
import { AuthorFault, runOpa } from './opa.ts'
import { readModule } from './rego-text.ts'

/** One line of a file that a rule stands in. */
export interface TracedLine {
  readonly line: number
  readonly text: string
  /** Whether it held at least once. */
  readonly held: boolean
  /** Of the names of a rule, where it came to its end. */
  readonly values: JsonRecord
}

/** Path of a file → its lines that were evaluated, in their order. */
export type Trace = ReadonlyMap<string, readonly TracedLine[]>

export interface TraceQuery {
  readonly input: JsonRecord
  /** What the operator set for the rules; null for nothing. */
  readonly settings: JsonRecord | null
  /** Of the rules that fired, as the bundle names them. */
  readonly files: readonly string[]
}

/** The policy that is looked into: its sources by their paths, and its data. */
type Traced = Pick<Candidate, 'sources' | 'bundle'>

/**
 * Evaluates the sources of a policy with opa and gives the lines of the files. Every rule is tried: opa would pass over those that
 * cannot match. Throws AuthorFault for a policy that carries no source.
 */
export function traceRules({ sources, bundle }: Traced, query: TraceQuery, opa: string): Trace {
  if (sources.size === 0)
    throw new AuthorFault('this policy carries no source, so there are no lines to trace: give the folder it was built of')
  if (query.files.length === 0) return new Map()
  const folder = mkdtempSync(join(tmpdir(), 'countersign-trace-'))
  try {
    for (const [path, text] of sources) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text)
    }
    writeFileSync(join(folder, 'data.json'), bundle.data)
    writeFileSync(join(folder, 'input.json'), JSON.stringify(query.input))
    writeFileSync(
      join(folder, 'settings.json'),
      JSON.stringify(query.settings === null ? {} : { countersign: { settings: query.settings } }),
    )
    const flags = ['--format', 'json', '--explain', 'full', '--disable-indexing', '--disable-early-exit']
    const data = [...sources.keys(), 'data.json', 'settings.json'].flatMap((path) => ['--data', path])
    // a compiled bundle keeps no source of its entrypoints, so the packages are asked instead
    const packages = new Set(query.files.map((file) => `data.${readModule(sources.get(file) ?? '').package}`))
    const asked = ['--input', 'input.json', `[${[...packages].join(', ')}]`]
    const { ok, stdout, stderr } = runOpa(opa, ['eval', ...flags, ...data, ...asked], folder)
    if (!ok) throw new AuthorFault(`opa cannot evaluate this:\n${stdout}${stderr}`.trim())
    const events = valueAt(JSON.parse(stdout), 'explanation')
    const steps = (Array.isArray(events) ? events : []).filter(isRecord)
    return new Map(query.files.map((file) => [file, linesOf(steps, file, (sources.get(file) ?? '').split('\n'))]))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A line held when its rule went on to another, or came to its end. What is evaluated within a line says nothing of the line. */
function linesOf(steps: readonly JsonRecord[], file: string, text: readonly string[]): TracedLine[] {
  const rows = new Map<number, { held: boolean; values: JsonRecord }>()
  const rowOf = (line: number): { held: boolean; values: JsonRecord } => {
    const row = rows.get(line) ?? { held: false, values: {} }
    rows.set(line, row)
    return row
  }
  /** Query of a rule → the line it is at; null before the first. */
  const at = new Map<unknown, number | null>()
  for (const step of steps) {
    if (textAt(step, 'Location.file') !== file) continue
    const { Op: done, QueryID: query } = step
    const line = Number(valueAt(step, 'Location.row'))
    if (done === 'Enter' && valueAt(step, 'Node.head') !== undefined) at.set(query, null)
    const last = at.get(query)
    if (last === undefined) continue
    if (last !== null && (done === 'Exit' || (done === 'Eval' && last !== line))) rowOf(last).held = true
    if (done === 'Eval') rowOf(line)
    if (done === 'Exit') Object.assign(rowOf(line), { held: true, values: namedValues(step) })
    if (done === 'Eval' || done === 'Redo') at.set(query, line)
  }
  return [...rows].sort(([one], [other]) => one - other).map(([line, row]) => ({ line, text: (text[line - 1] ?? '').trim(), ...row }))
}

/** The names that the author gave. */
function namedValues(step: JsonRecord): JsonRecord {
  const names = valueAt(step, 'LocalMetadata')
  const found: Record<string, unknown> = {}
  for (const local of Array.isArray(step['Locals']) ? step['Locals'] : []) {
    const name = textAt(isRecord(names) ? names[textAt(local, 'name')] : null, 'name')
    if (/^[a-z]\w*$/i.test(name) && isRecord(local)) found[name] = plain(local)
  }
  return found
}

/** A term of the compiler as JSON; a set is a list. */
function plain(term: unknown): unknown {
  const value = valueAt(term, 'value')
  if (!Array.isArray(value)) return value
  if (valueAt(term, 'type') !== 'object') return value.map(plain)
  return Object.fromEntries(value.map((pair: unknown) => (Array.isArray(pair) ? [String(plain(pair[0])), plain(pair[1])] : ['', null])))
}
