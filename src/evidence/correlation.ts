/** By what a set belongs to others: who the work began with, its traces, its transactions. */
import { isRecord, textAt, textsAt, valueAt } from '../author/json-path.ts'
import { detailOf, eventOf, taskOf, tasksInside, type EvidenceLine } from './line.ts'

/** Sorted lists without doubles. */
export interface Correlation {
  readonly roots: readonly string[]
  readonly traces: readonly string[]
  readonly txns: readonly string[]
  readonly tasks: readonly string[]
}

/** What the lines of the inside tasks name. */
export function correlationOf(lines: readonly EvidenceLine[], task: string): Correlation {
  const inside = tasksInside(lines, task)
  const found = { roots: new Set<string>(), traces: new Set<string>(), txns: new Set<string>() }
  for (const line of lines) {
    if (!inside.has(taskOf(line))) continue
    const opened = eventOf(line) === 'task.opened' ? detailOf(line) : {}
    const correlation = valueAt(opened, 'correlation')
    found.roots.add(textAt(line.own, 'root')).add(textAt(opened, 'root'))
    found.traces.add(textAt(line.event, 'trace_id')).add(textAt(correlation, 'traceId'))
    found.txns.add(textAt(line.own, 'txn.id')).add(textAt(correlation, 'transaction.id'))
  }
  return { roots: listed(found.roots), traces: listed(found.traces), txns: listed(found.txns), tasks: listed(inside) }
}

/** Who the work of a task began with: as its first line that says so names it; empty when none does. */
export function rootOf(lines: readonly EvidenceLine[], task: string): string {
  for (const line of lines) {
    if (taskOf(line) !== task) continue
    const root = textAt(line.own, 'root') || (eventOf(line) === 'task.opened' ? textAt(detailOf(line), 'root') : '')
    if (root !== '') return root.toWellFormed()
  }
  return ''
}

/** All of several. */
export function union(parts: readonly Correlation[]): Correlation {
  const all = (name: keyof Correlation): readonly string[] => listed(new Set(parts.flatMap((part) => part[name])))
  return { roots: all('roots'), traces: all('traces'), txns: all('txns'), tasks: all('tasks') }
}

/** The first of them, by its place, that no chain of shared roots, traces or transactions leads to from the first; null: they belong together. */
export function unconnected(parts: readonly Correlation[]): number | null {
  const reached = new Set([0])
  for (const at of reached) {
    const from = parts[at]
    for (const [other, part] of parts.entries()) if (from !== undefined && !reached.has(other) && share(from, part)) reached.add(other)
  }
  const left = parts.findIndex((_, at) => !reached.has(at))
  return left === -1 ? null : left
}

/** Reads the member of a manifest; null when it is not of this form. */
export function readCorrelation(value: unknown): Correlation | null {
  if (!isRecord(value) || Object.keys(value).length !== 4) return null
  const names = ['roots', 'traces', 'txns', 'tasks'] as const
  if (!names.every((name) => Array.isArray(value[name]) && value[name].length === textsAt(value, name).length)) return null
  const [roots = [], traces = [], txns = [], tasks = []] = names.map((name) => textsAt(value, name))
  return { roots, traces, txns, tasks }
}

function share(one: Correlation, other: Correlation): boolean {
  return (['roots', 'traces', 'txns'] as const).some((name) => one[name].some((value) => other[name].includes(value)))
}

/** By code point, as UTF-8 sorts. */
function listed(values: ReadonlySet<string>): readonly string[] {
  const named = [...values].filter((value) => value !== '').map((value) => value.toWellFormed())
  return [...new Set(named)].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}
