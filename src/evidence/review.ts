/** An access review: what each agent may do, what it did, what it was refused and asked, and what it could do without. */

import { covers } from '../task/intent.ts'
import type { AgentUse, Times } from './agent-use.ts'
import { lapsesOf, type Estate } from './lapsed.ts'
import { proposalFor } from './proposal.ts'
import type { Grant, Registration } from './registration.ts'
import type { AccessReview, AgentReview, Named, Unused } from './review-form.ts'
import type { AllUse } from './use.ts'

const day = 86_400_000
/** Below these a span says little of what an agent needs. */
const enough = { days: 14, calls: 50, tasks: 5 } as const
/** A budget or a life this many times above what was used at most is worth a look. */
const far = 3

export interface ReviewOptions {
  readonly now: number
  readonly since: number | null
  readonly registrations: readonly Registration[]
  /** What is known of routes, tools and standing secrets; null without a configuration. */
  readonly estate: Estate | null
  /** Id or pattern of one agent; null: all. */
  readonly only: string | null
}

/** Puts a review together. Agents are those that are registered, and those that the record names. */
export function reviewOf(all: AllUse, options: ReviewOptions): AccessReview {
  const { now, since, registrations, only } = options
  const byId = new Map(registrations.map((one) => [one.id, one]))
  const ids = [...new Set([...byId.keys(), ...all.agents.keys()])].filter((id) => only === null || id === only).sort()
  return {
    format: 1,
    made: moment(now),
    since: since === null ? null : moment(since),
    first: all.first === null ? null : moment(all.first),
    last: all.last === null ? null : moment(all.last),
    lines: all.lines,
    calls: all.calls,
    damaged: all.damaged,
    warnings: recordWarnings(all, options),
    agents: ids.map((id) => agentReview(id, byId.get(id) ?? null, all, options)),
  }
}

function recordWarnings(all: AllUse, { since, estate, registrations }: ReviewOptions): readonly string[] {
  const warnings: string[] = []
  const days = all.first === null || all.last === null ? 0 : (all.last - all.first) / day
  if (all.first === null) warnings.push('the record has no line in this span')
  else if (days < enough.days)
    warnings.push(`the span is ${days.toFixed(1)} days: what is done once a month does not show in less than ${enough.days}`)
  if (since !== null && all.begins !== null && all.begins > since + day)
    warnings.push(`the record begins at ${moment(all.begins)}, later than the span that was asked for`)
  if (all.damaged > 0) warnings.push(`${all.damaged} lines could not be read: verify the ledger first`)
  if (registrations.length === 0) warnings.push('no registration was given: what is not used cannot be told')
  if (estate === null)
    warnings.push('no configuration was given: standing secrets, effective tools and lapsed approvals of routes are not complete')
  return warnings
}

function agentReview(id: string, registration: Registration | null, all: AllUse, options: ReviewOptions): AgentReview {
  const use = all.agents.get(id) ?? null
  const { estate, now } = options
  const effective = registration === null || estate === null ? null : estate.toolsOf(registration)
  const proposal = registration === null || use === null ? null : proposalFor(registration, use)
  return {
    agent: id,
    registered: registration === null ? null : registeredOf(registration),
    effective_tools: effective,
    used: usedOf(use, registration),
    refused: {
      calls: use?.refusals ?? 0,
      rules: [...(use?.rules ?? [])].map(([name, found]) => ({ ...named(name, found), tools: [...found.tools].sort() })).sort(mostFirst),
      codes: listOf(use?.codes),
    },
    asked: askedOf(use),
    standing: estate?.standingOf(use, effective ?? []) ?? standingOf(use),
    unused: unusedOf(registration, use, effective),
    lapsed: registration === null ? [] : lapsesOf(registration, use, estate, now),
    events: (use?.events ?? []).map(({ event, by, time }) => ({ event, by, time: moment(time) })),
    proposal: proposal === null ? null : { yaml: proposal.yaml, diff: proposal.diff, changes: proposal.changes },
    warnings: agentWarnings(registration, use),
  }
}

function registeredOf({ purpose, owners, autonomy, lifecycle, hosting, grant, reviewers }: Registration): AgentReview['registered'] {
  const bounds = Object.fromEntries(reviewers.map(({ role, name, outOfBounds }) => [role, { name, ...outOfBounds }]))
  return { purpose, owners, autonomy, lifecycle, hosting, intent: grant, out_of_bounds: bounds }
}

function usedOf(use: AgentUse | null, registration: Registration | null): AgentReview['used'] {
  const tools = [...(use?.tools.values() ?? [])].map(({ name, effect, risk, calls, last, resources, data, egress, routes }) => ({
    ...named(name, { calls, last }),
    effect,
    risk: [...risk].sort(),
    resources: [...resources].sort().slice(0, 50),
    resource_count: resources.size,
    data: [...data].sort(),
    egress: [...egress].sort(),
    routes: [...routes].sort(),
  }))
  return {
    calls: use?.calls ?? 0,
    tasks: use?.tasks ?? 0,
    handed_on: use?.handed ?? 0,
    first: use?.first == null ? null : moment(use.first),
    last: use?.last == null ? null : moment(use.last),
    workloads: listOf(use?.callers),
    tools: tools.sort(mostFirst),
    data: listOf(use?.data),
    egress: listOf(use?.egress),
    destinations: listOf(use?.hosts),
    spent: Object.fromEntries(use?.spent ?? []),
    life: use?.life ?? 0,
    outside: registration === null || use === null ? [] : outsideOf(registration.grant, use),
  }
}

