/** Hands spans to an OTLP/HTTP receiver in batches. They are no evidence: what it does not take in time is dropped, and counted. */

import { randomBytes } from 'node:crypto'
import type { TracedCall } from '../record/entry.ts'
import type { Secret } from '../secret.ts'
import { sampler, type Sample } from '../trace-context.ts'
import { rejectedSpans, spansMessage } from './otlp.ts'
import { spansOf, type Span } from './spans.ts'

export interface TracingOptions {
  /** Where spans are posted, whole. */
  readonly url: URL
  /** Share of the calls without a trace of their own that are traced, 0 to 1. */
  readonly ratio: number
  /** Bearer token of the receiver; read anew for each batch. */
  readonly token: (() => Secret) | null
  /** Attributes of this process, such as `service.instance.id`. */
  readonly resource: Readonly<Record<string, string>>
  readonly version: string
  readonly fetch: typeof fetch
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void }
  /** Told of spans that no receiver will have. */
  readonly dropped: (count: number) => void
  /** Longest that a span waits for its batch, ms. */
  readonly every?: number
}

export interface Tracing {
  readonly sample: Sample
  /** Takes a finished call that is traced. Never throws, never waits. */
  take(traced: TracedCall): void
  /** Sends what is there, and gives it `ms`. Never rejects. */
  close(ms: number): Promise<void>
}

/** Most spans that wait; what comes when they are there is dropped. */
const mostWaiting = 16_384
/** Most calls in one batch: some nine spans each. */
const mostCalls = 256
const patience = 10_000

export function startTracing(options: TracingOptions): Tracing {
  const queue = new Queue(options)
  return {
    sample: sampler(options.ratio),
    take: (traced) => queue.take(traced),
    close: (ms) => queue.close(ms),
  }
}

class Queue {
  readonly #options: TracingOptions
  readonly #timer: NodeJS.Timeout
  #waiting: Span[] = []
  #sending: Promise<void> | null = null
  #failing = false

  constructor(options: TracingOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#send(), options.every ?? 5000)
    this.#timer.unref()
  }

  take(traced: TracedCall): void {
    const spans = spansOf(traced, newSpanId)
    if (this.#waiting.length + spans.length > mostWaiting) return this.#options.dropped(spans.length)
    this.#waiting.push(...spans)
    if (this.#waiting.length >= mostCalls * 9) this.#send()
  }

  async close(ms: number): Promise<void> {
    clearInterval(this.#timer)
    const until = AbortSignal.timeout(ms)
    await this.#sending
    if (this.#waiting.length > 0) await this.#post(this.#waiting.splice(0), until)
  }

  #send(): void {
    if (this.#sending !== null || this.#waiting.length === 0) return
    this.#sending = this.#post(this.#waiting.splice(0), AbortSignal.timeout(patience)).finally(() => {
      this.#sending = null
    })
  }

  /** One attempt, and no other: the next batch is the next attempt. */
  async #post(spans: readonly Span[], signal: AbortSignal): Promise<void> {
    const { url, token, resource, version, log, dropped } = this.#options
    try {
      const headers: Record<string, string> = { 'content-type': 'application/x-protobuf' }
      if (token !== null) headers['authorization'] = `Bearer ${token().reveal().trim()}`
      const body = spansMessage(spans, resource, version)
      const answer = await this.#options.fetch(url, { method: 'POST', headers, body, signal, redirect: 'error' })
      const bytes = new Uint8Array(await answer.arrayBuffer())
      if (!answer.ok) throw new Error(`status ${answer.status}`)
      const turnedDown = answer.headers.get('content-type')?.startsWith('application/x-protobuf') === true ? rejectedSpans(bytes) : 0
      if (turnedDown > 0) dropped(turnedDown)
      if (this.#failing) log.info({ url: url.origin }, 'spans are taken again')
      this.#failing = false
    } catch (error) {
      dropped(spans.length)
      if (!this.#failing)
        log.warn({ url: url.origin, cause: error instanceof Error ? error.message : 'unknown' }, 'spans are not taken, and dropped')
      this.#failing = true
    }
  }
}

function newSpanId(): string {
  return randomBytes(8).toString('hex')
}
