/** What a record says of judged calls: the input that policy saw and what it answered. */

import { isRecord, textAt, textsAt, type JsonRecord } from './json-path.ts'
import { rawMembers } from './raw-members.ts'

export type Effect = 'allow' | 'deny' | 'ask' | 'defer'

/** What policy answered, as recorded or as judged again. */
export interface Said {
  readonly effect: Effect
  /** Ids of the rules in its reasons, sorted, each once. */
  readonly rules: readonly string[]
  /** Types of its obligations, sorted. */
  readonly obligations: readonly string[]
}

/** One recorded decision of `countersign/decision`. */
export interface Recorded {
  readonly id: string
  readonly time: string
  /** The code of the refusal that ended the call before it was let through; null for a permitted call. */
  readonly code: string | null
  /** As it stands in the line; null when the whole of it was masked. */
  readonly inputText: string | null
  /** The same, parsed when it is first asked for: throws SyntaxError when the line is damaged there. Null when masked. */
  readonly input: JsonRecord | null
  /** What policy said, also where observe mode let the call through; null when masking hid it. */
  readonly said: Said | null
  /** In observe mode: what would have been. */
  readonly observed: 'deny' | 'ask' | 'defer' | null
  /** Of the policy that judged; empty when the line does not say. */
  readonly revision: string
  /** Places of the line that were erased or masked, as JSON pointers: `/input/request/body/parsed`. */
  readonly hidden: readonly string[]
  /** `custom.countersign` of the line. */
  readonly own: JsonRecord
}

export type LedgerLine =
  | { readonly type: 'judged'; readonly recorded: Recorded }
  /** A call that ended before policy was asked. */
  | { readonly type: 'unjudged'; readonly id: string; readonly code: string }
  /** Outcomes, events, checkpoints. */
  | { readonly type: 'other' }
  | { readonly type: 'damaged'; readonly why: string }

/** What went by while a record was read. */
export interface LineCount {
  lines: number
  judged: number
  unjudged: number
  other: number
  damaged: number
}

export function lineCount(): LineCount {
  return { lines: 0, judged: 0, unjudged: 0, other: 0, damaged: 0 }
}

/**
 * Gives the judged calls of a record in order, counting into `count`. What cannot be read is handed to `damaged` with the number of
 * its line (from 1) and passed over: one bad line never hides the good ones behind it.
 */
export async function* judgedCalls(
  lines: AsyncIterable<string | null>,
  count: LineCount,
  damaged: (line: number, why: string) => void,
  read: (text: string) => LedgerLine = readWhole,
): AsyncGenerator<Recorded> {
  for await (const text of lines) {
    if (text === '') continue
    count.lines++
    const line: LedgerLine = text === null ? { type: 'damaged', why: 'it is too long' } : read(text)
    count[line.type]++
    if (line.type === 'damaged') damaged(count.lines, line.why)
    else if (line.type === 'judged') yield line.recorded
  }
}

/** The place that every record leaves out: the digest beside it stands for it. */
export const bodyPlace = '/input/request/body/parsed'

/** Reads one stored line, its input too. */
export function readWhole(text: string): LedgerLine {
  const line = readLedgerLine(text)
  if (line.type !== 'judged') return line
  const { recorded } = line
  try {
    if (recorded.input !== null || recorded.inputText === null) return line
    return { type: 'damaged', why: 'its input is no object' }
  } catch {
    return { type: 'damaged', why: 'its input is not JSON' }
  }
}

/** Reads one stored line, but for its input: that is parsed when it is asked for. */
export function readLedgerLine(text: string): LedgerLine {
  const members = rawMembers(text)
  if (members === null) return { type: 'damaged', why: 'it is not JSON' }
  try {
    return readMembers(members)
  } catch {
    return { type: 'damaged', why: 'it is not JSON' }
  }
}

/** Throws SyntaxError. */
function readMembers(members: ReadonlyMap<string, string>): LedgerLine {
  const parsed = (name: string): unknown => {
    const text = members.get(name)
    return text === undefined ? undefined : JSON.parse(text)
  }
  const custom = parsed('custom')
  const own = isRecord(custom) ? custom['countersign'] : undefined
  if (!isRecord(own)) return { type: 'damaged', why: 'it is no line of a ledger' }
  const { kind, code, observed } = own
  if (kind !== 'decision' && kind !== 'refusal') return { type: 'other' }
  const id = parsed('decision_id')
  if (typeof id !== 'string') return { type: 'damaged', why: 'it has no decision_id' }
  if (parsed('path') !== 'countersign/decision') return { type: 'unjudged', id, code: textAt(own, 'code') }
  const hidden = [...textsAt({ erased: parsed('erased') }, 'erased'), ...textsAt({ masked: parsed('masked') }, 'masked')]
  const said = readSaid(parsed('result'))
  if (said === null && !hidden.some((place) => place.startsWith('/result'))) return { type: 'damaged', why: 'it has no result' }
  // what stands in place of an input that was masked as a whole is none
  const masked = hidden.includes('/input')
  const inputText = masked ? null : (members.get('input') ?? null)
  if (inputText === null && !masked) return { type: 'damaged', why: 'it has no input' }
  const time = parsed('timestamp')
  return {
    type: 'judged',
    recorded: {
      id,
      time: typeof time === 'string' ? time : '',
      code: typeof code === 'string' ? code : null,
      inputText,
      get input() {
        return inputOf(this)
      },
      said,
      observed: observed === 'deny' || observed === 'ask' || observed === 'defer' ? observed : null,
      revision: textAt(parsed('bundles'), 'countersign.revision'),
      hidden,
      own,
    },
  }
}

/** Recorded call → its input, parsed once. */
const inputs = new WeakMap<Recorded, JsonRecord | null>()

function inputOf(recorded: Recorded): JsonRecord | null {
  let input = inputs.get(recorded)
  if (input === undefined) {
    const found: unknown = recorded.inputText === null ? null : JSON.parse(recorded.inputText)
    inputs.set(recorded, (input = isRecord(found) ? found : null))
  }
  return input
}

const nothing: readonly string[] = []

function readSaid(result: unknown): Said | null {
  if (!isRecord(result)) return null
  const { effect, reasons, obligations } = result
  if (effect !== 'allow' && effect !== 'deny' && effect !== 'ask') return null
  return { effect, rules: rulesOf(listOf(reasons)), obligations: typesOf(listOf(obligations)) }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : nothing
}

/** Types of obligations, sorted, as often as they are there. */
export function typesOf(obligations: readonly unknown[]): readonly string[] {
  return obligations.length === 0 ? nothing : obligations.map((one) => textAt(one, 'type')).sort()
}

/** Rule ids of reasons, sorted, each once. */
export function rulesOf(reasons: readonly unknown[]): readonly string[] {
  if (reasons.length === 0) return nothing
  return [...new Set(reasons.map((reason) => textAt(reason, 'rule')))].sort()
}

/** The judged or refused call of this id; null when the record does not have it. */
export async function findCall(
  lines: AsyncIterable<string | null>,
  id: string,
): Promise<Extract<LedgerLine, { type: 'judged' | 'unjudged' }> | null> {
  for await (const text of lines) {
    // most lines are someone else's: they are not even parsed
    if (text === null || !text.includes(id)) continue
    const line = readLedgerLine(text)
    if (line.type === 'judged' && line.recorded.id === id) return line
    if (line.type === 'unjudged' && line.id === id) return line
  }
  return null
}
