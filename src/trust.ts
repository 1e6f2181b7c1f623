/** Who vouches for whom: the identity sources of a configuration, and what Countersign shows of itself. */
import { resolve } from 'node:path'
import type { Loaded } from './config/load.ts'
import { same } from './config/outdated.ts'
import type { ProviderServices } from './credential/provider.ts'
import type { UpstreamIdentity } from './forward/svid.ts'
import type { Foundation } from './foundation.ts'
import type { IdentitySource } from './identify/identify.ts'
import type { OwnIdentity } from './identify/own.ts'
import { claimedBy, openSource } from './identify/registry.ts'
import type { IdentifyServices } from './identify/source.ts'
import { Refusal } from './refusal.ts'
import { claimedId, verifyX509Svid } from './identify/x509/svid.ts'

export interface Trust {
  readonly sources: readonly IdentitySource[]
  /** The SVID that this Countersign was given; null when no source gives it one. */
  readonly own: OwnIdentity | null
  /** Resolves when every source can verify, or after so many ms: a reload does not swap in sources that know nothing yet. */
  settled(ms: number): Promise<void>
  close(): void
}

/** The X.509 authorities of a trust domain (DER) from whichever source has them; null when none has. */
export type Authorities = (trustDomain: string) => readonly Uint8Array[] | null

const readyEvery = 20

/**
 * Opens the sources of a configuration; they start loading. Throws, with nothing left open, when one can never work.
 * `previous` is kept as it is when nothing it rests on has changed: streams and keys then live through a reload.
 */
export function openTrust(loaded: Loaded, on: Foundation, previous: { readonly loaded: Loaded; readonly trust: Trust } | null): Trust {
  const { identify } = loaded.config
  if (previous !== null && previous.loaded.folder === loaded.folder && same(identify, previous.loaded.config.identify))
    return previous.trust
  const sources: IdentitySource[] = []
  const close = (): void => {
    for (const source of sources) source.close()
  }
  try {
    const services = servicesOf(loaded, on, authoritiesOf(sources))
    for (const settings of identify.sources) sources.push(openSource(settings, services))
  } catch (error) {
    close()
    throw error
  }
  const own = sources.find((source) => source.own !== undefined)?.own ?? null
  return { sources, own, settled: (ms) => settled(sources, ms), close }
}

/** Asks the sources in order. `sources` may still be filled while they are opened: one looks up another only when it needs it. */
export function authoritiesOf(sources: readonly IdentitySource[]): Authorities {
  return (trustDomain) => {
    for (const source of sources) {
      const found = source.authorities?.(trustDomain) ?? null
      if (found !== null) return found
    }
    return null
  }
}

/** What upstreams of routes with `tls: svid` are shown, and the check of what they show; null when no source gives an SVID. */
export function upstreamIdentity({ own, sources }: Trust, clock: () => number): UpstreamIdentity | null {
  if (own === null) return null
  const authorities = authoritiesOf(sources)
  return {
    current: () => own.current(),
    onChange: (listener) => own.onChange(listener),
    check: (chain, ids) => {
      const [leaf] = chain
      const claimed = leaf === undefined ? null : claimedId(leaf)
      if (claimed === null) throw new Error('the upstream showed no SVID')
      // before the signature is looked at: which bundle counts follows from the ID, and only IDs of the route are of interest
      if (!ids.includes(claimed.id)) throw new Error(`the upstream is ${claimed.id}, which the route does not name`)
      const set = authorities(claimed.trustDomain)
      if (set === null || set.length === 0) throw new Error(`there are no authorities of ${claimed.trustDomain}`)
      const { id, expires } = verifyX509Svid(chain, set, clock())
      return { id: id.id, expires, stands: () => authorities(id.trustDomain) === set }
    },
  }
}

/** How providers get a JWT-SVID of ours: from the sources of whichever configuration is in force when they ask. */
export function ownToken({ inForce }: Pick<Foundation, 'inForce'>): ProviderServices['svid'] {
  return async (audience, signal) => {
    const own = inForce()?.own() ?? null
    if (own === null) throw new Refusal('credential.unavailable', { detail: 'no identity source gives an SVID of our own' })
    try {
      return await own.token(audience, signal)
    } catch (error) {
      if (error instanceof Refusal) throw error
      const why = error instanceof Error ? error.message : 'unknown'
      throw new Refusal('credential.unavailable', { detail: `no JWT-SVID of our own: ${why}`, retry: 'later' })
    }
  }
}

/** What the sources of a configuration are handed. */
export function servicesOf(
  { config, folder }: Loaded,
  { clock, log, env }: Pick<Foundation, 'clock' | 'log' | 'env'>,
  authorities: Authorities,
): IdentifyServices {
  return {
    clock,
    log,
    fetch,
    audience: config.identify.audience,
    path: (file) => resolve(folder, file),
    env,
    claimed: new Set(config.identify.sources.flatMap(claimedBy)),
    authorities,
  }
}

/** Resolves when every source can verify, or after so many ms. */
export async function settled(sources: readonly IdentitySource[], ms: number): Promise<void> {
  const late = performance.now() + ms
  while (!sources.every((source) => source.ready()) && performance.now() < late)
    await new Promise((done) => {
      setTimeout(done, readyEvery)
    })
}

/** An identity that was taken back or has run out has no ID any more, and expired at the beginning of time. */
export function expiryOf(own: Trust['own']): { id: string; expires: number } | null {
  if (own === null) return null
  const svid = own.current()
  return svid === null ? { id: '', expires: 0 } : { id: svid.id, expires: svid.expires }
}
