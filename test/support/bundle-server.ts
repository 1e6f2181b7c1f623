/** A static file server of one bundle, which can be told to misbehave; and bundles that differ in one word. */

import { createHash } from 'node:crypto'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createSecureServer, type ServerOptions } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { signed, type Signer } from './bundle-signer.ts'
import { defaultPolicyBytes, filesOf, packBundle, patched } from './policy-rig.ts'

export const bundleType = 'application/vnd.openpolicyagent.bundles'

export interface Asked {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** SPIFFE IDs and names of the certificate that was shown. */
  readonly shown: string
}

/** Serves what it is given under every path, with an ETag, as any static file server does. */
export class BundleServer implements AsyncDisposable {
  readonly asked: Asked[] = []
  readonly port: number
  readonly scheme: 'http' | 'https'
  /** When set it answers in place of the file. */
  instead: ((request: IncomingMessage, response: ServerResponse) => void) | null = null
  /** Content-Type of the bundle. */
  type = 'application/gzip'
  #bytes: Uint8Array = Buffer.alloc(0)
  #etag = ''
  readonly #held = new Set<() => void>()
  readonly #waiting: { readonly count: number; readonly done: () => void }[] = []
  readonly #sockets: Set<Socket>
  #server: Server
  readonly #make: () => Server

  private constructor(server: Server, make: (listener: RequestListener) => Server, secure: boolean) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    this.scheme = secure ? 'https' : 'http'
    this.#sockets = new Set()
    this.#make = () => make((request, response) => this.take(request, response))
  }

  static async start(bytes: Uint8Array, secure: ServerOptions | null = null): Promise<BundleServer> {
    let self: BundleServer | null = null
    const make = (listener: RequestListener): Server => (secure === null ? createServer(listener) : createSecureServer(secure, listener))
    const server = make((request, response) => self?.take(request, response))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    self = new BundleServer(server, make, secure !== null)
    self.#watch()
    self.put(bytes)
    return self
  }

  get url(): string {
    return `${this.scheme}://127.0.0.1:${this.port}/bundles/countersign.tar.gz`
  }

  get etag(): string {
    return this.#etag
  }

  /** Replaces the file; whoever waits for something new gets it. */
  put(bytes: Uint8Array): void {
    this.#bytes = bytes
    this.#etag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}"`
    for (const release of this.#held) release()
    this.#held.clear()
  }

  /** Resolves when so many requests have come in all. */
  async requests(count: number): Promise<void> {
    if (this.asked.length >= count) return
    await new Promise<void>((done) => this.#waiting.push({ count, done }))
  }

  /** Nobody listens on the port any more. */
  async away(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((done) => this.#server.close(done))
  }

  async back(): Promise<void> {
    this.#server = this.#make()
    this.#watch()
    await new Promise<void>((resolve) => this.#server.listen(this.port, '127.0.0.1', resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.away()
  }

  #watch(): void {
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  private take(request: IncomingMessage, response: ServerResponse): void {
    const { url = '', headers, socket } = request
    const certificate = socket instanceof TLSSocket ? socket.getPeerCertificate() : null
    this.asked.push({ url, headers, shown: certificate?.subjectaltname ?? '' })
    for (const { count, done } of this.#waiting) if (this.asked.length >= count) done()
    if (this.instead !== null) return this.instead(request, response)
    const same = (): boolean => headers['if-none-match'] === this.#etag
    const wait = /wait=(\d+)/.exec(String(headers['prefer'] ?? ''))
    if (same() && wait !== null && this.type === bundleType) this.#held.add(() => this.#answer(response, same()))
    else this.#answer(response, same())
  }

  #answer(response: ServerResponse, same: boolean): void {
    if (same) return void response.writeHead(304, { etag: this.#etag }).end()
    response.writeHead(200, { 'content-type': this.type, etag: this.#etag, 'content-length': this.#bytes.length }).end(this.#bytes)
  }
}

/** The sentence of the rule that a call breaks whose tool is not of its task. */
const sentence = 'the task did not declare this tool'

/** What the agent is told by the default policy of this number when a tool is not of its task. */
export function wordOf(number: number): string {
  return `bundle ${number}`.padEnd(sentence.length, '.')
}

export interface Edition {
  /** Revision, serial and word. */
  readonly number: number
  /** Null: nobody signs it. */
  readonly signer: Signer | null
  /** Of the signature, epoch seconds; absent: none is stated. */
  readonly issued?: number
  readonly scope?: string
}

export type Files = Record<string, Uint8Array | string>

/** The default policy with another revision, and with a word of its own in what it says. */
export function editionFiles({ number, signer, issued, scope }: Edition): Files {
  const files = filesOf(defaultPolicyBytes)
  const manifest = JSON.parse(Buffer.from(files['.manifest'] ?? '').toString())
  const changed: Files = {
    ...files,
    '.manifest': JSON.stringify({
      ...manifest,
      revision: `r${number}`,
      metadata: { countersign: { ...manifest.metadata?.countersign, serial: number } },
    }),
    'policy.wasm': patched(Buffer.from(files['policy.wasm'] ?? ''), sentence, wordOf(number)),
  }
  if (signer === null) return changed
  return signed(changed, {
    signer,
    claims: { ...(issued === undefined ? {} : { iat: issued }), ...(scope === undefined ? {} : { scope }) },
  })
}

export function edition(of: Edition): Uint8Array {
  return packBundle(editionFiles(of))
}
