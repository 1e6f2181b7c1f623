/** What the record is opened with. */

import type { KeyObject } from 'node:crypto'
import type { Engine } from '../decide/engine.ts'
import type { NewId } from '../id.ts'
import type { EntrySummary, TracedCall } from './entry.ts'
import type { SinkOffsets } from './feed.ts'
import type { LedgerIo } from './ledger-io.ts'
import type { Log } from './ledger-options.ts'
import type { Pseudonym } from './pseudonym.ts'
import type { Keep } from './retention.ts'
import type { NamedSink } from './sink.ts'
import type { TileFiles } from './tile-files.ts'
import type { UnknownRate } from './unknown-callers.ts'

export interface RecorderOptions {
  /** Ledger folder; made when it is not there. One process writes it. */
  readonly dir: string
  /** Origin of the checkpoints and name of the key: letters, digits and `. _ : / -`. */
  readonly ledgerId: string
  readonly labels: Readonly<Record<string, string>>
  readonly durability: 'written' | 'synced'
  /** Most bytes the ledger may take. */
  readonly quota: number
  readonly segmentBytes?: number
  /** Ed25519, private. */
  readonly key: KeyObject
  /** The key before it, from which it takes over; `done` is told once that stands in the ledger, and on the disk for good. */
  readonly previous?: { readonly key: KeyObject; readonly done: () => void } | null
  /** Epoch ms. */
  readonly clock: () => number
  readonly newId: NewId
  readonly log: Log
  /** Writes the state that lines rest on, before the lines; synchronous, throws when it cannot. */
  readonly flushState: () => void
  readonly sinks?: readonly NamedSink[]
  readonly sinkOffsets?: SinkOffsets
  /** Ms before a sink is tried again: the first time, and at most. */
  readonly sinkRetry?: { readonly first: number; readonly most: number }
  /** Ms that sinks are given on closing to take what is there. */
  readonly sinkGrace?: number
  readonly unknownRate?: UnknownRate
  /** Whether an agent is registered for a proven caller: one of whom nobody has heard is written as one who was not proven. Default: yes. */
  readonly registered?: (caller: string) => boolean
  /** The policy in force, which masks what none judged and drops lines from sinks; null when there is none. Default: one that does neither. */
  readonly policy?: () => Engine | null
  /** Parses JSON text; a key is never given the text of another. */
  readonly parseJson?: (text: string) => unknown
  /** For policy that masks with `hmac`. */
  readonly pseudonym?: Pseudonym | undefined
  /** Told of every finished call, for metrics. Must not throw. */
  readonly observe?: (summary: EntrySummary) => void
  /** Told of every finished call that is traced. Must not throw. */
  readonly traced?: ((call: TracedCall) => void) | undefined
  /** How long lines are kept; absent: for ever. */
  readonly keep?: Keep
  readonly checkpointMs?: number
  readonly heartbeatMs?: number
  readonly retryMs?: number
  readonly io?: LedgerIo
  readonly syncMs?: number
  readonly tileFiles?: TileFiles
  /** Monotonic ms. */
  readonly now?: () => number
}
