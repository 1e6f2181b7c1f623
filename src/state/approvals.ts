/** Approvals: what people were asked, what they answered, and what of it was used. */
import type { Awaitable } from './state.ts'

/** `approved` is usable until it is `redeemed` (its last use), `expired` or `withdrawn`. */
export type ApprovalState = 'pending' | 'approved' | 'declined' | 'expired' | 'redeemed' | 'withdrawn'

export interface ApprovalAnswer {
  /** `person:<name>`. */
  readonly by: string
  readonly method: 'local-key' | 'oidc' | 'key-pair' | 'chat'
  readonly groups: readonly string[]
  readonly verdict: 'approve' | 'decline'
  readonly reason: string
  readonly at: number
  /** Answered outside of who may answer; loud, and recorded. */
  readonly breakGlass: boolean
}

/** An objective: these tools, so many calls, until then; so that people approve what it is for and machines do the steps. */
export interface Objective {
  readonly tools: readonly string[]
  readonly calls: number
  /** Epoch ms. */
  readonly until: number
}

/** What the approver sees: written by Countersign from the request, never by the model. */
export interface Shown {
  /** One line, such as `payments.refund.create for 180 at payments.acme.example`. */
  readonly title: string
  readonly purpose: string
  readonly agent: string
  readonly caller: string
  /** On whose behalf, or null. */
  readonly human: string | null
  /** `agent:…` or `user:…`, then each hand-off. */
  readonly chain: readonly string[]
  readonly tool: string
  readonly route: string
  readonly destination: string
  readonly method: string
  readonly target: string
  readonly resource: string | null
  readonly risk: string
  readonly effect: string
  readonly data: readonly string[]
  readonly egress: string
  /** The judged body, complete, control and bidirectional characters made visible; null when there is none. */
  readonly body: string | null
  readonly bodySha256: string | null
  /** The last steps of the task and what it has read so far. */
  readonly steps: readonly string[]
  readonly sensitivity: readonly string[]
  readonly reasons: readonly {
    readonly rule: string
    readonly severity: string
    readonly controls: readonly string[]
    readonly message: string
  }[]
  readonly owners: Readonly<Record<string, string>>
}

export interface ApprovalRow {
  /** `a_…`. */
  readonly id: string
  readonly state: ApprovalState
  readonly task: string
  readonly caller: string
  /** The call that asked first; the decision's id. */
  readonly call: string
  /** `sha256:` of what is asked, as DESIGN §4 binds it. */
  readonly digest: string
  readonly tool: string
  readonly route: string
  readonly shown: Shown
  /** `group:…`, `person:…`; empty: any approver of this Countersign. */
  readonly approvers: readonly string[]
  readonly quorum: number
  /** Nobody of the requesting chain answers: subjects and SPIFFE IDs. */
  readonly excluded: readonly string[]
  /** Policy revision under which it was asked. */
  readonly revision: string
  readonly opened: number
  /** Until when people may answer and, once approved, until when it may be used, epoch ms. */
  readonly expires: number
  /** Null: this one action, once. */
  readonly objective: Objective | null
  readonly used: number
  readonly answers: readonly ApprovalAnswer[]
  readonly closed: { readonly at: number; readonly by: string; readonly reason: string } | null
}

/** Named transactions on approvals. An approval belongs to the sidecar that holds the call. */
export interface ApprovalBook {
  /** Opens it, or gives the pending one of the same task and digest: asking twice is asking once. */
  open(row: ApprovalRow): Awaitable<ApprovalRow>
  approval(id: string): Awaitable<ApprovalRow | null>
  approvals(filter: {
    readonly task?: string
    readonly states?: readonly ApprovalState[]
    readonly limit?: number
  }): Awaitable<readonly ApprovalRow[]>
  /** One more answer to a pending one, each person once; null when it is not pending. A decline, or the quorum, closes it. */
  answer(
    id: string,
    answer: ApprovalAnswer,
    grant: { readonly expires: number; readonly objective: Objective | null },
  ): Awaitable<ApprovalRow | null>
  /** pending or approved → expired or withdrawn; null when it was neither. */
  close(id: string, to: 'expired' | 'withdrawn', closed: NonNullable<ApprovalRow['closed']>): Awaitable<ApprovalRow | null>
  /** The approved, unexpired one that covers this action: by digest, else an objective of the task with this tool. In one tick. */
  usable(about: { readonly task: string; readonly digest: string; readonly tool: string }, now: number): ApprovalRow | null
  /** Uses it once, in the tick of the mint; false when another call was faster. Written with the next flush, before anything leaves. */
  redeem(id: string, now: number): boolean
}
