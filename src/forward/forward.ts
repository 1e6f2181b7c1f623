/** Sends a permitted call upstream and its answer back, and reports what became of it. */
import { createHash, hash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { Refusal, type Effect, type JudgedAnswer } from '../refusal.ts'
import type { Call } from '../listen/call.ts'
import type { Route } from '../match/route.ts'
import type { JudgedBody } from '../match/match.ts'
import type { Decision } from '../decide/decide.ts'
import type { Permit } from '../decide/permit.ts'
import type { Lease } from '../credential/credential.ts'
import { applyLease } from './apply.ts'
import { Decode } from './decode.ts'
import { echoesOf, noEchoes } from './echoes.ts'
import { Exchange, type Job, type Observed } from './exchange.ts'
import { Finds, type Find } from './finds.ts'
import { Held } from './held.ts'
import { isHeld, type Answers } from './judging.ts'
import { upstreamHeaders, withoutDigests } from './headers.ts'
import { Scrub } from './scrub.ts'
import { Sites, type SiteOptions } from './sites.ts'
import { spliceJson } from './splice.ts'
import { Sweep } from './sweep.ts'
import { Upload } from './upload.ts'

/** What became of a permitted call, as observed here. */
export interface Outcome {
  /** Upstream status; null when no answer came. */
  readonly status: number | null
  /** `unknown` is written only at start, for calls a crash left open. */
  readonly ended: 'complete' | 'client-gone' | 'upstream-gone' | 'cut' | 'refused' | 'unknown'
  readonly bytesOut: number
  readonly bytesIn: number
  /** Lower-case hex of a streamed request body; null when it was judged (its digest is in the decision) or there was none. */
  readonly bodySha256: string | null
  /** Address really dialled, `ip:port`; null when none was. */
  readonly dialled: string | null
  /** Who was proven to be there: a SPIFFE ID on routes with `tls: svid`, else `dns:<name>` or `ip:<address>`; null over plain HTTP. */
  readonly proven: string | null
  /** Absent where the answer streamed by unjudged. */
  readonly answer?: JudgedAnswer
  /** Lower-case hex of the body that was sent in place of the judged one; absent: nothing in it was redacted. */
  readonly sentSha256?: string
  /** Lower-case hex of the body that the agent was given, as far as it got; only of calls of a model (`tool.prompt`). */
  readonly answerSha256?: string
}

export interface ForwardOptions extends SiteOptions {
  /** `Permit.check`: throws unless the decision stage minted the permit. */
  readonly check: (permit: Permit) => void
  /** Judges and changes answers; without it calls whose answer must be judged are refused. */
  readonly answers?: Answers | undefined
  /** Told that the answer of a call held a secret that was lent to it: once for each place. */
  readonly echoed?: ((permit: Permit, lease: Lease, find: Find) => void) | undefined
  /** Counts what a body of no announced length sends; null where that is not limited. */
  readonly meter?: (decision: Decision) => ((bytes: number) => Refusal | null) | null
  /** Most header fields of an answer; 256 by default. */
  readonly maxResponseHeaders?: number | undefined
}

export interface Forward {
  /**
   * Resolves when the agent has the last byte, or when the exchange was cut after the answer had begun.
   * Rejects with a Refusal when nothing of an answer was sent: `forward.*`, `credential.unavailable`,
   * or the reason that `permit.signal` was aborted with.
   */
  forward(permit: Permit, lease: Lease | null): Promise<Outcome>
  /** After a reload: ends the idle connections of routes that are gone; calls under way end as they would. */
  reconfigure(routes: readonly Route[]): void
  /** Cuts what is under way with `listen.draining` and closes every connection. */
  close(): Promise<void>
}

/** Makes the stage. Owns one connection set per route object, made when the route is first used. */
export function makeForward(options: ForwardOptions): Forward {
  const sites = new Sites(options)
  const sweep = new Sweep()
  let closed = false
  return {
    forward: (permit, lease) =>
      // The executor's throw is the promise's rejection: one promise per call, no async function.
      new Promise((resolve, reject) => {
        options.check(permit)
        if (closed) throw new Refusal('listen.draining')
        const { question, duties } = permit.decision
        const { call, target } = question
        const { upstream, lines } = sites.of(target.route)
        if (call.method === 'CONNECT') throw new Refusal('listen.malformed')
        const meter = call.length === null ? (options.meter?.(permit.decision) ?? null) : null
        const judged = bodyOf(call, target.body, meter)
        const body = duties.redact.length === 0 ? judged : redacted(judged, target.body, duties.redact)
        const held = isHeld(permit.decision)
        const plain = upstreamHeaders(call, upstream, body.length, held)
        const headers = body.sent === null ? plain : withoutDigests(plain)
        const applied = applyLease(lease, upstream, headers, upstream.basePath + call.address.target, options.clock())
        const { upload, sha256, sent } = body
        const maxHeaders = options.maxResponseHeaders ?? 256
        const echoes = lease === null ? noEchoes : echoesOf(lease)
        const finds = findsOf(options, permit, lease)
        const scrub = echoes.anchors === null ? null : new Scrub(echoes, () => finds.at('body'))
        const given = target.tool.prompt ? createHash('sha256') : null
        const job = { call, signal: permit.signal, upstream, lines, sweep, echoes, finds, scrub, maxHeaders, upload, sha256, sent, given }
        const request = { method: call.method, path: applied.path, headers: applied.headers, body: body.content }
        if (held) holdAnswer(options.answers, permit.decision, job, request, { resolve, reject })
        else streamAnswer(job, request, { resolve, reject })
      }),
    reconfigure: (routes) => sites.retire(new Set(routes)),
    close: async () => {
      closed = true
      for (const timed of sweep.all) if (timed instanceof Exchange) timed.cut(new Refusal('listen.draining'))
      sweep.close()
      await sites.close()
    },
  }
}

const noFinds = new Finds(null)

function findsOf({ echoed }: ForwardOptions, permit: Permit, lease: Lease | null): Finds {
  if (lease === null) return noFinds
  return new Finds(echoed === undefined ? null : (find) => echoed(permit, lease, find))
}

interface Settled {
  readonly resolve: (outcome: Outcome) => void
  readonly reject: (refusal: Refusal) => void
}

/** The usual way: nothing stands between undici and the agent, where no credential was lent. */
function streamAnswer(job: Job, request: Dispatcher.DispatchOptions, { resolve, reject }: Settled): void {
  const exchange = new Exchange(job, resolve, reject)
  exchange.start(request, job.echoes === noEchoes ? exchange : new Decode(job.call.method, exchange, exchange, job.finds))
}

/** The way of a call whose answer is judged or masked: the same exchange, with the judge before it. */
function holdAnswer(answers: Answers | undefined, decision: Decision, job: Job, request: Dispatcher.DispatchOptions, then: Settled): void {
  if (answers === undefined) throw new Refusal('internal', { detail: 'nobody judges answers' })
  const judged = <Seen extends Observed | Effect>(seen: Seen): Seen => {
    const answer = held.judged
    return answer === null ? seen : { ...seen, bytesIn: held.bytesIn, answer }
  }
  const exchange = new Exchange(
    job,
    (observed) => then.resolve(judged(observed)),
    (refusal) => then.reject(refusal.effect === null ? refusal : refusal.after(judged(refusal.effect))),
  )
  const held: Held = new Held({ decision, answers, echoes: job.echoes, finds: job.finds }, exchange)
  exchange.start(request, job.echoes === noEchoes ? held : new Decode(job.call.method, held, exchange, job.finds))
}

interface Body {
  readonly content: Buffer | Readable | null
  /** Bytes to announce for a stream of known length. */
  readonly length: number | null
  readonly upload: Upload | null
  readonly sha256: string | null
  /** Digest of a redacted body. */
  readonly sent: string | null
}

const empty: Body = { content: null, length: null, upload: null, sha256: null, sent: null }

/** Judged bytes go as they were judged; a stream that has already arrived whole goes as one buffer; the rest streams. */
function bodyOf(call: Call, judged: JudgedBody, meter: ((bytes: number) => Refusal | null) | null): Body {
  const { bytes } = judged
  if (bytes !== null) return { ...empty, content: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
  if (judged.kind === 'none' || call.length === 0) return empty
  if (judged.kind === 'json') throw new Refusal('internal', { detail: 'a judged body without its bytes' })
  const { incoming, length } = call
  if (length !== null && length <= call.limit && incoming.readableLength === length) {
    const whole: unknown = incoming.read(length)
    if (whole instanceof Buffer) {
      incoming.resume()
      return { ...empty, content: whole, sha256: hash('sha256', whole, 'hex') }
    }
  }
  const upload = new Upload(call, meter)
  return { ...empty, content: upload as unknown as Readable, length, upload }
}

/** Nobody can redact what was not judged: approve has refused such a call, and here nothing of it leaves. */
function redacted(body: Body, judged: JudgedBody, paths: readonly string[]): Body {
  if (body.content === null) return body
  if (!judged.judged || judged.bytes === null) throw new Refusal('internal', { detail: 'a body to be redacted that was not judged' })
  const bytes = spliceJson(judged.bytes, { mask: paths, drop: [], anyCase: true })
  return { ...empty, content: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), sent: hash('sha256', bytes, 'hex') }
}
