import { randomBytes } from 'node:crypto'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import net, { type AddressInfo, type Socket } from 'node:net'
import { createSecureContext, TLSSocket, type SecureContext } from 'node:tls'
import type { TestCertificate } from './certificate.ts'

/**
 * What can befall the way to a dependency. refused: nobody listens. black hole: connections come up and nothing more is heard; when it heals, what
 * was sent arrives after all, as TCP would have it. 5xx: whatever is asked is answered with 503. slow: what is asked arrives, and the answer takes
 * 30 s. garbage: the answer is no protocol. truncated: the answer ends before its end. TLS wrong: who answers cannot prove the name. flapping: every
 * other connection is cut at once.
 */
export const lineFaults = ['refused', 'black hole', '5xx', 'slow', 'garbage', 'truncated', 'TLS wrong', 'flapping'] as const
export type LineFault = (typeof lineFaults)[number]

/** Port of loopback, or path of a Unix socket. */
export type Place = number | string

export interface LineOptions {
  /** Where a line that is well leads. */
  readonly to: Place
  /** Path of the Unix socket that it is reached at; default: a free port of loopback. */
  readonly at?: string
  /** What a 5xx is said in. */
  readonly speaks?: 'http' | 'h2'
  /** What it shows; without it there is no TLS, on this side or the other. */
  readonly tls?: { readonly right: TestCertificate; readonly wrong: TestCertificate }
}

const slowFor = 30_000
/** So much of the first piece of an answer is lost. */
const lost = 16

/** A TCP proxy in front of one dependency that is well, or does to each connection what its fault says. */
export class FaultLine implements AsyncDisposable {
  readonly #options: LineOptions
  readonly #contexts: { readonly right: SecureContext; readonly wrong: SecureContext } | null
  readonly #broken: { emit(event: 'connection', socket: net.Socket): boolean }
  readonly #sockets = new Set<Socket>()
  /** What healing does to connections that are held. */
  readonly #held = new Set<() => void>()
  #server = net.createServer()
  #fault: LineFault | null = null
  #place: Place = 0
  /** Connections so far. */
  connections = 0

  private constructor(options: LineOptions) {
    this.#options = options
    const { tls, speaks } = options
    this.#contexts = tls === undefined ? null : { right: createSecureContext(tls.right), wrong: createSecureContext(tls.wrong) }
    this.#broken =
      speaks === 'h2'
        ? createHttp2Server((_, response) => response.writeHead(503).end())
        : createHttpServer((asked, answer) => void asked.resume().on('end', () => answer.writeHead(503).end('{"error":"server_error"}')))
  }

  static async start(options: LineOptions): Promise<FaultLine> {
    const line = new FaultLine(options)
    await line.#listen(options.at ?? 0)
    return line
  }

  get place(): Place {
    return this.#place
  }

  /** Null: it is well. */
  get fault(): LineFault | null {
    return this.#fault
  }

  get url(): string {
    return this.#contexts === null ? `http://127.0.0.1:${this.#place}` : `https://localhost:${this.#place}`
  }

  /** Fails like this from now on; connections that are open end. */
  async be(fault: LineFault): Promise<void> {
    this.#fault = fault
    this.#cut()
    if (fault === 'refused') await new Promise((resolve) => this.#server.close(resolve))
  }

  /** What is held back goes on its way, connections to what answered 503 end, what comes now meets no fault. */
  async heal(): Promise<void> {
    const refused = this.#fault === 'refused'
    this.#fault = null
    for (const release of this.#held) release()
    this.#held.clear()
    if (refused) await this.#listen(this.#place)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cut()
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve))
  }

  async #listen(place: Place): Promise<void> {
    this.#server = net.createServer((socket) => this.#take(socket))
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      if (typeof place === 'string') this.#server.listen(place, resolve)
      else this.#server.listen(place, '127.0.0.1', resolve)
    })
    this.#place = typeof place === 'string' ? place : (this.#server.address() as AddressInfo).port
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#held.clear()
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
    return socket
  }

  #take(raw: Socket): void {
    this.connections += 1
    this.#keep(raw)
    const fault = this.#fault
    if (fault === 'flapping' && this.connections % 2 === 1) return void raw.destroy()
    if (fault === 'black hole') return void this.#held.add(() => this.#speak(raw, null))
    this.#speak(raw, fault)
  }

  #speak(raw: Socket, fault: LineFault | null): void {
    const socket = this.#secured(raw, fault === 'TLS wrong')
    if (fault === '5xx') {
      this.#held.add(() => socket.destroy())
      return void this.#broken.emit('connection', socket)
    }
    if (fault === 'garbage') return void socket.once('data', () => socket.end(randomBytes(256)))
    this.#pass(socket, fault)
  }

  #secured(raw: Socket, wrong: boolean): Socket {
    if (this.#contexts === null) return raw
    const secureContext = wrong ? this.#contexts.wrong : this.#contexts.right
    return this.#keep(new TLSSocket(raw, { isServer: true, secureContext }))
  }

  #pass(socket: Socket, fault: LineFault | null): void {
    const { to } = this.#options
    const target = this.#keep(typeof to === 'string' ? net.connect(to) : net.connect(to, '127.0.0.1'))
    socket.pipe(target)
    socket.on('close', () => target.destroy())
    target.on('close', () => socket.destroySoon())
    if (fault === 'truncated')
      target.once('data', (piece: Buffer) => {
        socket.end(piece.subarray(0, Math.max(0, piece.length - lost)))
        target.destroy()
      })
    else if (fault === 'slow') this.#slowly(target, socket)
    else target.pipe(socket)
  }

  #slowly(target: Socket, socket: Socket): void {
    const release = (): void => {
      clearTimeout(timer)
      this.#held.delete(release)
      target.pipe(socket)
    }
    const timer = setTimeout(release, slowFor).unref()
    this.#held.add(release)
    socket.on('close', () => (clearTimeout(timer), this.#held.delete(release)))
  }
}
