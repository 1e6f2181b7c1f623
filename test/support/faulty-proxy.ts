import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * What can happen to one question on its way, and to its answer: nobody listens; 500 though nothing was done; 500 though it was done; an answer that is
 * lost after it was done; half of an answer; a question that is delivered late, or an answer (ms); none at all.
 */
export type Mishap = 'reset' | 'error' | 'error-after' | 'lost' | 'half' | 'hang' | { readonly late: number } | { readonly slow: number }

/** One question as the plan sees it. */
export interface Passing {
  readonly method: string
  readonly path: string
}

/** A reverse proxy on loopback between us and an issuer, which does to each question what its plan says. */
export class FaultyProxy implements AsyncDisposable {
  readonly #server: ReturnType<typeof createServer>
  readonly #target: URL
  /** Questions that hang or are late. */
  readonly #timers = new Set<NodeJS.Timeout>()
  /** What becomes of a question; null: it passes. */
  plan: (passing: Passing) => Mishap | null = () => null
  /** Questions so far. */
  passed: Passing[] = []
  /** How often each mishap came to pass. */
  readonly tally = new Map<string, number>()

  private constructor(target: string) {
    this.#target = new URL(target)
    this.#server = createServer((asked, answer) => this.#take(asked, answer))
  }

  static async start(target: string): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #take(asked: IncomingMessage, answer: ServerResponse): void {
    const parts: Buffer[] = []
    answer.on('error', () => undefined)
    asked.on('error', () => undefined)
    asked.on('data', (part: Buffer) => parts.push(part))
    asked.on('end', () => {
      const passing = { method: asked.method ?? '', path: asked.url ?? '' }
      this.passed.push(passing)
      const mishap = this.plan(passing)
      const name = mishap === null ? 'none' : typeof mishap === 'string' ? mishap : Object.keys(mishap).join('')
      this.tally.set(name, (this.tally.get(name) ?? 0) + 1)
      this.#befall(mishap, asked, Buffer.concat(parts), answer)
    })
  }

  #befall(mishap: Mishap | null, asked: IncomingMessage, body: Buffer, answer: ServerResponse): void {
    const reset = (): void => void asked.socket.resetAndDestroy()
    const error = (): void => void answer.writeHead(500, { 'content-type': 'application/json' }).end('{"errors":["internal error"]}')
    if (mishap === 'reset') return reset()
    if (mishap === 'error') return error()
    if (mishap === 'hang') return
    const give = (status: number, headers: Record<string, string>, text: Buffer): void => {
      if (mishap === 'lost') return reset()
      if (mishap === 'error-after') return error()
      if (answer.destroyed) return
      answer.writeHead(status, mishap === 'half' ? { ...headers, 'content-length': text.length } : headers)
      if (mishap !== 'half') return void answer.end(text)
      answer.write(text.subarray(0, Math.floor(text.length / 2)), () => asked.socket.destroy())
    }
    const [late, slow] = typeof mishap === 'string' || mishap === null ? [0, 0] : 'late' in mishap ? [mishap.late, 0] : [0, mishap.slow]
    this.#after(late, () => this.#pass(asked, body, (...got) => this.#after(slow, () => give(...got))))
  }

  #after(ms: number, act: () => void): void {
    if (ms === 0) return act()
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      act()
    }, ms)
    this.#timers.add(timer)
  }

  #pass(asked: IncomingMessage, body: Buffer, done: (status: number, headers: Record<string, string>, text: Buffer) => void): void {
    const { hostname, port } = this.#target
    const { host: _host, connection: _connection, 'transfer-encoding': _coding, ...rest } = asked.headers
    const headers = { ...rest, 'content-length': String(body.length) }
    const sent = request({ host: hostname, port, method: asked.method, path: asked.url, headers, agent: false }, (got) => {
      const parts: Buffer[] = []
      got.on('data', (part: Buffer) => parts.push(part))
      got.on('error', () => asked.socket.destroy())
      got.on('end', () => {
        const type = got.headers['content-type']
        done(got.statusCode ?? 502, type === undefined ? {} : { 'content-type': type }, Buffer.concat(parts))
      })
    })
    sent.on('error', () => asked.socket.destroy())
    sent.end(body)
  }
}
