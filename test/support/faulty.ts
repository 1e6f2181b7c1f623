import net, { type AddressInfo, type Socket } from 'node:net'
import tls from 'node:tls'
import { wholeRequest } from './sockets.ts'

/**
 * How a dependency can fail: nobody listens, nothing is answered, the connection is reset, 500, bytes that are no HTTP, an answer that ends
 * too early, an answer that stops in the middle and stays open, an answer of the right form and the wrong content.
 */
export type Fault =
  | 'refuse'
  | 'hang'
  | 'reset'
  | 'error'
  | 'garbage'
  | 'truncated'
  | 'stall'
  | { readonly body: string; readonly head?: string }

/** A TCP server on one port of loopback that answers as it should, or fails as it is told. Keeps every byte it got. */
export class Faulty implements AsyncDisposable {
  readonly port: number
  #fault: Fault | null
  #good: string
  #server: net.Server
  readonly #certificate: { readonly cert: string; readonly key: string } | null
  readonly #sockets = new Set<Socket>()
  /** Whole requests, head and body. */
  readonly requests: string[] = []
  /** Every byte that came, whole requests or not. */
  bytes = ''

  private constructor(port: number, server: net.Server, good: string, fault: Fault | null, certificate: Faulty['certificate']) {
    this.port = port
    this.#server = server
    this.#good = good
    this.#fault = fault
    this.#certificate = certificate
    server.on('connection', (socket) => this.#watch(socket))
  }

  /** `good`: the body of its right answer, JSON. With a certificate it speaks TLS. */
  static async start(good: string, fault: Fault | null = null, certificate: Faulty['certificate'] = null): Promise<Faulty> {
    const server = serverWith(certificate)
    const port = await listen(server, 0)
    const faulty = new Faulty(port, server, good, null, certificate)
    await faulty.be(fault)
    return faulty
  }

  get certificate(): { readonly cert: string; readonly key: string } | null {
    return this.#certificate
  }

  get url(): string {
    return `${this.#certificate === null ? 'http' : 'https'}://127.0.0.1:${this.port}`
  }

  /** Fails like this from now on, on new connections; null heals it. */
  async be(fault: Fault | null): Promise<void> {
    const [before, now] = [this.#fault === 'refuse', fault === 'refuse']
    this.#fault = fault
    for (const socket of this.#sockets) socket.destroy()
    if (now && !before) await new Promise((resolve) => this.#server.close(resolve))
    if (before && !now) {
      this.#server = serverWith(this.#certificate)
      this.#server.on('connection', (socket) => this.#watch(socket))
      await listen(this.#server, this.port)
    }
  }

  answers(good: string): void {
    this.#good = good
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve))
  }

  #watch(socket: Socket): void {
    this.#sockets.add(socket)
    let text = ''
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.toString('latin1')
      text += chunk.toString('latin1')
      if (!wholeRequest(text)) return
      this.requests.push(text)
      text = ''
      this.#answer(socket)
    })
  }

  #answer(socket: Socket): void {
    const fault = this.#fault
    switch (fault) {
      case 'refuse':
      case 'hang':
        return
      case 'reset':
        return void socket.resetAndDestroy()
      case 'error':
        return void socket.write(answer('{"error":"server_error"}', 'HTTP/1.1 500 Internal Server Error'))
      case 'garbage':
        return void socket.end(Buffer.from('8f00ff1bd3a7c4e2\0\x01\x02 not http at all\r\n\r\n', 'latin1'))
      case 'truncated':
        return void socket.end(this.#part())
      case 'stall':
        return void socket.write(this.#part())
      case null:
        return void socket.write(answer(this.#good))
      default:
        socket.write(answer(fault.body, fault.head))
    }
  }

  /** A right head and half of the body. */
  #part(): string {
    const whole = answer(this.#good)
    return whole.slice(0, whole.length - Math.ceil(this.#good.length / 2))
  }
}

function answer(body: string, head = 'HTTP/1.1 200 OK'): string {
  return `${head}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

function serverWith(certificate: Faulty['certificate']): net.Server {
  return certificate === null ? net.createServer() : tls.createServer({ ...certificate })
}

async function listen(server: net.Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return (server.address() as AddressInfo).port
}
