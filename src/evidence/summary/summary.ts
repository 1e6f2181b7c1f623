/** What the lines of a set say, put in order: a pure function of the lines, so that whoever verifies a set can make it again. */
import { detailOf, eventOf, taskOf, tasksInside, type EvidenceLine } from '../line.ts'
import { correlationOf, rootOf, type Correlation } from '../correlation.ts'
import { approvalsOf, type ApprovalRow } from './approvals.ts'
import { callsOf, type CallRow } from './calls.ts'
import { credentialsOf, type CredentialRow } from './credentials.ts'
import { agentsOf, callersOf, peopleOf, servicesOf, type AgentRow, type CallerRow, type PersonRow, type ServiceRow } from './identities.ts'
import { text } from './plain.ts'
import { grantsOf, tasksOf, type GrantRow, type TaskRow } from './tasks.ts'
import {
  controlsOf,
  dataOf,
  killsOf,
  policiesOf,
  sensitivityOf,
  toolsOf,
  type ControlRow,
  type DataRow,
  type KillRow,
  type PolicyRow,
  type SensitivityRow,
  type ToolRow,
} from './totals.ts'

/** Another event of the task, such as `notification` or `evidence.exported`. */
export interface EventRow {
  readonly seq: number
  readonly at: string
  readonly event: string
  readonly task: string | null
  readonly by: string | null
  /** What it says, in words: message, reason or cause. */
  readonly what: string | null
}

export interface Summary {
  readonly format: 1
  readonly task: string
  readonly root: string
  readonly correlation: Correlation
  /** Of the lines of the task and those under it; null when there are none. */
  readonly span: { readonly from: string; readonly to: string } | null
  readonly tasks: readonly TaskRow[]
  readonly grants: readonly GrantRow[]
  readonly identities: {
    readonly agents: readonly AgentRow[]
    readonly callers: readonly CallerRow[]
    readonly people: readonly PersonRow[]
    readonly services: readonly ServiceRow[]
  }
  readonly policies: readonly PolicyRow[]
  readonly calls: readonly CallRow[]
  readonly credentials: readonly CredentialRow[]
  readonly approvals: readonly ApprovalRow[]
  readonly tools: readonly ToolRow[]
  readonly data: readonly DataRow[]
  readonly sensitivity: readonly SensitivityRow[]
  readonly kills: readonly KillRow[]
  readonly controls: readonly ControlRow[]
  readonly events: readonly EventRow[]
  readonly counts: {
    readonly lines: number
    readonly tasks: number
    readonly calls: number
    readonly permitted: number
    readonly refused: number
    /** Permitted and without an outcome among the lines. */
    readonly open: number
    readonly credentials: number
    readonly approvals: number
  }
}

/** `lines` in the order of their numbers. */
export function summarise(lines: readonly EvidenceLine[], task: string): Summary {
  const inside = tasksInside(lines, task)
  const calls = callsOf(lines, inside)
  const tasks = tasksOf(lines, inside)
  const credentials = credentialsOf(lines)
  const approvals = approvalsOf(lines, calls)
  return {
    format: 1,
    task: task.toWellFormed(),
    root: rootOf(lines, task),
    correlation: correlationOf(lines, task),
    span: spanOf(lines.filter((line) => inside.has(taskOf(line)))),
    tasks,
    grants: grantsOf(lines),
    identities: {
      agents: agentsOf(lines),
      callers: callersOf(calls),
      people: peopleOf(calls, tasks),
      services: servicesOf(calls, lines),
    },
    policies: policiesOf(calls, lines),
    calls,
    credentials,
    approvals,
    tools: toolsOf(calls),
    data: dataOf(calls),
    sensitivity: sensitivityOf(calls),
    kills: killsOf(lines),
    controls: controlsOf(calls),
    events: eventsOf(lines),
    counts: {
      lines: lines.length,
      tasks: inside.size,
      calls: calls.length,
      permitted: calls.filter(({ permitted }) => permitted).length,
      refused: calls.filter(({ permitted }) => !permitted).length,
      open: calls.filter(({ permitted, outcome_seq: outcome }) => permitted && outcome === null).length,
      credentials: credentials.length,
      approvals: approvals.length,
    },
  }
}

function spanOf(lines: readonly EvidenceLine[]): Summary['span'] {
  const [first, last] = [lines[0], lines.at(-1)]
  return first === undefined || last === undefined ? null : { from: first.time.toWellFormed(), to: last.time.toWellFormed() }
}

const told = /^(task|grant|lease|approval|kill)\.|^policy\.activated$/

/** Events that stand nowhere else. */
function eventsOf(lines: readonly EvidenceLine[]): readonly EventRow[] {
  return lines.flatMap((line) => {
    const event = eventOf(line)
    if (event === '' || told.test(event)) return []
    const detail = detailOf(line)
    const what = text(detail, 'message') ?? text(detail, 'reason') ?? text(detail, 'cause')
    const at = { seq: line.seq, at: line.time.toWellFormed(), event: event.toWellFormed() }
    return [{ ...at, task: text(line.own, 'task'), by: text(line.own, 'by'), what }]
  })
}
