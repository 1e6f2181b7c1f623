/** The stage that judges: one call, one evaluation of policy, in one tick. */

import type { Call } from '../listen/call.ts'
import type { Caller } from '../identify/identify.ts'
import type { Task } from '../task/task.ts'
import type { Target } from '../match/match.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { Signalled, SignalRow } from '../state/signals.ts'
import type { Facts } from '../state/state.ts'
import type { Duties } from './duties.ts'
import type { Engine } from './engine.ts'
import { buildInput, type Setting } from './input.ts'
import { judge, type JudgeOptions } from './judge.ts'
import { modeOf, type Moded, type Modes } from './mode.ts'
import type { Obligation } from './obligations.ts'
import { rulingOf, type JudgedReason } from './result.ts'

export interface Question {
  readonly call: Call
  readonly caller: Caller
  readonly task: Task
  readonly target: Target
  /** What people answered about it; absent: nobody was asked, or nobody has answered. */
  readonly approval?: ApprovalRow
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

/** What policy said about one call, well-formed and canonical (reasons sorted by rule, obligations by id). */
export interface Decision {
  readonly question: Question
  readonly effect: DecisionEffect
  /** In observe mode, what policy said before the host turned it into allow. */
  readonly observed: 'deny' | 'ask' | 'defer' | null
  readonly reasons: readonly Reason[]
  /** Those of the reasons that refuse: of rules that observe mode does not only watch. */
  readonly refusedBy: readonly Reason[]
  readonly obligations: readonly Obligation[]
  /** What the obligations come to; done by the stages that follow, in observe mode too. */
  readonly duties: Duties
  readonly approval: {
    readonly approvers: readonly string[]
    readonly quorum: number
    /** How long people may answer, ms; absent: as the configuration says. */
    readonly ttl?: number
    readonly bind: readonly string[]
    /** False: it is answered for this one action only. */
    readonly objective?: boolean
  } | null
  /** What the call waits for; null unless policy defers it. */
  readonly deferral: {
    /** Paths of the input at which nothing stands yet, such as `signals.malware-scan.value`. */
    readonly missing: readonly string[]
    /** Ids of rules that contradict each other. */
    readonly conflicts: readonly string[]
    /** How long it may wait, ms; absent: as the configuration says, which is also the most. */
    readonly ttl?: number
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
  /** What judged: the answer and the record of this call are judged by it too. */
  readonly engine: Engine
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

export type Decide = (question: Question) => Decision

export interface DecideOptions extends JudgeOptions, Setting {
  /** What the task and its caller did so far, as of now. */
  readonly facts: (task: string, caller: string) => Facts
  /** What was given from outside about a call, at a time in epoch ms; absent: nothing ever is. */
  readonly signals?: (about: Signalled, now: number) => readonly SignalRow[]
  /** Epoch ms. */
  readonly clock: () => number
}

/**
 * Makes the stage. It looks up the facts, hands policy input v1 and gives the decision with the versions it saw.
 *
 * Throws `decide.unavailable` when the engine cannot evaluate, `decide.malformed` for anything but a well-formed decision, and
 * what `buildInput` throws for a call that policy could not see whole. A decision to deny or ask is returned, not thrown.
 *
 * A rule that may be watched only and is in observe mode has no effect on a route that lends no credential or says
 * `unsafe_observe`: the other rules alone decide, `observed` is what policy said, and so is `resultText`.
 */
export function makeDecide(options: DecideOptions): Decide {
  const { facts: look, signals: given, clock } = options
  return (question) => {
    const { row } = question.task
    const facts = look(row.id, row.caller)
    const now = clock()
    const signals = given?.({ task: row.id, caller: row.caller, resource: question.target.resource }, now)
    let inputText = ''
    const { result, engine, revision, evalNs } = judge(options, 'countersign/decision', (policy) => {
      const input = buildInput(question, { facts, now, revision: policy, signals }, options)
      inputText = input.record
      return input
    })
    const { effect, reasons, obligations, duties, approval, deferral, credential, labels, text } = result
    const left = effect === 'allow' ? none : refusingOf(options, question, reasons)
    // where nothing is only watched, policy has the last word: it may deny what the order of rules would hold
    const enforced = left.length === reasons.length ? effect : rulingOf(left)
    return {
      question,
      effect: enforced,
      observed: enforced === effect || effect === 'allow' ? null : effect,
      reasons,
      refusedBy: left,
      obligations,
      duties,
      approval,
      deferral,
      credential,
      labels,
      revision,
      engine,
      facts,
      now,
      inputText,
      resultText: text,
      evalNs,
    }
  }
}

/** What the rules say that are not watched only; without any the call, or the answer, is allowed. */
export function enforcedOf(modes: Modes, question: Moded, reasons: readonly JudgedReason[]): DecisionEffect {
  return rulingOf(refusingOf(modes, question, reasons))
}

/** The reasons of the rules that are not watched only. */
function refusingOf(modes: Modes, question: Moded, reasons: readonly JudgedReason[]): readonly JudgedReason[] {
  const { route } = question.target
  const mayWatch = route.credential === null || route.observe
  return reasons.filter(({ observable, rule }) => !(mayWatch && observable && modeOf(modes, question, rule) === 'observe'))
}

const none: readonly JudgedReason[] = []
