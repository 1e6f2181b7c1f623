/** Stands between undici and an exchange, and lets nothing of an answer through before it was judged and changed as policy obliges. */
import { createHash } from 'node:crypto'
import type { Dispatcher } from 'undici'
import { Refusal, type JudgedAnswer } from '../refusal.ts'
import type { AnswerVerdict } from '../decide/response.ts'
import { changedFields, readAnswerHead, type AnswerHead } from './answer.ts'
import { EventMask } from './event-mask.ts'
import type { Exchange } from './exchange.ts'
import { Gather } from './gather.ts'
import { ask, bodyOf, changeOf, raisedBy, recordOf, refusedAnswer, scrubbed, sha256, type Case } from './judging.ts'
import type { Fields } from './respond.ts'
import { spliced, type Change } from './splice.ts'

type Controller = Dispatcher.DispatchController

/** The final head, kept until it may go. */
interface Begun {
  readonly controller: Controller
  readonly status: number
  readonly fields: Fields
  readonly phrase: string
  readonly head: AnswerHead
}

/** Written down as it becomes known. */
interface Notes {
  masked: number
  dropped: number
  judged: boolean
  truncated: boolean
  sha256: string | null
  sent: string | null
  raised: readonly string[]
  fault: string | null
}

/**
 * Nothing, then `judging` (reads until policy can be asked), perhaps `masking` (reads on to the end), perhaps `settling` (what is
 * raised is being written), then `passing` or, for good, `refused`.
 */
type Phase = 'judging' | 'masking' | 'settling' | 'passing' | 'refused'

export class Held implements Dispatcher.DispatchHandler {
  readonly #case: Case
  readonly #exchange: Exchange
  readonly #read = new Gather()
  readonly #notes: Notes = { masked: 0, dropped: 0, judged: false, truncated: false, sha256: null, sent: null, raised: [], fault: null }
  #phase: Phase = 'judging'
  #begun: Begun | null = null
  #limit = 0
  #verdict: AnswerVerdict | null = null
  #change: Change | null = null
  #events: EventMask | null = null
  /** Trailers of an answer that ended before it could go. */
  #ended: Fields | null = null
  readonly #came = createHash('sha256')
  readonly #went = createHash('sha256')
  /** Bytes of the body that came from upstream. */
  bytesIn = 0

  constructor(of: Case, exchange: Exchange) {
    this.#case = of
    this.#exchange = exchange
  }

