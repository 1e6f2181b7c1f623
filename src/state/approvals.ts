/** Approvals: what people were asked, what they answered, and what of it was used. */
import type { Awaitable } from './state.ts'

/** What is asked: whether a call is made, a task opened, or one gone on with. */
export type Matter = 'call' | 'task-open' | 'task-resume'

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
  /** For more than the one action; null: for that alone. What is granted is the narrowest that all who approve agree to. */
  readonly objective: OfferedObjective | null
}

/** An objective as a person offers it; `ttl` in ms from the answer that grants it. */
export interface OfferedObjective {
  readonly tools: readonly string[]
  readonly calls: number
  readonly ttl: number
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
  /** Named pieces of the path, the query decoded, and the headers that the answer is bound to. */
  readonly parameters: readonly { readonly name: string; readonly value: string }[]
  readonly resource: string | null
  readonly risk: string
  readonly effect: string
  readonly data: readonly string[]
  readonly egress: string
  /** The judged body, complete, control and bidirectional characters made visible; null when there is none, and once it is closed. */
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
  /** Of a task that is to be opened or gone on with; absent: it is about calls. */
  readonly opening?: ShownTask
}

/** The task as it would be: what `shown` has no member for. */
export interface ShownTask {
  /** Why an active task is asked about; null: somebody asks for it. */
  readonly cause: string | null
  /** Who opens it, a SPIFFE ID or `person:<name>`; null where it goes on. */
  readonly opener: string | null
  readonly tools: readonly string[]
  readonly resources: readonly string[]
  readonly budget: Readonly<Record<string, number>>
  /** `sha256:…` of the prompt that the agent declares. */
  readonly prompt: string | null
  /** How long it would live from now on, ms. */
  readonly ttl: number
}

export interface ApprovalRow {
  /** `a_…`. */
  readonly id: string
  readonly state: ApprovalState
  readonly matter: Matter
  /**
   * The task that it is about; of one that is to be opened, the one that it is handed on by, and null when it is handed on by none. Null too
   * for an objective that holds for every task of its caller.
   */
  readonly task: string | null
  /** Who asks: a SPIFFE ID, or `person:<name>` who opens a task. */
  readonly caller: string
  /** The workload that a task is opened for, when it is another than who asks. */
  readonly worker?: string
  /** Of an objective that was granted for every task of its caller: all that the sign-in of whoever granted it proved. Nobody's own tasks use it. */
  readonly grantedBy?: readonly string[]
  /** The task that was opened under it. */
  readonly opens?: string
  /** The call that asked first; the decision's id. Empty, like `digest`, when a person granted an objective unasked. `tool` and `route` are empty but for calls. */
  readonly call: string
  /** `sha256:` of what is asked: `src/approve/digest.ts`. */
  readonly digest: string
  readonly tool: string
  readonly route: string
  readonly shown: Shown
  /** `group:…`, `person:…`; empty: any approver of this Countersign. */
  readonly approvers: readonly string[]
  readonly quorum: number
  /** It is answered for this one action only: no objective covers it. */
  readonly single: boolean
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
  /** When there were answers enough, epoch ms; null: there never were. */
  readonly granted: number | null
  readonly closed: { readonly at: number; readonly by: string; readonly reason: string } | null
}

/** What needs an approval. */
export interface Wanted {
  readonly task: string | null
  /** Whose objectives count besides those of the task; absent: nobody's. */
  readonly caller?: string
  readonly digest: string
  /** Null: it is no call, and no objective covers it. */
  readonly tool: string | null
}

/** Named transactions on approvals. An approval belongs to the sidecar that holds the call. */
export interface ApprovalBook {
  /** Opens it, or gives the pending one of the same task and digest: asking twice is asking once. */
  open(row: ApprovalRow): Awaitable<ApprovalRow>
  approval(id: string): Awaitable<ApprovalRow | null>
  /** Newest first; at most `limit` (500). */
  approvals(filter: {
    readonly task?: string
    readonly states?: readonly ApprovalState[]
    readonly limit?: number
  }): Awaitable<readonly ApprovalRow[]>
  /** The newest that was asked with this task and digest, whatever became of it. */
  latest(about: Pick<Wanted, 'task' | 'digest'>): Awaitable<ApprovalRow | null>
  /** How many are pending: of a caller, or in all. */
  pending(caller?: string): number
  /**
   * One more answer to a pending one, each person once; null when it is not pending or the person has answered. A decline closes it, and so
   * does one approval outside of who may answer; the quorum of different people grants it. Those who use the local key count as one
   * person: it proves no name.
   */
  answer(
    id: string,
    answer: ApprovalAnswer,
    grant: { readonly expires: number; readonly objective: Objective | null },
  ): Awaitable<ApprovalRow | null>
  /** pending or approved → expired or withdrawn, and redeemed → withdrawn; null when it was none of them. */
  close(id: string, to: 'expired' | 'withdrawn', closed: NonNullable<ApprovalRow['closed']>): Awaitable<ApprovalRow | null>
  /** Pending and approved ones whose time has passed. */
  overdue(now: number): readonly ApprovalRow[]
  /** The approved, unexpired ones that may cover this action: by digest first, then objectives of the task, and of its caller, with this tool. In one tick. */
  usable(about: Wanted, now: number): readonly ApprovalRow[]
  /** Whether a call of this task of a caller may use it now. */
  redeemable(id: string, by: { readonly task: string; readonly caller: string }, now: number): boolean
  /** Uses it once, in the tick of the mint; false when another call was faster. Written with the next flush, before anything leaves. */
  redeem(id: string, now: number): boolean
  /** Uses one that is about a task, and `opens` this one: written when it answers. Null when it is not usable any more. In one tick. */
  spend(id: string, now: number, opens: string | null): ApprovalRow | null
}
