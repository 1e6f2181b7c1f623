import type { Call } from '../listen/call.ts'
import type { Caller } from '../identify/identify.ts'
import type { Task } from '../task/task.ts'
import type { Target } from '../match/match.ts'
import type { Facts } from '../state/state.ts'

export interface Question {
  readonly call: Call
  readonly caller: Caller
  readonly task: Task
  readonly target: Target
}

export type DecisionEffect = 'allow' | 'deny' | 'ask' | 'defer'

export interface Reason {
  /** Rule id such as `data.personal-to-partner`. */
  readonly rule: string
  readonly severity: 'low' | 'medium' | 'high' | 'critical'
  /** Verified framework ids such as `ASI02`, `NHI5`. */
  readonly controls: readonly string[]
  /** What the agent may read. */
  readonly message_agent: string
  /** What only the operator reads. */
  readonly detail: Readonly<Record<string, unknown>>
}

export interface Obligation {
  readonly id: string
  readonly type: string
  readonly properties: Readonly<Record<string, unknown>>
}

/** What policy said about one call, well-formed and canonical (reasons sorted by rule, obligations by id). */
export interface Decision {
  readonly question: Question
  readonly effect: DecisionEffect
  /** In observe mode, what policy said before the host turned it into allow. */
  readonly observed: 'deny' | 'ask' | null
  readonly reasons: readonly Reason[]
  readonly obligations: readonly Obligation[]
  readonly approval: {
    readonly approvers: readonly string[]
    readonly quorum: number
    readonly ttl: number
    readonly bind: readonly string[]
  } | null
  readonly credential: {
    readonly provider?: string
    readonly scopes?: readonly string[]
    readonly ttl?: number
    readonly audience?: string
  } | null
  readonly labels: Readonly<Record<string, string>>
  /** Policy revision. */
  readonly revision: string
  /** The facts that policy saw: minting compares their versions. */
  readonly facts: Facts
  /** Epoch ms that policy saw as now. */
  readonly now: number
  /** The input as JSON text, without `body.parsed` and `tool.args` (they are digested): what the record keeps. */
  readonly inputText: string
  /** The canonical result as JSON text. */
  readonly resultText: string
  readonly evalNs: number
}
