/** The ledger: an append-only chain of lines in segments, written in groups, checkpointed and bounded. */

import { Refusal } from '../refusal.ts'
import type { Part } from './chain.ts'
import { LineGroup } from './chain.ts'
import { ChainFile } from './chain-file.ts'
import type { NoteSigner } from './checkpoint.ts'
import type { LedgerIo } from './ledger-io.ts'
import { diskIo } from './ledger-io.ts'
import { OpenCalls } from './open-calls.ts'
import type { OpaForm } from './opa.ts'
import { Quota } from './quota.ts'
import type { Head, Recovered } from './recover.ts'

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
  readonly signer: NoteSigner
  readonly form: OpaForm
  /** Epoch ms. */
  readonly clock: () => number
  readonly log: Log
  /** Writes the state that the queued lines rest on; called before each group. Throws when it cannot. */
  readonly flushState: () => void
  readonly io?: LedgerIo
  /** Between checkpoints while lines are written. */
  readonly checkpointMs?: number
  /** Between attempts while the ledger cannot be written. */
  readonly retryMs?: number
}

interface Waiting {
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

export class Ledger {
  readonly #options: LedgerOptions
  readonly #file: ChainFile
  readonly #quota: Quota
  readonly #open: OpenCalls
  readonly #listeners = new Set<(seq: number) => void>()
  readonly #checkpoints: NodeJS.Timeout
  #retry: NodeJS.Timeout | null = null
  /** What one flush writes; filled anew by each. */
  readonly #group = new LineGroup()
  #queue: Waiting[] = []
  #busy = false
  #closing = false
  #closed = false
  /** Lines were written since the last checkpoint. */
  #changed = false
  /** Set while the ledger cannot be written: since when, and how many lines were turned away. */
  #trouble: { readonly since: string; readonly cause: string; refused: number } | null = null

  /** Goes on where `recovered` ended, cutting off what was torn; throws when the folder cannot be written. */
  constructor(options: LedgerOptions, recovered: Recovered) {
    const { dir, durability, quota, segmentBytes, clock } = options
    this.#options = options
    this.#quota = new Quota(dir, quota, recovered.used - recovered.dropped, clock)
    this.#open = new OpenCalls(recovered.open)
    this.#file = new ChainFile({ dir, io: options.io ?? diskIo, synced: durability === 'synced', segmentBytes, clock }, recovered)
    this.#checkpoints = setInterval(() => {
      if (this.#changed && !this.failed) this.#enqueue({ part: null, checkpoint: true, sticky: false, resolve: null, reject: null, seq: 0 })
    }, options.checkpointMs ?? 10_000)
    this.#checkpoints.unref()
  }

  /** True while lines are turned away: a write failed and none has succeeded since, or the quota is used up. */
  get failed(): boolean {
    return this.#trouble !== null || this.#quota.exhausted
  }

  /** The last acknowledged line. */
  position(): Head {
    const { seq, hash } = this.#file.acknowledged
    return { seq, hash }
  }

  /** Would a line of an unknown caller be written now? */
  roomForUnknown(bytes: number): boolean {
    return this.#trouble === null && this.#quota.admits('unknown', bytes, this.#open.size)
  }

