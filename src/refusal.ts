/**
 * A refusal is a call that ends without an upstream answer. One class, one closed table of codes.
 * Only this file knows status numbers. `fault` names who must act.
 */

/** Who must act before the same call can succeed. */
export type Fault = 'agent' | 'policy' | 'person' | 'operator' | 'upstream' | 'countersign'

interface Row {
  readonly status: number
  readonly fault: Fault
  readonly title: string
  /** What the agent may do about it, where it is not what the status says. */
  readonly retry?: 'later'
}

/** The closed table. Extend it, document the new code in docs/refusals.md, never bypass it. */
export const codes = {
  'listen.malformed': { status: 400, fault: 'agent', title: 'The request is ambiguous or malformed' },
  'listen.too-large': { status: 413, fault: 'agent', title: 'The request exceeds a limit' },
  'listen.overloaded': { status: 503, fault: 'agent', title: 'Too many calls in flight' },
  'listen.draining': { status: 503, fault: 'operator', title: 'Countersign is shutting down' },
  'identify.missing': { status: 401, fault: 'agent', title: 'No workload identity was presented' },
  'identify.rejected': { status: 401, fault: 'agent', title: 'The workload identity was not accepted' },
  'identify.unavailable': { status: 503, fault: 'operator', title: 'Identities cannot be verified at present' },
  'task.missing': { status: 403, fault: 'agent', title: 'The call names no task' },
  'task.unknown': { status: 403, fault: 'agent', title: 'The task is not known for this caller' },
  'task.ended': { status: 403, fault: 'agent', title: 'The task has ended' },
  'task.paused': { status: 403, fault: 'agent', title: 'The task is paused', retry: 'later' },
  'task.agent-not-live': { status: 403, fault: 'operator', title: 'The agent is not live' },
  'task.budget': { status: 403, fault: 'agent', title: 'A budget of the task is spent' },
  'kill.engaged': { status: 403, fault: 'person', title: 'A person has stopped this' },
  'match.unroutable': { status: 404, fault: 'agent', title: 'No route leads there' },
  'match.body': { status: 400, fault: 'agent', title: 'The body cannot be judged' },
  'decide.denied': { status: 403, fault: 'policy', title: 'Policy refused the call' },
  'decide.rate-limited': { status: 429, fault: 'agent', title: 'Too many calls of this kind', retry: 'later' },
  'decide.malformed': { status: 403, fault: 'policy', title: 'Policy gave no well-formed decision' },
  'decide.unavailable': { status: 503, fault: 'operator', title: 'The call cannot be judged at present' },
  'approve.required': { status: 403, fault: 'person', title: 'A person must approve this' },
  'approve.declined': { status: 403, fault: 'person', title: 'A person declined this' },
  'approve.expired': { status: 403, fault: 'person', title: 'No person answered in time' },
  'approve.deferred': { status: 403, fault: 'policy', title: 'A fact that policy needs is not there' },
  'credential.unavailable': { status: 502, fault: 'operator', title: 'No credential could be had' },
  'credential.unplaced': { status: 400, fault: 'agent', title: 'The call has no place for its credential' },
  'credential.too-wide': { status: 502, fault: 'operator', title: 'The issuer gave more than was asked' },
  'forward.forbidden-address': { status: 403, fault: 'operator', title: 'The upstream address is not allowed' },
  'forward.redirect': { status: 502, fault: 'upstream', title: 'The upstream redirected elsewhere' },
  'forward.unreachable': { status: 502, fault: 'upstream', title: 'The upstream cannot be reached' },
  'forward.untrusted': { status: 502, fault: 'upstream', title: 'The upstream could not prove who it is', retry: 'later' },
  'forward.timeout': { status: 504, fault: 'upstream', title: 'The upstream took too long' },
  'forward.response-refused': { status: 502, fault: 'upstream', title: 'The upstream answer was refused' },
  'record.failed': { status: 503, fault: 'operator', title: 'The call cannot be recorded' },
  internal: { status: 500, fault: 'countersign', title: 'Countersign failed' },
} as const satisfies Record<string, Row>

export type Code = keyof typeof codes

/** What had happened upstream when a call was refused after all: sent bytes stay sent, whatever the agent is told. */
export interface Effect {
  readonly bytesOut: number
  readonly bytesIn: number
  /** Lower-case hex of a streamed request body that was sent whole. */
  readonly bodySha256: string | null
  /** `ip:port`. */
  readonly dialled: string | null
  /** Who was proven to be there: a SPIFFE ID, `dns:<name>` or `ip:<address>`; null over plain HTTP. */
  readonly proven: string | null
  /** Absent where the answer streamed by unjudged. */
  readonly answer?: JudgedAnswer
  /** Lower-case hex of the body that was sent in place of the agent's; absent: nothing in it was redacted, and no credential put into it. */
  readonly sentSha256?: string
  /** Lower-case hex of the body that the agent was given by a model, as far as it got. */
  readonly answerSha256?: string
}

