/** What sinks that put lines into another form look at in a stored line. */

import type { LineKind } from '../chain.ts'

type Members = Readonly<Record<string, unknown>>

export interface LineFacts {
  /** Members of the event. */
  readonly event: Members
  /** Members under `custom.countersign`. */
  readonly own: Members
  readonly labels: Members
  readonly kind: LineKind
  /** What happened, such as `task.opened`; null: it is no event. */
  readonly happened: string | null
  readonly id: string
  /** RFC 3339. */
  readonly time: string
  readonly task: string | null
}

/** Takes what reading a stored line gave. */
export function factsOf(line: unknown): LineFacts {
  const event = members(line)
  const own = members(members(event['custom'])['countersign'])
  const kind = own['kind'] as LineKind
  return {
    event,
    own,
    labels: members(event['labels']),
    kind,
    happened: kind === 'event' ? (textOf(own['event']) ?? 'unknown') : null,
    id: textOf(event['decision_id']) ?? '',
    time: textOf(event['timestamp']) ?? '',
    task: textOf(own['task']),
  }
}

export function members(value: unknown): Members {
  return typeof value === 'object' && value !== null ? (value as Members) : {}
}

/** The text, or null for anything else. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
