/** Judges what came back, before the agent gets any of it, by the policy that permitted the call. */

import { Refusal } from '../refusal.ts'
import type { Facts } from '../state/state.ts'
import { buildAnswerInput } from './answer-input.ts'
import { enforcedOf, type Decision, type Reason } from './decide.ts'
import type { Setting } from './input.ts'
import type { Modes } from './mode.ts'
import { judge, type JudgeOptions, type Judgement } from './judge.ts'
import type { Obligation } from './obligations.ts'

/** An answer as policy may see it. All of it comes from upstream, and may be anything. */
export interface Answer {
  readonly status: number
  /** Lower-case name → value, of the headers that policy may see. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: AnswerBody
}

export interface AnswerBody {
  /** `json` and `other` as the answer calls itself, `stream`: events, `none`: no byte of a body comes. */
  readonly kind: 'json' | 'none' | 'stream' | 'other'
  /** The document, strictly read; undefined unless all of it was. */
  readonly parsed: unknown
  /** The beginning of a body of text; null where none was read. */
  readonly sample: string | null
  /** Bytes, as announced or read; null when neither. */
  readonly size: number | null
  /** True when policy sees the whole body: the document, or that there is none. */
  readonly judged: boolean
  /** True when there is more of the body than was read. */
  readonly truncated: boolean
}

/** What policy said about one answer, well-formed. */
export interface AnswerVerdict {
  readonly effect: 'allow' | 'deny'
  /** In observe mode, what policy said before the host turned it into allow. */
  readonly observed: 'deny' | null
  readonly reasons: readonly Reason[]
  readonly obligations: readonly Obligation[]
  /** Nanoseconds in the engine. */
  readonly evalNs: number
}

/**
 * Null when the policy that permitted the call has nothing to say about answers.
 * Throws `forward.response-refused` when it cannot be evaluated, gives no well-formed verdict, or cannot be shown the answer.
 */
export type JudgeAnswer = (decision: Decision, answer: Answer) => AnswerVerdict | null

export interface JudgeAnswerOptions extends Setting, Pick<JudgeOptions, 'log'> {
  /** What the task and its caller did so far, as of now. */
  readonly facts: (task: string, caller: string) => Facts
  /** Epoch ms. */
  readonly clock: () => number
  /** Whether a notice may go to this name. */
  readonly knows: (to: string) => boolean
}

/** Makes the judge of answers. There is nobody to ask about an answer that is there already: `ask` is malformed. */
export function makeJudgeAnswer(options: JudgeAnswerOptions): JudgeAnswer {
  const { log, facts: look, clock } = options
  return (decision, answer) => {
    const { engine, question } = decision
    if (!engine.answers('countersign/response')) return null
    const { row } = question.task
    let judgement: Judgement
    try {
      judgement = judge({ engine: () => engine, log }, 'countersign/response', (revision) =>
        buildAnswerInput(decision, answer, { facts: look(row.id, row.caller), now: clock(), revision }, options),
      )
    } catch (cause) {
      throw refused(
        cause instanceof Refusal ? `${cause.code} ${cause.detail ?? cause.reasons.join()}` : 'the answer could not be judged',
        cause,
      )
    }
    return verdictOf(judgement, decision, options)
  }
}

function verdictOf({ result, evalNs }: Judgement, { question }: Decision, modes: Modes & Pick<JudgeAnswerOptions, 'knows'>): AnswerVerdict {
  const { effect, reasons, obligations, approval, credential } = result
  if (effect === 'ask' || effect === 'defer' || approval !== null || credential !== null)
    throw refused('policy asks about an answer, or for it')
  for (const { type, properties } of obligations)
    if (type === 'notify' && !modes.knows(properties.to))
      throw refused(`policy notifies "${properties.to}", and no notifier is called that`)
  const watched = effect === 'deny' && enforcedOf(modes, question, reasons) === 'allow'
  return { effect: watched ? 'allow' : effect, observed: watched ? effect : null, reasons, obligations, evalNs }
}

function refused(detail: string, cause?: unknown): Refusal {
  return new Refusal('forward.response-refused', { detail, ...(cause === undefined ? {} : { cause }) })
}
