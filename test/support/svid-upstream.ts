import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { DevelopmentIssuer } from '../../src/demo/issuer.ts'
import { keyedChain } from './svid-client.ts'

/** An upstream that shows an X.509-SVID and keeps who called it: for routes with `tls: svid`. */
export class SvidUpstream implements AsyncDisposable {
  readonly id: string
  /** SPIFFE ID of the client's certificate, call by call. */
  readonly callers: string[] = []
  /** Serial numbers of the certificates that clients showed. */
  readonly serials = new Set<string>()
  readonly #issuer: DevelopmentIssuer
  readonly #server: Server

  private constructor(issuer: DevelopmentIssuer, id: string) {
    this.id = id
    this.#issuer = issuer
    this.#server = createServer({ ...this.#svid(), requestCert: true, rejectUnauthorized: false }, (request, response) => {
      const { subjectaltname = '', serialNumber } = (request.socket as TLSSocket).getPeerCertificate()
      this.callers.push(/URI:([^,]*)/.exec(subjectaltname)?.[1] ?? '')
      this.serials.add(serialNumber)
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}')
    })
  }

  static async start(issuer: DevelopmentIssuer, id = 'spiffe://acme.example/crm'): Promise<SvidUpstream> {
    const upstream = new SvidUpstream(issuer, id)
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Shows a fresh SVID from the next handshake on. */
  rotate(): void {
    this.#server.setSecureContext(this.#svid())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #svid(): { readonly cert: string; readonly key: string } {
    return keyedChain(this.#issuer.issue({ id: this.id, seconds: 300 }))
  }
}
