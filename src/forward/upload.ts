/** A request body that streams from the agent: what undici reads instead of the message itself, which it would take apart. */
import { createHash, hash, type Hash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { Refusal } from '../refusal.ts'
import type { Call } from '../listen/call.ts'

/** The agent's body ended before it was whole. */
export class UploadBroken extends Error {
  constructor() {
    super('the request body did not end well')
    this.name = 'UploadBroken'
  }
}

/** Changes a body as it passes, without changing its length. What it throws breaks the upload before it is whole. */
export interface Through {
  /** Takes the next bytes; gives those that can go. */
  pass(bytes: Buffer): readonly Buffer[]
  /** The body was whole: gives the rest. */
  end(): readonly Buffer[]
}

/**
 * Passes chunks through without queueing any; undici pauses and resumes it, and so the agent's socket.
 * It ends only when the body was whole: anything else is an `error`, on which undici destroys the upstream's socket
 * before the request is complete there.
 */
export class Upload extends EventEmitter {
  readonly #call: Call
  /** The first chunk, until a second one makes a running digest worth its price: most bodies are one chunk. */
  #first: Buffer | null = null
  #hash: Hash | null = null
  #started = false
  #bytes = 0
  readonly #meter: ((bytes: number) => Refusal | null) | null
  #through: Through | null = null
  #stalled = false
  /** True when the whole body was read. */
  done = false
  destroyed = false
  /** Why it broke; null while it did not. */
  fault: Error | null = null

  /** `meter`: told of every chunk before it goes on; gives why it must not. */
  constructor(call: Call, meter: ((bytes: number) => Refusal | null) | null = null) {
    super()
    this.#call = call
    this.#meter = meter
    call.incoming.on('error', this.#broken)
    call.incoming.on('close', this.#broken)
  }

  /** True while the upstream takes nothing. */
  get stalled(): boolean {
    return this.#stalled
  }

  /** Lower-case hex of the whole body; null when it was not whole. Asked for once, when the exchange is over. */
  get sha256(): string | null {
    if (!this.done) return null
    return this.#hash === null ? hash('sha256', this.#first ?? '', 'hex') : this.#hash.digest('hex')
  }

  /** From here on what passes is what this makes of it; call it before the first byte. The digest stays that of what the agent sent. */
  through(through: Through): void {
    this.#through = through
  }

  /** undici's sign of a stream; nothing is ever piped. */
  pipe(): void {}

  pause(): void {
    this.#stalled = true
    this.#call.incoming.pause()
  }

  resume(): void {
    this.#stalled = false
    if (this.destroyed || this.done) return
    const { incoming } = this.#call
    if (!this.#started) {
      this.#started = true
      if (incoming.destroyed) {
        process.nextTick(this.#broken)
        return
      }
      this.#call.continue()
      incoming.on('data', this.#chunk)
      incoming.on('end', this.#ended)
    }
    incoming.resume()
  }

  /** Lets go of the agent's message and reads no more of it. Idempotent. */
  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    const { incoming } = this.#call
    incoming.off('error', this.#broken).off('close', this.#broken).off('data', this.#chunk).off('end', this.#ended)
    if (!this.done) incoming.pause()
  }

  /**
   * After an early answer: reads and forgets what the agent still sends, for at most `ms`, then calls back once.
   * A connection closed with bytes unread is reset, and the reset can overtake the answer.
   */
  discard(ms: number, then: () => void): void {
    this.destroy()
    const { incoming } = this.#call
    const timer = setTimeout(finish, ms)
    function finish(): void {
      clearTimeout(timer)
      incoming.off('end', finish).off('close', finish).pause()
      then()
    }
    incoming.once('end', finish).once('close', finish)
    incoming.resume()
  }

  readonly #chunk = (chunk: Buffer): void => {
    this.#bytes += chunk.length
    if (this.#bytes > this.#call.limit) return this.#fail(new Refusal('listen.too-large'))
    const spent = this.#meter?.(chunk.length) ?? null
    if (spent !== null) return this.#fail(spent)
    this.#digest(chunk)
    if (this.#through === null) this.emit('data', chunk)
    else this.#give(this.#through, (through) => through.pass(chunk))
  }

  readonly #ended = (): void => {
    if (!this.#call.incoming.complete) return this.#broken()
    if (this.#through !== null && !this.#give(this.#through, (through) => through.end())) return
    this.done = true
    this.emit('end')
  }

  /** False when the body is not what it has to be. */
  #give(through: Through, take: (through: Through) => readonly Buffer[]): boolean {
    try {
      for (const piece of take(through)) if (!this.destroyed) this.emit('data', piece)
      return true
    } catch (error) {
      this.#fail(Refusal.from(error))
      return false
    }
  }

  readonly #broken = (): void => {
    if (!this.done) this.#fail(new UploadBroken())
  }

  #digest(chunk: Buffer): void {
    if (this.#hash !== null) this.#hash.update(chunk)
    else if (this.#first === null) this.#first = chunk
    else {
      this.#hash = createHash('sha256').update(this.#first).update(chunk)
      this.#first = null
    }
  }

  #fail(fault: Error): void {
    if (this.fault !== null || this.destroyed) return
    this.fault = fault
    this.destroy()
    if (this.listenerCount('error') > 0) this.emit('error', fault)
  }
}
