/** One connection of a client: the calls on it, and how it ends. */
import { Bag } from '../bag.ts'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { Refusal } from '../refusal.ts'
import type { TlsPeer } from './call.ts'
import { bareRefusal } from './refuse.ts'
import type { Term } from './secure.ts'

/** A call as its connection sees it. */
export interface CallOnConnection {
  /** The body has not arrived whole. */
  readonly receiving: boolean
  clientGone(): void
  cut(reason: Refusal): void
  /** Its answer is to close the connection. */
  last(): void
}

/** How long a client may go on sending after its last answer; closing at once would reset the answer away. */
const lingerTime = 2000

/**
 * Calls come and go on it in order; it is `closing` from the last answer on, and takes no further request then.
 * `calls` is written by the calls themselves, the rest only here.
 */
export class Connection {
  readonly peer: string
  /** How long it may live; null on a plain port. */
  readonly term: Term | null
  readonly calls = new Bag<CallOnConnection>()
  #socket: Socket
  #tls: TlsPeer | null = null
  #closing = false
  #final = false
  #broken = false

  constructor(socket: Socket, term: Term | null) {
    this.#socket = socket
    this.term = term
    this.peer = socket.remoteAddress ?? 'unix'
    this.#watch(socket)
  }

  /** What calls are read from and answered to. */
  get socket(): Socket {
    return this.#socket
  }

  /** Null on a plain port, and while the handshake is under way. */
  get tls(): TlsPeer | null {
    return this.#tls
  }

  /** No further request is taken. */
  get closing(): boolean {
    return this.#closing || this.#final
  }

  /** The handshake is done: from here on the TLS socket is the connection. */
  secured(socket: TLSSocket, peer: TlsPeer): void {
    this.#tls = peer
    if (socket === this.#socket) return
    this.#socket = socket
    this.#watch(socket)
  }

  /** The call that arrived last is the last one: its answer says so, and what comes after it is no request. */
  finish(call: CallOnConnection): void {
    this.#final = true
    call.last()
  }

  /** Ends a connection of a TLS port in order: now when nothing is under way, else after the answers under way. */
  retire(): void {
    if (this.#closing) return
    for (const call of this.calls.list()) call.last()
    if (this.#tls === null) this.socket.destroy()
    else if (this.calls.size === 0) this.linger()
  }

  /**
   * Takes an error of the parser (or its deadline). Calls whose body is still coming are cut, so that their upstream sees an
   * unfinished request; whole ones may finish; then the connection closes. Gives the reason when no call will record it.
   */
  broke(error: Error): string | null {
    const refusal = refusalOf(error)
    if (refusal === null || (ended(error) && this.calls.size > 0 && !this.#closing)) this.socket.destroy()
    // while it closes, nothing is read as a request any more, well-formed or not
    if (refusal === null || this.#broken || this.#closing || this.socket.destroyed) return null
    this.#broken = true
    const receiving = this.calls.list().filter((call) => call.receiving)
    for (const call of this.calls.list()) call.last()
    for (const call of receiving) call.cut(refusal)
    if (this.calls.size > 0) return receiving.length > 0 ? null : (refusal.reasons[0] ?? null)
    this.answerBare(refusal)
    return refusal.reasons[0] ?? null
  }

  /** Answers what no call could be made of, and closes. */
  answerBare(refusal: Refusal): void {
    if (this.socket.writable) this.socket.write(bareRefusal(refusal))
    this.linger()
  }

  /** The request path is done with a call; `whole` when its request has arrived to the end. */
  settled(call: CallOnConnection, outgoing: ServerResponse, whole: boolean): void {
    this.calls.delete(call)
    if (whole && !(this.#broken && this.calls.size === 0)) return
    if (outgoing.writableFinished) this.linger()
    else outgoing.once('finish', () => this.linger())
  }

  /** From the next answer on nothing more is read as a request, and the connection closes gently. */
  close(): void {
    this.#closing = true
    // node:http ends with this after an answer that says `Connection: close`
    this.socket.destroySoon = () => this.linger()
  }

  /** Ends our side, reads on for a while so that the answer is not reset away, then destroys. */
  linger(): void {
    this.#closing = true
    if (this.socket.destroyed) return
    this.socket.end()
    const timer = setTimeout(() => this.socket.destroy(), lingerTime)
    this.socket.once('close', () => clearTimeout(timer))
  }

  #watch(socket: Socket): void {
    socket.on('error', ignore) // a socket error without a listener ends the process; 'close' follows and is what counts
    socket.on('close', () => this.#gone())
  }

  #gone(): void {
    this.#closing = true
    for (const call of this.calls.list()) call.clientGone()
  }
}

/** The client closed its side in the middle of a request. */
function ended(error: Error): boolean {
  return 'code' in error && error.code === 'HPE_INVALID_EOF_STATE'
}

/** Null when it says no more than that the client has left. */
function refusalOf(error: Error): Refusal | null {
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'HPE_HEADER_OVERFLOW') return new Refusal('listen.too-large', { reasons: ['the request head is too long'], cause: error })
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return malformed('the request did not arrive in time', error)
  if (ended(error)) return malformed('the request ended before its end', error)
  if (code.startsWith('HPE_')) return malformed('the request is not well-formed HTTP/1.1', error)
  return null
}

function malformed(reason: string, cause: Error): Refusal {
  return new Refusal('listen.malformed', { reasons: [reason], cause })
}

function ignore(): void {}
