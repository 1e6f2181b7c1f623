/** Keeps an eye on approvals that end: names them before, and judges open work again when they do. */
import type { Config } from './config/schema.ts'
import type { FindingCode } from './config/findings.ts'
import type { Log } from './foundation.ts'
import type { Agent } from './task/agents.ts'

/** Something that is refused from some time on. */
export interface Lapse {
  readonly kind: 'agent' | 'route' | 'tool' | 'provider'
  readonly name: string
  /** Who approved it; null where that is not said of its kind. */
  readonly by: string | null
  /** Epoch ms. */
  readonly until: number
}

/** How long before its end an approval is named. */
export const soon = 30 * 86_400_000

/** Every approval that ends: of agents as they are registered, of routes, tools and providers. */
export function lapsesOf({ forward, credential }: Config, agents: readonly Agent[]): Lapse[] {
  const found: Lapse[] = []
  const add = (kind: Lapse['kind'], name: string, approved: { by: string; until?: number | undefined } | undefined): void => {
    if (approved?.until !== undefined) found.push({ kind, name, by: approved.by, until: approved.until })
  }
  for (const { id, approved, validUntil } of agents) {
    const ends = [approved.until, validUntil].filter((until) => until !== null)
    if (ends.length > 0) found.push({ kind: 'agent', name: id, by: null, until: Math.min(...ends) })
  }
  for (const [name, route] of Object.entries(forward.routes)) {
    add('route', name, route.approved)
    for (const tool of route.tools) add('tool', tool.name, tool.approved)
  }
  for (const [name, provider] of Object.entries(credential.providers)) add('provider', name, provider.approved)
  return found
}

/** What is to be said about an approval at `now`; null when it has long to go. */
export function aboutLapse({ kind, name, by, until }: Lapse, now: number): { readonly code: FindingCode; readonly message: string } | null {
  const whose = `the approval of ${kind} ${name}${by === null ? '' : ` by ${by}`}`
  const at = new Date(until).toISOString()
  if (until <= now) return { code: 'CS1605', message: `${whose} lapsed at ${at}: its calls are refused` }
  if (until - now > soon) return null
  return { code: 'CS1606', message: `${whose} lapses at ${at}: have it renewed` }
}

export interface LapsesOptions {
  readonly clock: () => number
  readonly log: Pick<Log, 'warn'>
  /** What is in force. */
  readonly of: () => { readonly config: Config; readonly agents: readonly Agent[] }
  /** Called when approvals have ended since the last look. */
  readonly ended: () => void
}

const every = 1000

/** Looks once a second until it is stopped; its timer holds nothing open. */
export class Lapses {
  readonly #options: LapsesOptions
  readonly #timer: NodeJS.Timeout
  /** Of what was in force at the last look: both are replaced, never changed. Written by `list`. */
  #seen: { readonly config: Config; readonly agents: readonly Agent[]; readonly lapses: readonly Lapse[] } | null = null
  /** The time of the last look. Written by `look`. */
  #last: number

  constructor(options: LapsesOptions) {
    this.#options = options
    this.#last = options.clock()
    this.#timer = setInterval(() => this.look(), every).unref()
  }

  list(): readonly Lapse[] {
    const { config, agents } = this.#options.of()
    if (this.#seen === null || this.#seen.config !== config || this.#seen.agents !== agents)
      this.#seen = { config, agents, lapses: lapsesOf(config, agents) }
    return this.#seen.lapses
  }

  /** Names to the operator what has lapsed and what is about to. */
  tell(): void {
    const { clock, log } = this.#options
    for (const lapse of this.list()) {
      const about = aboutLapse(lapse, clock())
      if (about !== null) log.warn({ code: about.code, kind: lapse.kind, name: lapse.name }, about.message)
    }
  }

  /** Has open work judged again when something ended since the last look. */
  look(): void {
    const { clock, log, ended } = this.#options
    const now = clock()
    const over = this.list().filter(({ until }) => until > this.#last && until <= now)
    this.#last = now
    for (const lapse of over) log.warn({ code: 'CS1605', kind: lapse.kind, name: lapse.name }, aboutLapse(lapse, now)?.message ?? '')
    if (over.length > 0) ended()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
