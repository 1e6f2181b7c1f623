import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { Loopback } from './loopback.ts'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** As it came. */
  readonly sent: Buffer
  /** Decompressed. */
  readonly body: Buffer
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** A receiver of log uploads that keeps what it took, and answers as it is told. */
export class LogReceiver implements AsyncDisposable {
  /** Every request. */
  readonly requests: Received[] = []
  /** Those that were answered with 2xx. */
  readonly taken: Received[] = []
  answer: (request: Received, at: number) => Answer | null = () => ({ status: 204 })
  readonly #server = new Loopback((request, response) => void this.#take(request, response))

  async listen(): Promise<this> {
    await this.#server.listen()
    return this
  }

  get url(): string {
    return this.#server.url
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]()
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    try {
      for await (const part of request) parts.push(part as Buffer)
    } catch {
      return // whoever sent it was killed
    }
    const sent = Buffer.concat(parts)
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent
    const received = { path: request.url ?? '', headers: request.headers, sent, body }
    this.requests.push(received)
    const answer = this.answer(received, this.requests.length)
    // null: it never answers
    if (answer === null) return
    if (answer.status < 300) this.taken.push(received)
    response.writeHead(answer.status, answer.headers).end(answer.body)
  }
}
