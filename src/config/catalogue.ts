import type { RouteAddress } from '../listen/address.ts'
import type { Approval } from '../match/approval.ts'
import type { Route } from '../match/route.ts'
import type { Tool } from '../match/tools.ts'
import type { Agent, Owners, Reviewer } from '../task/agents.ts'
import type { AgentConfig } from './agent.ts'
import type { RouteConfig, ToolConfig } from './forward.ts'
import type { Config } from './schema.ts'

/** The routes of a configuration with their tools, by name. */
export function routesOf(config: Config): ReadonlyMap<string, Route> {
  return new Map(Object.entries(config.forward.routes).map(([name, route]) => [name, routeOf(name, route, config)]))
}

function routeOf(name: string, route: RouteConfig, { decide: { unlabelled }, credential: { providers } }: Config): Route {
  const lender = route.credential === undefined ? undefined : providers[route.credential]
  const to = new URL(route.to)
  const scheme = to.protocol === 'https:' ? 'https' : 'http'
  return {
    name,
    owner: route.owner ?? null,
    ...(route.approved && { approved: approvalOf(route.approved) }),
    to: {
      origin: to.origin,
      scheme,
      authority: to.host,
      hostname: to.hostname.replaceAll(/[[\]]/g, ''),
      port: to.port === '' ? (scheme === 'https' ? 443 : 80) : Number(to.port),
      basePath: to.pathname.replace(/\/+$/, ''),
    },
    reach: route.reach,
    tls: route.tls === undefined ? null : { ids: [route.id ?? []].flat() },
    credential: route.credential ?? null,
    ...((lender?.owner ?? lender?.approved) && {
      lender: { owner: lender.owner ?? null, approved: lender.approved === undefined ? null : approvalOf(lender.approved) },
    }),
    tools: route.tools.map((tool) => toolOf(tool, unlabelled)),
    selects: route.selects,
    policyHeaders: route.policy_headers,
    answerHeaders: route.answer_headers,
    allowBody: route.allow_body,
    refusals: route.refusals,
    timeouts: route.timeouts,
    observe: route.unsafe_observe,
    unsafeCoded: route.unsafe_coded,
    transactions: route.txn_token,
  }
}

function approvalOf({ by, until }: NonNullable<RouteConfig['approved']>): Approval {
  return { by, until: until ?? null }
}

/** The class of what nobody labelled. No destination can be approved for it. */
export const unclassified = 'unclassified'

/** What a call of `kind: discovery` leaves behind, beside the classes it reads. It follows the caller as they do and bars no destination. */
const discovered = 'kind:discovery'

function toolOf(tool: ToolConfig, unlabelled: Config['decide']['unlabelled']): Tool {
  const { answer = null, data } = tool
  // an answer that is judged may yet be labelled
  const unnamed = unlabelled === 'worst' && data.length === 0 && answer === null
  return {
    name: tool.name,
    match: tool.match,
    ...(tool.headers === undefined
      ? {}
      : { headers: Object.fromEntries(Object.entries(tool.headers).map(([name, value]) => [name.toLowerCase(), value])) }),
    kind: tool.kind ?? (tool.risk === 'critical' ? 'privilege' : 'routine'),
    effect: tool.effect,
    risk: tool.risk,
    data,
    egress: tool.egress,
    resource: tool.resource ?? null,
    accepts: tool.accepts ?? null,
    args: tool.args ?? null,
    answer,
    reads: [...(unnamed ? [unclassified] : data), ...(tool.kind === 'discovery' ? [discovered] : [])],
    debit: tool.debit,
    prompt: tool.prompt,
    bound: tool.bound,
    ...(tool.approved && { approved: approvalOf(tool.approved) }),
    catalogued: true,
  }
}

/** How the routes are reached. */
export function addressesOf(config: Config): RouteAddress[] {
  return Object.entries(config.forward.routes).map(([name, route]) => ({
    name,
    at: route.at ?? null,
    host: route.host?.toLowerCase() ?? null,
    relax: {
      encodedSlash: route.relax.encoded_slash,
      emptySegments: route.relax.empty_segments,
      encodedPercent: route.relax.encoded_percent,
    },
    selects: route.selects,
    allowBody: route.allow_body,
    browsers: route.browsers,
    refusals: route.refusals,
  }))
}

/** The agents that files declare. */
export function agentsOf(config: Config): Agent[] {
  return config.task.agents.map(agentOf)
}

/** One registered agent. One of three owners missing is all of them missing: such an agent is not live. */
export function agentOf(agent: AgentConfig): Agent {
  return {
    id: agent.id,
    purpose: agent.purpose,
    owners: ownersOf(agent.owners),
    reviewers: reviewersOf(agent.reviewers),
    autonomy: agent.autonomy,
    lifecycle: agent.lifecycle,
    hosting: agent.hosting,
    environment: agent.environment ?? null,
    validUntil: agent.valid_until ?? null,
    approved: {
      model: agent.approved.model ?? null,
      toolchain: agent.approved.toolchain ?? null,
      until: agent.approved.until ?? null,
    },
    intent: {
      purpose: agent.purpose,
      tools: agent.intent.tools,
      resources: agent.intent.resources,
      data: agent.intent.data,
      egress: agent.intent.egress,
      budget: agent.intent.budget,
      prompt: null,
    },
    ttl: agent.intent.ttl,
    implicit: implicitOf(agent.implicit, agent.intent.ttl),
    opensFor: agent.opens_for,
    labels: agent.labels,
    barred: null,
  }
}

function reviewersOf({ legal, compliance }: AgentConfig['reviewers']): Reviewer[] {
  return Object.entries({ legal, compliance }).flatMap(([role, reviewer]): Reviewer[] =>
    reviewer === undefined
      ? []
      : [{ role: role === 'legal' ? 'legal' : 'compliance', name: reviewer.name, outOfBounds: reviewer.out_of_bounds }],
  )
}

function ownersOf(owners: Partial<Record<keyof Owners, string | undefined>> | undefined): Owners | null {
  const { business, security, incident } = owners ?? {}
  return business && security && incident ? { business, security, incident } : null
}

function implicitOf(implicit: boolean | { readonly max: number }, ttl: number): Agent['implicit'] {
  if (implicit === false) return null
  return implicit === true ? { max: ttl } : { max: implicit.max }
}

/** `host:port`, `[ipv6]:port` or `unix:/path`, as servers take it. */
export function placeOf(at: string): { readonly host: string; readonly port: number } | { readonly path: string } {
  if (at.startsWith('unix:')) return { path: at.slice(5) }
  const colon = at.lastIndexOf(':')
  return { host: at.slice(0, colon).replaceAll(/[[\]]/g, ''), port: Number(at.slice(colon + 1)) }
}
