/** Who signs a ledger at a start, and the end of the key that hands over: it goes once what it handed over is on the disk for good. */

import { noteSigner, type NoteSigner } from './checkpoint.ts'
import { signatureFault, type CheckpointLine } from './checkpoint-line.ts'
import type { LedgerIo } from './ledger-io.ts'
import { causeOf, type Log } from './ledger-options.ts'
import type { RecorderOptions } from './recorder-options.ts'
import { listSegments } from './segment.ts'

/** Who signs from a start on. */
export interface Signers {
  readonly signer: NoteSigner
  /** Signs the first checkpoint together with `signer`, and from then on alone; null when nothing is handed over. */
  readonly next: NoteSigner | null
  /** Erases the key that was handed over from; null when there is none. Called with a checkpoint acknowledged that names the new key. */
  readonly erase: (() => void) | null
}

/**
 * Who signs on top of the last checkpoint (null for a new ledger): the key of the ledger, or while it is handed over the one before it,
 * together with it. Throws an Error that says what to do when that checkpoint names neither, or is not signed by the key that it names.
 */
export function signersOf({ dir, ledgerId, key, previous = null }: RecorderOptions, last: CheckpointLine | null): Signers {
  const signer = noteSigner(ledgerId, key)
  const before = previous === null ? null : noteSigner(ledgerId, previous.key)
  const erase = previous === null ? null : previous.done
  if (last !== null) {
    const forged = signatureFault(last)
    if (forged !== null)
      throw new Error(`the last checkpoint of the ledger in ${dir} is not signed by the key that it names (${forged}): ${others}`)
  }
  const named = last === null ? null : (last.next ?? last.key).text
  if (named === signer.verifierKey) return { signer, next: null, erase }
  if (before !== null && (named === null || named === before.verifierKey)) return { signer: before, next: signer, erase }
  if (named === null) return { signer, next: null, erase }
  throw new Error(
    `the lines in ${dir} are signed by another key: the last checkpoint names ${named}, this start ${signer.verifierKey}: ${others}`,
  )
}

const others =
  'put the key file (record.ledger.key) and the ledger.pub of this ledger back, or give record.ledger.path a new folder; ' +
  'a key is changed with countersign evidence rotate-key alone'

/** Hands a ledger over from one key to the next, and lets go of the first. */
export class HandOver {
  #signer: NoteSigner
  #next: NoteSigner | null
  #erase: (() => void) | null
  readonly #durable: () => void
  readonly #log: Log

  /** `durable` makes the ledger as it is now survive the loss of power; throws when it cannot. */
  constructor({ signer, next, erase }: Signers, durable: () => void, log: Log) {
    this.#signer = signer
    this.#next = next
    this.#erase = erase
    this.#durable = durable
    this.#log = log
  }

  get signer(): NoteSigner {
    return this.#signer
  }

  /** Takes over with the next checkpoint. */
  get next(): NoteSigner | null {
    return this.#next
  }

  /** The newest checkpoint is acknowledged; `handsOver`: it is the one that both keys signed. Tried again with each until it succeeds. */
  acknowledged(handsOver: boolean): void {
    if (handsOver && this.#next !== null) {
      this.#signer = this.#next
      this.#next = null
    }
    if (this.#erase === null || this.#next !== null) return
    try {
      this.#durable()
      this.#erase()
      this.#erase = null
    } catch (error) {
      this.#log.warn({ cause: causeOf(error) }, 'the ledger key before could not be erased yet: with the next checkpoint, again')
    }
  }
}

/**
 * Syncs the folder and every segment, for the checkpoint that handed over may not be in the last: all that was written survives the loss of
 * power. Done once for each change of key; syncing a file that is on the disk costs little. Throws as the file system does.
 */
export function syncLedger(dir: string, io: LedgerIo): void {
  for (const path of [...listSegments(dir).map((row) => row.path), dir]) {
    const fd = io.open(path, 'r')
    try {
      io.syncNow(fd)
    } finally {
      io.close(fd)
    }
  }
}
