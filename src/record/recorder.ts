/** Opens the record: recovers the ledger, then hands out entries, takes events and feeds the sinks. */

import { sign, type KeyObject } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import type { Call } from '../listen/call.ts'
import type { Engine } from '../decide/engine.ts'
import type { NewId } from '../id.ts'
import type { Part } from './chain.ts'
import { noteSigner } from './checkpoint.ts'
import { Drop } from './drop.ts'
import type { EntryRig, EntrySummary } from './entry.ts'
import { CallEntry } from './entry.ts'
import type { LedgerIo } from './ledger-io.ts'
import type { Log } from './ledger.ts'
import { Ledger } from './ledger.ts'
import { lockFolder } from './lock.ts'
import { OpaForm } from './opa.ts'
import type { Entry, LedgerEvent, Recorder } from './record.ts'
import type { Head, Recovered } from './recover.ts'
import { recover } from './recover.ts'
import type { RecordSink, SinkOffsets } from './sink.ts'
import { SinkFeed } from './sink.ts'
import type { TailLine } from './tail.ts'
import { tail } from './tail.ts'
import type { UnknownRate } from './unknown-callers.ts'
import { UnknownCallers } from './unknown-callers.ts'

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
  /** Epoch ms. */
  readonly clock: () => number
  readonly newId: NewId
  readonly log: Log
  /** Writes the state that lines rest on, before the lines; synchronous, throws when it cannot. */
  readonly flushState: () => void
  readonly sinks?: readonly RecordSink[]
  readonly sinkOffsets?: SinkOffsets
  readonly unknownRate?: UnknownRate
  /** Whether an agent is registered for a proven caller: one of whom nobody has heard is written as one who was not proven. Default: yes. */
  readonly registered?: (caller: string) => boolean
  /** The policy in force, which masks what none judged and drops lines from sinks; null when there is none. Default: one that does neither. */
  readonly policy?: () => Engine | null
  /** Parses JSON text; a key is never given the text of another. */
  readonly parseJson?: (text: string) => unknown
  /** Told of every finished call, for metrics. Must not throw. */
  readonly observe?: (summary: EntrySummary) => void
  readonly checkpointMs?: number
  readonly retryMs?: number
  readonly io?: LedgerIo
  /** Monotonic ms. */
  readonly now?: () => number
}

export interface RecorderTail {
  /** Default: the line after the last one now. */
  readonly fromSeq?: number
  readonly follow: boolean
  readonly signal?: AbortSignal
}

export interface OpenRecorder extends Recorder {
  /** True while calls are refused for want of a record: not ready. */
  readonly failed: boolean
  /** Last acknowledged line. */
  position(): Head
  /** C2SP verifier key (`name+hash+base64`). */
  publicKey(): string
  /** Ed25519 signature by the ledger's key; for what is derived from its lines. */
  sign(bytes: Uint8Array): Uint8Array
  /** Calls with the number of the last acknowledged line after each group of lines; gives what ends that. */
  subscribe(listener: (seq: number) => void): () => void
  /** Stored lines, acknowledged ones only. */
  tail(options: RecorderTail): AsyncGenerator<TailLine, void>
  /** Signs a checkpoint now. */
  checkpoint(): Promise<void>
  /** Sums, last checkpoint, sinks. Calls must have ended. Never rejects. */
  close(): Promise<void>
}

/** Answers nothing: lines go as they are. */
const plain: Engine = {
  revision: '',
  answers: () => false,
  evaluate: () => undefined,
}
const noMasking = (): Engine => plain

const segmentBytes = 64 * 1024 * 1024
const sinkGraceMs = 2000

/** Rejects when the ledger cannot be read or written, or another process writes it: without a record nothing may be served. */
export async function openRecorder(options: RecorderOptions): Promise<OpenRecorder> {
  mkdirSync(options.dir, { recursive: true, mode: 0o700 })
  const unlock = lockFolder(options.dir)
  try {
    return await openLocked(options, unlock)
  } catch (error) {
    unlock()
    throw error
  }
}

async function openLocked(options: RecorderOptions, unlock: () => void): Promise<OpenRecorder> {
  const recovered = recover(options.dir)
  const form = new OpaForm(options)
  const signer = noteSigner(options.ledgerId, options.key)
  const ledger = new Ledger({ ...options, form, signer, segmentBytes: options.segmentBytes ?? segmentBytes }, recovered)
  try {
    await begin(ledger, form, recovered, options)
    const feeds = await Promise.all((options.sinks ?? []).map((sink, at) => startFeed(sink, at, ledger, options)))
    return new LedgerRecorder({ options, ledger, form, feeds, verifierKey: signer.verifierKey, unlock })
  } catch (error) {
    await ledger.close()
    throw error
  }
}

