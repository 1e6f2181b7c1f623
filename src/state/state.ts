/**
 * What tasks, leases, budgets and sensitivity are kept in, as named transactions.
 * Asynchronous by type (`Awaitable`) except the reads and the mint that happen in one tick on the embedded state.
 */
import type { ApprovalBook } from './approvals.ts'
import type { CountBook } from './counted.ts'
import type { Divergence, Sum, SumKey, Tally } from './facts.ts'
import type { GrantBook, OpenedChild, Redemption } from './grants.ts'
import type { KillBook } from './kills.ts'
import type { LeaseRow, LeaseState } from './leases.ts'
import type { MintAnswer, MintRequest, Observation, Raised } from './mint.ts'
import type { RegistrationBook } from './registrations.ts'
import type { SignalBook } from './signals.ts'

export type Awaitable<T> = T | Promise<T>

export type TaskState = 'pending' | 'active' | 'paused' | 'completed' | 'revoked' | 'expired'
export type PausedBy = 'agent' | 'person' | 'rule'

/** What a task is for; also the widest a task of an agent may be. */
export interface Intent {
  readonly purpose: string
  /** Tool names; `*` at the end matches a prefix. */
  readonly tools: readonly string[]
  /** Resource patterns such as `customer:*`. */
  readonly resources: readonly string[]
  /** Data classes that may be touched. */
  readonly data: readonly string[]
  readonly egress: readonly string[]
  /** Meter → most that may be spent; `calls` counts calls. */
  readonly budget: Readonly<Record<string, number>>
  /** `sha256:…` of the prompt or plan, when the agent sent one. */
  readonly prompt: string | null
}

/** How far an intent reaches. */
export type Scope = Pick<Intent, 'tools' | 'resources' | 'data' | 'egress'>

/** One link of a delegation chain: who handed on, and how far its authority reached. */
export interface Link {
  /** The SPIFFE ID of a task's caller, or who a token names as an actor (RFC 8693 §4.1). */
  readonly party: string
  /** The task that was handed on; null for an actor that a token names. */
  readonly task: string | null
  /** Who vouches for an actor that a token names, as far as the token says. */
  readonly issuer: string | null
  /** Null where a token names an actor: it says nothing of its scope. */
  readonly intent: Scope | null
}

export interface OnBehalfOf {
  readonly subject: string
  readonly issuer: string
}

/** The digests of a model call that went through Countersign: what was asked and what came back. */
export interface ModelCall {
  /** Id of the call, under which its decision stands in the ledger. */
  readonly call: string
  /** Lower-case hex of the request body; null when there was none, or none was read whole. */
  readonly request: string | null
  /** Lower-case hex of the body that the agent was given, as far as it got; null when none was. */
  readonly answer: string | null
}

/** An OAuth Transaction Token as far as it is kept: of what may name a person, digests only. */
export interface Transaction {
  readonly verified: boolean
  /** `txn`; null unless it was verified: the text of anybody else is not kept. */
  readonly id: string | null
  /** Configured issuer that signed it. */
  readonly issuer: string | null
  /** Lower-case hex of `sub` and of the JSON text of `rctx`. */
  readonly subSha256: string | null
  readonly rctxSha256: string | null
  /** Lower-case hex of the whole token, which the service that issued it may have logged too. */
  readonly tokenSha256: string
}

/** What a task belongs to elsewhere. */
export interface Correlation {
  /** Of the W3C `traceparent` that it was opened with. */
  readonly traceId: string | null
  readonly transaction: Transaction | null
}

export interface TaskRow {
  readonly id: string
  /** SPIFFE ID the task is bound to. */
  readonly caller: string
  /** Who opened it: its caller, the caller's orchestrator (a SPIFFE ID) or `person:<name>`. Absent: its caller. */
  readonly openedBy?: string
  /** The agent registration (its id or pattern) it was opened under. */
  readonly agent: string
  readonly implicit: boolean
  readonly state: TaskState
  readonly intent: Intent
  readonly onBehalfOf: OnBehalfOf | null
  /** Sealed subject token for exchange; null when none was given. Erased when the task ends. */
  readonly subjectToken: string | null
  readonly opened: number
  /** Epoch ms. Sliding for implicit tasks, up to `limit`. */
  readonly expires: number
  readonly limit: number
  /** The session (`sessionOf`) that opened it or last went on with it; null: whichever of its caller uses it next. */
  readonly session: string | null
  /** Policy revision it was last judged under. */
  readonly revision: string
  /** When it was last judged, epoch ms; absent: when it was opened. */
  readonly judged?: number
  readonly correlation?: Correlation
  /** `from`: the ancestor whose pause this is; it is lifted with that one's. */
  readonly paused: { readonly by: PausedBy; readonly at: number; readonly reason: string; readonly from?: string } | null
  readonly ended: { readonly at: number; readonly cause: string; readonly by: string } | null
  readonly parent: string | null
  readonly root: string
  readonly depth: number
  /** Who handed on until it came to this task, oldest first; absent: nobody did. Never changes. */
  readonly chain?: readonly Link[]
  /** The grant it was opened by; absent: none. */
  readonly grant?: string
}

