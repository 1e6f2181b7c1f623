/** One request and its answer: undici's handler on one side, the agent's response on the other, nothing between them. */
import type { Hash } from 'node:crypto'
import type { Dispatcher } from 'undici'
import { Refusal, type Effect } from '../refusal.ts'
import type { Call, Progress } from '../listen/call.ts'
import { Hearing } from './aborted.ts'
import { flushHead, sever, writeBody, writeHead } from './deliver.ts'
import type { Reached } from './dial.ts'
import { effectOf, type Observed } from './effect.ts'
import { refusalOf, timedOut } from './faults.ts'
import type { Echoes } from './echoes.ts'
import type { Finds } from './finds.ts'
import type { Line, Lines } from './lines.ts'
import { answerHead, answerTrailers, type Fields, type Head } from './respond.ts'
import type { Scrub } from './scrub.ts'
import { ticksOf, type Sweep, type Timed } from './sweep.ts'
import type { Upload } from './upload.ts'
import type { Upstream } from './upstream.ts'

/** What one exchange works with. */
export interface Job {
  readonly call: Call
  readonly signal: AbortSignal
  readonly upstream: Upstream
  readonly lines: Lines
  readonly sweep: Sweep
  readonly echoes: Echoes
  readonly finds: Finds
  /** Masks the lent secret in the body; null where none was lent. */
  readonly scrub: Scrub | null
  readonly maxHeaders: number
  /** The streaming body, or null. */
  readonly upload: Upload | null
  /** Digest of a streamed body that had already arrived whole. */
  readonly sha256: string | null
  /** Digest of a body that was sent in place of the agent's. */
  readonly sent: string | null
  /** Digests the body that the agent is given; null for what is no model's answer. */
  readonly given: Hash | null
}

/** How long an agent may go on sending after an early answer. */
const lingering = 2_000
/** More informational answers than this are a way to hold a call forever. */
const informationalLimit = 16

type Phase = 'connecting' | 'sending' | 'waiting' | 'holding' | 'reading' | 'flushing' | 'over'

/**
 * Settles its promise exactly once: with an outcome when the agent has an answer or its connection is cut,
 * with a refusal when nothing of an answer was sent. After that no byte moves in either direction.
 */
export class Exchange implements Dispatcher.DispatchHandler, Timed, Progress {
  readonly #job: Job
  readonly #resolve: (observed: Observed) => void
  readonly #reject: (refusal: Refusal) => void
  #phase: Phase = 'connecting'
  #line: Line | null = null
  #hearing: Hearing | null = null
  #controller: Dispatcher.DispatchController | null = null
  #head: Head | null = null
  #ended = false
  #touched = 0
  #informational = 0
  #status: number | null = null
  /** Null until a connection stood. */
  #reached: Reached | null = null
  bytesOut = 0
  bytesIn = 0
  /** Told when nothing of the answer is wanted any more. */
  onOver: (() => void) | null = null

  constructor(job: Job, resolve: (observed: Observed) => void, reject: (refusal: Refusal) => void) {
    this.#job = job
    this.#resolve = resolve
    this.#reject = reject
  }

  /** `handler`: what stands between undici and this exchange, where something does. */
  start(request: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler = this): void {
    const { call, signal, sweep, lines } = this.#job
    call.progress = this
    if (signal.aborted) return this.aborted()
    this.#hearing = new Hearing(signal, this)
    sweep.add(this)
    this.#touched = sweep.tick
    this.#line = lines.take()
    this.#line.client.dispatch(request, handler)
  }