/** What a crash left open is closed before anything else is written. */
async function begin(ledger: Ledger, form: OpaForm, recovered: Recovered, options: RecorderOptions): Promise<void> {
  const { open, dropped, damaged, head } = recovered
  const opening: Part[] = [...open].map(([id, seq]) => form.unknownOutcome(id, seq))
  const event = (kind: string, detail: LedgerEvent['detail']) => opening.push(form.event({ kind, by: 'countersign', detail }, 'own'))
  if (open.size > 0 || dropped > 0) event('ledger.recovered', { dropped_bytes: dropped, unknown_outcomes: open.size, after: head.seq })
  if (damaged !== null) {
    options.log.error({ ...damaged }, 'the ledger is damaged: verify it')
    event('ledger.damaged', { file: damaged.path.slice(damaged.path.lastIndexOf('/') + 1), offset: damaged.offset })
  }
  event('ledger.opened', { ledger: options.ledgerId, durability: options.durability, after: head.seq })
  await Promise.all(opening.map((part) => ledger.append(part)))
  await ledger.checkpoint()
}

function startFeed(sink: RecordSink, at: number, ledger: Ledger, options: RecorderOptions): Promise<SinkFeed> {
  const name = `sink.${at}.${sink.type}`
  const drop = new Drop({ engine: options.policy ?? noMasking, parse: options.parseJson ?? JSON.parse })
  return SinkFeed.start({ dir: options.dir, name, sink, watch: ledger, offsets: options.sinkOffsets ?? null, drop, log: options.log })
}

interface RecorderParts {
  readonly options: RecorderOptions
  readonly ledger: Ledger
  readonly form: OpaForm
  readonly feeds: readonly SinkFeed[]
  readonly verifierKey: string
  readonly unlock: () => void
}

class LedgerRecorder implements OpenRecorder {
  readonly #parts: RecorderParts
  readonly #ledger: Ledger
  readonly #rig: EntryRig
  #closed: Promise<void> | null = null

  constructor(parts: RecorderParts) {
    const { options, ledger, form } = parts
    const rate = options.unknownRate ?? { perSecond: 10, burst: 20 }
    this.#parts = parts
    this.#ledger = ledger
    const unknown = new UnknownCallers({ ledger, form, rate, clock: options.clock })
    this.#rig = {
      ledger,
      form,
      unknown,
      masking: { engine: options.policy ?? noMasking, parse: options.parseJson ?? JSON.parse, log: options.log },
      registered: options.registered ?? (() => true),
      now: options.now ?? (() => performance.now()),
      observe: options.observe ?? null,
    }
  }

  get failed(): boolean {
    return this.#ledger.failed
  }

  call(call: Call): Entry {
    return new CallEntry(call, this.#rig)
  }

  event(event: LedgerEvent): Promise<void> {
    return this.#ledger.append(this.#rig.form.event(event, 'known'))
  }

  malformed(listener: string, reason: string): void {
    const event = { kind: 'request.malformed', by: 'unknown', detail: { listener, reason: reason.slice(0, 256) } }
    void this.#rig.unknown.record(listener, 'listen.malformed', () => this.#rig.form.event(event, 'unknown'))
  }

  position(): Head {
    return this.#ledger.position()
  }

  publicKey(): string {
    return this.#parts.verifierKey
  }

  sign(bytes: Uint8Array): Uint8Array {
    return sign(null, bytes, this.#parts.options.key)
  }

  subscribe(listener: (seq: number) => void): () => void {
    return this.#ledger.subscribe(listener)
  }

  tail(options: RecorderTail): AsyncGenerator<TailLine, void> {
    return tail(this.#parts.options.dir, { ...options, fromSeq: options.fromSeq ?? this.position().seq + 1, watch: this.#ledger })
  }

  checkpoint(): Promise<void> {
    return this.#ledger.checkpoint()
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.#rig.unknown.close()
    await this.#ledger.close()
    this.#parts.unlock()
    await Promise.all(this.#parts.feeds.map((feed) => feed.close(sinkGraceMs)))
  }
}
