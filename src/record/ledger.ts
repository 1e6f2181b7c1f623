/** The ledger: an append-only chain of lines in segments, written in groups, checkpointed and bounded. */

import { Refusal } from '../refusal.ts'
import type { Part } from './chain.ts'
import { LineGroup } from './chain.ts'
import { ChainFile } from './chain-file.ts'
import { HandOver, syncLedger } from './hand-over.ts'
import { causeOf, closedRefusal, resumption, turnedAway, type LedgerOptions, type Trouble, type Waiting } from './ledger-options.ts'
import type { LedgerTree } from './ledger-tree.ts'
import { OpenCalls } from './open-calls.ts'
import { Quota } from './quota.ts'
import { patientIo } from './patient-io.ts'
import type { Head, Recovered } from './recover.ts'
import type { Partials } from './tile-store.ts'

type Listener = (seq: number, segmentEnded: boolean) => void

export class Ledger {
  readonly #options: LedgerOptions
  readonly #file: ChainFile
  readonly #quota: Quota
  readonly #open: OpenCalls
  readonly #listeners = new Set<Listener>()
  readonly #checkpoints: NodeJS.Timeout
  /** A segment has ended since the listeners were told. */
  #rotated = false
  #retry: NodeJS.Timeout | null = null
  /** What one flush writes; filled anew by each. */
  readonly #group = new LineGroup()
  #queue: Waiting[] = []
  #busy = false
  #closing = false
  #closed = false
  readonly #tree: LedgerTree
  readonly #keys: HandOver
  /** The newest checkpoint, until the group that it went in front of is acknowledged. */
  #stated: { readonly seq: number; readonly partials: Partials; readonly note: string; readonly handsOver: boolean } | null = null
  /** Lines were written since the last checkpoint. */
  #changed = false
  /** Looks since the last checkpoint. */
  #quiet = 0
  /** Set while the ledger cannot be written: since when, and how many lines were turned away. */
  #trouble: Trouble | null = null

  /** Goes on where `recovered` ended, cutting off what was torn; throws when the folder cannot be written. */
  constructor(options: LedgerOptions, recovered: Recovered, tree: LedgerTree) {
    const { dir, durability, quota, segmentBytes, clock, checkpointMs = 10_000, heartbeatMs = 60_000, syncMs } = options
    this.#options = options
    this.#tree = tree
    const io = patientIo(options.io, syncMs)
    this.#keys = new HandOver(options.signers, () => syncLedger(dir, io), options.log)
    this.#quota = new Quota(dir, quota, recovered.used - recovered.dropped, clock)
    this.#open = new OpenCalls(recovered.open)
    this.#file = new ChainFile({ dir, io, synced: durability === 'synced', segmentBytes, clock }, recovered)
    this.#checkpoints = setInterval(() => this.#look(heartbeatMs / checkpointMs), checkpointMs).unref()
  }

  /** A checkpoint is due when lines were written since the last, or after so many looks without one: one that does not come is a sign. */
  #look(most: number): void {
    this.#quiet += 1
    if (this.failed || (!this.#changed && this.#quiet < most)) return
    this.#enqueue({ part: null, checkpoint: true, sticky: false, resolve: null, reject: null, seq: 0 })
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

  /** Number of the first line that is needed still: of the oldest open call, or where the first tile begins that is not on the disk whole. */
  needed(): number {
    return Math.min(this.#open.oldest ?? this.#file.acknowledged.seq, this.#tree.needed)
  }

  /** Segments were removed: what was turned away for want of room may fit now. */
  madeRoom(): void {
    this.#quota.refresh(this.#open.size)
  }

  /** Would a line of an unknown caller be written now? */
  roomForUnknown(bytes: number): boolean {
    return this.#trouble === null && this.#quota.admits('unknown', bytes, this.#open.size)
  }

  /** Calls `listener` with the number of the last acknowledged line after each group, and whether a segment ended; gives what ends that. */
  subscribe(listener: Listener): () => void {
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

  /** Resolves when the tiles of every checkpoint by now are on the disk, or could not be written: they are tried again. */
  tilesSettled(): Promise<void> {
    return this.#tree.settled()
  }

  /** Writes what is queued, a last checkpoint and its tiles; lines that come later are refused. Never rejects. */
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
    await this.#tree.close()
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
        this.#rotated = true
        this.#count()
      }
      // a segment describes itself: it begins with a checkpoint
      if (this.#file.atBeginning || batch.some(({ checkpoint }) => checkpoint)) this.#writeCheckpoint()
      accepted = this.#writeLines(this.#trouble === null ? batch : [resumption(this.#trouble, this.#options.form), ...batch])
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
        this.#tree.wrote(hash)
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
    if (this.#file.acknowledged === this.#file.written) this.#count()
  }

  /** Goes in front of a group, so that it covers acknowledged lines only: what it signs is never cut off again. */
  #writeCheckpoint(): void {
    const { seq, hash: prev } = this.#file.written
    const { durability, form } = this.#options
    const { signer, next } = this.#keys
    const { root, edge } = this.#tree
    const partials = this.#tree.partials()
    this.#group.clear()
    const { text, note } = form.checkpoint({ seq: seq + 1, prev, durability, root, edge, ...this.#open.statement(seq + 1) }, signer, next)
    const { hash } = this.#group.put(text)
    this.#tree.wrote(hash)
    this.#stated = { seq: seq + 1, partials, note, handsOver: next !== null }
    this.#append({ seq: seq + 1, hash })
    this.#changed = false
    this.#quiet = 0
  }

  /** What was written is acknowledged: it is in the tree, and the checkpoint among it is the newest. */
  #count(): void {
    const { seq } = this.#file.acknowledged
    this.#tree.acknowledged(seq)
    const stated = this.#stated
    if (stated === null || stated.seq > seq) return
    this.#stated = null
    this.#tree.lay(stated.partials, stated.note)
    this.#keys.acknowledged(stated.handsOver)
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
    this.#count()
    const rotated = this.#rotated
    this.#rotated = false
    for (const listener of this.#listeners) listener(seq, rotated)
  }

  /** Nobody is told that a line of this group exists; the outcomes in it are kept. */
  #fail(batch: readonly Waiting[], error: unknown): void {
    this.#quota.spend(-this.#file.takeBack())
    this.#count()
    this.#tree.takenBack()
    this.#stated = null
    this.#changed = true
    const cause = causeOf(error)
    if (this.#trouble === null) {
      this.#trouble = { since: this.#options.form.stamp(), cause, refused: 0 }
      this.#options.log.error({ cause }, 'the ledger cannot be written: calls are refused')
    }
    this.#queue = [...turnedAway(batch, cause, this.#trouble), ...this.#queue]
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