/** The last calls as a rule may see them. */
export interface Step {
  readonly tool: string
  readonly effect: string
  readonly egress: string
  readonly at: number
}

/** First and last step at which a tool was called; the first call of a task is step 1. */
export type Span = readonly [first: number, last: number]

/** The latest read of a data class in a task. */
export interface Source {
  readonly tool: string
  /** Epoch ms. */
  readonly at: number
  readonly step: number
  /** Whether every read of the class in this task came from this tool. */
  readonly only: boolean
  /** Permitted calls of this task that read the class. */
  readonly reads: number
}

/**
 * Facts of one task, replaced as a whole on every change; `version` grows by one each time.
 * Its records are live: `counts`, `steps`, `sources`, `hosts`, `resources`, `repeats` and `divergence` are shared by all versions, for
 * copying them would cost more than judging a call.
 * Read them in the tick that `facts` answered.
 */
export interface TaskFacts {
  readonly version: number
  readonly step: number
  readonly last: readonly Step[]
  /** Tool → calls; live. Past 512 names the rest is counted under `*`. */
  readonly counts: Readonly<Record<string, number>>
  /** Tool → where it was called; live. Has the names of `counts`. */
  readonly steps: Readonly<Record<string, Span>>
  readonly spent: Readonly<Record<string, number>>
  /** Data classes read under this task. */
  readonly sensitivity: readonly string[]
  /** Data class → its latest read under this task; live. A class without one was read at a time that nobody knows. */
  readonly sources: Readonly<Record<string, Source>>
  /** Upstream → calls, of 256 at most; live. */
  readonly hosts: Tally
  /** Resource → calls, for the last 64 distinct ones; live. One that was forgotten is new. */
  readonly resources: Readonly<Record<string, number>>
  /** Digest of (tool, target, body) → times asked, for the last 64 distinct ones; live. */
  readonly repeats: Readonly<Record<string, number>>
  /** Upstream answers ≥ 400 and refusals in a row. */
  readonly failures: number
  /** Rule → how often policy refused a call of this task for it, up to 1,000. Past 16 rules the rest is counted under `*`. */
  readonly denials: Readonly<Record<string, number>>
  /** Whether policy refused a call of this task because it left its intent. */
  readonly diverged: boolean
  /** The latest model call of the task whose answer is through. */
  readonly model?: ModelCall | null
  /** Live. */
  readonly divergence: Divergence
  /** Data classes that the caller already knew when the task was opened. */
  readonly brought: readonly string[]
}

/** What stays with the caller after its tasks: the agent's memory outlives its task. */
export interface CallerFacts {
  readonly version: number
  /** Data class → epoch ms it was last read, rounded up to the second. What has decayed is not in it. */
  readonly sensitivity: Readonly<Record<string, number>>
  /** What it spent and sent lately; live, and null when that is nothing. */
  readonly sums: { of(key: SumKey, now: number): Sum } | null
}

/** Seals small secrets that must outlive a restart; `purpose` is bound to the sealed text and must be named again to open it. */
export interface Seal {
  seal(text: string, purpose: string): string
  /** Throws when the text was not sealed with this key and for this purpose. */
  open(sealed: string, purpose: string): string
}

export interface Facts {
  readonly task: TaskFacts
  readonly caller: CallerFacts
}

/** Named transactions. One process, one writer: no plain read-then-write by callers. */
export interface State {
  readonly kills: KillBook
  readonly registrations: RegistrationBook

