/** Each route's upstream with the connections to it. */
import { Refusal } from '../refusal.ts'
import type { Route } from '../match/route.ts'
import { makeDial, type Lookup } from './dial.ts'
import { Lines } from './lines.ts'
import { SvidTls, type UpstreamIdentity } from './svid.ts'
import { describeUpstream, type Upstream } from './upstream.ts'

export interface SiteOptions {
  /** Epoch ms. */
  readonly clock: () => number
  /** Resolves a name to all its addresses; the system's resolver by default. */
  readonly lookup?: Lookup | undefined
  /** Certificates (PEM) trusted besides the system's, by route name. */
  readonly ca?: ReadonlyMap<string, readonly string[]> | undefined
  /** What upstreams of routes with `tls: svid` are shown; without it they cannot be reached. */
  readonly svid?: UpstreamIdentity | null
  /** Most bytes of an answer's head; 64 KiB by default. */
  readonly maxResponseHeadBytes?: number | undefined
}

/** A route as met, with its connections. */
export interface Site {
  readonly upstream: Upstream
  readonly lines: Lines
}

/** One site per route object, made when the route is first used. */
export class Sites {
  readonly #options: SiteOptions
  readonly #sites = new Map<Route, Site>()
  /** Set while there is a route with `tls: svid`. */
  #unfollow: (() => void) | null = null

  constructor(options: SiteOptions) {
    this.#options = options
  }

  of(route: Route): Site {
    const known = this.#sites.get(route)
    if (known !== undefined) return known
    const made = this.#open(route)
    this.#sites.set(route, made)
    if (route.tls !== null) this.#unfollow ??= this.#options.svid?.onChange(() => this.#review()) ?? null
    return made
  }

  /** Ends idle connections of routes that are gone now, others when their calls are done. */
  retire(kept: ReadonlySet<Route>): void {
    for (const [route, site] of this.#sites) {
      if (kept.has(route)) continue
      this.#sites.delete(route)
      site.lines.retire()
    }
    if (this.#sites.size === 0) this.#leave()
  }

  async close(): Promise<void> {
    this.#leave()
    await Promise.all([...this.#sites.values()].map((site) => site.lines.close()))
    this.#sites.clear()
  }

  #open(route: Route): Site {
    const { clock, lookup, ca, svid, maxResponseHeadBytes = 64 * 1024 } = this.#options
    const upstream = describeUpstream(route)
    if (route.tls !== null && !svid) throw new Refusal('forward.unreachable', { detail: 'no source gives an SVID of our own' })
    const own = route.tls !== null && svid ? new SvidTls(svid, route.tls.ids, clock) : null
    const dial = makeDial(upstream, { lookup, ca: ca?.get(route.name), svid: own })
    return { upstream, lines: new Lines({ origin: route.to.origin, dial, headBytes: maxResponseHeadBytes }) }
  }

  /** Our SVID has changed: connections that it was redacted for, or that prove nothing any more, end as soon as they are idle. */
  #review(): void {
    for (const site of this.#sites.values()) site.lines.review()
  }

  #leave(): void {
    this.#unfollow?.()
    this.#unfollow = null
  }
}
