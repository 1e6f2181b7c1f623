/** Each route's upstream with the connections to it. */
import { Refusal } from '../refusal.ts'
import type { Route } from '../match/route.ts'
import type { Lease } from '../credential/credential.ts'
import { unavailable } from './apply-text.ts'
import { makeDial, type DialOptions, type Lookup } from './dial.ts'
import { LeasedLines, type LeaseLife } from './leased-lines.ts'
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
  /** Without it no lease can authenticate a connection. */
  readonly leases?: LeaseLife | undefined
}

/** A route as met, with its connections. */
export interface Site {
  readonly upstream: Upstream
  readonly lines: Lines
  /** Made when the first lease needs them. */
  leased: LeasedLines | null
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

  /**
   * The connections that a call with this lease may use: those of the lease alone where it authenticates them.
   * Throws `credential.unavailable` for one that has ended, or on a route where it can prove nothing.
   */
  linesOf(site: Site, lease: Lease | null): Lines {
    if (lease?.placement.in !== 'tls') return site.lines
    const { route } = site.upstream
    const { leases, ca } = this.#options
    if (route.to.scheme !== 'https' || route.tls !== null || !leases)
      throw unavailable('a client certificate cannot be shown on this route')
    site.leased ??= new LeasedLines(leases)
    return site.leased.of(lease, ca?.get(route.name), (client) => this.#lines(site.upstream, { client }))
  }

  /** Ends idle connections of routes that are gone now, others when their calls are done. */
  retire(kept: ReadonlySet<Route>): void {
    for (const [route, site] of this.#sites) {
      if (kept.has(route)) continue
      this.#sites.delete(route)
      site.lines.retire()
      site.leased?.retire()
    }
    if (this.#sites.size === 0) this.#leave()
  }

  async close(): Promise<void> {
    this.#leave()
    await Promise.all(
      [...this.#sites.values()].flatMap(({ lines, leased }) => (leased ? [lines.close(), leased.close()] : [lines.close()])),
    )
    this.#sites.clear()
  }

  #open(route: Route): Site {
    const { clock, svid } = this.#options
    const upstream = describeUpstream(route)
    if (route.tls !== null && !svid) throw new Refusal('forward.unreachable', { detail: 'no source gives an SVID of our own' })
    const own = route.tls !== null && svid ? new SvidTls(svid, route.tls.ids, clock) : null
    return { upstream, lines: this.#lines(upstream, { svid: own }), leased: null }
  }

  #lines(upstream: Upstream, proof: Pick<DialOptions, 'svid' | 'client'>): Lines {
    const { lookup, ca, maxResponseHeadBytes = 64 * 1024 } = this.#options
    const { route } = upstream
    const dial = makeDial(upstream, { lookup, ca: ca?.get(route.name), ...proof })
    return new Lines({ origin: route.to.origin, dial, headBytes: maxResponseHeadBytes })
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
