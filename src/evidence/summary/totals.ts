/** What the calls of a set come to: by tool, data class, policy and control; and what had been read when. */
import { detailOf, eventOf, type EvidenceLine } from '../line.ts'
import type { CallRow } from './calls.ts'
import { added } from './identities.ts'
import { number, text } from './plain.ts'

export interface ToolRow {
  readonly tool: string
  readonly calls: number
  readonly permitted: number
  readonly refused: number
  readonly data: readonly string[]
  readonly resources: readonly string[]
}

export interface DataRow {
  readonly class: string
  readonly tools: readonly string[]
  readonly calls: number
}

export interface PolicyRow {
  readonly revision: string
  readonly decided: number
  readonly permitted: number
  /** Rule → how often it spoke. */
  readonly rules: Readonly<Record<string, number>>
  /** When it was activated, as far as the lines say. */
  readonly activated: readonly {
    readonly seq: number
    readonly at: string
    readonly sha256: string | null
    readonly source: string | null
    readonly signed_by: string | null
  }[]
}

export interface ControlRow {
  readonly control: string
  readonly calls: number
  readonly rules: readonly string[]
}

/** What a task, or whoever works on it, had read by then. */
export interface SensitivityRow {
  readonly seq: number
  readonly at: string
  readonly task: string | null
  readonly classes: readonly string[]
}

export function toolsOf(calls: readonly CallRow[]): readonly ToolRow[] {
  const rows = new Map<string, ToolRow>()
  for (const { tool, permitted, data, resource } of calls) {
    if (tool === null) continue
    const known = rows.get(tool)
    rows.set(tool, {
      tool,
      calls: (known?.calls ?? 0) + 1,
      permitted: (known?.permitted ?? 0) + (permitted ? 1 : 0),
      refused: (known?.refused ?? 0) + (permitted ? 0 : 1),
      data: permitted ? data.reduce<readonly string[]>((all, one) => added(all, one), known?.data ?? []) : (known?.data ?? []),
      resources: permitted ? added(known?.resources, resource) : (known?.resources ?? []),
    })
  }
  return [...rows.values()]
}

/** Classes that permitted calls touched. */
export function dataOf(calls: readonly CallRow[]): readonly DataRow[] {
  const rows = new Map<string, DataRow>()
  for (const { permitted, data, tool } of calls) {
    for (const one of permitted ? data : []) {
      const known = rows.get(one)
      rows.set(one, { class: one, tools: added(known?.tools, tool), calls: (known?.calls ?? 0) + 1 })
    }
  }
  return [...rows.values()]
}

export function policiesOf(calls: readonly CallRow[], lines: readonly EvidenceLine[]): readonly PolicyRow[] {
  const rows = new Map<string, PolicyRow>()
  const blank = (revision: string): PolicyRow => ({
    revision,
    decided: 0,
    permitted: 0,
    rules: {},
    activated: activationsOf(lines, revision),
  })
  for (const line of lines) {
    const opened = eventOf(line) === 'task.opened' ? text(detailOf(line), 'revision') : null
    if (opened !== null && !rows.has(opened)) rows.set(opened, blank(opened))
  }
  for (const { revision, permitted, rules } of calls) {
    if (revision === null) continue
    const known = rows.get(revision) ?? blank(revision)
    const counts = new Map(Object.entries(known.rules))
    for (const rule of rules) counts.set(rule, (counts.get(rule) ?? 0) + 1)
    const decided = { decided: known.decided + 1, permitted: known.permitted + (permitted ? 1 : 0) }
    rows.set(revision, { ...known, ...decided, rules: Object.fromEntries(counts) })
  }
  return [...rows.values()]
}

function activationsOf(lines: readonly EvidenceLine[], revision: string): PolicyRow['activated'] {
  return lines.flatMap((line) => {
    const detail = detailOf(line)
    if (eventOf(line) !== 'policy.activated' || text(detail, 'revision') !== revision) return []
    const of = { sha256: text(detail, 'sha256'), source: text(detail, 'source'), signed_by: text(detail, 'signed_by') }
    return [{ seq: line.seq, at: line.time.toWellFormed(), ...of }]
  })
}

/** Controls whose rules spoke. */
export function controlsOf(calls: readonly CallRow[]): readonly ControlRow[] {
  const rows = new Map<string, ControlRow>()
  for (const { controls, reasons, rules } of calls) {
    for (const control of controls) {
      const known = rows.get(control)
      const spoke = reasons.filter((reason) => reason.controls.includes(control)).map(({ rule }) => rule ?? '')
      const named = (spoke.length > 0 ? spoke : rules).filter((rule) => rule !== '')
      rows.set(control, {
        control,
        calls: (known?.calls ?? 0) + 1,
        rules: named.reduce<readonly string[]>((all, one) => added(all, one), known?.rules ?? []),
      })
    }
  }
  return [...rows.values()].toSorted((a, b) => (a.control < b.control ? -1 : 1))
}

/** Where it changed, as policy saw it before a call of that task. */
export function sensitivityOf(calls: readonly CallRow[]): readonly SensitivityRow[] {
  const last = new Map<string | null, string>()
  return calls.flatMap(({ seq, at, task, read_before: classes, effect }) => {
    if (seq === null || effect === null || last.get(task) === classes.join('\n')) return []
    last.set(task, classes.join('\n'))
    return [{ seq, at, task, classes }]
  })
}

export interface KillRow {
  readonly kill: string
  readonly scope: string | null
  readonly name: string | null
  readonly reason: string | null
  readonly turns: readonly { readonly seq: number; readonly at: string; readonly what: string; readonly by: string | null }[]
  /** What it ended, as far as the lines say. */
  readonly cut: number | null
  readonly tasks: number | null
  readonly leases: number | null
}

export function killsOf(lines: readonly EvidenceLine[]): readonly KillRow[] {
  const rows = new Map<string, KillRow>()
  for (const line of lines) {
    const event = eventOf(line)
    const detail = detailOf(line)
    const kill = event.startsWith('kill.') ? text(detail, 'kill') : null
    if (kill === null) continue
    const known = rows.get(kill)
    const turn = { seq: line.seq, at: line.time.toWellFormed(), what: event.slice(5).toWellFormed(), by: text(line.own, 'by') }
    rows.set(kill, {
      kill,
      scope: known?.scope ?? text(detail, 'scope'),
      name: known?.name ?? text(detail, 'name'),
      reason: known?.reason ?? text(detail, 'reason'),
      turns: [...(known?.turns ?? []), turn],
      cut: known?.cut ?? number(detail, 'cut'),
      tasks: known?.tasks ?? number(detail, 'tasks'),
      leases: known?.leases ?? number(detail, 'leases'),
    })
  }
  return [...rows.values()]
}
