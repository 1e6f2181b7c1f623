/** What people were asked in a set, who answered what and why, and which calls were made by it. */
import { detailOf, eventOf, type EvidenceLine } from '../line.ts'
import type { CallRow } from './calls.ts'
import { flag, moment, number, text, texts } from './plain.ts'

export interface AnswerRow {
  readonly seq: number
  readonly at: string
  readonly by: string | null
  /** How the person came in. */
  readonly method: string | null
  readonly groups: readonly string[]
  readonly verdict: string | null
  readonly reason: string | null
  readonly break_glass: boolean
}

export interface ApprovalRow {
  readonly approval: string
  /** `call`, or what of a task is asked. */
  readonly matter: string
  /** True: a person granted it unasked. */
  readonly unasked: boolean
  readonly seq: number
  readonly at: string
  readonly asked_by: string | null
  readonly task: string | null
  readonly call: string | null
  readonly tool: string | null
  /** Of what is answered: caller, request and body. */
  readonly digest: string | null
  readonly approvers: readonly string[]
  readonly quorum: number | null
  readonly expires: string | null
  readonly answers: readonly AnswerRow[]
  /** `pending`, `approved`, `declined`, `expired`, `withdrawn` or `granted`. */
  readonly state: string
  readonly closed: { readonly seq: number; readonly at: string; readonly by: string | null; readonly why: string | null } | null
  /** Calls that were made by it. */
  readonly used: readonly string[]
}

/** In the order in which they were opened. */
export function approvalsOf(lines: readonly EvidenceLine[], calls: readonly CallRow[]): readonly ApprovalRow[] {
  const rows = new Map<string, ApprovalRow>()
  for (const line of lines) {
    const event = eventOf(line)
    if (!event.startsWith('approval.')) continue
    const approval = text(detailOf(line), 'approval')
    if (approval === null) continue
    rows.set(approval, next(rows.get(approval) ?? opened(approval, line), event.slice(9).toWellFormed(), line))
  }
  const used = new Map<string, string[]>()
  for (const { approval, call, permitted } of calls) {
    if (approval === null || !permitted) continue
    const made = used.get(approval)
    if (made === undefined) used.set(approval, [call])
    else made.push(call)
  }
  return [...rows.values()].map((row) => ({ ...row, used: used.get(row.approval) ?? [] }))
}

function opened(approval: string, line: EvidenceLine): ApprovalRow {
  const detail = detailOf(line)
  return {
    approval,
    matter: text(detail, 'matter') ?? 'call',
    unasked: eventOf(line) === 'approval.granted',
    seq: line.seq,
    at: line.time.toWellFormed(),
    asked_by: text(line.own, 'by'),
    task: text(line.own, 'task'),
    call: text(detail, 'call'),
    tool: text(detail, 'tool'),
    digest: text(detail, 'digest'),
    approvers: texts(detail, 'approvers'),
    quorum: number(detail, 'quorum'),
    expires: moment(detail, 'expires'),
    answers: [],
    state: 'pending',
    closed: null,
    used: [],
  }
}

function next(row: ApprovalRow, what: string, line: EvidenceLine): ApprovalRow {
  const detail = detailOf(line)
  const by = text(line.own, 'by')
  const at = { seq: line.seq, at: line.time.toWellFormed(), by }
  if (what === 'answered' || what === 'granted') {
    const verdict = what === 'granted' ? 'approve' : text(detail, 'verdict')
    const how = { method: text(detail, 'method'), groups: texts(detail, 'groups'), reason: text(detail, 'reason') }
    const answer = { ...at, ...how, verdict, break_glass: flag(detail, 'breakGlass') }
    return { ...row, answers: [...row.answers, answer], ...(what === 'granted' && { state: 'granted' }) }
  }
  const over = ['approved', 'declined', 'expired', 'withdrawn'].includes(what)
  return over ? { ...row, state: what, closed: { ...at, why: text(detail, 'reason') } } : row
}
