import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Log } from '../foundation.ts'
import type { KeyedChain, ServerIdentity } from '../listen/server-identity.ts'
import { answerReview, ReviewFault } from './review.ts'
import type { InjectSettings } from './settings.ts'

/** The webhook's server: HTTPS alone, `POST /inject` and `POST /require`, and two paths for probes. */

export interface WebhookOptions {
  readonly host: string
  readonly port: number
  /** Served with what it gives, from the moment that it changes. */
  readonly identity: Pick<ServerIdentity, 'current' | 'onChange'>
  /** Looked up for each review. */
  readonly settings: () => InjectSettings
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
  /** Epoch ms. */
  readonly clock: () => number
}

export interface Webhook {
  readonly port: number
  /** Takes nothing more, lets what is being answered end. */
  close(): Promise<void>
}

/** Reviews hold the pod as it was and as it is to be; etcd takes 1.5 MiB. */
const mostBytes = 4 * 1024 * 1024
const rules = { minVersion: 'TLSv1.2' } as const

/** Resolves when it listens; rejects when the port cannot be had. */
export async function openWebhook(options: WebhookOptions): Promise<Webhook> {
  const served = new Served(options)
  const { server } = served
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(options.port, options.host, resolve)
  })
  const { port } = server.address() as AddressInfo
  return { port, close: () => served.close() }
}

/** Owns the server, and the certificate that it is served with. */
class Served {
  readonly server: Server
  readonly #options: WebhookOptions
  readonly #forget: () => void
  readonly #look: NodeJS.Timeout
  #current: KeyedChain | null = null
  #closing = false

  constructor(options: WebhookOptions) {
    this.#options = options
    const limits = { headersTimeout: 5_000, requestTimeout: 10_000, maxHeaderSize: 32 * 1024 }
    this.server = createServer({ ...rules, ...limits }, (request, response) => void this.#handle(request, response))
    this.#refresh()
    this.#forget = options.identity.onChange(() => this.#refresh())
    // a file that was replaced tells nobody
    this.#look = setInterval(() => this.#refresh(), 1_000)
    this.#look.unref()
  }

  async close(): Promise<void> {
    this.#closing = true
    this.#forget()
    clearInterval(this.#look)
    await new Promise((resolve) => {
      this.server.close(resolve)
      this.server.closeIdleConnections()
    })
  }

  #refresh(): void {
    const current = this.#options.identity.current()
    if (current === this.#current) return
    this.#current = current
    this.server.setSecureContext(current === null ? rules : { ...rules, key: current.key, cert: current.cert })
  }

  /** Why reviews cannot be answered; null: they can. */
  #unready(): string | null {
    if (this.#closing) return 'shutting down'
    if (this.#current === null) return 'no certificate yet'
    return this.#current.expires > this.#options.clock() ? null : 'the certificate has expired'
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#answer(request, response)
    } catch (error) {
      // anything but 200 is a refusal to the API server, as long as the failure policy is Fail
      this.#options.log.error({ err: error }, 'a review could not be answered')
      if (response.headersSent) response.destroy()
      else send(response, 500, 'text/plain', 'the review could not be answered: see the log of the webhook\n')
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request
    const [path = ''] = url.split('?')
    if (path === '/livez' || path === '/readyz') {
      const unready = path === '/livez' ? null : this.#unready()
      return send(response, unready === null ? 200 : 503, 'text/plain', `${unready ?? 'ok'}\n`)
    }
    if (path !== '/inject' && path !== '/require') return send(response, 404, 'text/plain', 'reviews go to /inject or /require\n')
    if (method !== 'POST') return send(response, 405, 'text/plain', 'reviews are posted\n')
    if (!/^application\/json\b/i.test(request.headers['content-type'] ?? ''))
      return send(response, 415, 'text/plain', 'reviews are application/json\n')
    const body = await read(request)
    if (body === null) return send(response, 413, 'text/plain', `a review has at most ${mostBytes} bytes\n`)
    this.#review(body, path === '/require', response)
  }

  #review(body: string, required: boolean, response: ServerResponse): void {
    const { settings, log } = this.#options
    let given: unknown
    try {
      given = JSON.parse(body)
    } catch {
      return send(response, 400, 'text/plain', 'the review is not JSON\n')
    }
    try {
      const { outcome, reasons, answer } = answerReview(given, settings(), { required })
      const fields = { outcome, ...placeOf(given) }
      if (outcome === 'refused') log.warn({ ...fields, reasons }, 'a pod was refused')
      else log.info(fields, 'a pod was reviewed')
      send(response, 200, 'application/json', JSON.stringify(answer))
    } catch (error) {
      if (!(error instanceof ReviewFault)) throw error
      send(response, 400, 'text/plain', `${error.message}\n`)
    }
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body)
}

/** Null when it is too long. */
async function read(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > mostBytes) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Whom a review was about, for the log. */
function placeOf(given: unknown): object {
  const { request } = given as { readonly request: { readonly [member: string]: unknown } }
  const { metadata } = (request['object'] ?? {}) as { readonly metadata?: { readonly name?: unknown; readonly generateName?: unknown } }
  return {
    namespace: request['namespace'],
    pod: metadata?.name ?? metadata?.generateName,
    uid: request['uid'],
    dry: request['dryRun'] === true,
  }
}