  /** Calls `listener` with the number of the last acknowledged line after each group; gives what ends that. */
  subscribe(listener: (seq: number) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when the line is in the ledger; rejects with `record.failed`. A sticky line is tried again after that. */
  append(part: Part, sticky = false): Promise<void> {
    if (this.#closing) return Promise.reject(closedRefusal())
    return this.#wait(part, false, sticky)
  }

  /** Queues a line that is tried until it is written. */
  push(part: Part): void {
    this.#enqueue({ part, checkpoint: false, sticky: true, resolve: null, reject: null, seq: 0 })
  }

  /** Signs a checkpoint over every line acknowledged by now; resolves when it is in the ledger. */
  checkpoint(): Promise<void> {
    if (this.#closing) return Promise.reject(closedRefusal())
    return this.#wait(null, true, false)
  }

  /** Writes what is queued and a last checkpoint; lines that come later are refused. Never rejects. */
  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    clearInterval(this.#checkpoints)
    try {
      await this.#wait(null, false, false)
      await this.#wait(null, true, false)
    } catch (error) {
      this.#options.log.error({ cause: causeOf(error) }, 'the ledger closes without a last checkpoint')
    }
    this.#closed = true
    if (this.#retry !== null) clearTimeout(this.#retry)
    for (const waiting of this.#queue.splice(0)) waiting.reject?.(closedRefusal())
    try {
      this.#file.close()
    } catch (error) {
      this.#options.log.error({ cause: causeOf(error) }, 'the last segment could not be closed')
    }
  }

  #wait(part: Part | null, checkpoint: boolean, sticky: boolean): Promise<void> {
    return new Promise((resolve, reject) => this.#enqueue({ part, checkpoint, sticky, resolve, reject, seq: 0 }))
  }

  #enqueue(waiting: Waiting): void {
    this.#queue.push(waiting)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#busy || this.#closed) return
    this.#busy = true
    setImmediate(() => this.#flush())
  }

  /** One group: state first, then all queued lines in one write, then everyone who waits for them. */
  #flush(): void {
    const batch = this.#queue
    this.#queue = []
    let accepted: readonly Waiting[]
    try {
      this.#file.mend()
      this.#options.flushState()
      if (this.#file.rotationDue) {
        this.#writeCheckpoint()
        this.#file.rotate()
      } else if (batch.some(({ checkpoint }) => checkpoint)) this.#writeCheckpoint()
      accepted = this.#writeLines(this.#trouble === null ? batch : [this.#resumption(this.#trouble), ...batch])
    } catch (error) {
      this.#finish(batch, error)
      return
    }
    this.#file.settle((error) => this.#finish(accepted, error))
  }

  #finish(batch: readonly Waiting[], error: unknown): void {
    if (error === null) this.#settle(batch)
    else this.#fail(batch, error)
    this.#busy = false
    if (this.#queue.some(({ reject, sticky }) => error === null || reject !== null || !sticky)) this.#schedule()
    else if (this.failed) this.#retryLater()
  }

  /** Gives lines their place and writes them at once; those that the quota has no room for are turned away alone. */
  #writeLines(batch: readonly Waiting[]): readonly Waiting[] {
    const accepted: Waiting[] = []
    const group = this.#group
    group.clear()
    let { seq, hash } = this.#file.written
    let open = this.#open.size
    for (const waiting of batch) {
      if (waiting.part !== null) {
        const line = group.add(waiting.part, seq + 1, hash)
        // a decision needs room for its own outcome too
        const owed = waiting.part.kind === 'decision' ? open + 1 : open
        if (!this.#quota.admits(waiting.part.rank, group.size, owed)) {
          group.drop(line)
          waiting.reject?.(new Refusal('record.failed', { detail: 'the quota of the ledger is used up' }))
          continue
        }
        seq += 1
        hash = line.hash
        waiting.seq = seq
        open = owed
      }
      accepted.push(waiting)
    }
    if (group.size > 0) this.#changed = true
    this.#append({ seq, hash })
    return accepted
  }

  #append(head: Head): void {
    const { bytes, size } = this.#group
    if (size === 0) return
    this.#file.append(bytes, head)
    this.#quota.spend(size)
  }

  /** Goes in front of a group, so that it covers acknowledged lines only: what it signs is never cut off again. */
  #writeCheckpoint(): void {
    const { seq, hash } = this.#file.written
    const { durability, form, signer } = this.#options
    this.#group.clear()
    const text = form.checkpoint({ seq: seq + 1, prev: hash, durability, ...this.#open.statement(seq + 1) }, signer)
    this.#append({ seq: seq + 1, hash: this.#group.put(text).hash })
    this.#changed = false
  }

  #settle(batch: readonly Waiting[]): void {
    if (this.#trouble !== null) this.#options.log.info({ refused: this.#trouble.refused }, 'the ledger can be written again')
    this.#trouble = null
    for (const { part, seq, resolve } of batch) {
      if (part?.kind === 'decision') this.#open.began(part.id, seq)
      else if (part?.kind === 'outcome') this.#open.ended(part.id)
      resolve?.()
    }
    const { seq } = this.#file.acknowledged
    for (const listener of this.#listeners) listener(seq)
  }

  /** Nobody is told that a line of this group exists; the outcomes in it are kept. */
  #fail(batch: readonly Waiting[], error: unknown): void {
    this.#quota.spend(-this.#file.takeBack())
    this.#changed = true
    const cause = causeOf(error)
    if (this.#trouble === null) {
      this.#trouble = { since: this.#options.form.stamp(), cause, refused: 0 }
      this.#options.log.error({ cause }, 'the ledger cannot be written: calls are refused')
    }
    const kept: Waiting[] = []
    for (const { part, checkpoint, sticky, reject } of batch) {
      if (sticky) kept.push({ part, checkpoint, sticky, resolve: null, reject: null, seq: 0 })
      else if (reject !== null && part !== null) this.#trouble.refused += 1
      reject?.(new Refusal('record.failed', { detail: cause }))
    }
    this.#queue = [...kept, ...this.#queue]
  }

  /** The first line after a time of trouble says so: nothing is lost silently. */
  #resumption(trouble: { readonly since: string; readonly cause: string; readonly refused: number }): Waiting {
    const part = this.#options.form.event({ kind: 'ledger.resumed', by: 'countersign', detail: { ...trouble } }, 'own')
    return { part, checkpoint: false, sticky: false, resolve: null, reject: null, seq: 0 }
  }

  /** Without traffic too, the ledger finds out by itself that it can be written again. */
  #retryLater(): void {
    if (this.#retry !== null || this.#closed) return
    this.#retry = setTimeout(() => {
      this.#retry = null
      this.#quota.refresh(this.#open.size)
      if (this.#trouble !== null) this.#schedule()
      else if (this.failed) this.#retryLater()
    }, this.#options.retryMs ?? 1000)
    this.#retry.unref()
  }
}

function closedRefusal(): Refusal {
  return new Refusal('record.failed', { detail: 'the ledger is closed' })
}

/** A short word for the operator: the error's code where it has one. */
function causeOf(error: unknown): string {
  if (error instanceof Refusal) return error.detail ?? error.code
  if (error instanceof Error) return 'code' in error && typeof error.code === 'string' ? error.code : error.message
  return 'unknown'
}
