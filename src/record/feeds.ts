/** The sinks of one ledger, each at its own offset. */

import type { Gap, SinkOffsets, SinkStatus } from './feed.ts'
import { SinkFeed } from './feed.ts'
import { Drop } from './drop.ts'
import type { Engine } from '../decide/engine.ts'
import type { Log } from './ledger-options.ts'
import type { NamedSink } from './sink.ts'
import type { LedgerWatch } from './tail.ts'

export interface FeedsOptions {
  readonly dir: string
  readonly watch: LedgerWatch
  readonly offsets: SinkOffsets | null
  /** The policy in force, which drops lines; null when there is none. */
  readonly engine: () => Engine | null
  readonly parse: (text: string) => unknown
  readonly log: Log
  /** Epoch ms. */
  readonly clock: () => number
  readonly gap: (gap: Gap) => void
  /** Ms that a sink is given to take what is there before it is left. */
  readonly grace: number
  readonly retry: { readonly first: number; readonly most: number }
}

export class Feeds {
  readonly #options: FeedsOptions
  /** By name. Written by `open` and `change`. */
  readonly #feeds = new Map<string, { readonly named: NamedSink; readonly feed: SinkFeed }>()
  #closed = false

  private constructor(options: FeedsOptions) {
    this.#options = options
  }

  static async open(sinks: readonly NamedSink[], options: FeedsOptions): Promise<Feeds> {
    const feeds = new Feeds(options)
    await feeds.change(sinks)
    return feeds
  }

  status(): SinkStatus[] {
    return [...this.#feeds.values()].map(({ feed }) => feed.status())
  }

  /** The last line that every sink is done with; null when there is no sink. */
  get taken(): number | null {
    const taken = this.status().map((status) => status.taken)
    return taken.length === 0 ? null : Math.min(...taken)
  }

  /** Feeds these from now on. One that is the same object goes on; one of a known name goes on at its offset; the others end. */
  async change(sinks: readonly NamedSink[]): Promise<void> {
    const wanted = new Map(sinks.map((named) => [named.name, named]))
    const gone = [...this.#feeds].filter(([name, { named }]) => wanted.get(name) !== named)
    // its offset is kept before another goes on from there
    await Promise.all(gone.map(([, { feed }]) => feed.close(this.#options.grace)))
    for (const [name] of gone) this.#feeds.delete(name)
    const { engine, parse, ...rest } = this.#options
    for (const [name, named] of wanted) {
      if (this.#feeds.has(name) || this.#closed) continue
      const feed = await SinkFeed.start({ ...rest, ...named, parse, drop: new Drop({ engine, parse }) })
      this.#feeds.set(name, { named, feed })
      // it was closed in between
      if (this.#isClosed()) await feed.close(this.#options.grace)
    }
  }

  #isClosed(): boolean {
    return this.#closed
  }

  /** Gives each a moment to take what is there. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#feeds.values()].map(({ feed }) => feed.close(this.#options.grace)))
  }
}
