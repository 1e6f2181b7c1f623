/** Which answers are held, and what holds for one of them: what policy is shown, what it obliges to, what is written down. */
import { hash } from 'node:crypto'
import { Refusal, type JudgedAnswer } from '../refusal.ts'
import type { Awaitable } from '../state/state.ts'
import type { Decision } from '../decide/decide.ts'
import type { Obligation } from '../decide/obligations.ts'
import type { Answer, AnswerVerdict, JudgeAnswer } from '../decide/response.ts'
import { visibleHeaders, type AnswerHead } from './answer.ts'
import type { Echoes } from './echoes.ts'
import type { Finds } from './finds.ts'
import type { Fields } from './respond.ts'
import { Scrub } from './scrub.ts'
import type { Change } from './splice.ts'

/** What judging answers needs from outside. */
export interface Answers {
  readonly judge: JudgeAnswer
  /** The strict reader: throws what is no document, and says whether a document is past a cap. */
  readonly readJson: (bytes: Uint8Array) => { readonly value: unknown; readonly beyond: unknown }
  /** Writes down that these classes count as read; the agent gets nothing before it resolves. */
  readonly raise: (decision: Decision, classes: readonly string[]) => Awaitable<void>
  /** Fulfils what is neither masking nor raising; not waited for. */
  readonly fulfil: (decision: Decision, obligations: readonly Obligation[]) => void
  /** The class of an answer that nobody labelled; null: none. */
  readonly unlabelled: string | null
  /** Bytes: the most that is read to be judged or masked, and how much of it policy sees as text. */
  readonly limits: { readonly judged: number; readonly sample: number }
}

/** What is known of one answer that is held. */
export interface Case {
  readonly decision: Decision
  readonly answers: Answers
  readonly echoes: Echoes
  readonly finds: Finds
}

/** Whether the answer to a call is held: its tool says so, or the decision obliges to mask it. The usual case is neither. */
export function isHeld({ question, obligations }: Decision): boolean {
  if (question.target.tool.answer !== null) return true
  return obligations.length > 0 && changeOf(obligations) !== null
}

/** What obligations change in an answer; null when nothing. */
export function changeOf(obligations: readonly Obligation[]): Change | null {
  const mask: string[] = []
  const drop: string[] = []
  for (const { type, properties } of obligations) {
    if (type === 'mask_response') mask.push(...properties.paths)
    else if (type === 'drop_response_fields') drop.push(...properties.paths)
  }
  return mask.length === 0 && drop.length === 0 ? null : { mask, drop }
}

/** Asks policy; null when its tool does not have the answer judged, or policy says nothing about answers. Throws the refusal. */
export function ask(of: Case, status: number, fields: Fields, body: Answer['body']): AnswerVerdict | null {
  const { target } = of.decision.question
  if (target.tool.answer === null) return null
  return of.answers.judge(of.decision, { status, headers: visibleHeaders(fields, target.route.answerHeaders, of.echoes), body })
}

/** The body as policy sees it. `read`: what was read of it, null when nothing was; `whole`: that is all of it. */
export function bodyOf(of: Case, head: AnswerHead, read: Buffer | null, whole: boolean): Answer['body'] {
  const { kind, length } = head
  const empty = whole && read !== null && read.length === 0
  if (kind === 'none' || empty) return { kind: 'none', parsed: undefined, sample: null, size: 0, judged: true, truncated: false }
  if (read === null) return { kind, parsed: undefined, sample: null, size: length, judged: false, truncated: false }
  const { limits } = of.answers
  // policy must not learn the credential either
  const seen = scrubbed(of, read, whole)
  const document = kind === 'json' && whole && !head.partial ? parsed(of, seen) : undefined
  return {
    kind,
    parsed: document,
    sample: head.text ? sampleOf(seen.subarray(0, limits.sample)) : null,
    size: whole ? read.length : length,
    judged: document !== undefined,
    truncated: !whole,
  }
}

/** Without the lent secret, stars in its place. */
export function scrubbed({ echoes, finds }: Case, bytes: Buffer, whole: boolean): Buffer {
  if (echoes.anchors === null) return bytes
  return Buffer.concat(new Scrub(echoes, finds).pass(bytes, whole))
}

/** Classes to be raised: what policy says, or what counts where nobody labelled the answer. */
export function raisedBy({ decision, answers }: Case, verdict: AnswerVerdict | null): readonly string[] {
  const classes: string[] = []
  let labelled = decision.question.target.tool.reads.length > 0
  labelled ||= decision.obligations.some(({ type }) => type === 'raise_sensitivity')
  for (const { type, properties } of verdict?.obligations ?? []) {
    if (type !== 'raise_sensitivity') continue
    labelled = true
    for (const name of properties.classes) if (!classes.includes(name)) classes.push(name)
  }
  return labelled || answers.unlabelled === null ? classes : [answers.unlabelled]
}

/** What is written down; `rest` is what only the exchange knows. */
export function recordOf(
  { decision }: Case,
  verdict: AnswerVerdict | null,
  rest: Omit<JudgedAnswer, 'effect' | 'observed' | 'rules' | 'controls' | 'obligations' | 'evalNs'>,
): JudgedAnswer {
  const reasons = verdict?.reasons ?? []
  const obliged = [...decision.obligations, ...(verdict?.obligations ?? [])]
  return {
    ...rest,
    effect: verdict?.effect ?? null,
    observed: verdict?.observed ?? null,
    rules: [...new Set(reasons.map(({ rule }) => rule))],
    controls: [...new Set(reasons.flatMap(({ controls }) => controls))].sort(),
    obligations: obliged.map(({ id, type }) => ({ id, type })),
    evalNs: verdict?.evalNs ?? 0,
  }
}

export function sha256(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex')
}

/** The refusal of an answer, with what its agent may read. */
export function refusedAnswer(detail: string, reasons: readonly string[] = []): Refusal {
  return new Refusal('forward.response-refused', { detail, reasons })
}

/** Undefined for what is no strict document, and for one that is past a cap. */
function parsed({ answers }: Case, bytes: Buffer): unknown {
  try {
    const { value, beyond } = answers.readJson(bytes)
    return beyond === null ? value : undefined
  } catch {
    return undefined
  }
}

/** Half a character at the end is left out, what is no UTF-8 becomes U+FFFD. */
function sampleOf(bytes: Buffer): string {
  return new TextDecoder('utf-8').decode(bytes, { stream: true })
}
