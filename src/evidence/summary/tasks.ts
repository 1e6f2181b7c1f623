/** The tasks of a set: what each was opened for, by whom, under which policy, and how it ended; and what was offered to others. */
import { isRecord, valueAt } from '../../author/json-path.ts'
import { detailOf, eventOf, taskOf, type EvidenceLine } from '../line.ts'
import { moment, number, numbersByName, text, texts } from './plain.ts'

export interface Scope {
  readonly tools: readonly string[]
  readonly resources: readonly string[]
  readonly data: readonly string[]
  readonly egress: readonly string[]
  readonly budget: Readonly<Record<string, number>>
}

export interface Turn {
  readonly seq: number
  readonly at: string
  /** `opened`, `paused`, `resumed`, `reauthorised`, `completed`, `revoked` or `expired`. */
  readonly what: string
  readonly by: string | null
  /** Cause or reason, as it was given. */
  readonly why: string | null
}

export interface TaskRow extends Scope {
  readonly task: string
  /** It, or a task that it came from; the others are above and shown by their opening alone. */
  readonly inside: boolean
  readonly parent: string | null
  readonly caller: string | null
  readonly agent: string | null
  /** Null when its opening is not among the lines. */
  readonly opened: string | null
  readonly opened_by: string | null
  readonly opener: string | null
  readonly method: string | null
  readonly purpose: string | null
  readonly reason: string | null
  readonly prompt: string | null
  readonly expires: string | null
  readonly on_behalf_of: { readonly subject: string | null; readonly issuer: string | null } | null
  readonly root: string | null
  readonly chain: readonly string[]
  readonly grant: string | null
  readonly from: string | null
  readonly depth: number
  /** The policy that let it be opened. */
  readonly revision: string | null
  readonly approval: string | null
  /** The last turn that says so: `active`, `paused`, `completed`, `revoked` or `expired`. */
  readonly state: string
  readonly turns: readonly Turn[]
}

export interface GrantRow extends Scope {
  readonly grant: string
  readonly task: string
  readonly to: string | null
  readonly purpose: string | null
  readonly seq: number
  readonly at: string
  /** `offered`, `redeemed`, `withdrawn` or `expired`. */
  readonly state: string
  readonly why: string | null
}

const states: Readonly<Record<string, string>> = {
  'task.opened': 'active',
  'task.resumed': 'active',
  'task.reauthorised': 'active',
  'task.paused': 'paused',
  'task.completed': 'completed',
  'task.revoked': 'revoked',
  'task.expired': 'expired',
}

/** In the order in which the lines name them. */
export function tasksOf(lines: readonly EvidenceLine[], inside: ReadonlySet<string>): readonly TaskRow[] {
  const about = new Map<string, EvidenceLine[]>()
  for (const line of lines) {
    const task = taskOf(line)
    if (task === '' || (!inside.has(task) && eventOf(line) !== 'task.opened')) continue
    const own = about.get(task) ?? []
    about.set(task, own)
    if (Object.hasOwn(states, eventOf(line))) own.push(line)
  }
  return [...about].map(([task, own]) => taskRow(task.toWellFormed(), own, inside.has(task)))
}

function taskRow(task: string, lines: readonly EvidenceLine[], inside: boolean): TaskRow {
  const opening = lines.find((line) => eventOf(line) === 'task.opened')
  const detail = opening === undefined ? {} : detailOf(opening)
  const last = lines.at(-1)
  const behalf = valueAt(detail, 'on_behalf_of')
  return {
    task,
    inside,
    parent: text(detail, 'parent'),
    caller: text(opening?.own, 'caller') ?? text(last?.own, 'caller'),
    agent: text(detail, 'agent'),
    opened: opening?.time.toWellFormed() ?? null,
    opened_by: text(opening?.own, 'by'),
    opener: text(detail, 'opener'),
    method: text(detail, 'method'),
    purpose: text(detail, 'purpose'),
    reason: text(detail, 'reason'),
    prompt: text(detail, 'prompt'),
    expires: moment(detail, 'expires'),
    on_behalf_of: isRecord(behalf) ? { subject: text(behalf, 'subject'), issuer: text(behalf, 'issuer') } : null,
    root: text(detail, 'root'),
    chain: texts(detail, 'chain'),
    grant: text(detail, 'grant'),
    from: text(detail, 'from'),
    depth: number(detail, 'depth') ?? 0,
    revision: text(detail, 'revision'),
    approval: text(detail, 'approval'),
    ...scopeOf(detail),
    state: last === undefined ? 'active' : (states[eventOf(last)] ?? 'active'),
    turns: lines.map((line) => turnOf(line)),
  }
}

function turnOf(line: EvidenceLine): Turn {
  const detail = detailOf(line)
  const why = text(detail, 'cause') ?? text(detail, 'reason')
  return { seq: line.seq, at: line.time.toWellFormed(), what: eventOf(line).slice(5), by: text(line.own, 'by'), why }
}

export function scopeOf(detail: unknown): Scope {
  return {
    tools: texts(detail, 'tools'),
    resources: texts(detail, 'resources'),
    data: texts(detail, 'data'),
    egress: texts(detail, 'egress'),
    budget: numbersByName(detail, 'budget'),
  }
}

/** What was offered to others, and what became of it. */
export function grantsOf(lines: readonly EvidenceLine[]): readonly GrantRow[] {
  const rows = new Map<string, GrantRow>()
  for (const line of lines) {
    const detail = detailOf(line)
    const grant = text(detail, 'grant')
    if (grant === null) continue
    const event = eventOf(line)
    const known = rows.get(grant)
    if (event === 'task.handed-on') {
      const of = { grant, task: taskOf(line).toWellFormed(), to: text(detail, 'to'), purpose: text(detail, 'purpose') }
      rows.set(grant, { ...of, seq: line.seq, at: line.time.toWellFormed(), ...scopeOf(detail), state: 'offered', why: null })
    } else if (known !== undefined && event === 'task.opened') rows.set(grant, { ...known, state: 'redeemed' })
    else if (known !== undefined && event.startsWith('grant.'))
      rows.set(grant, { ...known, state: event.slice(6).toWellFormed(), why: text(detail, 'cause') })
  }
  return [...rows.values()]
}
