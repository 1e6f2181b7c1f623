/** What a stored line says under `custom.countersign`, without reading what policy was asked: most of a line is that. */

import { isRecord, textAt, textsAt, valueAt, type JsonRecord } from '../author/json-path.ts'

export interface OwnLine {
  /** `decision_id`. */
  readonly id: string
  /** Epoch ms. */
  readonly time: number
  readonly own: JsonRecord
}

const head = /^\{"decision_id":"([^"\\]{1,64})","timestamp":"([^"\\]{1,40})"/
const member = ',"custom":{"countersign":{'
const memberBytes = Buffer.from(member)

/**
 * Reads one line; null when it is none of a ledger. Lines as the ledger writes them end with the member, so its last occurrence is
 * it: one that stands deeper leaves brackets over, does not parse, and the line is read whole.
 */
export function readOwn(text: string): OwnLine | null {
  const found = head.exec(text)
  const at = text.lastIndexOf(member)
  const near = found === null || at < 0 ? null : ownIn(parsed(`{${text.slice(at + 1)}`))
  if (found !== null && near !== null) return lineOf(found[1] ?? '', found[2] ?? '', near)
  const whole = parsed(text)
  const own = ownIn(whole)
  return own === null ? null : lineOf(textAt(whole, 'decision_id'), textAt(whole, 'timestamp'), own)
}

/**
 * The member alone, read off the end of a line; null where it is not found like this, and the line has to be read whole. A line that is
 * JSON has nothing else in that place: what its end spells stands outside of texts, and in no object but the outermost.
 */
export function ownAtEnd(bytes: Buffer): JsonRecord | null {
  const at = bytes.lastIndexOf(memberBytes)
  return at < 0 ? null : ownIn(parsed(`{${bytes.toString('utf8', at + 1)}`))
}

function ownIn(line: unknown): JsonRecord | null {
  const own = valueAt(valueAt(line, 'custom'), 'countersign')
  return isRecord(own) ? own : null
}

function lineOf(id: string, timestamp: string, own: JsonRecord): OwnLine | null {
  const time = Date.parse(timestamp)
  return id === '' || Number.isNaN(time) || textAt(own, 'kind') === '' ? null : { id, time, own }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** The lines of one task and of the tasks below it, as far as they were opened after the reading began. */
export class Inside {
  readonly #tasks: Set<string>

  constructor(task: string) {
    this.#tasks = new Set([task])
  }

  has({ own }: OwnLine): boolean {
    const task = textAt(own, 'task') || textAt(own, 'task_named')
    const detail = own['detail']
    if (own['event'] === 'task.opened' && this.#tasks.has(textAt(detail, 'parent'))) this.#tasks.add(task)
    if (task !== '') return this.#tasks.has(task)
    return [textAt(detail, 'task'), ...textsAt(detail, 'tasks')].some((one) => this.#tasks.has(one))
  }
}