  // tasks
  openTask(row: TaskRow): Awaitable<void>
  task(id: string): Awaitable<TaskRow | null>
  tasks(filter: { readonly caller?: string; readonly state?: TaskState; readonly limit?: number }): Awaitable<readonly TaskRow[]>
  /** The caller's active tasks (explicit ones first). */
  activeTasks(caller: string): Awaitable<readonly TaskRow[]>
  /**
   * active → paused, and a pause by the agent or of an ancestor → one by a person or a rule; null when it is neither. Its active
   * descendants are paused `from` it.
   */
  pauseTask(id: string, paused: NonNullable<TaskRow['paused']>): Awaitable<TaskRow | null>
  /** paused → active; null when the task is not paused by one of `liftable`, or an ancestor is paused. What was paused `from` it is lifted too. */
  resumeTask(
    id: string,
    liftable: readonly PausedBy[],
    change: Partial<Pick<TaskRow, 'session' | 'revision' | 'expires' | 'judged'>>,
  ): Awaitable<TaskRow | null>
  /** An active task goes on in another session, after a silence, or under another policy; null when it is not active. */
  reauthoriseTask(id: string, change: Partial<Pick<TaskRow, 'session' | 'revision' | 'judged'>>): Awaitable<TaskRow | null>
  /**
   * Not ended → an end state, exactly once; null when it had ended before. What it handed on ends with it: its descendants, `revoked` or, by
   * the clock, `expired`, and the grants that nobody redeemed.
   */
  endTask(id: string, state: 'completed' | 'revoked' | 'expired', ended: NonNullable<TaskRow['ended']>): Awaitable<TaskRow | null>
  /** Slides a live task's expiry: later only, and never past its `limit`. */
  touchTask(id: string, expires: number): Awaitable<void>
  /** Live tasks whose `expires` is at or before `now`, or whose time has passed although the clock was put back. */
  overdueTasks(now: number): Awaitable<readonly TaskRow[]>

  // what was handed on
  readonly grants: GrantBook
  /** The tasks that a task came from, its parent first and the root last, in whatever state. */
  ancestors(id: string): readonly TaskRow[]
  /** Tasks that have not ended and came from this one, parents before their children. */
  descendants(id: string): readonly TaskRow[]
  /** Its children in whatever state, oldest first. */
  children(id: string): Awaitable<readonly TaskRow[]>
  /**
   * Redeems a grant and opens its child, which is `pending`: both or neither. From then on the callers of the tree share what each of them
   * has read.
   */
  openChild(row: TaskRow, by: Redemption): Awaitable<OpenedChild>
  /** pending → active; null when it is neither (it was paused, or ended, meanwhile). */
  activateTask(id: string): Awaitable<TaskRow | null>

  // facts: one tick on the embedded state
  facts(task: string, caller: string): Facts
  mint(request: MintRequest): MintAnswer
  /** What came of a permitted call: feeds `failures`, `divergence`, late debits, and `model` where it was a call of one. */
  observe(task: string, outcome: Observation): Awaitable<void>
  /**
   * Debits what becomes known only while a permitted call is under way, in one tick: all of it, or nothing and the reason why it is
   * not to be spent, for the operator's record.
   */
  spend(task: string, debit: Readonly<Record<string, number>>): string | null
  /**
   * What an answer turned out to hold counts as read by its task (while that lives) and by the caller from now on; written when it resolves.
   * `public` never counts. Gives the other callers that know of it from now on.
   */
  raise(task: string, caller: string, classes: readonly string[]): Awaitable<readonly Raised[]>
  /** Policy refused a call of a task, by these rules: feeds `denials`, `diverged` and `divergence`. A task that is not live is none. */
  denied(task: string, rules: readonly string[]): Awaitable<void>
  /** A person clears what a caller has read, its live tasks included. */
  clearSensitivity(caller: string): Awaitable<void>

  readonly approvals: ApprovalBook
  readonly signals: SignalBook
  readonly counted: CountBook

  // leases
  lease(id: string): Awaitable<LeaseRow | null>
  putLease(row: LeaseRow): Awaitable<void>
  changeLease(id: string, from: readonly LeaseState[], change: Partial<LeaseRow>): Awaitable<LeaseRow | null>
  leases(filter: { readonly task?: string; readonly states?: readonly LeaseState[] }): Awaitable<readonly LeaseRow[]>

  /** Small values that must outlive a restart (last ledger offsets, markers). */
  note(key: string): Awaitable<string | null>
  putNote(key: string, value: string): Awaitable<void>

  /** Writes everything changed since the last flush in one transaction; synchronous. Throws when it cannot. */
  flush(): void
  close(): void
}