function outsideOf(grant: Grant, use: AgentUse): readonly string[] {
  const beyond = (name: 'tools' | 'resources' | 'egress', found: Iterable<string>): string[] =>
    [...found].filter((one) => !covers(name, grant[name], one)).map((one) => `${name}: ${one}`)
  const data = [...use.tools.values()].flatMap((tool) => [...tool.data]).filter((one) => one !== 'public' && !grant.data.includes(one))
  const classes = [...new Set(data)].map((one) => `data: ${one}`)
  return [
    ...beyond('tools', use.tools.keys()),
    ...beyond('resources', use.resources.keys()),
    ...classes,
    ...beyond('egress', use.egress.keys()),
  ].slice(0, 50)
}

function askedOf(use: AgentUse | null): AgentReview['asked'] {
  const waits = (use?.waits ?? []).toSorted((one, other) => one - other)
  return {
    questions: [...(use?.questions.values() ?? [])].reduce((sum, one) => sum + one, 0),
    ended: Object.fromEntries(use?.questions ?? []),
    tools: Object.fromEntries(use?.askedTools ?? []),
    granted: use?.grants ?? 0,
    people: [...(use?.people ?? [])].map(([name, given]) => ({ name, ...given })),
    median_wait: waits[Math.floor((waits.length - 1) / 2)] ?? null,
  }
}

function standingOf(use: AgentUse | null): AgentReview['standing'] {
  return [...(use?.standing ?? [])].map(([provider, { calls, last, routes }]) => ({
    provider,
    what: 'a standing credential',
    calls,
    last: moment(last),
    routes: [...routes].sort(),
    instead: '',
  }))
}

function unusedOf(registration: Registration | null, use: AgentUse | null, effective: readonly string[] | null): Unused {
  if (registration === null) return { tools: [], resources: [], data: [], egress: [], budget: [], ttl: null, reachable: [] }
  const { grant } = registration
  const idle = (name: 'tools' | 'resources', found: Iterable<string>): string[] => {
    const used = [...found]
    return grant[name].filter((entry) => !used.some((one) => covers(name, [entry], one)))
  }
  const life = use?.life ?? 0
  return {
    tools: idle('tools', use?.tools.keys() ?? []),
    resources: idle('resources', use?.resources.keys() ?? []),
    data: grant.data.filter((one) => one !== 'public' && use?.data.has(one) !== true),
    egress: grant.egress.filter((one) => use?.egress.has(one) !== true),
    budget: Object.entries(grant.budget)
      .map(([meter, limit]) => ({ meter, limit, used: use?.spent.get(meter) ?? null }))
      .filter(({ limit, used }) => used === null || limit > used * far),
    ttl: grant.ttl > Math.max(life, 60_000) * far ? { limit: grant.ttl, used: life } : null,
    reachable: (effective ?? []).filter((name) => use?.tools.has(name) !== true),
  }
}

function agentWarnings(registration: Registration | null, use: AgentUse | null): readonly string[] {
  const warnings: string[] = []
  if (registration === null) warnings.push('it is not registered: nothing can be proposed for it')
  if (use === null || use.calls === 0)
    return [...warnings, 'it made no call in this span: suspend it, or retire it, if that is no surprise']
  if (use.calls < enough.calls) warnings.push(`calls: ${use.calls}, few to conclude from (${enough.calls} are some)`)
  if (use.tasks < enough.tasks) warnings.push(`tasks: ${use.tasks}, few to conclude from (${enough.tasks} are some)`)
  if (use.hidden > 0)
    warnings.push(`masked in the record: what ${use.hidden} of the calls used. Resources, data, egress and budget are left as they are`)
  if (use.observed > 0) warnings.push(`${use.observed} calls were let through in observe mode, which a rule would have refused`)
  if (use.handed > 0)
    warnings.push(
      `${use.handed} calls were made by agents that it handed work to: they are counted in, budget and ttl are left as they are`,
    )
  if ([...use.resources.keys()].some((one) => one.includes('*')))
    warnings.push('it used a resource with a * in its name, which no entry can name alone: the entry that covers it stays')
  if (use.overflow) warnings.push('it used more names than are kept: lists are not complete, and are left as they are')
  return warnings
}

function listOf(found: ReadonlyMap<string, Times> | undefined): readonly Named[] {
  return [...(found ?? [])].map(([name, times]) => named(name, times)).sort(mostFirst)
}

function named(name: string, { calls, last }: Times): Named {
  return { name, calls, last: moment(last) }
}

function mostFirst(one: Named, other: Named): number {
  return other.calls - one.calls || (one.name < other.name ? -1 : 1)
}

function moment(time: number): string {
  return new Date(time).toISOString()
}
