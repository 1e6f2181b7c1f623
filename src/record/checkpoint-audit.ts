/** The checkpoints' part of verification. */

import { hash } from 'node:crypto'
import type { Checkpoint, NoteVerifier } from './checkpoint.ts'
import { noteText, parseCheckpoint } from './checkpoint.ts'
import type { OpenCalls } from './open-calls.ts'
import type { StoredLine } from './stored-line.ts'

/** A checkpoint that was found good. */
export interface CheckpointRow {
  /** Its own line. */
  readonly seq: number
  readonly size: number
  readonly root: string
  readonly time: string
  readonly durability: string
  /** The signed note itself: keep it elsewhere, and a later verification can be held to it. */
  readonly note: string
}

/** What is wrong, and with which record. */
export interface CheckpointFault {
  readonly fault: 'checkpoint' | 'signature' | 'truncated' | 'pairing'
  readonly seq: number
  readonly detail: string
}

export class CheckpointAudit {
  readonly #verifier: NoteVerifier | null
  readonly #held: Checkpoint | null
  #heldFault: string | null = null
  #heldSeen = false
  #origin: string | null
  #count = 0
  #last: CheckpointRow | null = null

  constructor(verifier: NoteVerifier | null, held: string | null) {
    this.#verifier = verifier
    this.#origin = verifier?.name ?? null
    this.#held = held === null ? null : this.#openHeld(held)
  }

  get count(): number {
    return this.#count
  }

  get last(): CheckpointRow | null {
    return this.#last
  }

  /** Takes every line in order; `open` are the calls open before it, null when that is not known. */
  take(line: StoredLine, text: string, open: OpenCalls | null): CheckpointFault | null {
    const held = this.#takeHeld(line)
    if (held !== null || line.kind !== 'checkpoint') return held
    const fail = (fault: CheckpointFault['fault'], detail: string): CheckpointFault => ({ fault, seq: line.seq, detail })
    const marker = ',"checkpoint":"'
    const at = text.lastIndexOf(marker) + marker.length
    if (line.note === null || line.open === null || at < marker.length) return fail('checkpoint', 'a checkpoint line without a checkpoint')
    let stated: Checkpoint
    try {
      stated = parseCheckpoint(this.#open(line.note, true))
    } catch (error) {
      return fail('signature', error instanceof Error ? error.message : 'the note is malformed')
    }
    this.#origin ??= stated.origin
    if (stated.origin !== this.#origin) return fail('signature', 'the checkpoint is of another ledger')
    if (stated.size !== line.seq - 1) return fail('checkpoint', `the checkpoint states ${stated.size} lines before it`)
    if (stated.root !== base64(line.prev)) return fail('checkpoint', 'the lines before this checkpoint are not the ones that were signed')
    if (stated.record !== hash('sha256', text.slice(0, at), 'base64') || text.slice(at) !== `${JSON.stringify(line.note).slice(1)}}}}`)
      return fail('checkpoint', 'the checkpoint line is not the one that was signed')
    if (open !== null && !sameOpen(line, open))
      return fail('pairing', 'a decision before this checkpoint has no outcome and is not stated as open')
    this.#count += 1
    const { size, root, time, durability } = stated
    this.#last = { seq: line.seq, size, root, time, durability, note: line.note }
    return null
  }

  /** At the end: what should have been there and was not. `seq` is the last line. */
  missing(seq: number): CheckpointFault | null {
    if (this.#heldFault !== null) return { fault: 'signature', seq: 0, detail: `the checkpoint given: ${this.#heldFault}` }
    const held = this.#held
    if (held !== null && !this.#heldSeen)
      return { fault: 'truncated', seq: seq + 1, detail: `the checkpoint given states ${held.size} lines` }
    if (this.#verifier !== null && this.#count === 0)
      return { fault: 'signature', seq: 1, detail: 'there is no checkpoint: no line is covered by a signature' }
    return null
  }

  /** Does a signed checkpoint on this very line state what the line says of the one before it? */
  vouches(line: StoredLine): boolean {
    if (line.note === null) return false
    try {
      return parseCheckpoint(this.#open(line.note, true)).root === base64(line.prev)
    } catch {
      return false
    }
  }

  #open(note: string, strict: boolean): string {
    return this.#verifier === null ? noteText(note) : this.#verifier.open(note, strict)
  }

  #openHeld(note: string): Checkpoint | null {
    try {
      const stated = parseCheckpoint(this.#open(note, false))
      if (this.#origin !== null && stated.origin !== this.#origin) throw new Error('it is of another ledger')
      this.#origin ??= stated.origin
      return stated
    } catch (error) {
      this.#heldFault = error instanceof Error ? error.message : 'it is malformed'
      return null
    }
  }

  /** The line after the head that the given checkpoint states holds that head's hash. */
  #takeHeld(line: StoredLine): CheckpointFault | null {
    if (this.#held === null || line.seq !== this.#held.size + 1) return null
    this.#heldSeen = true
    if (this.#held.root === base64(line.prev)) return null
    return { fault: 'checkpoint', seq: this.#held.size, detail: 'the lines up to here are not the ones that the checkpoint given states' }
  }
}

function base64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64')
}

function sameOpen(line: StoredLine, open: OpenCalls): boolean {
  const { open: listed, openFrom } = open.statement(line.seq)
  return openFrom === line.openFrom && JSON.stringify(listed) === JSON.stringify(line.open)
}
