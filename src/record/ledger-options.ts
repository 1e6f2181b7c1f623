/** What a ledger is opened with, and what it says when it cannot go on. */

import { Refusal } from '../refusal.ts'
import type { Part } from './chain.ts'
import type { Signers } from './hand-over.ts'
import type { LedgerIo } from './ledger-io.ts'
import type { OpaForm } from './opa.ts'

export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface LedgerOptions {
  readonly dir: string
  /** `written` survives the death of the process, `synced` the loss of power. */
  readonly durability: 'written' | 'synced'
  /** Bytes. */
  readonly quota: number
  readonly segmentBytes: number
  readonly signers: Signers
  readonly form: OpaForm
  /** Epoch ms. */
  readonly clock: () => number
  readonly log: Log
  /** Writes the state that the queued lines rest on; called before each group. Throws when it cannot. */
  readonly flushState: () => void
  readonly io?: LedgerIo
  /** Longest wait for the disk to make a group of lines last, ms (5 s). */
  readonly syncMs?: number
  /** Between checkpoints while lines are written, ms (10 s). */
  readonly checkpointMs?: number
  /** Between checkpoints while none are, ms (1 min). */
  readonly heartbeatMs?: number
  /** Between attempts while the ledger cannot be written. */
  readonly retryMs?: number
}

/** What waits to be written. */
export interface Waiting {
  /** Null: only waits for its group; with `checkpoint`, for one over all lines before the group. */
  readonly part: Part | null
  readonly checkpoint: boolean
  /** Kept and tried again until it is written. */
  readonly sticky: boolean
  readonly resolve: (() => void) | null
  readonly reject: ((refusal: Refusal) => void) | null
  /** Its number, once it has its place. */
  seq: number
}

export function closedRefusal(): Refusal {
  return new Refusal('record.failed', { detail: 'the ledger is closed' })
}

/** A short word for the operator: the error's code where it has one. */
export function causeOf(error: unknown): string {
  if (error instanceof Refusal) return error.detail ?? error.code
  if (error instanceof Error) return 'code' in error && typeof error.code === 'string' ? error.code : error.message
  return 'unknown'
}

export interface Trouble {
  /** RFC 3339. */
  readonly since: string
  readonly cause: string
  /** Lines turned away. */
  refused: number
}

/** The first line after a time of trouble says so: nothing is lost silently. */
export function resumption(trouble: Trouble, form: OpaForm): Waiting {
  const part = form.event({ kind: 'ledger.resumed', by: 'countersign', detail: { ...trouble } }, 'own')
  return { part, checkpoint: false, sticky: false, resolve: null, reject: null, seq: 0 }
}

/** Tells whoever waits for lines of a group that failed; gives those that are kept, and counts the others. */
export function turnedAway(batch: readonly Waiting[], cause: string, trouble: Trouble): Waiting[] {
  const kept: Waiting[] = []
  for (const { part, checkpoint, sticky, reject } of batch) {
    if (sticky) kept.push({ part, checkpoint, sticky, resolve: null, reject: null, seq: 0 })
    else if (reject !== null && part !== null) trouble.refused += 1
    reject?.(new Refusal('record.failed', { detail: cause }))
  }
  return kept
}
