/** What a record sink is, and how each gets the ledger at its own pace. */

import { setTimeout as delay } from 'node:timers/promises'
import type { z } from 'zod'
import type { Drop } from './drop.ts'
import type { Log } from './ledger-options.ts'
import type { LedgerWatch, TailLine } from './tail.ts'
import { tail } from './tail.ts'

/** A reader of the ledger that hands lines on. It is fed in order, each line at least once; the ledger is its buffer. */
export interface RecordSink {
  readonly type: string
  /** Takes a stored line (without newline). Resolves when it can take the next; rejects when this one must be tried again. */
  write(line: string, seq: number): void | Promise<void>
  /** Hands on what it still holds. */
  close(): Promise<void>
}

/** What sinks are handed from outside. */
export interface SinkServices {
  readonly log: Log
}

/** One kind of sink: its `type` in the configuration, the schema of its settings, and how it is opened. */
export interface SinkKind<Config extends z.ZodType> {
  readonly type: string
  readonly config: Config
  open(config: z.infer<Config>, services: SinkServices): RecordSink
}

/** Declares a kind of sink. List it in `registry.ts`. */
export function defineSink<Config extends z.ZodType>(kind: SinkKind<Config>): SinkKind<Config> {
  return kind
}

/** Where a sink's position outlives the process; null where it does not, and the sink begins at the present. */
export interface SinkOffsets {
  read(sink: string): Promise<number | null>
  write(sink: string, seq: number): Promise<void>
}

export interface FeedOptions {
  readonly dir: string
  /** Tells one sink's offset from another's. */
  readonly name: string
  readonly sink: RecordSink
  readonly watch: LedgerWatch
  readonly offsets: SinkOffsets | null
  /** Which lines the sink is not given; its offset passes them. */
  readonly drop: Drop
  readonly log: Log
  readonly retryMs?: number
}

const saveEvery = 1000

/** One sink at its own offset: however slow it is, no call waits for it. */
export class SinkFeed {
  readonly #options: FeedOptions
  readonly #stop = new AbortController()
  readonly #from: number
  #done: number
  /** Set on closing: the last line it is to be given. */
  #until = Number.POSITIVE_INFINITY
  #running: Promise<void> = Promise.resolve()
  #lines: AsyncGenerator<TailLine, void> | null = null

  private constructor(options: FeedOptions, from: number) {
    this.#options = options
    this.#from = from
    this.#done = from - 1
  }

  /** Begins after the line the sink took last, or with the next one to come. */
  static async start(options: FeedOptions): Promise<SinkFeed> {
    const taken = (await options.offsets?.read(options.name)) ?? options.watch.position().seq
    const feed = new SinkFeed(options, taken + 1)
    feed.#running = feed.#run()
    return feed
  }

  /** Last line the sink took. */
  get done(): number {
    return this.#done
  }

  /** Gives the sink `ms` to take what is there, then leaves it; the offset says where it goes on. */
  async close(ms: number): Promise<void> {
    const { watch, sink } = this.#options
    this.#until = watch.position().seq
    if (this.#done >= this.#until) this.#stop.abort()
    const settled = new AbortController()
    const deadline = delay(ms, undefined, { signal: settled.signal }).then(
      () => this.#stop.abort(),
      () => undefined,
    )
    await Promise.race([this.#running.then(() => sink.close()), deadline])
    // a sink that hangs leaves the reader where it stands: end it from here
    void this.#lines?.return()
    settled.abort()
    await this.#save()
  }

  async #run(): Promise<void> {
    const { dir, sink, watch, drop, log, name } = this.#options
    let failing = false
    while (!this.#stop.signal.aborted) {
      try {
        this.#lines = tail(dir, { fromSeq: this.#done + 1, follow: true, signal: this.#stop.signal, watch })
        for await (const { seq, line } of this.#lines) {
          if (!drop.drops(line)) {
            const taken = sink.write(line, seq)
            if (taken !== undefined) await taken
          }
          this.#done = seq
          failing = false
          if (seq >= this.#until) this.#stop.abort()
          if ((seq - this.#from) % saveEvery === saveEvery - 1) await this.#save()
        }
      } catch (error) {
        if (!failing)
          log.warn(
            { sink: name, seq: this.#done + 1, cause: error instanceof Error ? error.name : 'unknown' },
            'a record sink took no line',
          )
        failing = true
        await delay(this.#options.retryMs ?? 1000, undefined, { signal: this.#stop.signal }).catch(() => undefined)
      }
    }
  }

  async #save(): Promise<void> {
    const { offsets, name, log } = this.#options
    try {
      await offsets?.write(name, this.#done)
    } catch (error) {
      log.warn({ sink: name, cause: error instanceof Error ? error.name : 'unknown' }, 'the offset of a record sink could not be kept')
    }
  }
}
