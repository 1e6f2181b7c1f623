/** An approval as whoever answers it must see it: everything that is known, in one order, for the terminal and for the page. */
import type { ApprovalRow, Shown, ShownTask } from '../state/approvals.ts'
import { visible } from '../approve/visible.ts'

/** A label and what stands beside it; a `block` keeps its lines. */
export interface Fact {
  readonly label: string
  readonly form: 'line' | 'list' | 'block'
  /** Made visible already. */
  readonly values: readonly string[]
}

/** Takes an approval, gives everything that its `shown` holds and how it stands. */
export function factsOf(row: ApprovalRow): readonly Fact[] {
  return [...askedFacts(row.shown), ...standingFacts(row)]
}

/** What is asked, by whom and why. */
export function askedFacts(shown: Shown): Fact[] {
  return shown.opening === undefined ? askedCall(shown) : askedTask(shown, shown.opening)
}

function askedCall(shown: Shown): Fact[] {
  return [
    line('asks', shown.title),
    line('agent', shown.agent),
    line('caller', shown.caller),
    line('on behalf of', shown.human ?? 'nobody'),
    list('chain', shown.chain),
    line('purpose', shown.purpose),
    line('tool', `${shown.tool} on route ${shown.route}`),
    line('request', `${shown.method} ${shown.target}`),
    list(
      'parameters',
      shown.parameters.map(({ name, value }) => `${name} = ${value}`),
    ),
    line('destination', shown.destination),
    line('resource', shown.resource ?? 'none'),
    line('risk', shown.risk),
    line('effect', shown.effect),
    list('data', shown.data),
    line('egress', shown.egress),
    block(`body ${shown.bodySha256 ?? ''}`.trim(), shown.body),
    ...because(shown),
  ]
}

/** Why policy asks, and what happened before. */
function because(shown: Shown): Fact[] {
  return [
    list(
      'reasons',
      shown.reasons.map(({ rule, severity, controls, message }) => `${message} (${[rule, severity, ...controls].join(', ')})`),
    ),
    list('last steps', shown.steps),
    list('read so far', shown.sensitivity),
    list(
      'owners',
      Object.entries(shown.owners).map(([role, owner]) => `${role}: ${owner}`),
    ),
  ]
}

/** A task as it would be opened, or go on. */
function askedTask(shown: Shown, { cause, opener, tools, resources, budget, prompt, ttl }: ShownTask): Fact[] {
  return [
    line('asks', shown.title),
    line('agent', shown.agent),
    line('caller', shown.caller),
    ...(opener === null ? [line('because of', cause ?? 'the agent asks to resume it')] : [line('opened by', opener)]),
    line('on behalf of', shown.human ?? 'nobody'),
    list('chain', shown.chain),
    line('purpose', shown.purpose),
    list('tools', tools),
    list('resources', resources),
    list('data', shown.data),
    line('egress', shown.egress || 'none'),
    list(
      'budget',
      Object.entries(budget).map(([meter, most]) => `${meter}: ${most}`),
    ),
    line('prompt', prompt ?? 'none declared'),
    line('lives for', `${Math.ceil(ttl / 1000)} s`),
    ...because(shown),
  ]
}

/** How it stands, and what it is bound to. */
export function standingFacts(row: ApprovalRow): Fact[] {
  return [
    line('task', row.opens ?? row.task ?? 'none yet'),
    line('call', row.call),
    line('digest', row.digest),
    line('policy', row.revision),
    list('who may answer', row.approvers.length === 0 ? ['any approver'] : row.approvers),
    list('who may not', row.excluded),
    line('quorum', `${row.answers.filter(({ verdict }) => verdict === 'approve').length} of ${row.quorum}`),
    list(
      'answers',
      row.answers.map((answer) => answered(answer)),
    ),
    line('opened', time(row.opened)),
    line('expires', time(row.expires)),
    line('grants', grants(row)),
    ...(row.closed === null ? [] : [line('closed', `${time(row.closed.at)} by ${row.closed.by}: ${row.closed.reason}`)]),
  ]
}

/** Whether a person broke the glass. */
export function isBroken({ answers }: Pick<ApprovalRow, 'answers'>): boolean {
  return answers.some(({ breakGlass }) => breakGlass)
}

function answered({ by, method, verdict, reason, at, breakGlass }: ApprovalRow['answers'][number]): string {
  return `${breakGlass ? 'BREAK-GLASS ' : ''}${verdict} by ${by} (${method}) at ${time(at)}: ${reason}`
}

function grants({ objective, used }: ApprovalRow): string {
  if (objective === null) return `this one action, once${used > 0 ? ' (used)' : ''}`
  return `${objective.tools.join(', ')}: ${used} of ${objective.calls} calls used, until ${time(objective.until)}`
}

function line(label: string, value: string): Fact {
  return { label, form: 'line', values: [visible(value)] }
}

function list(label: string, values: readonly string[]): Fact {
  return { label, form: 'list', values: values.length === 0 ? ['none'] : values.map((value) => visible(value)) }
}

function block(label: string, value: string | null): Fact {
  if (value === null) return line(label, 'none')
  return { label, form: 'block', values: visible(value, true).split('\n') }
}

function time(ms: number): string {
  return new Date(ms).toISOString()
}
