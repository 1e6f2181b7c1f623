/** The registered workloads: who answers for them and how far they may go. */
import type { LifecycleState } from '../state/registrations.ts'
import type { Intent } from '../state/state.ts'

export interface Owners {
  readonly business: string
  readonly security: string
  readonly incident: string
}

/** Who said what is out of bounds for an agent, whatever its intent says. */
export interface Reviewer {
  readonly role: 'legal' | 'compliance'
  readonly name: string
  readonly outOfBounds: {
    readonly data: readonly string[]
    /** Tool names; `*` at the end matches the rest. */
    readonly tools: readonly string[]
    readonly effects: readonly string[]
  }
}

export type Autonomy = 'supervised' | 'bounded' | 'autonomous'
/** Who runs the workload: its owners, a vendor, or someone who administers on their behalf. */
export type Hosting = 'own' | 'vendor' | 'delegated-admin'
export type Lifecycle = LifecycleState

/** A registered workload. */
export interface Agent {
  /** SPIFFE ID, or a pattern whose last path segment is `*`. */
  readonly id: string
  readonly purpose: string
  /** Null when any of the three is missing: such an agent is not live. */
  readonly owners: Owners | null
  readonly reviewers: readonly Reviewer[]
  readonly autonomy: Autonomy
  readonly lifecycle: Lifecycle
  readonly hosting: Hosting
  /** Where it is registered for; null: anywhere. */
  readonly environment: string | null
  /** When the registration ends, epoch ms; null: never. */
  readonly validUntil: number | null
  readonly approved: { readonly model: string | null; readonly toolchain: string | null; readonly until: number | null }
  readonly intent: Intent
  /** Longest life of one of its tasks, ms. */
  readonly ttl: number
  /** True: a call without a task gets one of the declared intent. `max` is the hard maximum life of it, ms. */
  readonly implicit: { readonly max: number } | null
  /** Callers it may open tasks for: SPIFFE IDs, or patterns whose last path segment is `*`. Absent: only for itself. */
  readonly opensFor?: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Why it is not live whatever the time is, as the registry found; null when nothing of that kind is in the way. */
  readonly barred: string | null
}

/** The registered workloads of one configuration. */
export interface AgentRegistry {
  readonly agents: readonly Agent[]
  /** The registration of a workload: its exact id, else the pattern that covers it; null when neither is there. */
  find(spiffeId: string): Agent | null
}

/**
 * Makes the registry. A pattern's `*` stands for one whole last path segment, so at most one pattern covers an id.
 * Throws on a pattern with `*` elsewhere, one that covers a whole trust domain's names, and two registrations of one id.
 */
export function agentRegistry(agents: readonly Agent[]): AgentRegistry {
  const exact = new Map<string, Agent>()
  /** Everything up to the `*` → agent. */
  const patterns = new Map<string, Agent>()
  for (const agent of agents) {
    const star = agent.id.indexOf('*')
    const place = star === -1 ? exact : patterns
    const key = star === -1 ? agent.id : agent.id.slice(0, star)
    if (star !== -1 && !(star === agent.id.length - 1 && /^spiffe:\/\/[^/]+\/(.+\/)?$/.test(key))) {
      throw new Error(`agent ${agent.id}: * stands for the whole last path segment`)
    }
    if (place.has(key)) throw new Error(`agent ${agent.id} is registered twice`)
    place.set(key, agent)
  }
  return {
    agents,
    find: (id) => exact.get(id) ?? (id.endsWith('/') ? null : (patterns.get(id.slice(0, id.lastIndexOf('/') + 1)) ?? null)),
  }
}

/** Says why an agent may not act at `now` (epoch ms), for the operator; null when it may. Whoever has no owner is not live. */
export function notLive(agent: Agent, now: number): string | null {
  const { owners, lifecycle, approved, validUntil, barred } = agent
  if (owners === null) return `${agent.id} has no owners: business, security and incident owner are needed`
  for (const role of ['business', 'security', 'incident'] as const) {
    if (owners[role].trim() === '') return `${agent.id} has no ${role} owner`
  }
  if (lifecycle !== 'live') return `${agent.id} is ${lifecycle}, not live`
  if (approved.until !== null && approved.until <= now)
    return `${agent.id}: its approval lapsed at ${new Date(approved.until).toISOString()}`
  if (validUntil !== null && validUntil <= now) return `${agent.id}: its registration ended at ${new Date(validUntil).toISOString()}`
  return barred
}

/** Whether an agent may open tasks for this caller besides itself: it orchestrates that workload. */
export function mayOpenFor(agent: Agent, caller: string): boolean {
  const segment = caller.slice(0, caller.lastIndexOf('/') + 1)
  return (agent.opensFor ?? []).some((pattern) =>
    pattern.endsWith('/*') ? pattern.slice(0, -1) === segment && segment.length < caller.length : pattern === caller,
  )
}
