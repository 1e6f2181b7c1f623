/** A loopback server that a stand-in for an issuer is built on: one handler, and what goes wrong in its place. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { Loopback } from './loopback.ts'

export interface IssuerRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface IssuerReply {
  readonly status: number
  readonly json?: unknown
  readonly text?: string
}

/** What an issuer does in place of an answer: says nothing, cuts the answer in half after it has done what was asked, or breaks. */
export type Misbehaviour = 'silent' | 'half' | 'broken'

export class IssuerServer extends Loopback {
  readonly seen: IssuerRequest[] = []
  /** What the next requests meet; when empty the handler answers as it would. */
  readonly next: (Misbehaviour | null)[] = []
  /** What was asked is done, and the answer goes when this resolves; null: at once. */
  hold: (request: IssuerRequest) => Promise<void> | null = () => null
  readonly #handle: (request: IssuerRequest) => IssuerReply | Promise<IssuerReply>

  constructor(handle: (request: IssuerRequest) => IssuerReply | Promise<IssuerReply>) {
    super((incoming, response) => this.#take(incoming, response))
    this.#handle = handle
  }

  #take(incoming: IncomingMessage, response: ServerResponse): void {
    const parts: Buffer[] = []
    incoming.on('data', (part: Buffer) => parts.push(part))
    incoming.on('error', () => {})
    incoming.on('end', () => {
      const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://issuer')
      const { method = '', headers } = incoming
      const request = { method, path: pathname, query: searchParams, headers, body: Buffer.concat(parts).toString('utf8') }
      this.seen.push(request)
      const fault = this.next.shift() ?? null
      if (fault === 'silent') return
      if (fault === 'broken') {
        response.writeHead(500).end('out of order')
        return
      }
      void Promise.resolve(this.#handle(request)).then(async ({ status, json, text }) => {
        await this.hold(request)
        if (response.destroyed) return
        const body = text ?? (json === undefined ? '' : JSON.stringify(json))
        response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
        if (fault === 'half') response.write(body.slice(0, body.length / 2), () => response.destroy())
        else response.end(body)
      })
    })
  }
}
