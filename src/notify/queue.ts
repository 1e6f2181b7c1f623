/** Delivers notices to one notifier, in order, at its own pace: no call waits for it. */

/** Whoever takes notices. */
export interface Taker<Notice> {
  /** Resolves when it was taken; rejects, with no secret in the text, when it must be tried again. Obeys the signal. */
  deliver(notice: Notice, signal: AbortSignal): Promise<void>
}

export type Delivery = 'delivered' | 'failed' | 'dropped'

export interface QueueOptions {
  readonly name: string
  readonly log: { warn(fields: object, message: string): void }
  /** Told of every notice that has come to its end here. */
  readonly count: (notifier: string, delivery: Delivery) => void
  /** Resolves after so many ms; rejects when the signal aborts. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<unknown>
}

const mostWaiting = 1000
/** About two minutes of them. */
const mostAttempts = 32
const firstWait = 1000
/** A notifier that is back is used again within this. */
const longestWait = 4000

/** The ledger has every notice, so what cannot be delivered is counted and logged, and not kept for ever. */
export class Queue<Notice extends { readonly id: string }> {
  readonly #options: QueueOptions
  readonly #stop = new AbortController()
  #notifier: Taker<Notice>
  /** Written by `push` and `#run`. */
  readonly #waiting: Notice[] = []
  #running: Promise<void> | null = null

  constructor(notifier: Taker<Notice>, options: QueueOptions) {
    this.#notifier = notifier
    this.#options = options
  }

  /** Delivers by another notifier from the next attempt on. */
  use(notifier: Taker<Notice>): void {
    this.#notifier = notifier
  }

  push(event: Notice): void {
    const { name, log, count } = this.#options
    if (this.#stop.signal.aborted || this.#waiting.length >= mostWaiting) {
      count(name, 'dropped')
      log.warn({ notifier: name, notice: event.id }, 'a notice was not handed on: too many wait; the ledger has it')
      return
    }
    this.#waiting.push(event)
    this.#running ??= this.#run().finally(() => (this.#running = null))
  }

  /** Resolves when nothing waits any more. */
  settled(): Promise<void> {
    return this.#running ?? Promise.resolve()
  }

  /** Delivers no more; what waits counts as dropped. */
  stop(): void {
    this.#stop.abort()
  }

  async #run(): Promise<void> {
    const { name, log, count } = this.#options
    for (let event = this.#waiting[0]; event !== undefined; event = this.#waiting[0]) {
      const delivery = await this.#deliver(event)
      this.#waiting.shift()
      count(name, delivery)
      if (delivery !== 'delivered') log.warn({ notifier: name, notice: event.id }, 'a notice was not handed on; the ledger has it')
    }
  }

  async #deliver(event: Notice): Promise<Delivery> {
    const { name, log, wait } = this.#options
    const { signal } = this.#stop
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      try {
        if (attempt > 0) await wait(Math.min(longestWait, firstWait * 2 ** (attempt - 1)), signal)
        if (signal.aborted) return 'dropped'
        await this.#notifier.deliver(event, signal)
        return 'delivered'
      } catch (error) {
        if (signal.aborted) return 'dropped'
        // the text of a failed request may name hosts and no more: addresses are configured, secrets are not in it
        const cause = error instanceof Error ? error.message : 'unknown'
        if (attempt === 0) log.warn({ notifier: name, notice: event.id, cause }, 'a notifier did not take a notice; it is tried again')
      }
    }
    return 'failed'
  }
}
