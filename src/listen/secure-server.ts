/** TLS beneath a port: certificates that change under live connections, handshakes that count, connections that end in time. */
import type { ServerOptions } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Connections } from './connections.ts'
import { contextRules, presentedBy, serverRules, type Term } from './secure.ts'
import type { KeyedChain, ServerIdentity } from './server-identity.ts'

export interface SecureServerOptions {
  readonly identity: ServerIdentity
  /** Asks clients for a certificate. */
  readonly asks: boolean
  readonly clock: () => number
  /** Time for a handshake, ms. */
  readonly handshakeTime: number
  /** How often it is looked for what nobody tells of: time that passed, ms. */
  readonly every: number
  readonly connections: Connections
  /** No call could be made of what came. */
  readonly malformed: (reason: string) => void
}

/** An https server and the identity it goes by; that is written by `refresh` and `serve` alone. */
export class SecureServer {
  readonly server: Server
  readonly #options: SecureServerOptions
  /** Every TCP connection; what `http.Server` knows of begins after the handshake. */
  readonly #raw = new Set<Socket>()
  readonly #timer: NodeJS.Timeout
  #identity: ServerIdentity
  #unfollow: () => void
  /** What the identity said last, and what of it can be served with. */
  #seen: KeyedChain | null = null
  #current: KeyedChain | null = null

  constructor(strict: ServerOptions, options: SecureServerOptions) {
    this.#options = options
    this.#identity = options.identity
    this.server = createServer({ ...strict, ...serverRules, requestCert: options.asks, handshakeTimeout: options.handshakeTime })
    this.#unfollow = options.identity.onChange(() => this.#refresh())
    this.#adopt(options.identity.current())
    this.#attach()
    this.#timer = setInterval(() => this.#look(), options.every).unref()
  }

  /** True while there is nothing to serve with. */
  get lapsed(): boolean {
    return this.#current === null || this.#options.clock() >= this.#current.expires
  }

  /** Goes on with another identity. */
  serve(identity: ServerIdentity): void {
    if (identity === this.#identity) return
    this.#unfollow()
    this.#identity = identity
    this.#unfollow = identity.onChange(() => this.#refresh())
    this.#refresh()
  }

  /** Destroys every connection, also those in the middle of a handshake. */
  destroy(): void {
    for (const socket of this.#raw) socket.destroy()
  }

  /** Lets go of the identity. */
  release(): void {
    clearInterval(this.#timer)
    this.#unfollow()
  }

  #attach(): void {
    const { connections, malformed } = this.#options
    // node makes the TLS side of a connection in its own listener, so the context must be the right one before it
    this.server.prependListener('connection', () => this.#refresh())
    this.server.on('connection', (socket: Socket) => {
      this.#raw.add(socket)
      socket.on('error', ignore)
      socket.once('close', () => this.#raw.delete(socket))
      const term = this.#term()
      if (term !== null && connections.shaking(socket, term)) return
      malformed(term === null ? 'there is no certificate to serve with' : 'too many connections')
      socket.destroy()
    })
    this.server.prependListener('secureConnection', (socket: TLSSocket) => {
      const term = this.#term()
      const peer = presentedBy(socket)
      if (term !== null && peer !== null && connections.secured(socket, peer, term)) return
      if (term !== null) malformed(peer === null ? 'the client certificates are too large' : 'too many connections')
      socket.destroy()
    })
  }

  /** What a handshake that begins now is served with; null: nothing. */
  #term(): Term | null {
    if (this.#current === null || this.lapsed) return null
    const { expires } = this.#current
    return { expires, worn: expires - (expires - this.#options.clock()) / 10 }
  }

  #look(): void {
    this.#refresh()
    this.#options.connections.retire(this.#options.clock(), this.lapsed)
  }

  #refresh(): void {
    const current = this.#identity.current()
    if (current === this.#seen) return
    this.#adopt(current)
    this.#options.connections.retire(this.#options.clock(), this.lapsed)
  }

  /** A key that is gone leaves the server too. What cannot be served with is none: unknown means no. */
  #adopt(current: KeyedChain | null): void {
    this.#seen = this.#current = current
    try {
      this.server.setSecureContext(current === null ? contextRules : { ...contextRules, key: current.key, cert: current.cert })
    } catch {
      this.#current = null
      this.server.setSecureContext(contextRules)
    }
  }
}

/** What a handshake that failed is reported as; null when the client has only left. */
export function handshakeFault(error: Error): string | null {
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'ECONNRESET' || code === 'EPIPE') return null
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'the TLS handshake took too long'
  return code === 'ERR_SSL_HTTP_REQUEST' ? 'plain HTTP came where TLS is spoken' : 'the TLS handshake failed'
}

function ignore(): void {}
