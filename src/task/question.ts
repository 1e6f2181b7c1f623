/** What policy is asked about a task, and what its answer means. */
import { Refusal } from '../refusal.ts'
import type { Caller } from '../identify/identify.ts'
import type { Intent, TaskRow } from '../state/state.ts'
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
}

/** What policy said. Anything but `allow` is a no; the agent reads `message_agent` alone. */
export interface TaskVerdict {
  readonly effect: 'allow' | 'deny' | 'ask'
  readonly reasons: readonly { readonly rule: string; readonly message_agent: string }[]
}

/** Who a task is opened for by somebody else: nothing of it is proven yet. */
export function named(id: string): Named {
  const trustDomain = /^spiffe:\/\/([^/]+)/.exec(id)?.[1] ?? ''
  return { id, trustDomain, method: 'none', confirmed: 'none', issuer: null, expires: Number.POSITIVE_INFINITY, proof: '', claims: {} }
}

/**
 * Asks whether a task may be opened or go on at `now`, epoch ms. Throws task.agent-not-live before policy is asked, approve.required where
 * a person must answer, and otherwise `refused` with what the agent may read of why.
 */
export function judgeTask(
  question: TaskQuestion,
  by: { readonly judge: (question: TaskQuestion) => TaskVerdict; readonly now: number },
  refused: 'decide.denied' | 'task.paused' = 'decide.denied',
): void {
  const why = notLive(question.agent, by.now)
  if (why !== null) throw new Refusal('task.agent-not-live', { detail: why })
  const { effect, reasons } = by.judge(question)
  if (effect === 'allow') return
  throw new Refusal(effect === 'ask' ? 'approve.required' : refused, {
    reasons: reasons.map((one) => one.message_agent),
    detail: reasons.map((one) => one.rule).join(' '),
  })
}
