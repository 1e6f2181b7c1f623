/** Sends a permitted call upstream and its answer back, and reports what became of it. */
import { createHash, hash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { Refusal, type Effect, type JudgedAnswer } from '../refusal.ts'
import type { Route } from '../match/route.ts'
import type { Decision } from '../decide/decide.ts'
import type { Permit } from '../decide/permit.ts'
import type { Lease } from '../credential/credential.ts'
import { applyLease } from './apply.ts'
import { Decode } from './decode.ts'
import { echoesOf, noEchoes } from './echoes.ts'
import type { Observed } from './effect.ts'
import { Exchange, type Job } from './exchange.ts'
import { Finds, type Find } from './finds.ts'
import { Held } from './held.ts'
import { isHeld, type Answers } from './judging.ts'
import { upstreamHeaders, withoutDigests } from './headers.ts'
import type { Applied, Outgoing } from './outgoing.ts'
import type { Lines } from './lines.ts'
import { Scrub } from './scrub.ts'
import { bodyOf, redacted, type Body } from './request-body.ts'
import { NonceRetry } from './nonce-retry.ts'
import { Sites, type Site, type SiteOptions } from './sites.ts'
import { Sweep } from './sweep.ts'
import type { Upstream } from './upstream.ts'

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
  /** Lower-case hex of the body that was sent in place of the agent's; absent: nothing in it was redacted, and no credential put into it. */
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
  /** Most bytes of a streaming body that are held in memory where the credential goes into it or signs it; 1 MiB by default. */
  readonly gather?: number | undefined
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
        const site = sites.of(target.route)
        if (call.method === 'CONNECT') throw new Refusal('listen.malformed')
        const meter = call.length === null ? (options.meter?.(permit.decision) ?? null) : null
        const judged = bodyOf(call, target.body, meter)
        const body = duties.redact.length === 0 ? judged : redacted(judged, target.body, duties.redact)
        const out = outgoing(permit, body, site.upstream, options.gather)
        const applied = applyLease(lease, out, options.clock())
        const going = { permit, lease, site, lines: sites.linesOf(site, lease), body, out, sweep, options }
        const then = { resolve, reject }
        if (!(applied instanceof Promise)) return send(going, applied, then)
        const late = (): void => {
          if (closed) throw new Refusal('listen.draining')
        }
        applied
          .then((ready) => (late(), send(going, ready, then)))
          .catch((error: unknown) => {
            body.upload?.destroy()
            reject(Refusal.from(error))
          })
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

/** A call on its way: what was settled about it before its credential. */
interface Going {
  readonly permit: Permit
  readonly lease: Lease | null
  readonly site: Site
  readonly lines: Lines
  readonly body: Body
  readonly out: Outgoing
  readonly sweep: Sweep
  readonly options: ForwardOptions
}

function outgoing({ decision, signal }: Permit, body: Body, upstream: Upstream, gather = 1024 * 1024): Outgoing {
  const { call, target } = decision.question
  const plain = upstreamHeaders(call, upstream, body.length, isHeld(decision))
  return {
    method: call.method,
    upstream,
    headers: body.sent === null ? plain : withoutDigests(plain),
    path: upstream.basePath + call.address.target,
    given: call.headers,
    body: body.upload ?? body.bytes,
    sha256: body.sent ?? body.sha256 ?? target.body.sha256,
    gather,
    signal,
  }
}

function send(going: Going, applied: Applied, then: Settled): void {
  const { permit, lease, site, lines, body, out, sweep, options } = going
  const { call, target } = permit.decision.question
  const { base } = applied
  const { upload, sha256 } = body
  const echoes = lease === null ? noEchoes : echoesOf(lease)
  const finds = findsOf(options, permit, lease)
  const job: Job = {
    call,
    signal: permit.signal,
    upstream: forThisCall(site.upstream, base, permit.decision.duties.unsearched),
    lines,
    sweep,
    echoes,
    finds,
    scrub: echoes.anchors === null ? null : new Scrub(echoes, finds),
    maxHeaders: options.maxResponseHeaders ?? 256,
    upload,
    sha256,
    sent: applied.body instanceof Buffer ? hash('sha256', applied.body, 'hex') : body.sent,
    given: target.tool.prompt ? createHash('sha256') : null,
  }
  // undici takes an upload for a stream, which it is in all that undici asks of one
  const content = applied.body ?? body.bytes ?? (upload as unknown as Readable | null)
  const request = { method: out.method, path: applied.path, headers: applied.headers, body: content }
  const reading = isHeld(permit.decision) ? holdAnswer(options.answers, permit.decision, job, then) : alone(job, then)
  if (lease?.placement.in === 'dpop') startProven(going, request, reading)
  else reading.exchange.start(request, reading.reader)
}

/** With a proof that the upstream may want again, and with a nonce in it. */
function startProven({ lease, site, body, out, options }: Going, request: Dispatcher.DispatchOptions, { exchange, reader }: Reading): void {
  const resent = (): void => {
    const sign = async (): Promise<void> => {
      const { path, headers } = await applyLease(lease, out, options.clock())
      exchange.again({ ...request, path, headers }, new NonceRetry(reader, site.upstream, null))
    }
    sign().catch((error: unknown) => exchange.cut(Refusal.from(error)))
  }
  exchange.start(request, new NonceRetry(reader, site.upstream, body.upload === null ? resent : null))
}

/** The upstream, but for what a call has of its own: a path with a credential in it, a coding that policy lets pass unsearched. */
function forThisCall(upstream: Upstream, base: string | undefined, unsearched: boolean): Upstream {
  if (base === undefined && !unsearched) return upstream
  return { ...upstream, basePath: base ?? upstream.basePath, searched: upstream.searched && !unsearched }
}

/** An exchange, and what reads the answer of its upstream. */
interface Reading {
  readonly exchange: Exchange
  readonly reader: Dispatcher.DispatchHandler
}

/** The usual way: nothing stands between undici and the agent, where no credential was lent. */
function alone(job: Job, { resolve, reject }: Settled): Reading {
  const exchange = new Exchange(job, resolve, reject)
  return { exchange, reader: job.echoes === noEchoes ? exchange : new Decode(job.call.method, exchange, exchange, job.finds) }
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

/** The way of a call whose answer is judged or masked: the same exchange, with the judge before it. */
function holdAnswer(answers: Answers | undefined, decision: Decision, job: Job, then: Settled): Reading {
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
  return { exchange, reader: job.echoes === noEchoes ? held : new Decode(job.call.method, held, exchange, job.finds) }
}
