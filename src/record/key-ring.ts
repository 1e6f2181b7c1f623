/** The verifier keys that are trusted: those that were given, and those that they vouch for by handing over. */

import type { CheckpointLine } from './checkpoint-line.ts'
import { checkedStatement, readCheckpointLine, signatureFault } from './checkpoint-line.ts'
import type { Problem } from './fault.ts'
import type { OpenedNote, VerifierKey } from './note.ts'
import { openNote, readVerifierKey } from './note.ts'
import { readStored } from './stored-line.ts'

/** A line that hands a key over and is not as it should be. */
export interface BadHandover extends Problem {
  /** Its place among those given, from 0. */
  readonly at: number
}

export class KeyRing {
  readonly #keys = new Map<string, VerifierKey>()

  /** Each text holds verifier keys, one a line. Throws an Error when one is malformed or there is none. */
  constructor(texts: string | readonly string[]) {
    const lines = [texts].flat().flatMap((text) => text.split('\n'))
    for (const line of lines) if (line.trim() !== '') this.add(readVerifierKey(line))
    if (this.#keys.size === 0) throw new Error('there is no verifier key')
  }

  /** The keys that are trusted by now. */
  get keys(): readonly VerifierKey[] {
    return [...this.#keys.values()]
  }

  trusts(key: VerifierKey): boolean {
    return this.#keys.has(key.text)
  }

  add(key: VerifierKey): void {
    this.#keys.set(key.text, key)
  }

  /** Opens a note that was kept elsewhere; throws an Error when no key that is trusted has signed it. */
  open(note: string): OpenedNote {
    return openNote(note, this.#keys.values())
  }

  /**
   * Takes checkpoint lines that hand a key over, each without its LF. Where one of its two keys is trusted, both are from then on, in
   * whatever order the lines come. Gives the first line that is no such checkpoint; those are not learnt from.
   */
  learn(lines: readonly string[]): BadHandover | null {
    let bad: BadHandover | null = null
    const pairs: (readonly [VerifierKey, VerifierKey])[] = []
    for (const [at, text] of lines.entries()) {
      const read = readHandover(text)
      if ('fault' in read) bad ??= { ...read, at }
      else pairs.push([read.key, read.next])
    }
    for (let known = -1; known !== this.#keys.size;) {
      known = this.#keys.size
      for (const pair of pairs) if (pair.some((key) => this.trusts(key))) for (const key of pair) this.add(key)
    }
    return bad
  }
}

/** Reads a line that hands over, and checks all of it that does not depend on the lines before it. */
export function readHandover(text: string): (CheckpointLine & { readonly next: VerifierKey }) | Problem {
  const stored = readStored(text)
  if (stored === null) return { fault: 'parse', detail: 'not a ledger line' }
  if (stored.kind !== 'checkpoint') return { fault: 'signature', detail: 'not a checkpoint' }
  const line = readCheckpointLine(text, stored)
  if ('fault' in line) return line
  const { next } = line
  if (next === null) return { fault: 'signature', detail: 'the checkpoint hands no key over' }
  const unsigned = signatureFault(line)
  if (unsigned !== null) return { fault: 'signature', detail: unsigned }
  const checked = checkedStatement(line)
  return typeof checked === 'string' ? { fault: 'checkpoint', detail: checked } : { ...line, next }
}
