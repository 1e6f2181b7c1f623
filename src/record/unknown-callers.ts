/**
 * The rule for entries without a proven caller who is an agent: written singly up to a rate per listener, then counted and summed once a
 * second. Nobody without an identity can fill the ledger, nor can workloads that others vouch for and nobody registered.
 */

import type { Code } from '../refusal.ts'
import type { Part } from './chain.ts'
import type { Ledger } from './ledger.ts'
import type { OpaForm } from './opa.ts'

export interface UnknownRate {
  /** Lines a second, per listener. */
  readonly perSecond: number
  /** Lines at once, per listener. */
  readonly burst: number
}

export interface UnknownCallersOptions {
  readonly ledger: Ledger
  readonly form: OpaForm
  readonly rate: UnknownRate
  /** Epoch ms. */
  readonly clock: () => number
  readonly sumMs?: number
}

/** Room asked for before a line is made: about what one takes. */
const lineBytes = 2048

export class UnknownCallers {
  readonly #options: UnknownCallersOptions
  /** Listener → tokens left and when that was. Listeners are configured, so this stays small. */
  readonly #buckets = new Map<string, { tokens: number; at: number }>()
  /** Listener → code → refusals not written singly. */
  #counts = new Map<string, Map<Code, number>>()
  #since: string | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(options: UnknownCallersOptions) {
    this.#options = options
  }

  /** Writes one line, or counts it; resolves when that is done. Never rejects. */
  async record(listener: string, code: Code, make: () => Part): Promise<void> {
    if (!this.#take(listener) || !this.#options.ledger.roomForUnknown(lineBytes)) {
      this.#count(listener, code)
      return
    }
    try {
      await this.#options.ledger.append(make())
    } catch {
      this.#count(listener, code)
    }
  }

  /** Writes the sums that are still open, if there is room. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#sum()
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #take(listener: string): boolean {
    const { rate, clock } = this.#options
    const now = clock()
    let bucket = this.#buckets.get(listener)
    if (bucket === undefined) this.#buckets.set(listener, (bucket = { tokens: rate.burst, at: now }))
    bucket.tokens = Math.min(rate.burst, bucket.tokens + (Math.max(0, now - bucket.at) * rate.perSecond) / 1000)
    bucket.at = now
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }

  #count(listener: string, code: Code): void {
    let codes = this.#counts.get(listener)
    if (codes === undefined) this.#counts.set(listener, (codes = new Map()))
    codes.set(code, (codes.get(code) ?? 0) + 1)
    this.#since ??= this.#options.form.stamp()
    this.#arm()
  }

  #arm(): void {
    if (this.#timer !== null) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      void this.#sum()
    }, this.#options.sumMs ?? 1000)
    this.#timer.unref()
  }

  async #sum(): Promise<void> {
    const counts = this.#counts
    const since = this.#since
    if (since === null) return
    if (!this.#options.ledger.roomForUnknown(lineBytes)) {
      this.#arm()
      return
    }
    this.#counts = new Map()
    this.#since = null
    const refusals = Object.fromEntries([...counts].map(([listener, codes]) => [listener, Object.fromEntries(codes)]))
    const event = { kind: 'refusals.summed', by: 'countersign', detail: { since, refusals } }
    try {
      await this.#options.ledger.append(this.#options.form.event(event, 'unknown'))
    } catch {
      this.#putBack(counts, since)
    }
  }

  /** What could not be written is counted on. */
  #putBack(counts: Map<string, Map<Code, number>>, since: string): void {
    for (const [listener, codes] of counts) {
      for (const [code, count] of codes) {
        const now = this.#counts.get(listener) ?? new Map<Code, number>()
        now.set(code, (now.get(code) ?? 0) + count)
        this.#counts.set(listener, now)
      }
    }
    this.#since = since
    this.#arm()
  }
}
