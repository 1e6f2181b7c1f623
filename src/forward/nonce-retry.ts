/** An upstream that wants a nonce in the proof refuses the first request (RFC 9449 §9): it is sent once more, with the nonce, before the agent hears of it. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { noteNonce, wantsNonce } from './apply-dpop.ts'
import type { Upstream } from './upstream.ts'

/** Stands between undici and what reads the answer. Every answer may bring the nonce for the next proof. */
export class NonceRetry implements Dispatcher.DispatchHandler {
  readonly #inner: Dispatcher.DispatchHandler
  readonly #upstream: Upstream
  /** Sends the request again; null where its body has gone by. */
  #again: (() => void) | null
  #refused = false

  constructor(inner: Dispatcher.DispatchHandler, upstream: Upstream, again: (() => void) | null) {
    this.#inner = inner
    this.#upstream = upstream
    this.#again = again
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#inner.onRequestStart?.(controller, context)
  }

  onBodySent(chunk: Buffer): void {
    this.#inner.onBodySent?.(chunk)
  }

  onRequestSent(): void {
    this.#inner.onRequestSent?.()
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, fields: IncomingHttpHeaders, phrase?: string): void {
    const nonce = fields['dpop-nonce']
    noteNonce(this.#upstream, nonce)
    if (this.#again !== null && wantsNonce(status, fields['www-authenticate'], nonce)) this.#refused = true
    else this.#inner.onResponseStart?.(controller, status, fields, phrase)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#refused) this.#inner.onResponseData?.(controller, chunk)
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    if (!this.#refused) return this.#inner.onResponseEnd?.(controller, trailers)
    const again = this.#again
    this.#refused = false
    this.#again = null
    again?.()
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.#inner.onResponseError?.(controller, error)
  }
}
