/** What policy reads of signals. */

import type { SignalRow } from '../state/signals.ts'
import { number, onePiece, text, Members, type Cap } from './fragment.ts'

const operator = (most: number, what: string): Cap => ({ most, what, fault: 'operator' })

const caps = {
  all: operator(32, 'the signals of a call'),
  name: operator(64, 'the name of a signal'),
  text: operator(256, 'a signal'),
} as const satisfies Record<string, Cap>

/** Row → its text but for its age. A row is replaced when anything in it changes. */
const known = new WeakMap<SignalRow, string>()

/** `signals` of input v1, at `now` in epoch ms. */
export function signalsText(rows: readonly SignalRow[] | undefined, now: number): string {
  if (rows === undefined || rows.length === 0) return '{}'
  const members = new Members(caps.all)
  for (const row of rows) {
    let made = known.get(row)
    if (made === undefined) known.set(row, (made = onePiece(factText(row))))
    members.add(row.name, `${made},"ago":${number(Math.max(0, now - row.at), 'ago')}}`, caps.name)
  }
  return members.end()
}

function factText({ value, source }: SignalRow): string {
  const said = typeof value === 'string' ? text(value, caps.text) : typeof value === 'number' ? number(value, 'a signal') : String(value)
  return `{"value":${said},"source":${text(source, caps.text)}`
}
