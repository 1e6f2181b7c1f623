/** The connections to one upstream: each carries one call at a time, idle ones are used again, and there is no cap to fill. */
import type { EventEmitter } from 'node:events'
import { Client, type buildConnector } from 'undici'
import type { Dialled, Reached } from './dial.ts'

/** One connection; between `take` and `give` it belongs to one call alone. */
export interface Line {
  readonly client: Client
  /** The far end of the socket in use; null until one stands. */
  reached: Reached | null
}

export interface LinesOptions {
  readonly origin: string
  readonly dial: (dialled: Dialled) => buildConnector.connector
  /** Most bytes of a response head. */
  readonly headBytes: number
}

/**
 * Not undici's Pool: a call that owns its connection can be cut while that connection is still being made,
 * and knows the address it talks to.
 */
export class Lines {
  readonly #options: LinesOptions
  /** Last in, first out: the warm ones stay warm and the others run into their keep-alive limit. */
  readonly #idle: Line[] = []
  readonly #all = new Set<Line>()
  #retired = false

  constructor(options: LinesOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#all.size
  }

  take(): Line {
    for (let line = this.#idle.pop(); line !== undefined; line = this.#idle.pop()) {
      if (isUsable(line)) return line
      this.drop(line)
    }
    return this.#open()
  }

  /** Hands a line back after a whole answer; undici closes it if the answer said so. */
  give(line: Line): void {
    if (this.#retired || !isUsable(line)) this.drop(line)
    else if (this.#all.has(line)) this.#idle.push(line)
  }

  /** Ends a line with whatever is under way on it. Idempotent. */
  drop(line: Line): void {
    this.#forget(line)
    void line.client.destroy(dropped)
  }

  /** Ends idle lines now and each other one when its call is done. */
  retire(): void {
    this.#retired = true
    for (const line of this.#idle.splice(0)) this.drop(line)
  }

  /** Ends idle lines that may not be used any more. */
  review(): void {
    for (const line of this.#idle.filter((each) => !isUsable(each))) this.drop(line)
  }

  async close(): Promise<void> {
    const lines = [...this.#all]
    this.#all.clear()
    this.#idle.length = 0
    await Promise.all(lines.map((line) => line.client.destroy()))
  }

  #open(): Line {
    const { origin, dial, headBytes } = this.#options
    const client = new Client(origin, {
      connect: dial((reached) => {
        line.reached = reached
      }),
      allowH2: false,
      pipelining: 1,
      maxHeaderSize: headBytes,
      // Time is kept by the sweep, which knows an event stream from a stalled answer.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
    const line: Line = { client, reached: null }
    client.on('disconnect', () => this.#disconnected(line))
    // An error that no request owns ends the line; the call, if there is one, was told by its handler.
    ;(client as EventEmitter).on('error', () => this.drop(line))
    this.#all.add(line)
    return line
  }

  /** A closed socket ends an idle line; a line in use dials again by itself, nothing having been sent. */
  #disconnected(line: Line): void {
    if (this.#idle.includes(line)) this.drop(line)
  }

  #forget(line: Line): void {
    this.#all.delete(line)
    const index = this.#idle.indexOf(line)
    if (index !== -1) this.#idle.splice(index, 1)
  }
}

/** One for all: when hundreds of lines end in one tick, an error and its stack for each cost more than ending them. */
const dropped = new Error('the line was dropped')

function isUsable({ reached }: Line): boolean {
  return reached === null || reached.usable === null || reached.usable()
}
