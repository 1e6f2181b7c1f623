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

/** A line in its place. */
export interface ChainedLine {
  /** UTF-8 length with the newline. */
  readonly bytes: number
  /** Lower-case hex SHA-256 of the bytes before the newline. */
  readonly hash: string
}

/** What the first line of a ledger names as the line before it. */
export const genesis = '0'.repeat(64)

const newline = 0x0a
const usualRoom = 256 * 1024
/** A group that took more than this gives its room back. */
const mostRoom = 4 * 1024 * 1024

/** Lines on their way into the file, as the bytes that one write takes. Owned by the ledger, which uses it for one group after the other. */
export class LineGroup {
  #room = Buffer.allocUnsafe(usualRoom)
  #size = 0

  /** Bytes of all its lines. */
  get size(): number {
    return this.#size
  }

  /** Good until the group is changed. */
  get bytes(): Uint8Array {
    return this.#room.subarray(0, this.#size)
  }

  clear(): void {
    this.#size = 0
    if (this.#room.length > mostRoom) this.#room = Buffer.allocUnsafe(usualRoom)
  }

  /** Puts a part at `seq` after the line whose hash is `prev`. */
  add(part: Part, seq: number, prev: string): ChainedLine {
    return this.put(`${part.head}"seq":${seq},"prev":"sha256:${prev}"${part.tail}`)
  }

  /** Puts finished text, and hashes it. */
  put(raw: string): ChainedLine {
    const start = this.#size
    let end = this.#write(raw, start)
    const text = oneLine(raw, end - start)
    if (text !== raw) end = this.#write(text, start)
    this.#room[end] = newline
    this.#size = end + 1
    return { bytes: end + 1 - start, hash: hash('sha256', this.#room.subarray(start, end)) }
  }

  /** Takes the line that was put last out again. */
  drop(last: ChainedLine): void {
    this.#size -= last.bytes
  }

  #write(text: string, start: number): number {
    const most = start + text.length * 3 + 1
    if (most > this.#room.length) {
      const larger = Buffer.allocUnsafe(most * 2)
      this.#room.copy(larger, 0, 0, start)
      this.#room = larger
    }
    return start + this.#room.write(text, start)
  }
}
