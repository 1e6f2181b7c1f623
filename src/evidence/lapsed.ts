/** What a configuration says around an agent: the tools it reaches, the secrets that stand, the approvals that lapse. */

import type { Config } from '../config/schema.ts'
import { isPlaceholder } from '../config/placeholders.ts'
import { standingSecrets } from '../config/standing.ts'
import { covers } from '../task/intent.ts'
import { textsAt } from '../author/json-path.ts'
import type { AgentUse } from './agent-use.ts'
import type { Registration } from './registration.ts'
import type { AgentReview } from './review-form.ts'

const soon = 30 * 86_400_000

export interface Lapse {
  /** What it is of: `approval`, `registration`, `owners`, `route crm`, `tool crm.read`, `credential crm`. */
  readonly of: string
  /** RFC 3339; null where it is no matter of time. */
  readonly until: string | null
  readonly lapsed: boolean
  readonly says: string
}

/** Routes, tools and credentials of a configuration. */
export class Estate {
  readonly #config: Config

  constructor(config: Config) {
    this.#config = config
  }

  /** Tools that the intent covers, and no reviewer put out of bounds, sorted. */
  toolsOf({ grant, reviewers }: Registration): readonly string[] {
    const barred = (name: string): boolean => reviewers.some(({ outOfBounds }) => covers('tools', textsAt(outOfBounds, 'tools'), name))
    const names = Object.values(this.#config.forward.routes).flatMap(({ tools }) => tools.map(({ name }) => name))
    return [...new Set(names)].filter((name) => covers('tools', grant.tools, name) && !barred(name)).sort()
  }

  /** Standing secrets of routes whose tools the agent may use or did use, and those that the record says it was lent. */
  standingOf(use: AgentUse | null, effective: readonly string[]): AgentReview['standing'] {
    const { routes } = this.#config.forward
    const reached = new Set([
      ...Object.entries(routes).flatMap(([route, { tools }]) => (tools.some(({ name }) => effective.includes(name)) ? [route] : [])),
      ...[...(use?.tools.values() ?? [])].flatMap((tool) => [...tool.routes]),
    ])
    const found = new Map<string, AgentReview['standing'][number]>()
    for (const secret of standingSecrets(this.#config)) {
      const of = secret.routes.filter((route) => reached.has(route))
      if (!secret.lent || of.length === 0) continue
      const provider = secret.place.split('.')[2] ?? secret.place
      const times = use?.standing.get(provider)
      const last = times === undefined ? null : new Date(times.last).toISOString()
      found.set(provider, { provider, what: secret.what, calls: times?.calls ?? 0, last, routes: of, instead: secret.instead })
    }
    for (const [provider, { calls, last, routes: of }] of use?.standing ?? []) {
      if (found.has(provider)) continue
      const gone = { what: 'a standing credential that the configuration does not have any more', instead: '' }
      found.set(provider, { provider, ...gone, calls, last: new Date(last).toISOString(), routes: [...of].sort() })
    }
    return [...found.values()]
  }

  /** Approvals of the routes, tools and credentials that were used. */
  lapses(use: AgentUse, now: number): readonly Lapse[] {
    const found: Lapse[] = []
    const look = (of: string, approved: { readonly by: string; readonly until?: number | undefined } | undefined): void => {
      if (approved?.until !== undefined) found.push(...due(of, approved.until, now, `approved by ${approved.by}`))
    }
    const { routes } = this.#config.forward
    for (const name of new Set([...use.tools.values()].flatMap((tool) => [...tool.routes]))) {
      const route = routes[name]
      if (route === undefined) continue
      look(`route ${name}`, route.approved)
      if (route.credential !== undefined)
        look(`credential ${route.credential}`, this.#config.credential.providers[route.credential]?.approved)
      for (const tool of route.tools) if (use.tools.has(tool.name)) look(`tool ${tool.name}`, tool.approved)
    }
    return found
  }
}

/** What has lapsed or soon will, and owners that answer for nothing. */
export function lapsesOf(registration: Registration, use: AgentUse | null, estate: Estate | null, now: number): readonly Lapse[] {
  const { owners, lifecycle, validUntil, approvedUntil, approved } = registration
  const found: Lapse[] = []
  const wrong = (of: string, says: string): void => void found.push({ of, until: null, lapsed: true, says })
  if (owners === null) wrong('owners', 'business, security and incident owner are not all named: it is not live')
  for (const [role, name] of Object.entries(owners ?? {}))
    if (isPlaceholder(name)) wrong('owners', `the ${role} owner ${name} is a placeholder: nobody answers`)
  if (lifecycle !== 'live') wrong('registration', `it is ${lifecycle}`)
  if (validUntil !== null) found.push(...due('registration', validUntil, now, 'the registration ends'))
  const model = approved['model'] === undefined ? '' : ` of ${approved['model']}`
  if (approvedUntil !== null) found.push(...due('approval', approvedUntil, now, `the approval${model}`))
  return [...found, ...(use === null ? [] : (estate?.lapses(use, now) ?? []))]
}

function due(of: string, until: number, now: number, says: string): readonly Lapse[] {
  if (until > now + soon) return []
  return [{ of, until: new Date(until).toISOString(), lapsed: until <= now, says }]
}
