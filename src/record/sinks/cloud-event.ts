/** A stored line as a CloudEvent 1.0 in its JSON format. */

import { factsOf, textOf, type LineFacts } from './line-facts.ts'

/** The event's text; `data` is the line, byte for byte. `source`: what Countersign calls itself. */
export function cloudEvent(line: string, parse: (text: string) => unknown, source: string): string {
  const facts = factsOf(parse(line))
  const { event, own, id, time, kind, task } = facts
  const attributes = {
    specversion: '1.0',
    // a decision and its outcome have one id, and are two events
    id: `${id}.${kind}`,
    source,
    type: typeOf(facts),
    time,
    ...(task !== null && { subject: task }),
    datacontenttype: 'application/json',
    ...traceOf(event),
    partitionkey: task ?? textOf(own['caller']) ?? textOf(event['decision_id']) ?? 'none',
    sequence: String(own['seq']).padStart(16, '0'),
  }
  return `${JSON.stringify(attributes).slice(0, -1)},"data":${line}}`
}

/** What is said of leases in the ledger is said of credentials outside. */
function typeOf({ kind, happened }: LineFacts): string {
  const what = happened ?? kind
  return `countersign.${what.replace(/^lease\./, 'credential.').replace(/^approval\.opened$/, 'approval.requested')}.v1`
}

/** The distributed tracing extension: it needs both ids. */
function traceOf(event: LineFacts['event']): { readonly traceparent?: string } {
  const [trace, span] = [textOf(event['trace_id']), textOf(event['span_id'])]
  if (trace === null || span === null || !/^[0-9a-f]{32}$/.test(trace) || !/^[0-9a-f]{16}$/.test(span)) return {}
  return { traceparent: `00-${trace}-${span}-01` }
}