/** What came of an answer that was judged or masked before the agent got it. Digests stand for its bytes: nothing of them is in here. */
export interface JudgedAnswer {
  /** Upstream status, also when the answer was refused. */
  readonly status: number
  /** What policy said; null when it was not asked. */
  readonly effect: 'allow' | 'deny' | null
  /** In observe mode, what policy said before the host turned it into allow. */
  readonly observed: 'deny' | null
  readonly rules: readonly string[]
  readonly controls: readonly string[]
  /** Those of the answer and those that the decision on the call carried. */
  readonly obligations: readonly { readonly id: string; readonly type: string }[]
  /** True when policy saw the whole body. */
  readonly judged: boolean
  /** True when policy saw the beginning of the body only. */
  readonly truncated: boolean
  readonly masked: number
  readonly dropped: number
  /** Lower-case hex of the body as it came; null when it was not read whole. */
  readonly sha256: string | null
  /** Lower-case hex of the body as it went out; null when it was not changed, or did not go out whole. */
  readonly sent: string | null
  /** Data classes that count as read because of it. */
  readonly raised: readonly string[]
  /** Why it was refused or cut short; null when it was not. */
  readonly fault: string | null
  /** Nanoseconds in the engine. */
  readonly evalNs: number
}

/** Headers that an answer may owe to the refusal itself. No other is sent, whatever a refusal holds. */
export const refusalHeaders = ['WWW-Authenticate', 'DPoP-Nonce', 'Retry-After'] as const

export type RefusalHeaders = Readonly<Partial<Record<(typeof refusalHeaders)[number], string>>>

/** What the agent may poll, and until when a person may answer. */
export interface ApprovalHandle {
  /** `a_…`. */
  readonly id: string
  readonly status: string
  /** ISO 8601. */
  readonly expires: string
}

/** What a refusal may carry besides its code. */
export interface RefusalOptions {
  /** Short sentences that the agent may read: no policy detail, no provider text, no secret. */
  readonly reasons?: readonly string[]
  /** What the agent may do about it; `terminal` refusals never succeed on retry. */
  readonly retry?: 'never' | 'later' | 'after-approval'
  /** For the operator's record only; never sent to the agent. */
  readonly detail?: string
  readonly cause?: unknown
  /** Null or absent: nothing was sent. */
  readonly effect?: Effect | null
  /** Fixed texts, never a quote of what was sent: they go to the agent as they are. */
  readonly headers?: RefusalHeaders
  /** Of a call that a person was asked about. */
  readonly approval?: ApprovalHandle | null
}

export class Refusal extends Error {
  readonly code: Code
  readonly status: number
  readonly fault: Fault
  readonly title: string
  readonly reasons: readonly string[]
  readonly retry: 'never' | 'later' | 'after-approval'
  readonly detail: string | null
  /** For the record; null when nothing was sent upstream. */
  readonly effect: Effect | null
  readonly headers: RefusalHeaders
  readonly approval: ApprovalHandle | null

  constructor(code: Code, options: RefusalOptions = {}) {
    const row: Row = codes[code]
    super(`${code}: ${row.title}`, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'Refusal'
    this.code = code
    this.status = row.status
    this.fault = row.fault
    this.title = row.title
    this.reasons = options.reasons ?? []
    this.retry = options.retry ?? row.retry ?? (row.status === 503 ? 'later' : 'never')
    this.detail = options.detail ?? null
    this.effect = options.effect ?? null
    this.headers = options.headers ?? {}
    this.approval = options.approval ?? null
  }

  /** The same refusal, knowing what had been sent by then. */
  after(effect: Effect): Refusal {
    const { code, reasons, retry, detail, cause, headers, approval } = this
    return new Refusal(code, {
      reasons,
      retry,
      headers,
      approval,
      ...(detail === null ? {} : { detail }),
      ...(cause === undefined ? {} : { cause }),
      effect,
    })
  }

  /** Takes anything thrown. A refusal passes; all else is a bug and becomes `internal`, its text kept as cause only. */
  static from(error: unknown): Refusal {
    return error instanceof Refusal ? error : new Refusal('internal', { cause: error })
  }
}
