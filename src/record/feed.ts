/** Feeds one sink at its own pace from its own offset: however slow it is, no call waits for it, and nothing is lost while the ledger stands. */

import { setTimeout as delay } from 'node:timers/promises'
import { Backoff } from './backoff.ts'
import type { Drop } from './drop.ts'
import { Intake } from './intake.ts'
import type { Log } from './ledger-options.ts'
import type { LeftOut, NamedSink, SinkReason, Taken } from './sink.ts'
import { SinkFault } from './sink.ts'
import type { LedgerWatch } from './tail.ts'

/** Where a sink's position outlives the process; null where it does not, and the sink begins at the present. */
export interface SinkOffsets {
  read(sink: string): Promise<number | null>
  write(sink: string, seq: number): Promise<void>
}

/** Why a receiver does not have lines: they were pruned before it took them, or it could not be given them whole. */
export type GapReason = 'pruned' | LeftOut['reason']

export interface Gap {
  readonly sink: string
  readonly first: number
  readonly last: number
  readonly reason: GapReason
}

/** How one sink is doing. Counts begin with the process. */
export interface SinkStatus {
  readonly name: string
  readonly type: string
  /** The last line that it is done with. */
  readonly taken: number
  readonly lagLines: number
  /** Age of the oldest line that it has not taken; 0 when there is none. */
  readonly lagSeconds: number
  readonly lines: number
  readonly failures: ReadonlyMap<SinkReason, number>
  readonly gaps: ReadonlyMap<GapReason, number>
  /** Since when it takes nothing, epoch ms; null: it does. */
  readonly failingSince: number | null
}

export interface FeedOptions extends NamedSink {
  readonly dir: string
  readonly watch: LedgerWatch
  readonly offsets: SinkOffsets | null
  /** Which lines the sink is not given; its offset passes them. */
  readonly drop: Drop
  readonly parse: (text: string) => unknown
  readonly log: Log
  /** Epoch ms. */
  readonly clock: () => number
  /** Told of lines that the sink will never be given, or not whole. Must not throw. */
  readonly gap: (gap: Gap) => void
  /** Ms before the second attempt and the longest wait; doubles in between. */
  readonly retry: { readonly first: number; readonly most: number }
  /** Waits; ends early on abort. Default: real time. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<unknown>
  /** From 0 to 1. */
  readonly random?: () => number
}

/** Between two times that an offset is kept, ms: so much may be given twice after a kill. */
const saveEvery = 1000
/** Between attempts while it is closing. */
const closingRetry = 100

export class SinkFeed {
  readonly #options: FeedOptions
  readonly #stop = new AbortController()
  /** Ends the present wait; there is a new one after each. */
  #woken = new AbortController()
  readonly #intake: Intake
  readonly #backoff: Backoff
  readonly #failures = new Map<SinkReason, number>()
  readonly #gaps = new Map<GapReason, number>()
  #lines = 0
  #done: number
  #saved: number | null
  #saveTimer: NodeJS.Timeout | null = null
  #failingSince: number | null = null
  /** Set on closing: the last line it is to be given. */
  #until = Number.POSITIVE_INFINITY
  #running: Promise<void> = Promise.resolve()

  private constructor(options: FeedOptions, after: number, saved: number | null) {
    const { dir, watch, sink, retry, random = Math.random } = options
    this.#options = options
    this.#done = after
    this.#saved = saved
    this.#backoff = new Backoff({ ...retry, random })
    const { signal } = this.#stop
    const gap = (first: number, last: number): void => this.#missed(first, last, 'pruned')
    this.#intake = new Intake({ dir, watch, after, size: sink.batch, signal, wants: (line) => this.#wants(line), gap })
  }

  /** Begins after the line the sink took last; the first time with the next one to come, or with the oldest there is. */
  static async start(options: FeedOptions): Promise<SinkFeed> {
    const { name, offsets, watch, from, log } = options
    const saved = (await offsets?.read(name)) ?? null
    const { seq } = watch.position()
    const other = saved !== null && saved > seq
    if (other)
      log.error({ sink: name, taken: saved, seq }, 'the ledger is shorter than what a record sink has taken of it: it is given all of it')
    const begin = saved ?? (from === 'start' ? 0 : seq)
    const feed = new SinkFeed(options, other ? 0 : begin, saved)
    // a kill before the first line would else make "now" a later one
    if (saved === null) await feed.#save()
    feed.#running = feed.#run()
    return feed
  }

