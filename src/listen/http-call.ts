/** A call over HTTP/1.1. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Refusal, type Code } from '../refusal.ts'
import { ClientGone, type Address, type Call, type Carried, type Listener, type Progress, type RefusalShape, type TlsPeer } from './call.ts'
import type { CallOnConnection, Connection } from './connection.ts'
import type { CallerLoad, Limits } from './limits.ts'
import type { ReadRequest } from './request.ts'
import { sendRefusal } from './refuse.ts'
import type { Sample, Trace } from '../trace-context.ts'

/** What the calls of a listener share. */
export interface Gate {
  /** Shared by all listeners. */
  readonly load: CallerLoad
  /** Set once, when the listener is given up or the process ends. */
  readonly draining: boolean
}

export interface HttpCallParts {
  readonly id: string
  readonly received: number
  readonly listener: Listener
  readonly read: ReadRequest
  readonly limits: Limits
  readonly gate: Gate
  readonly connection: Connection
  /** Null: nothing is traced. */
  readonly sample: Sample | null
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
}

/** After these the connection is over, whatever was read. */
const ending: ReadonlySet<Code> = new Set(['listen.malformed', 'listen.too-large', 'listen.draining'])

export class HttpCall implements Call, CallOnConnection {
  readonly id: string
  readonly received: number
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly peer: string
  readonly tls: TlsPeer | null
  readonly listener: Listener
  readonly address: Address
  readonly carried: Carried | null
  readonly trace: Trace | null
  readonly headers: readonly string[]
  readonly length: number | null
  readonly limit: number
  readonly expectsContinue: boolean
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly signal: AbortSignal
  progress?: Progress
  preference?: string
  readonly #abort = new AbortController()
  readonly #problem: Refusal | null
  readonly #shape: RefusalShape
  readonly #gate: Gate
  readonly #limits: Limits
  readonly #connection: Connection
  readonly #deadline: NodeJS.Timeout | null
  #caller: string | null = null
  #continued = false

  constructor(parts: HttpCallParts) {
    const { read, limits, incoming, outgoing } = parts
    const { tls } = parts.connection
    this.id = parts.id
    this.received = parts.received
    this.method = incoming.method ?? ''
    this.scheme = tls === null ? 'http' : 'https'
    this.host = read.head.host
    this.peer = parts.connection.peer
    this.tls = tls
    this.listener = parts.listener
    this.address = read.address
    this.carried = read.head.carried
    this.headers = read.head.headers
    this.trace = parts.sample === null ? null : parts.sample(this.header('traceparent'))
    this.length = read.head.length
    this.limit = limits.body
    this.expectsContinue = read.head.expectsContinue
    this.incoming = incoming
    this.outgoing = outgoing
    this.signal = this.#abort.signal
    this.#problem = read.problem
    this.#shape = read.shape
    this.#gate = parts.gate
    this.#limits = limits
    this.#connection = parts.connection
    this.#deadline = limits.callTime > 0 ? setTimeout(expire, limits.callTime, this) : null
    outgoing.on('error', ignore) // writing to a client that left is not a bug; `signal` says that it left
    this.#connection.calls.add(this)
  }

  header(name: string): string | undefined {
    let found: string | undefined
    for (let at = 0; at + 1 < this.headers.length; at += 2) {
      if (this.headers[at] !== name) continue
      const value = this.headers[at + 1] ?? ''
      found = found === undefined ? value : `${found}, ${value}`
    }
    return found
  }

  continue(): void {
    if (!this.expectsContinue || this.#continued || this.outgoing.headersSent || this.outgoing.destroyed) return
    this.#continued = true
    this.outgoing.writeContinue()
  }

  admit(): void {
    if (this.#problem !== null) throw this.#problem
    if (this.#gate.draining) throw new Refusal('listen.draining')
  }

  occupy(caller: string): void {
    if (this.#caller !== null) return
    this.#gate.load.take(caller, this.#limits)
    this.#caller = caller
  }

  release(): void {
    if (this.#caller === null) return
    this.#gate.load.leave(this.#caller)
    this.#caller = null
  }

  cut(reason: Refusal): void {
    this.#abort.abort(reason)
  }

  refuse(refusal: Refusal): void {
    const { outgoing } = this
    if (outgoing.writableEnded || this.#connection.socket.destroyed) return
    if (outgoing.headersSent) {
      this.#connection.socket.destroy()
      return
    }
    // bytes that nobody read must never be taken for the next request
    const last = !this.#read() || !outgoing.shouldKeepAlive || ending.has(refusal.code)
    if (last) this.#connection.close()
    sendRefusal(outgoing, refusal, { call: this.id, task: this.address.task, preference: this.preference }, this.#shape, last)
    this.incoming.resume()
  }

  get receiving(): boolean {
    return this.length !== 0 && !this.incoming.complete
  }

  clientGone(): void {
    if (!this.outgoing.writableFinished) this.#abort.abort(new ClientGone())
  }

  last(): void {
    if (!this.outgoing.headersSent) this.outgoing.shouldKeepAlive = false
  }

  /** The request path is done with it: what it left open is closed here. */
  settle(): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline)
    if (!this.outgoing.writableEnded) this.#connection.socket.destroy()
    this.#connection.settled(this, this.outgoing, !this.receiving)
  }

  /** The body, if there is one, was taken to its end by whoever judged or forwarded it. */
  #read(): boolean {
    return this.length === 0 || (this.incoming.complete && this.incoming.readableEnded)
  }
}

function expire(call: HttpCall): void {
  call.cut(new Refusal('forward.timeout', { reasons: ['the call took longer than calls may'] }))
}

function ignore(): void {}
