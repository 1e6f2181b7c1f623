import type { Obligation } from '../../src/decide/obligations.ts'
import type { Answer, AnswerVerdict } from '../../src/decide/response.ts'
import type { Answers } from '../../src/forward/judging.ts'
import { readJson } from '../../src/match/json.ts'

/** A judge of answers that says what it is told to and keeps what it was shown. */
export interface ScriptedAnswers extends Answers {
  readonly seen: readonly Answer[]
  readonly raised: readonly (readonly string[])[]
  readonly fulfilled: readonly Obligation[]
}

export function scriptedAnswers(verdict: Partial<AnswerVerdict> | null = {}, change: Partial<Answers> = {}): ScriptedAnswers {
  const seen: Answer[] = []
  const raised: (readonly string[])[] = []
  const fulfilled: Obligation[] = []
  return {
    seen,
    raised,
    fulfilled,
    judge: (_, answer) => {
      seen.push(answer)
      return verdict === null ? null : { effect: 'allow', observed: null, reasons: [], obligations: [], evalNs: 1000, ...verdict }
    },
    readJson,
    raise: (_, classes) => void raised.push(classes),
    fulfil: (_, obligations) => void fulfilled.push(...obligations),
    unlabelled: null,
    limits: { judged: 1024, sample: 64 },
    ...change,
  }
}

export const mask = (...paths: string[]): Obligation => ({ id: 'm', type: 'mask_response', properties: { paths } })
export const drop = (...paths: string[]): Obligation => ({ id: 'd', type: 'drop_response_fields', properties: { paths } })
export const raise = (...classes: string[]): Obligation => ({ id: 'r', type: 'raise_sensitivity', properties: { classes } })

export const denied: Partial<AnswerVerdict> = {
  effect: 'deny',
  reasons: [{ rule: 'acme.no', severity: 'high', controls: ['ASI02', 'NHI5'], message_agent: 'this may not come back', detail: {} }],
}
