import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An upstream whose answers the test writes itself, beginning when the head of the request is there. */
export class LiveUpstream implements AsyncDisposable {
  readonly #server: ReturnType<typeof createServer>

  private constructor(answer: (request: IncomingMessage, response: ServerResponse) => void) {
    this.#server = createServer(answer)
  }

  static async start(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<LiveUpstream> {
    const upstream = new LiveUpstream(answer)
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
