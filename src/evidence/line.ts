/** Lines of a ledger as evidence reads them. */
import { isRecord, textAt, valueAt, type JsonRecord } from '../author/json-path.ts'
import type { LineKind } from '../record/chain.ts'

export interface EvidenceLine {
  readonly seq: number
  /** `decision_id`. */
  readonly id: string
  /** RFC 3339. */
  readonly time: string
  /** Hash of the line before, hex. */
  readonly prev: string
  readonly kind: LineKind
  /** The whole of it. */
  readonly event: JsonRecord
  /** `custom.countersign`. */
  readonly own: JsonRecord
}

const kinds: readonly LineKind[] = ['decision', 'outcome', 'refusal', 'event', 'checkpoint']

/** Reads a line, without its LF; null when it is none of a ledger. */
export function readLine(bytes: Uint8Array): EvidenceLine | null {
  let event: unknown
  try {
    event = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString())
  } catch {
    return null
  }
  const own = valueAt(event, 'custom.countersign')
  if (!isRecord(event) || !isRecord(own)) return null
  const { seq, prev } = own
  const id = valueAt(event, 'decision_id')
  const kind = kinds.find((one) => one === own['kind'])
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 1 || typeof id !== 'string' || kind === undefined) return null
  if (typeof prev !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(prev)) return null
  return { seq, id, time: textAt(event, 'timestamp'), prev: prev.slice(7), kind, event, own }
}

/** The name of an event; empty for other lines. */
export function eventOf({ kind, own }: EvidenceLine): string {
  return kind === 'event' ? textAt(own, 'event') : ''
}

/** The task of a line; empty when it has none. */
export function taskOf({ own }: EvidenceLine): string {
  return textAt(own, 'task')
}

/** What an event tells; empty for other lines. */
export function detailOf({ kind, own }: EvidenceLine): JsonRecord {
  const detail = kind === 'event' ? own['detail'] : undefined
  return isRecord(detail) ? detail : {}
}

/** The tasks that are inside: `task`, and those that were opened under one that is. `lines` in order. */
export function tasksInside(lines: Iterable<EvidenceLine>, task: string): ReadonlySet<string> {
  const inside = new Set([task])
  for (const line of lines) if (eventOf(line) === 'task.opened' && inside.has(textAt(detailOf(line), 'parent'))) inside.add(taskOf(line))
  return inside
}
