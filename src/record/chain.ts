/** The hash chain: every line holds its number and the SHA-256 of the line before it. */

import { hash } from 'node:crypto'
import { oneLine } from './json-text.ts'

export type LineKind = 'decision' | 'outcome' | 'refusal' | 'event' | 'checkpoint'

/**
 * A line before it has its place: the text before and after `"seq":…,"prev":"…"`.
 * `rank` says what it may use of the quota: `own` always (outcomes, the ledger's own events), `unknown` never the last tenth.
 */
export interface Part {
  readonly kind: LineKind
  /** `decision_id`. */
  readonly id: string
  readonly rank: 'own' | 'known' | 'unknown'
  readonly head: string
  readonly tail: string
}

/** A line in its place, without the newline. */
export interface ChainedLine {
  readonly text: string
  /** UTF-8 length. */
  readonly bytes: number
  /** Lower-case hex SHA-256 of the bytes. */
  readonly hash: string
}

/** What the first line of a ledger names as the line before it. */
export const genesis = '0'.repeat(64)

/** Puts a part at `seq` after the line whose hash is `prev`. */
export function chainLine(part: Part, seq: number, prev: string): ChainedLine {
  return place(`${part.head}"seq":${seq},"prev":"sha256:${prev}"${part.tail}`)
}

/** Hashes finished text. */
export function place(raw: string): ChainedLine {
  const bytes = Buffer.byteLength(raw)
  const text = oneLine(raw, bytes)
  return { text, bytes: text === raw ? bytes : Buffer.byteLength(text), hash: hash('sha256', text) }
}
