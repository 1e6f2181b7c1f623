/** The checkpoints' part of verification: whose signatures they bear, and whether the tree over the lines is the one that was signed. */

import type { CheckpointLine, Statement } from './checkpoint-line.ts'
import { checkedStatement, readCheckpointLine, readStatement, signatureFault } from './checkpoint-line.ts'
import type { Problem } from './fault.ts'
import type { KeyRing } from './key-ring.ts'
import { leafHash, TreeEdge } from './merkle.ts'
import type { VerifierKey } from './note.ts'
import { readNote } from './note.ts'
import type { Pairing } from './pairing.ts'
import type { StoredLine } from './stored-line.ts'

/** A checkpoint that was found good. Hashes are base64. */
export interface CheckpointRow {
  /** Its own line. */
  readonly seq: number
  readonly size: number
  /** Root of the tree over the lines before it. */
  readonly root: string
  /** Head of the chain. */
  readonly chain: string
  readonly time: string
  readonly durability: string
  /** The signed note itself: keep it elsewhere, and a later verification can be held to it. */
  readonly note: string
}

/** A problem, and the record that it is with; 0 when it is with what was given from elsewhere. */
export interface CheckpointProblem extends Problem {
  readonly seq: number
}

export class CheckpointAudit {
  readonly #ring: KeyRing | null
  readonly #held: string | null
  readonly #heldStates: Statement | null
  /** Root of the tree of the size that the checkpoint from elsewhere states, once it was reached. */
  #heldRoot: string | null = null
  /** Null until the tree is known: the reading began after the first line, and no checkpoint has come yet. */
  #tree: TreeEdge | null = null
  /** The key that signs by now; null before the first checkpoint. */
  #key: VerifierKey | null = null
  readonly #keys: string[] = []
  #count = 0
  #last: CheckpointRow | null = null

  /** `held`: a note from elsewhere. Without a ring no signature is checked. */
  constructor(ring: KeyRing | null, held: string | null) {
    this.#ring = ring
    this.#held = held
    this.#heldStates = held === null ? null : statedBy(held)
  }

  get count(): number {
    return this.#count
  }

  get last(): CheckpointRow | null {
    return this.#last
  }

  /** The verifier keys that signed, in their order. */
  get keys(): readonly string[] {
    return this.#keys
  }

  /** The reading begins with the first line of the ledger. */
  begin(): void {
    this.#tree = new TreeEdge()
    this.#reach()
  }

  /** Takes a checkpoint line that is in its place of the chain; gives what is wrong with it. */
  take(line: StoredLine, text: string, pairing: Pairing): Problem | null {
    const own = readCheckpointLine(text, line)
    if ('fault' in own) return own
    const unsigned = this.#signatureFault(own)
    if (unsigned !== null) return { fault: 'signature', detail: unsigned }
    const checked = checkedStatement(own)
    if (typeof checked === 'string') return { fault: 'checkpoint', detail: checked }
    const { stated, edge } = checked
    if (this.#tree === null) {
      this.#tree = new TreeEdge(stated.size, edge)
      this.#reach()
    } else if (!this.#tree.edge.every((one, at) => edge[at]?.equals(one)))
      return { fault: 'checkpoint', detail: 'the tree over the lines before this checkpoint is not the one that was signed' }
    const unpaired = pairing.stated(own.seq, own.open, own.openFrom)
    if (unpaired !== null) return { fault: 'pairing', detail: unpaired }
    this.#accept(own, stated)
    return null
  }

  /** Adds a line to the tree. `digest`: its SHA-256. */
  append(digest: Uint8Array): void {
    if (this.#tree === null) return
    this.#tree.append(leafHash(digest))
    this.#reach()
  }

  /** Does a signed checkpoint on this very line state what the line says of the one before it? */
  vouches(line: StoredLine, text: string): boolean {
    if (line.kind !== 'checkpoint') return false
    const own = readCheckpointLine(text, line)
    if ('fault' in own || this.#signatureFault(own) !== null) return false
    return statedBy(own.note)?.chain === Buffer.from(line.prev, 'hex').toString('base64')
  }

  /** When all lines were read, of which `last` is the last: what should have been there and was not. */
  missing(last: number): CheckpointProblem | null {
    if (this.#ring !== null && this.#count === 0)
      return { fault: 'signature', seq: 1, detail: 'there is no checkpoint: no line is covered by a signature' }
    return this.#held === null ? null : this.#heldProblem(this.#held, last)
  }

  #heldProblem(held: string, last: number): CheckpointProblem | null {
    const stated = this.#heldStates
    try {
      this.#ring?.open(held)
    } catch (error) {
      return { fault: 'signature', seq: 0, detail: `the checkpoint given: ${error instanceof Error ? error.message : String(error)}` }
    }
    if (stated === null || (this.#key !== null && stated.origin !== this.#key.name))
      return { fault: 'signature', seq: 0, detail: 'the checkpoint given is none of this ledger' }
    const { size, root } = stated
    if (this.#heldRoot !== null && this.#heldRoot !== root)
      return { fault: 'checkpoint', seq: size, detail: 'the lines up to here are not the ones that the checkpoint given states' }
    if (last <= size)
      return { fault: 'truncated', seq: last + 1, detail: `the checkpoint given states ${size} lines, and one that follows` }
    if (this.#heldRoot === null)
      return { fault: 'truncated', seq: size, detail: 'the lines that the checkpoint given states are gone: give a later one' }
    return null
  }

  /** Signed as it should be, by the key that signs by now, or to begin with by one that is trusted? */
  #signatureFault(line: CheckpointLine): string | null {
    if (this.#ring === null) return null
    if (this.#key === null && !this.#ring.trusts(line.key)) return 'the checkpoint is signed with a key that is not trusted'
    if (this.#key !== null && this.#key.text !== line.key.text)
      return 'the checkpoint is signed with another key than the one before it hands on'
    return signatureFault(line)
  }

  #accept(line: CheckpointLine, { size, root, chain, time, durability }: Statement): void {
    this.#count += 1
    this.#last = { seq: line.seq, size, root, chain, time, durability, note: line.note }
    if (this.#key === null) this.#keys.push(line.key.text)
    this.#key = line.next ?? line.key
    if (line.next === null) return
    this.#keys.push(line.next.text)
    this.#ring?.add(line.next)
  }

  #reach(): void {
    if (this.#tree?.size === this.#heldStates?.size) this.#heldRoot = this.#tree?.root.toString('base64') ?? null
  }
}

function statedBy(note: string): Statement | null {
  try {
    return readStatement(readNote(note).text)
  } catch {
    return null
  }
}
