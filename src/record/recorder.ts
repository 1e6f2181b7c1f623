/** Opens the record: recovers the ledger, then hands out entries, takes events and feeds the sinks. */

import { sign } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Call } from '../listen/call.ts'
import type { Engine } from '../decide/engine.ts'
import type { Part } from './chain.ts'
import type { EntryRig } from './entry.ts'
import { CallEntry } from './entry.ts'
import type { Gap, SinkStatus } from './feed.ts'
import { Feeds } from './feeds.ts'
import { signersOf } from './hand-over.ts'
import { Ledger } from './ledger.ts'
import { lockFolder } from './lock.ts'
import { maskDetail } from './mask.ts'
import { OpaForm } from './opa.ts'
import type { Entry, LedgerEvent, Recorder } from './record.ts'
import type { Head, Recovered } from './recover.ts'
import type { RecorderOptions } from './recorder-options.ts'
import { recover } from './recover.ts'
import { Retention } from './retention.ts'
import type { NamedSink } from './sink.ts'
import type { TailLine } from './tail.ts'
import { tail } from './tail.ts'
import { diskTiles } from './tile-files.ts'
import { tileOf } from './tile-path.ts'
import { lastCheckpointOf, treeOf } from './tree-begin.ts'
import { UnknownCallers } from './unknown-callers.ts'

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
  /** A file of the folder that holds no line, such as `checkpoint`, `ledger.pub` or a tile; null when it is not there. */
  publicFile(path: string): Buffer | null
  /** Ed25519 signature by the ledger's key; for what is derived from its lines. */
  sign(bytes: Uint8Array): Uint8Array
  /** Calls with the number of the last acknowledged line after each group of lines; gives what ends that. */
  subscribe(listener: (seq: number) => void): () => void
  /** Stored lines, acknowledged ones only. */
  tail(options: RecorderTail): AsyncGenerator<TailLine, void>
  /** How each sink is doing. */
  sinks(): readonly SinkStatus[]
  /** Feeds these sinks from now on: one that is the same object goes on, one of a known name goes on at its offset. */
  changeSinks(sinks: readonly NamedSink[]): Promise<void>
  /** Signs a checkpoint now; resolves when the tiles that belong to it are on the disk too, or could not be written. */
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
  const before = lastCheckpointOf(recovered)
  const signers = signersOf(options, before)
  const tree = treeOf(
    { dir: options.dir, files: options.tileFiles ?? diskTiles(options.dir), log: options.log, retryMs: options.retryMs ?? 1000 },
    recovered,
    before,
  )
  const ledger = new Ledger({ ...options, form, signers, segmentBytes: options.segmentBytes ?? segmentBytes }, recovered, tree)
  try {
    await begin(ledger, form, recovered, options)
    const feeds = await startFeeds(ledger, form, options)
    const retention = retentionOf(options, ledger, form, feeds)
    return new LedgerRecorder({
      options,
      ledger,
      form,
      feeds,
      retention,
      verifierKey: (signers.next ?? signers.signer).verifierKey,
      unlock,
    })
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

function startFeeds(ledger: Ledger, form: OpaForm, options: RecorderOptions): Promise<Feeds> {
  const { dir, log, clock, sinks = [], sinkOffsets: offsets = null, policy: engine = noMasking, parseJson: parse = JSON.parse } = options
  // what a receiver will never have is said in the ledger too, to whoever reads that
  const gap = (detail: Gap): void => {
    // a receiver that turns everything down would turn this line down as well
    if (detail.reason === 'refused') return
    ledger.append(form.event({ kind: 'sink.gap', by: 'countersign', detail: { ...detail } }, 'own')).catch(() => undefined)
  }
  const { sinkRetry: retry = { first: 500, most: 4000 }, sinkGrace: grace = 2000 } = options
  return Feeds.open(sinks, { dir, watch: ledger, offsets, engine, parse, log, clock, gap, retry, grace })
}

function retentionOf(options: RecorderOptions, ledger: Ledger, form: OpaForm, feeds: Feeds): Retention {
  const { dir, keep = {}, durability, clock, log } = options
  const retention = new Retention({
    dir,
    keep,
    synced: durability === 'synced',
    clock,
    needed: () => Math.min((feeds.taken ?? Infinity) + 1, ledger.needed()),
    settled: () => ledger.tilesSettled(),
    event: (event) => ledger.append(form.event(event, 'own')),
    checkpoint: () => ledger.checkpoint(),
    removed: () => ledger.madeRoom(),
    log,
  })
  ledger.subscribe((_, segmentEnded) => {
    if (segmentEnded) retention.grown()
  })
  return retention
}

interface RecorderParts {
  readonly options: RecorderOptions
  readonly ledger: Ledger
  readonly form: OpaForm
  readonly feeds: Feeds
  readonly retention: Retention
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
      masking: {
        engine: options.policy ?? noMasking,
        parse: options.parseJson ?? JSON.parse,
        log: options.log,
        pseudonym: options.pseudonym,
      },
      registered: options.registered ?? (() => true),
      now: options.now ?? (() => performance.now()),
      observe: options.observe ?? null,
      traced: options.traced ?? null,
    }
  }

  get failed(): boolean {
    return this.#ledger.failed
  }

  call(call: Call): Entry {
    return new CallEntry(call, this.#rig)
  }

  event(event: LedgerEvent): Promise<void> {
    return this.#ledger.append(this.#rig.form.event(maskDetail(event, this.#rig.masking), 'known'))
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

  publicFile(path: string): Buffer | null {
    if (path !== 'checkpoint' && path !== 'ledger.pub' && tileOf(path) === null) return null
    try {
      return readFileSync(join(this.#parts.options.dir, path))
    } catch {
      return null
    }
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

  sinks(): readonly SinkStatus[] {
    return this.#parts.feeds.status()
  }

  changeSinks(sinks: readonly NamedSink[]): Promise<void> {
    return this.#parts.feeds.change(sinks)
  }

  async checkpoint(): Promise<void> {
    await this.#ledger.checkpoint()
    await this.#ledger.tilesSettled()
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.#parts.retention.close()
    await this.#rig.unknown.close()
    await this.#ledger.close()
    this.#parts.unlock()
    await this.#parts.feeds.close()
  }
}
