import { noDuties } from '../../src/decide/duties.ts'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ClientGone, type Call } from '../../src/listen/call.ts'
import { Permit } from '../../src/decide/permit.ts'
import type { Decision } from '../../src/decide/decide.ts'
import type { Target } from '../../src/match/match.ts'
import { Refusal } from '../../src/refusal.ts'
import { sketchFacts, sketchQuestion, sketchTarget } from './question.ts'
import { noEngine } from './engine.ts'

export interface LiveCallOptions {
  /** What stands before the target in the request line. */
  readonly prefix?: string
  readonly limit?: number
  /** The client sent `Expect: 100-continue` and no answer went out yet. */
  readonly expectsContinue?: boolean
}

/** A call over a real request and response, as `listen` would make it but without its checks. */
export function liveCall(incoming: IncomingMessage, outgoing: ServerResponse, options: LiveCallOptions = {}): Call {
  const prefix = options.prefix ?? ''
  const target = (incoming.url ?? '/').slice(prefix.length)
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  const abort = new AbortController()
  outgoing.on('close', () => {
    if (!outgoing.writableFinished) abort.abort(new ClientGone())
  })
  const headers = incoming.rawHeaders.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : text))
  const chunked = incoming.headers['transfer-encoding'] !== undefined
  let waiting = options.expectsContinue ?? false
  return {
    id: 'c_01JDZZZZZZZZZZZZZZZZZZZZZZ',
    received: Date.now(),
    method: incoming.method ?? 'GET',
    scheme: 'http',
    host: (incoming.headers.host ?? '').toLowerCase(),
    peer: incoming.socket.remoteAddress ?? '',
    tls: null,
    listener: { name: 'shared', port: incoming.socket.localPort ?? 0, ambient: null },
    address: {
      kind: 'route',
      route: 'crm',
      task: null,
      prefix,
      target,
      path,
      query: mark === -1 ? null : target.slice(mark + 1),
      segments: path.slice(1).split('/'),
    },
    headers,
    length: chunked ? null : Number(incoming.headers['content-length'] ?? 0),
    limit: options.limit ?? 1024 ** 3,
    expectsContinue: waiting,
    signal: abort.signal,
    incoming,
    outgoing,
    header: (name) => {
      const value = incoming.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
    continue: () => {
      if (waiting) outgoing.writeContinue()
      waiting = false
    },
    admit: () => undefined,
    occupy: () => undefined,
    release: () => undefined,
    cut: (reason) => abort.abort(reason),
    refuse: (refusal) => {
      if (outgoing.headersSent) {
        outgoing.destroy()
        return
      }
      outgoing.writeHead(refusal.status, { 'content-type': 'application/problem+json', connection: 'close' })
      outgoing.end(JSON.stringify({ code: refusal.code, status: refusal.status, reasons: refusal.reasons }))
    },
  }
}

/** A permit for this call to this target, minted with a swap that changes nothing. */
export function permitFor(call: Call, target: Target = sketchTarget(), decision: Partial<Decision> = {}): Permit {
  return Permit.mint({ ...allowing(call, target), ...decision }, () => undefined)
}

function allowing(call: Call, target: Target): Decision {
  return {
    question: sketchQuestion({ call, target }),
    effect: 'allow',
    observed: null,
    reasons: [],
    refusedBy: [],
    obligations: [],
    duties: noDuties,
    approval: null,
    deferral: null,
    credential: null,
    labels: {},
    revision: 'r1',
    engine: noEngine,
    facts: sketchFacts(),
    now: call.received,
    inputText: '{}',
    resultText: '{"effect":"allow"}',
    evalNs: 0,
  }
}

/** Ends a call as the request path does when a stage throws. */
export function refuseCall(call: Call, error: unknown): Refusal {
  const refusal = Refusal.from(error)
  call.refuse(refusal)
  return refusal
}
