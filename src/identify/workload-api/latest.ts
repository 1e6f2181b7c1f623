import { aborted, closed } from './connection.ts'
import { WorkloadApiFault } from './fault.ts'
import type { Watch, WatchEvent, WatchListener } from './watch.ts'

/** How a source stands: the kind of its last news, and what the endpoint said. */
export interface SourceState {
  /** `current`: the last that was heard was an update. */
  readonly kind: 'current' | 'redacted' | 'unavailable' | 'ended' | 'closed'
  /** Empty while current. */
  readonly why: string
  /** Epoch ms of the last update; null when everything was redacted. */
  readonly updated: number | null
}

export interface LatestParts<Value> {
  readonly start: (listener: WatchListener<Value>) => Watch
  /** Epoch ms. */
  readonly clock: () => number
  /** True when an update says nothing new. */
  readonly same: (value: Value, before: Value) => boolean
  /** Told of messages that were discarded; they change nothing. */
  readonly discarded: (why: string) => void
}

/** Ms, a day and a bit: a timer only so that there is one. */
const longTimer = 100_000_000

/** The last state that a watch told, kept for as long as it may be used, and whoever wants to know when it changes. */
export class Latest<Value> {
  readonly #parts: LatestParts<Value>
  readonly #watch: Watch
  readonly #listeners = new Set<() => void>()
  /** Settles the wait for the first update. */
  #gate: ((fault: WorkloadApiFault | null) => void) | null = null
  // written by #adopt, #fail and #shut alone
  #value: Value | null = null
  #state: SourceState = { kind: 'unavailable', why: 'the Workload API has not answered yet', updated: null }

  constructor(parts: LatestParts<Value>) {
    this.#parts = parts
    this.#watch = parts.start((event) => this.#hear(event))
  }

  /** Resolves with the first update; rejects when there will be none. While it is waited for, it keeps the process alive. */
  async ready(signal: AbortSignal | undefined): Promise<void> {
    const alive = setInterval(() => undefined, longTimer)
    const onAbort = (): void => this.#gate?.(aborted())
    try {
      await new Promise<void>((resolve, reject) => {
        this.#gate = (fault) => (fault === null ? resolve() : reject(fault))
        signal?.addEventListener('abort', onAbort)
        if (signal?.aborted === true) onAbort()
      })
    } catch (error) {
      this.close()
      throw error
    } finally {
      this.#gate = null
      clearInterval(alive)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Throws a `WorkloadApiFault` that says why there is nothing. */
  get(): Value {
    if (this.#value !== null) return this.#value
    if (this.#state.kind === 'closed') throw closed()
    throw new WorkloadApiFault(this.#state.kind === 'redacted' ? 'permission-denied' : 'unavailable', this.#state.why)
  }

  /** Null when there is nothing. */
  peek(): Value | null {
    return this.#value
  }

  state(): SourceState {
    return this.#state
  }

  /** Gives the function that ends it. */
  onChange(listener: () => void): () => void {
    // the same function may be handed in twice
    const own = (): void => listener()
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  close(): void {
    this.#watch.close()
    this.#listeners.clear()
    this.#shut()
  }

  #shut(): void {
    this.#value = null
    this.#state = { kind: 'closed', why: closed().message, updated: null }
    this.#gate?.(closed())
  }

  #hear(event: WatchEvent<Value>): void {
    if (event.kind === 'discarded') this.#parts.discarded(event.why)
    else if (event.kind === 'update') this.#adopt(event.value)
    else this.#fail(event)
  }

  #adopt(value: Value): void {
    const before = this.#value
    const news = before === null || this.#state.kind !== 'current' || !this.#parts.same(value, before)
    this.#value = value
    this.#state = { kind: 'current', why: '', updated: this.#parts.clock() }
    this.#gate?.(null)
    if (news) this.#told()
  }

  /** Only a redaction takes away what is there; it can still expire. */
  #fail(event: Exclude<WatchEvent<Value>, { readonly kind: 'update' | 'discarded' }>): void {
    if (event.kind === 'ended' && event.fault.code === 'closed') {
      this.#shut()
      this.#told()
      return
    }
    if (event.kind === 'redacted') this.#value = null
    this.#state = { kind: event.kind, why: event.why, updated: event.kind === 'redacted' ? null : this.#state.updated }
    if (event.kind === 'ended') this.#gate?.(event.fault)
    this.#told()
  }

  #told(): void {
    for (const listener of this.#listeners) listener()
  }
}
