import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request for a completion as it arrived. */
export interface ModelRequest {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Readonly<Record<string, unknown>>
}

/** One server-sent event of a stream. */
interface Event {
  readonly name: string | null
  readonly data: unknown
}

/** How a vendor words its answers. */
interface Vendor {
  whole(model: string, text: string): unknown
  stream(model: string, words: readonly string[]): readonly Event[]
  error(type: string, message: string): unknown
}

/** An answer that stands in for a completion. */
interface Trouble {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly type: string
  readonly message: string
}

const words = ['The ', 'refund ', 'was ', 'paid.']
export const completion = words.join('')

/**
 * A server on loopback that answers as the chat APIs of two model vendors do: `/v1/chat/completions` and `/v1/messages`, whole or as
 * server-sent events. The model `slow` holds its stream after the first event until `release`, or until its client leaves.
 */
export class ModelApi implements AsyncDisposable {
  readonly seen: ModelRequest[] = []
  /** Resolves when a client leaves a stream before its end. */
  readonly abandoned: Promise<void>
  readonly #abandon = Promise.withResolvers<void>()
  readonly #released = Promise.withResolvers<void>()
  readonly #troubles: Trouble[] = []
  readonly #server = createServer((request, response) => void this.#answer(request, response))

  private constructor() {
    this.abandoned = this.#abandon.promise
  }

  static async start(): Promise<ModelApi> {
    const api = new ModelApi()
    await new Promise<void>((resolve) => api.#server.listen(0, '127.0.0.1', resolve))
    return api
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Lets held streams go on. */
  release(): void {
    this.#released.resolve()
  }

  /** Answers the next request with this instead. */
  trouble(status: number, type: string, message: string, headers: Readonly<Record<string, string>> = {}): void {
    this.#troubles.push({ status, type, message, headers })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? ''
    const body = await readJson(request)
    this.seen.push({ path, headers: request.headers, body })
    const vendor = path.startsWith('/v1/messages') ? anthropic : openai
    const trouble = this.#troubles.shift()
    const model = String(body['model'])
    if (trouble !== undefined) send(response, trouble.status, vendor.error(trouble.type, trouble.message), trouble.headers)
    else if (body['stream'] === true) await this.#stream(response, model, vendor.stream(model, words))
    else send(response, 200, vendor.whole(model, completion))
  }

  async #stream(response: ServerResponse, model: string, events: readonly Event[]): Promise<void> {
    response.on('close', () => {
      if (!response.writableFinished) this.#abandon.resolve()
    })
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    for (const [at, { name, data }] of events.entries()) {
      response.write(`${name === null ? '' : `event: ${name}\n`}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`)
      // the first word is out by then, in the words of either vendor
      if (model === 'slow' && at === 2) await Promise.race([this.#released.promise, this.abandoned])
    }
    response.end()
  }
}

const openai: Vendor = {
  whole: (model, text) => ({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_790_000_000,
    model,
    choices: [{ index: 0, message: { role: 'assistant', content: text, refusal: null }, logprobs: null, finish_reason: 'stop' }],
    usage: { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9 },
  }),
  stream: (model, parts) => {
    const chunk = (delta: object, reason: string | null): Event => ({
      name: null,
      data: {
        id: 'chatcmpl-1',
        object: 'chat.completion.chunk',
        created: 1_790_000_000,
        model,
        choices: [{ index: 0, delta, finish_reason: reason }],
      },
    })
    const said = parts.map((content) => chunk({ content }, null))
    return [chunk({ role: 'assistant', content: '' }, null), ...said, chunk({}, 'stop'), { name: null, data: '[DONE]' }]
  },
  error: (type, message) => ({ error: { message, type, param: null, code: type } }),
}

const anthropic: Vendor = {
  whole: (model, text) => ({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model,
    content: [{ type: 'text', text }],
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: { input_tokens: 5, output_tokens: 4 },
  }),
  stream: (model, parts) => {
    const event = (name: string, data: object): Event => ({ name, data: { type: name, ...data } })
    const message = { id: 'msg_1', type: 'message', role: 'assistant', model, content: [], stop_reason: null, stop_sequence: null }
    return [
      event('message_start', { message: { ...message, usage: { input_tokens: 5, output_tokens: 0 } } }),
      event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
      ...parts.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
      event('content_block_stop', { index: 0 }),
      event('message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 4 } }),
      event('message_stop', {}),
    ]
  },
  error: (type, message) => ({ type: 'error', error: { type, message } }),
}

async function readJson(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(Buffer.from(part))
  const parsed: unknown = JSON.parse(Buffer.concat(parts).toString('utf8') || '{}')
  return parsed !== null && typeof parsed === 'object' ? (parsed as Readonly<Record<string, unknown>>) : {}
}

function send(response: ServerResponse, status: number, document: unknown, headers: Readonly<Record<string, string>> = {}): void {
  const text = JSON.stringify(document)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers }).end(text)
}