  status(): SinkStatus {
    const { name, sink, watch, clock } = this.#options
    const oldest = this.#intake.lines[0]
    const since = oldest === undefined ? Number.NaN : timeOf(oldest.line)
    return {
      name,
      type: sink.type,
      taken: this.#done,
      lagLines: Math.max(0, watch.position().seq - this.#done),
      lagSeconds: Number.isNaN(since) ? 0 : Math.max(0, (clock() - since) / 1000),
      lines: this.#lines,
      failures: this.#failures,
      gaps: this.#gaps,
      failingSince: this.#failingSince,
    }
  }

  /** Gives the sink `ms` to take what is there, then leaves it; the offset says where it goes on. Never rejects. */
  async close(ms: number): Promise<void> {
    const { watch, sink, log, name } = this.#options
    this.#until = watch.position().seq
    if (this.#done >= this.#until) this.#stop.abort()
    this.#woken.abort()
    this.#intake.hurry()
    const settled = new AbortController()
    const deadline = delay(ms, undefined, { signal: settled.signal }).then(
      () => this.#stop.abort(),
      () => undefined,
    )
    const ended = this.#running
      .then(() => sink.close())
      .catch((error: unknown) => log.warn({ sink: name, cause: causeOf(error) }, 'a record sink could not be closed'))
    await Promise.race([ended, deadline])
    this.#intake.close()
    settled.abort()
    if (this.#saveTimer !== null) clearTimeout(this.#saveTimer)
    await this.#save()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        await this.#intake.fill()
        if (signal.aborted) return
        if (this.#intake.lines.length > 0) this.#took(await this.#options.sink.write(this.#intake.lines, signal))
        else this.#pass(0)
      } catch (error) {
        if (signal.aborted) return
        await this.#failed(error)
      }
    }
  }

  #took({ lines, leftOut = [] }: Taken): void {
    if (!(lines >= 1 && lines <= this.#intake.lines.length)) throw new Error('the sink says nothing of what it took')
    this.#lines += lines
    this.#pass(lines)
    for (const { seq, reason, count = 1 } of leftOut) this.#missed(seq, seq + count - 1, reason)
    this.#backoff.reset()
    const { log, name, clock } = this.#options
    if (this.#failingSince === null) return
    log.info({ sink: name, seq: this.#done, seconds: Math.round((clock() - this.#failingSince) / 1000) }, 'a record sink takes lines again')
    this.#failingSince = null
  }

  #pass(lines: number): void {
    this.#done = this.#intake.pass(lines)
    if (this.#done >= this.#until) this.#stop.abort()
    this.#saveTimer ??= setTimeout(() => {
      this.#saveTimer = null
      void this.#save()
    }, saveEvery).unref()
  }

  async #failed(error: unknown): Promise<void> {
    const { log, name, clock, wait = patiently } = this.#options
    const reason = error instanceof SinkFault ? error.reason : 'broken'
    this.#failures.set(reason, (this.#failures.get(reason) ?? 0) + 1)
    if (this.#failingSince === null) {
      this.#failingSince = clock()
      const fields = { sink: name, seq: this.#done + 1, reason, cause: causeOf(error) }
      log.warn(fields, 'a record sink takes no lines: they wait in the ledger')
    }
    const own = this.#backoff.next(error instanceof SinkFault ? error.retryAfter : null)
    const closing = this.#until !== Number.POSITIVE_INFINITY
    if (closing || this.#woken.signal.aborted) this.#woken = new AbortController()
    const until = AbortSignal.any([this.#stop.signal, this.#woken.signal])
    await wait(closing ? Math.min(own, closingRetry) : own, until)
  }

  #missed(first: number, last: number, reason: GapReason): void {
    const { name, gap, log } = this.#options
    this.#gaps.set(reason, (this.#gaps.get(reason) ?? 0) + last - first + 1)
    log.error({ sink: name, first, last, reason }, 'the receiver of a record sink does not have these lines, or not whole')
    gap({ sink: name, first, last, reason })
  }

  #wants(line: string): boolean {
    const { kinds, drop, parse } = this.#options
    if (drop.drops(line)) return false
    return kinds === null || kinds.has(kindOf(line, parse) as 'decision')
  }

  async #save(): Promise<void> {
    const { offsets, name, log } = this.#options
    const done = this.#done
    if (done === this.#saved) return
    try {
      await offsets?.write(name, done)
      this.#saved = done
    } catch (error) {
      log.warn({ sink: name, cause: causeOf(error) }, 'the offset of a record sink could not be kept')
    }
  }
}

function patiently(ms: number, signal: AbortSignal): Promise<unknown> {
  return delay(ms, undefined, { signal }).catch(() => undefined)
}

/** What a fault says of itself is meant for the operator; of other errors only their kind is. */
function causeOf(error: unknown): string {
  if (error instanceof SinkFault) return error.message
  return error instanceof Error ? error.name : 'unknown'
}

/** An agent may have text in a line that looks like our member: only a reader of JSON tells them apart. */
function kindOf(line: string, parse: (text: string) => unknown): unknown {
  const { custom } = parse(line) as { readonly custom?: { readonly countersign?: { readonly kind?: unknown } } }
  return custom?.countersign?.kind
}

/** Epoch ms. A line begins with its id and its time. */
function timeOf(line: string): number {
  return Date.parse(/^\{"decision_id":"[^"\\]*","timestamp":"([^"\\]*)"/.exec(line)?.[1] ?? '')
}
