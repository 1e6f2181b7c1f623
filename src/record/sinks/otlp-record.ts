/** A stored line as an OTLP log record: the line itself as the body, and what people search by as attributes. */

import type { LineFacts } from './line-facts.ts'
import { factsOf, members, textOf } from './line-facts.ts'
import type { Attributes, LogRecord, ResourceLogs, Value } from './otlp-wire.ts'
import type { SinkLine } from '../sink.ts'

/** `SeverityNumber` of the logs data model. */
const severities = { DEBUG: 5, INFO: 9, WARN: 13, ERROR: 17 } as const
type Severity = keyof typeof severities

/** Attribute → member under `custom.countersign`. */
const named: readonly (readonly [attribute: string, member: string])[] = [
  ['seq', 'seq'],
  ['kind', 'kind'],
  ['decision', 'effect'],
  ['observed', 'observed'],
  ['rules', 'rules'],
  ['controls', 'controls'],
  ['agent', 'agent'],
  ['caller', 'caller'],
  ['task.id', 'task'],
  ['task.root', 'root'],
  ['task.parent', 'parent'],
  ['route', 'route'],
  ['tool', 'tool'],
  ['resource', 'resource'],
  ['downstream', 'downstream'],
  ['approval.id', 'approval'],
  ['refusal.code', 'code'],
  ['fault', 'fault'],
  ['status', 'status'],
  ['ended', 'ended'],
  ['event', 'event'],
  ['by', 'by'],
]

/** Label → attribute of the resource; every other label keeps its name. */
const resourceNames: Readonly<Record<string, string>> = { id: 'service.instance.id', version: 'service.version' }

/** Groups lines by the instance that wrote them. `now`: epoch ms. */
export function resourceLogsOf(lines: readonly SinkLine[], parse: (text: string) => unknown, version: string, now: number): ResourceLogs[] {
  const groups = new Map<string, { resource: Attributes; records: LogRecord[] }>()
  for (const { line } of lines) {
    const facts = factsOf(parse(line))
    const key = JSON.stringify(facts.labels)
    const group = groups.get(key) ?? { resource: resourceOf(facts), records: [] }
    group.records.push(recordOf(facts, line, now))
    groups.set(key, group)
  }
  const scope = { name: 'countersign.ledger', version }
  return [...groups.values()].map(({ resource, records }) => ({ resource, scope, records }))
}

function resourceOf({ labels }: LineFacts): Attributes {
  const all = Object.entries(labels).flatMap(([name, value]) => {
    const text = textOf(value)
    return text === null ? [] : [[resourceNames[name] ?? name, text] as const]
  })
  return all.some(([name]) => name === 'service.name') ? all : [['service.name', 'countersign'], ...all]
}

function recordOf(facts: LineFacts, line: string, now: number): LogRecord {
  const { event, own, id, time, happened, kind } = facts
  const severity = severityOf(facts)
  const attributes: (readonly [string, Value])[] = [['countersign.decision_id', id]]
  for (const [attribute, member] of named) {
    const value = valueOf(own[member])
    if (value !== null) attributes.push([`countersign.${attribute}`, value])
  }
  const revision = textOf(members(members(event['bundles'])['countersign'])['revision'])
  if (revision !== null) attributes.push(['countersign.policy.revision', revision])
  const lease = textOf(members(own['lease'])['id'])
  if (lease !== null) attributes.push(['countersign.lease.id', lease])
  return {
    time: nanosOf(Date.parse(time)),
    observed: nanosOf(now),
    severity: severities[severity],
    severityText: severity,
    eventName: `countersign.${happened ?? kind}`,
    body: line,
    attributes,
    traceId: idOf(event['trace_id'], 32),
    spanId: idOf(event['span_id'], 16),
  }
}

/** How much a line is worth somebody's sleep: what was refused warns, what is our own fault is an error. */
function severityOf({ kind, own, happened }: LineFacts): Severity {
  if (kind === 'checkpoint') return 'DEBUG'
  if (happened !== null) return severityOfEvent(happened)
  if (own['fault'] === 'countersign') return 'ERROR'
  if (kind === 'refusal' || typeof own['observed'] === 'string') return 'WARN'
  return kind === 'outcome' && own['ended'] !== 'complete' ? 'WARN' : 'INFO'
}

function severityOfEvent(happened: string): Severity {
  if (/^ledger\.(damaged|resumed)$|^sink\.gap$|-failed$|-overdue$/.test(happened)) return 'ERROR'
  return /^kill\.(engaged|in-force)$|^approval\.escalated$|^lease\.echoed$|^refusals\.summed$|^request\.malformed$/.test(happened)
    ? 'WARN'
    : 'INFO'
}

function valueOf(value: unknown): Value | null {
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : String(value)
  if (!Array.isArray(value) || value.length === 0) return null
  return (value as readonly unknown[]).filter((each) => typeof each === 'string')
}

function nanosOf(ms: number): bigint {
  return Number.isFinite(ms) && ms > 0 ? BigInt(Math.floor(ms)) * 1_000_000n : 0n
}

function idOf(value: unknown, digits: number): string {
  const text = textOf(value) ?? ''
  return text.length === digits && /^[0-9a-f]+$/.test(text) ? text : ''
}
