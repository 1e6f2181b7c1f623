/** What an approver sees. Countersign writes it from the request, never the model; what came from the agent stands in it whole, and visible. */
import type { Decision } from '../decide/decide.ts'
import type { Call } from '../listen/call.ts'
import type { Route } from '../match/route.ts'
import type { OfferedObjective, Shown } from '../state/approvals.ts'
import type { Facts, OnBehalfOf, Step, TaskRow } from '../state/state.ts'
import type { TaskQuestion, TaskReason } from '../task/question.ts'
import type { Receiver } from './receiver.ts'
import { visible } from './visible.ts'

/** `parties`: who stands behind the task, from its root. */
export function shownCall({ question, facts, refusedBy }: Decision, parties: readonly string[]): Shown {
  const { call, task, target } = question
  const { route, tool, resource, body } = target
  const destination = `${route.to.origin}${route.to.basePath}`
  return {
    title: `${tool.name}: ${call.method} at ${route.to.authority}`,
    ...whose(task.row, task.agent.id, parties),
    tool: tool.name,
    route: route.name,
    destination,
    method: call.method,
    target: visible(call.address.target),
    parameters: parameters(call, target.params, route),
    resource: resource === null ? null : visible(resource),
    risk: tool.risk,
    effect: tool.effect,
    data: tool.data,
    egress: tool.egress,
    body: body.bytes === null ? null : visible(Buffer.from(body.bytes).toString('utf8'), true),
    bodySha256: body.sha256,
    steps: facts.task.last.map(stepLine),
    sensitivity: read(facts),
    reasons: refusedBy.map(({ rule, severity, controls, message_agent: message }) => ({ rule, severity, controls, message })),
    owners: { ...task.agent.owners, ...(route.owner !== null && { route: route.owner }) },
  }
}

/** What of a task is not in the question. */
export interface AboutTask {
  readonly reasons: readonly TaskReason[]
  readonly human: OnBehalfOf | null
  /** Who stands behind it, from its root. */
  readonly parties: readonly string[]
  readonly facts: Facts
}

/** Of a task as it would be opened, or as it would go on. */
export function shownTask(question: TaskQuestion, { reasons, human, parties, facts }: AboutTask): Shown {
  const { action, agent, caller, intent, ttl, cause, opener } = question
  const { tools, resources, data, egress, budget, prompt } = intent
  return {
    ...nothing,
    title: `${titleOf(question)}: ${tools.length} tool patterns, for ${Math.ceil(ttl / 1000)} s`,
    purpose: visible(intent.purpose),
    agent: agent.id,
    caller: caller.id,
    human: human && visible(human.subject),
    chain: parties.map((party) => visible(party)),
    data,
    egress: egress.join(', '),
    steps: action === 'open' ? [] : facts.task.last.map(stepLine),
    sensitivity: read(facts),
    reasons: reasons.map(({ rule, severity, controls, message_agent: message }) => ({ rule, severity, controls, message })),
    owners: { ...agent.owners },
    opening: {
      cause: cause ?? null,
      opener: opener === undefined ? null : visible(opener.name),
      tools: tools.map((tool) => visible(tool)),
      resources: resources.map((resource) => visible(resource)),
      budget,
      prompt,
      ttl,
    },
  }
}

function titleOf({ action, cause, caller }: TaskQuestion): string {
  if (action === 'open') return `open a task for ${caller.id}`
  return cause === undefined ? `resume a paused task of ${caller.id}` : `let a task of ${caller.id} go on (${cause})`
}

/** Of what no call asks. */
const nothing = {
  tool: '',
  route: '',
  destination: '',
  method: '',
  target: '',
  parameters: [],
  resource: null,
  risk: '',
  effect: '',
  body: null,
  bodySha256: null,
  steps: [],
  sensitivity: [],
  reasons: [],
} as const

/** Of an objective that a person grants unasked: there is no call yet. */
export function shownGrant({ task, caller, agent, intent, owners, human, parties }: Receiver, { tools, calls }: OfferedObjective): Shown {
  return {
    ...nothing,
    title: `an objective${task === null ? ' for every task' : ''}: ${calls} calls of ${tools.join(', ')}`,
    purpose: task === null ? '' : visible(intent.purpose),
    agent,
    caller,
    human: human && visible(human),
    chain: parties.map((party) => visible(party)),
    tool: tools.join(', '),
    data: intent.data,
    egress: intent.egress.join(', '),
    owners,
  }
}

function whose(row: TaskRow, agent: string, parties: readonly string[]): Pick<Shown, 'purpose' | 'agent' | 'caller' | 'human' | 'chain'> {
  const human = row.onBehalfOf === null ? null : visible(row.onBehalfOf.subject)
  return { purpose: visible(row.intent.purpose), agent, caller: row.caller, human, chain: parties.map((party) => visible(party)) }
}

/** Whatever of the request may steer the upstream besides path and body. */
function parameters(call: Call, params: Readonly<Record<string, string>>, route: Route): Shown['parameters'] {
  const found: { readonly name: string; readonly value: string }[] = []
  const add = (name: string, value: string): void => void found.push({ name: visible(name), value: visible(value) })
  for (const [name, value] of Object.entries(params)) add(`path ${name}`, value)
  for (const [name, value] of new URLSearchParams(call.address.query ?? '')) add(`query ${name}`, value)
  for (const name of ['content-type', 'content-encoding', ...route.selects]) {
    const value = call.header(name)
    if (value !== undefined) add(`header ${name}`, value)
  }
  return found
}

function stepLine({ tool, effect, egress }: Step): string {
  return `${tool} (${effect}, ${egress})`
}

/** What the task, and its caller before it, have read. */
function read({ task, caller }: Facts): readonly string[] {
  return [...new Set([...task.sensitivity, ...Object.keys(caller.sensitivity)])].sort()
}