  /** For the record; null when no answer came. */
  get judged(): JudgedAnswer | null {
    if (this.#begun === null) return null
    const { masked, dropped } = this.#events ?? this.#notes
    return recordOf(this.#case, this.#verdict, { ...this.#notes, status: this.#begun.status, masked, dropped })
  }

  onRequestStart(controller: Controller): void {
    this.#exchange.onRequestStart(controller)
  }

  onBodySent(chunk: Uint8Array): void {
    this.#exchange.onBodySent(chunk)
  }

  onRequestSent(): void {
    this.#exchange.onRequestSent()
  }

  onResponseStart(controller: Controller, status: number, fields: Fields, phrase = ''): void {
    if (status < 200) return this.#exchange.onResponseStart(controller, status, fields, phrase)
    const { question } = this.#case.decision
    const head = readAnswerHead(question.call.method, status, fields)
    this.#begun = { controller, status, fields, phrase, head }
    this.#exchange.hold()
    this.#attempt(() => {
      if (question.target.tool.answer !== 'json' || head.kind === 'none' || head.kind === 'stream') return this.#judge(null, false)
      if (head.coded) throw refusedAnswer('a coded answer cannot be judged')
      if (!head.text) return this.#judge(null, false)
      const { limits } = this.#case.answers
      this.#limit = head.kind === 'json' && (head.length ?? 0) <= limits.judged ? limits.judged : limits.sample
    })
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (chunk.length === 0 || this.#phase === 'refused') return
    this.bytesIn += chunk.length
    if (this.#phase === 'passing') return this.#attempt(() => this.#pass(controller, chunk))
    this.#read.add(chunk)
    this.#exchange.hold()
    if (this.#phase === 'settling' || this.#read.length <= this.#limit) return
    this.#attempt(() => {
      if (this.#phase === 'masking') throw refusedAnswer('the answer is too large to be masked')
      this.#judge(this.#read.bytes, false)
    })
  }

  onResponseEnd(controller: Controller, trailers: Fields): void {
    const phase = this.#phase
    if (phase === 'passing') return this.#attempt(() => this.#end(controller, trailers))
    this.#ended = trailers
    if (phase === 'judging') this.#attempt(() => this.#judge(this.#read.bytes, true))
    else if (phase === 'masking') this.#attempt(() => this.#mask())
    // its line goes back, or was dropped with the refusal
    else if (phase === 'refused') this.#exchange.onResponseEnd(controller, trailers)
  }

  onResponseError(controller: Controller | null, error: Error): void {
    this.#exchange.onResponseError(controller, error)
  }

  /** Policy says what may become of it, on what was read so far. */
  #judge(read: Buffer | null, whole: boolean): void {
    const { status, fields, head } = this.#here()
    const of = this.#case
    const body = bodyOf(of, head, read, whole)
    const verdict = ask(of, status, fields, body)
    this.#verdict = verdict
    this.#notes.judged = verdict !== null && body.judged
    this.#notes.truncated = verdict !== null && body.truncated
    if (verdict?.effect === 'deny') {
      this.#fulfil(verdict)
      const reasons = verdict.reasons.map(({ message_agent: message }) => message)
      throw refusedAnswer(verdict.reasons.map(({ rule }) => rule).join(', '), reasons)
    }
    this.#change = changeOf([...of.decision.obligations, ...(verdict?.obligations ?? [])])
    if (this.#change === null || body.kind === 'none') return this.#settle()
    if (head.partial) throw refusedAnswer('a part of an answer cannot be masked')
    if (head.coded) throw refusedAnswer('a coded answer cannot be masked')
    if (head.kind === 'stream') {
      this.#events = new EventMask(this.#change, of.answers.limits.judged)
      return this.#settle()
    }
    this.#limit = of.answers.limits.judged
    if ((head.length ?? 0) > this.#limit || this.#read.length > this.#limit) throw refusedAnswer('the answer is too large to be masked')
    this.#phase = 'masking'
    if (this.#ended !== null) this.#mask()
  }

  /** All of it is here: changes it in its bytes. */
  #mask(): void {
    const change = this.#change
    const raw = this.#read.bytes
    if (change === null || raw.length === 0) return this.#settle()
    this.#notes.sha256 = sha256(raw)
    const { bytes, masked, dropped } = spliced(scrubbed(this.#case, raw, true), change)
    this.#notes.masked = masked
    this.#notes.dropped = dropped
    if (masked + dropped > 0) {
      this.#notes.sent = sha256(bytes)
      this.#read.take()
      this.#read.add(bytes)
    }
    this.#settle()
  }

  /** What counts as read now is written before the first byte goes. */
  #settle(): void {
    const of = this.#case
    if (this.#ended !== null && this.#notes.sha256 === null) this.#notes.sha256 = sha256(this.#read.bytes)
    const classes = raisedBy(of, this.#verdict)
    if (this.#verdict !== null) this.#fulfil(this.#verdict)
    this.#phase = 'settling'
    const written = classes.length === 0 ? undefined : of.answers.raise(of.decision, classes)
    this.#notes.raised = classes
    if (!(written instanceof Promise)) return this.#release()
    const { controller } = this.#here()
    if (this.#ended === null) controller.pause()
    written.then(
      () => {
        // first, or it would undo a pause of the exchange
        controller.resume()
        this.#attempt(() => this.#release())
      },
      (cause: unknown) => this.#refuse(new Refusal('record.failed', { cause })),
    )
  }

  #release(): void {
    const { controller, status, fields, phrase, head } = this.#here()
    const read = this.#read.take()
    // an answer that may be masked must not tell by its length or digest what it was
    const hidden = this.#change !== null && (head.kind === 'none' || this.#events !== null)
    const changed = this.#notes.sent !== null
    this.#phase = 'passing'
    this.#exchange.onResponseStart(
      controller,
      status,
      hidden || changed ? changedFields(fields, changed ? read.length : null) : fields,
      phrase,
    )
    if (read.length > 0) this.#pass(controller, read)
    if (this.#ended !== null) this.#end(controller, changed ? {} : this.#ended)
  }

  #pass(controller: Controller, chunk: Buffer): void {
    if (this.#events === null) return this.#exchange.onResponseData(controller, chunk)
    this.#came.update(chunk)
    const out = this.#events.pass(chunk)
    this.#went.update(out)
    if (out.length > 0) this.#exchange.onResponseData(controller, out)
  }

  #end(controller: Controller, trailers: Fields): void {
    const events = this.#events
    if (events !== null) {
      const rest = events.rest()
      this.#went.update(rest)
      if (rest.length > 0) this.#exchange.onResponseData(controller, rest)
      this.#notes.sha256 = this.#came.digest('hex')
      this.#notes.sent = this.#went.digest('hex')
    }
    this.#exchange.onResponseEnd(controller, events === null ? trailers : {})
  }

  /** Whatever goes wrong between undici and the agent refuses the answer, or cuts what is left of it. */
  #attempt(step: () => void): void {
    try {
      step()
    } catch (error) {
      const known = error instanceof Error && error.name === 'SpliceFault'
      this.#refuse(known ? refusedAnswer(`an answer that cannot be masked: ${error.message}`) : Refusal.from(error))
    }
  }

  #refuse(refusal: Refusal): void {
    this.#phase = 'refused'
    this.#read.take()
    this.#notes.fault = refusal.detail ?? refusal.code
    this.#exchange.cut(refusal)
  }

  #fulfil({ obligations }: AnswerVerdict): void {
    const { answers, decision } = this.#case
    const others = obligations.filter(({ type }) => type === 'notify' || type === 'revoke_leases')
    if (others.length > 0) answers.fulfil(decision, others)
  }

  #here(): Begun {
    if (this.#begun === null) throw new Refusal('internal', { detail: 'an answer that has not begun' })
    return this.#begun
  }
}
