/** Decodes a coded answer of a credentialed route, in a stream, so that it can be searched: the agent gets it as it is (RFC 9110 §8.4). */
import type { Duplex } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw, createZstdDecompress, constants } from 'node:zlib'
import type { Dispatcher } from 'undici'
import { Refusal } from '../refusal.ts'
import { codingsIn } from './codings.ts'
import { changedFields, readAnswerHead } from './answer.ts'
import type { Exchange } from './exchange.ts'
import type { Finds } from './finds.ts'
import { Flow } from './flow.ts'
import { announcedLength, type Fields } from './respond.ts'

type Controller = Dispatcher.DispatchController

/** More codings, one on the other, serve nobody. */
const mostCodings = 3
/** A decoded body is let grow to this size, and beyond it to so many times what came: gzip of real text stays below 100. */
const freely = 16 * 1024 * 1024
const mostTimes = 200

/** Most memory that a window of zstd or brotli may ask for: 8 MiB, which RFC 8878 names, and 16 MiB, which is what brotli has. */
const windowLog = 23

const options = { chunkSize: 64 * 1024 }

const decoders: Readonly<Record<string, (raw: boolean) => Duplex>> = {
  gzip: () => createGunzip(options),
  'x-gzip': () => createGunzip(options),
  deflate: (raw) => (raw ? createInflateRaw(options) : createInflate(options)),
  br: () => createBrotliDecompress(options),
  zstd: () => createZstdDecompress({ ...options, params: { [constants.ZSTD_d_windowLogMax]: windowLog } }),
}

/** `first`: the first byte of what is to be decoded, null where it is not known yet. */
function decoderOf(coding: string, first: number | null): Duplex {
  // some send deflate without the frame that RFC 9110 §8.4.1.2 wants; the frame begins with an 8
  const raw = first !== null && (first & 0x0f) !== 8
  return (decoders[coding] as (raw: boolean) => Duplex)(raw)
}

/** Whether all of them can be undone here. */
function canDecode(codings: readonly string[]): boolean {
  return codings.length <= mostCodings && codings.every((coding) => Object.hasOwn(decoders, coding))
}

/** What takes an answer: an exchange, or what judges it before. */
type Taker = Pick<
  Exchange,
  'onRequestStart' | 'onBodySent' | 'onRequestSent' | 'onResponseStart' | 'onResponseData' | 'onResponseEnd' | 'onResponseError'
>

/** Stands between undici and what takes the answer. What it cannot decode it hands on as it is, to be refused there. */
export class Decode implements Dispatcher.DispatchHandler {
  readonly #method: string
  readonly #taker: Taker
  readonly #exchange: Exchange
  readonly #finds: Finds
  /** Of the body that comes; empty: it goes by as it is. */
  #codings: readonly string[] = []
  #flow: Flow | null = null
  #trailers: Fields = {}
  #in = 0
  #out = 0
  #over = false

  /** `taker`: what takes the answer before `exchange`, or that itself. */
  constructor(method: string, taker: Taker, exchange: Exchange, finds: Finds) {
    this.#method = method
    this.#taker = taker
    this.#exchange = exchange
    this.#finds = finds
  }

  onRequestStart(controller: Controller): void {
    this.#taker.onRequestStart(controller)
  }

  onBodySent(chunk: Uint8Array): void {
    this.#taker.onBodySent(chunk)
  }

  onRequestSent(): void {
    this.#taker.onRequestSent()
  }

  onResponseStart(controller: Controller, status: number, fields: Fields, phrase = ''): void {
    const codings = status < 200 ? [] : codingsIn(fields['content-encoding'])
    if (codings.length === 0) return this.#taker.onResponseStart(controller, status, fields, phrase)
    const { kind, partial } = readAnswerHead(this.#method, status, fields)
    const bodiless = kind === 'none'
    if (!canDecode(codings) || (partial && !bodiless)) return this.#taker.onResponseStart(controller, status, fields, phrase)
    const length = announcedLength(fields, status)
    const changed = { ...changedFields(fields, length === 0 ? 0 : null), 'content-encoding': undefined }
    if (bodiless) return this.#taker.onResponseStart(controller, status, changed, phrase)
    this.#codings = codings
    this.#finds.coded = true
    this.#flow = new Flow(controller)
    this.#exchange.onOver = () => this.#close()
    this.#taker.onResponseStart(this.#flow, status, changed, phrase)
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    const flow = this.#flow
    if (flow === null) return this.#taker.onResponseData(controller, chunk)
    const first = chunk[0]
    if (first === undefined || this.#over) return
    this.#in += chunk.length
    if (!flow.begun) this.#begin(flow, first)
    flow.write(chunk)
  }

  onResponseEnd(controller: Controller, trailers: Fields): void {
    const flow = this.#flow
    if (flow === null) return this.#taker.onResponseEnd(controller, trailers)
    if (this.#over) return
    this.#trailers = trailers
    // no byte of a coded body is an empty body
    if (flow.begun) flow.end()
    else this.#taker.onResponseEnd(flow, trailers)
  }

  onResponseError(controller: Controller | null, error: Error): void {
    this.#close()
    this.#taker.onResponseError(controller, error)
  }

  #begin(flow: Flow, first: number): void {
    flow.begin(
      this.#codings.toReversed().map((coding, index) => decoderOf(coding, index === 0 ? first : null)),
      (piece) => this.#decoded(flow, piece),
      () => this.#attempt(() => this.#taker.onResponseEnd(flow, this.#trailers)),
      () => this.#refuse('a coded body that cannot be decoded'),
    )
  }

  #decoded(flow: Flow, piece: Buffer): void {
    this.#out += piece.length
    if (this.#out > freely && this.#out > mostTimes * this.#in) this.#refuse('a coded body that grows without end')
    else this.#attempt(() => this.#taker.onResponseData(flow, piece))
  }

  #attempt(step: () => void): void {
    if (this.#over) return
    try {
      step()
    } catch (error) {
      this.#exchange.cut(Refusal.from(error))
    }
  }

  #refuse(detail: string): void {
    if (!this.#over) this.#exchange.cut(new Refusal('forward.response-refused', { detail }))
  }

  #close(): void {
    this.#over = true
    this.#flow?.close()
  }
}
