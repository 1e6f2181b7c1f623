/** What policy is asked about a task, and what its answer means. */
import { Refusal } from '../refusal.ts'
import type { Caller } from '../identify/identify.ts'
import type { Call } from '../listen/call.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { Intent, OnBehalfOf, TaskRow } from '../state/state.ts'
import { notLive, type Agent } from './agents.ts'

/** Why a task that is active needs a fresh judgement before it goes on. */
export type Cause = 'session' | 'idle' | 'policy'

/** Who a task is for: its caller as this call proves it, or named by whoever opens it, and then proven by each of its calls. */
export type Named = Omit<Caller, 'method'> & { readonly method: Caller['method'] | 'none' }

/** Who opens a task. */
export interface Opener {
  readonly kind: 'self' | 'implicit' | 'orchestrator' | 'person'
  /** As the ledger names it: a SPIFFE ID or `person:<name>`. */
  readonly name: string
  /** How a person came in. */
  readonly method?: string
}

/** What policy is asked (`countersign/task`) before a task is opened, or goes on. */
export interface TaskQuestion {
  readonly action: 'open' | 'resume'
  readonly caller: Named
  readonly agent: Agent
  readonly intent: Intent
  /** How long it is to live from now on, ms. */
  readonly ttl: number
  /** Of the task that is resumed. */
  readonly id?: string
  /** Who it answers to, and who handed on until it came to the caller. */
  readonly delegation: Pick<TaskRow, 'root' | 'chain'>
  /** Of one that is opened. */
  readonly opener?: Opener
  /** Why it is judged although nobody paused it. */
  readonly cause?: Cause
  /** What people answered about it; absent: nobody was asked, or nobody has answered. */
  readonly approval?: ApprovalRow
}

/** What policy said. Anything but `allow` is a no; the agent reads `message_agent` alone. */
export interface TaskVerdict {
  readonly effect: 'allow' | 'deny' | 'ask'
  readonly reasons: readonly TaskReason[]
  /** Who is asked; null, as absent: one approver of this Countersign, whoever that is. */
  readonly approval?: { readonly approvers: readonly string[]; readonly quorum: number; readonly ttl?: number } | null
  /** Policy revision. */
  readonly revision: string
}

export interface TaskReason {
  readonly rule: string
  readonly severity: string
  readonly controls: readonly string[]
  readonly message_agent: string
}

/** Who wants the answer to a question, and what an approval of it is bound to besides. */
export interface Asker {
  /** A SPIFFE ID or `person:<name>`. */
  readonly by: string
  /** The request that its answer goes to; null: no agent waits for it. */
  readonly call: Call | null
  /** The task that goes on, or that the new one is handed on by. */
  readonly task: TaskRow | null
  /** The task that is opened when it is allowed; null where one goes on. */
  readonly opens: string | null
  /** The session that goes on with it. */
  readonly session?: string
  /** The grant that is redeemed: it says how long the child lives. */
  readonly grant?: string
  readonly onBehalfOf?: OnBehalfOf | null
}

/**
 * Takes what policy asks people about; resolves, in the same tick, with the approval that answers it, used from then on. Rejects with
 * approve.required while nobody has answered, approve.declined, approve.expired, decide.denied, listen.overloaded, record.failed.
 */
export type AskPeople = (question: TaskQuestion, verdict: TaskVerdict, asker: Asker) => Promise<ApprovalRow>

/** Who a task is opened for by somebody else: nothing of it is proven yet. */
export function named(id: string): Named {
  const trustDomain = /^spiffe:\/\/([^/]+)/.exec(id)?.[1] ?? ''
  return { id, trustDomain, method: 'none', confirmed: 'none', issuer: null, expires: Number.POSITIVE_INFINITY, proof: '', claims: {} }
}

export interface JudgeOptions {
  readonly judge: (question: TaskQuestion) => TaskVerdict
  readonly ask: AskPeople
  /** Epoch ms. */
  readonly now: number
}

/**
 * Asks whether a task may be opened or go on. Resolves with the approval that was used for it, null where policy alone allows it. Rejects
 * with task.agent-not-live before policy is asked, with what `ask` does where a person must answer, and otherwise with `refused` and what
 * the agent may read of why.
 */
export async function judgeTask(
  question: TaskQuestion,
  { judge, ask, now }: JudgeOptions,
  asker: Asker,
  refused: 'decide.denied' | 'task.paused' = 'decide.denied',
): Promise<ApprovalRow | null> {
  const why = notLive(question.agent, now)
  if (why !== null) throw new Refusal('task.agent-not-live', { detail: why })
  const verdict = judge(question)
  if (verdict.effect === 'allow') return null
  if (verdict.effect === 'ask') return ask(question, verdict, asker)
  throw refusedBy(verdict, refused)
}

/** The refusal that a verdict means. */
export function refusedBy({ reasons }: TaskVerdict, code: 'decide.denied' | 'task.paused' | 'approve.required'): Refusal {
  return new Refusal(code, { reasons: reasons.map((one) => one.message_agent), detail: reasons.map((one) => one.rule).join(' ') })
}

/** What an event says of the approval that it rests on. */
export function answeredBy(approval: ApprovalRow | null): Readonly<Record<string, unknown>> {
  if (approval === null) return {}
  const by = approval.answers.filter(({ verdict }) => verdict === 'approve').map((one) => one.by)
  return { approval: approval.id, approved_by: by, ...(approval.answers.some(({ breakGlass }) => breakGlass) && { break_glass: true }) }
}
