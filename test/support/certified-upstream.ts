import https from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { mintCertificate, type Minted } from './certificate.ts'

/** One connection that stood, and who proved what on it. */
export interface Certified {
  /** Serial number of the client's certificate. */
  readonly serial: string
  readonly socket: TLSSocket
  readonly closed: Promise<void>
  requests: number
}

/** An upstream that demands a client certificate of its own authority and keeps who called on which connection. */
export class CertifiedUpstream implements AsyncDisposable {
  readonly authority: Minted
  readonly connections: Certified[] = []
  /** Header lists of the requests, in order. */
  readonly seen: (readonly string[])[] = []
  readonly #server: https.Server

  private constructor(authority: Minted) {
    this.authority = authority
    const server = mintCertificate({ names: ['localhost'], issuer: authority })
    const bySocket = new Map<unknown, Certified>()
    this.#server = https.createServer(
      { cert: server.cert, key: server.key, ca: authority.cert, requestCert: true },
      (request, response) => {
        const connection = bySocket.get(request.socket)
        if (connection !== undefined) connection.requests++
        this.seen.push(request.rawHeaders)
        // what some front-ends do: tell the client its own certificate
        const told = (request.socket as TLSSocket).getPeerCertificate().raw.toString('base64')
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ told: request.url === '/tell' ? told : null }))
      },
    )
    this.#server.on('secureConnection', (socket: TLSSocket) => {
      socket.on('error', () => undefined)
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
      const connection = { serial: socket.getPeerCertificate().serialNumber, socket, closed, requests: 0 }
      bySocket.set(socket, connection)
      this.connections.push(connection)
    })
  }

  static async start(): Promise<CertifiedUpstream> {
    const upstream = new CertifiedUpstream(mintCertificate({ names: ['authority'], ca: true }))
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `https://localhost:${this.port}`
  }

  /** A client certificate that this upstream takes. */
  client(): Minted {
    return mintCertificate({ issuer: this.authority })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
