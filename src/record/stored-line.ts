import type { LineKind } from './chain.ts'

/** What the ledger itself needs to know of a stored line. */
export interface StoredLine {
  readonly id: string
  readonly seq: number
  /** Epoch ms of its timestamp; NaN when that is not a time. */
  readonly time: number
  /** Hex. */
  readonly prev: string
  readonly kind: LineKind
  /** Present on checkpoints. */
  readonly note: string | null
  readonly open: readonly (readonly [seq: number, id: string])[] | null
  readonly openFrom: number | null
}

/** Closed: a kind that is not known could be a checkpoint made unreadable. */
const kinds: readonly LineKind[] = ['decision', 'outcome', 'refusal', 'event', 'checkpoint']

/** Reads a line; null when it is not a well-formed ledger line. */
export function readStored(text: string): StoredLine | null {
  let event: unknown
  try {
    event = JSON.parse(text)
  } catch {
    return null
  }
  const own = member(member(event, 'custom'), 'countersign')
  const id = member(event, 'decision_id')
  const seq = member(own, 'seq')
  const prev = member(own, 'prev')
  const kind = kinds.find((one) => one === member(own, 'kind'))
  if (typeof id !== 'string' || typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 1) return null
  if (typeof prev !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(prev) || kind === undefined) return null
  const note = member(own, 'checkpoint')
  const openFrom = member(own, 'open_from')
  const time = member(event, 'timestamp')
  return {
    id,
    seq,
    time: typeof time === 'string' ? Date.parse(time) : Number.NaN,
    prev: prev.slice(7),
    kind,
    note: kind === 'checkpoint' && typeof note === 'string' ? note : null,
    open: kind === 'checkpoint' ? openList(member(own, 'open')) : null,
    openFrom: typeof openFrom === 'number' && Number.isSafeInteger(openFrom) ? openFrom : null,
  }
}

function openList(value: unknown): readonly (readonly [number, string])[] | null {
  if (!Array.isArray(value)) return null
  const list: (readonly [number, string])[] = []
  for (const item of value as readonly unknown[]) {
    if (!Array.isArray(item)) return null
    const [seq, id] = item as readonly unknown[]
    if (typeof seq !== 'number' || typeof id !== 'string') return null
    list.push([seq, id])
  }
  return list
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
}