  /** Sends another request in place of one that was refused before it did anything; nothing of an answer has gone to the agent. */
  again(request: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    if (this.#phase !== 'over') this.#line?.client.dispatch(request, handler)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#phase === 'over') return controller.abort(new Error('over'))
    this.#reached = this.#line?.reached ?? null
    this.#phase = this.#job.upload === null ? 'waiting' : 'sending'
    this.#touched = this.#job.sweep.tick
  }

  onBodySent(chunk: Uint8Array): void {
    this.bytesOut += chunk.length
    this.#touched = this.#job.sweep.tick
  }

  onRequestSent(): void {
    if (this.#phase === 'sending') this.#phase = 'waiting'
    this.#touched = this.#job.sweep.tick
  }

  /** What it throws, undici hands to `onResponseError` after it has destroyed the socket. */
  onResponseStart(_controller: Dispatcher.DispatchController, status: number, fields: Fields, phrase = ''): void {
    if (this.#phase === 'over') return
    if (status < 200) return this.#inform(status)
    const { call, upstream, upload, sweep } = this.#job
    this.#status = status
    const head = answerHead(status, fields, phrase, upstream, call, this.#job)
    if (upload !== null && !upload.done) head.list.push('connection', 'close')
    if (!writeHead(call, head)) throw new Refusal('forward.response-refused', { detail: 'a header that cannot be written' })
    this.#head = head
    this.#phase = 'reading'
    this.#touched = sweep.tick
    // The body mostly comes in the same read, and then one write carries both.
    if (head.length !== 0) process.nextTick(flushHead, call)
  }

  /** An answer moves, and none of it may go to the agent yet. */
  hold(): void {
    if (this.#phase === 'over') return
    this.#phase = 'holding'
    this.#touched = this.#job.sweep.tick
  }

  onResponseData(controller: Dispatcher.DispatchController, came: Buffer): void {
    const head = this.#head
    // undici flushes its parser with empty chunks after every pause.
    if (came.length === 0 || head === null || head.length === 0 || this.#phase !== 'reading') return
    const { call, scrub, given } = this.#job
    const { outgoing } = call
    if (outgoing.destroyed) return this.#settle('client-gone')
    this.bytesIn += came.length
    this.#touched = this.#job.sweep.tick
    const whole = this.bytesIn === head.length
    const pieces = scrub === null ? [came] : scrub.pass(came, whole)
    if (given !== null) for (const piece of pieces) given.update(piece)
    this.#ended = whole && (this.#job.upload?.done ?? true)
    if (!writeBody(call, pieces, this.#ended)) this.#pause(controller)
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: Fields): void {
    const { call, upload, lines } = this.#job
    if (this.#line !== null) lines.give(this.#line)
    this.#line = null
    this.#controller = null
    if (this.#phase === 'over') return
    this.#phase = 'flushing'
    if (this.#ended) return this.#flush()
    const kept = answerTrailers(trailers, this.#head?.trailers ?? null, this.#job)
    if (kept.length > 0 && !call.outgoing.destroyed) call.outgoing.addTrailers(kept)
    if (upload === null || upload.done) return this.#end()
    upload.discard(lingering, () => this.#end())
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    const { upload } = this.#job
    if (this.#phase === 'over') return this.#hangUp()
    if (this.#ended) return this.#flush()
    const fault = upload?.fault ?? null
    if (fault !== null && !(fault instanceof Refusal)) this.#settle('client-gone')
    else
      this.#fail(
        fault instanceof Refusal ? fault : refusalOf(error, this.#reached?.address ?? null),
        fault === null ? 'upstream-gone' : 'cut',
      )
  }

  /** The signal aborted: the agent left, or the call's authority ended. */
  aborted(): void {
    const { reason } = this.#job.signal as { reason: unknown }
    if (this.#phase === 'over') return
    if (reason instanceof Refusal) this.#fail(reason, 'cut')
    else this.#settle('client-gone')
  }

  /** Ends the exchange from outside, as an abort would. */
  cut(reason: Refusal): void {
    if (this.#phase !== 'over') this.#fail(reason, 'cut')
  }

  expire(tick: number): void {
    const { connect, head, idle } = this.#job.upstream.route.timeouts
    const still = tick - this.#touched
    switch (this.#phase) {
      case 'sending':
        // A slow agent is for listen to time; an upstream that takes nothing is ours.
        if (this.#job.upload?.stalled && still > ticksOf(head))
          this.#fail(timedOut('the upstream takes no more of the body'), 'upstream-gone')
        return
      case 'waiting':
        if (still > ticksOf(head)) this.#fail(timedOut('no answer began'), 'upstream-gone')
        return
      case 'holding':
        if (still > ticksOf(idle)) this.#fail(timedOut('the answer stalled before it could be judged'), 'upstream-gone')
        return
      case 'reading':
        if (still <= ticksOf(idle)) return
        if (this.#controller?.paused) this.#settle('client-gone')
        else if (!this.#head?.events) this.#fail(timedOut('the answer stalled'), 'upstream-gone')
        return
      case 'flushing':
        if (still > ticksOf(idle)) this.#settle('client-gone')
        return
      case 'connecting':
        // The dialler times each attempt; this ends a line that never gets to use what it dialled.
        if (still > ticksOf(2 * connect))
          this.#fail(new Refusal('forward.unreachable', { detail: 'no connection stood in time' }), 'upstream-gone')
        return
      case 'over':
        return
    }
  }

  #inform(status: number): void {
    if (status === 101) throw new Refusal('forward.response-refused', { detail: 'an upgrade that nobody asked for' })
    if (++this.#informational > informationalLimit) {
      throw new Refusal('forward.response-refused', { detail: 'too many informational answers' })
    }
  }

  #pause(controller: Dispatcher.DispatchController): void {
    controller.pause()
    this.#job.call.outgoing.once('drain', () => {
      this.#touched = this.#job.sweep.tick
      if (this.#phase === 'reading') controller.resume()
    })
  }

  #end(): void {
    if (this.#phase === 'over') return
    const { call, scrub, given } = this.#job
    const held = scrub?.rest()
    if (held !== undefined) given?.update(held)
    if (!call.outgoing.destroyed && held !== undefined && held.length > 0) call.outgoing.end(held)
    else if (!call.outgoing.destroyed) call.outgoing.end()
    this.#flush()
  }

  /** The exchange is over when the kernel has the last byte, not when we have: until then a cut must still cut. */
  #flush(): void {
    const { outgoing } = this.#job.call
    if (outgoing.destroyed) return this.#settle('client-gone')
    if (outgoing.writableLength === 0) return this.#settle('complete')
    this.#phase = 'flushing'
    this.#touched = this.#job.sweep.tick
    outgoing.once('finish', () => this.#settle('complete'))
  }

  #fail(refusal: Refusal, ended: 'cut' | 'upstream-gone'): void {
    if (this.#job.call.outgoing.headersSent) return this.#settle(ended)
    this.#over()
    this.#reject(this.#reached === null ? refusal : refusal.after(this.#effect()))
  }

  #settle(ended: Observed['ended']): void {
    if (this.#phase === 'over') return
    this.#over()
    this.#resolve({ status: this.#status, ended, ...this.#effect() })
    if (ended !== 'complete') sever(this.#job.call, this.#head)
  }

  #effect(): Effect {
    return effectOf(this.#job, this, this.#reached, this.#head !== null)
  }

  #over(): void {
    const { sweep, upload } = this.#job
    this.#phase = 'over'
    this.#hearing?.end()
    sweep.delete(this)
    upload?.destroy()
    this.onOver?.()
    this.#hangUp()
  }

  /** Whatever is still under way upstream ends with its connection, so that no complete request or answer can come of it. */
  #hangUp(): void {
    const line = this.#line
    this.#line = null
    if (line !== null) this.#job.lines.drop(line)
  }
}
