import type { CallLimits, JwtSvidWish } from './client.ts'
import { aborted, closed } from './connection.ts'
import { WorkloadApiFault } from './fault.ts'
import type { JwtBundles, JwtSvid } from './jwt-answers.ts'
import { JwtCache } from './jwt-cache.ts'
import { Latest } from './latest.ts'
import type { LatestParts, SourceState } from './latest.ts'

/** Which JWT-SVID is meant, when the workload has several: choose by ID, the order says nothing (Workload API §8). */
export interface JwtSvidChoice {
  readonly id?: string
  readonly hint?: string
  readonly signal?: AbortSignal
}

/** The JWT bundles as they now are, and JWT-SVIDs of this workload. */
export interface JwtSource {
  /** By name of the trust domain, the text of a JWKS. Throws `permission-denied` (redacted) or `closed`. */
  bundles(): JwtBundles
  /** Throws `missing` when there is no bundle for the trust domain: its tokens are untrusted (Workload API §6.3). */
  bundle(trustDomain: string): string
  /** A JWT-SVID for this audience, kept until half of its life is over; never one that has expired. */
  fetch(audience: string | readonly string[], choice?: JwtSvidChoice): Promise<JwtSvid>
  state(): SourceState
  /** Called after every change of the bundles or of `state`; gives the function that ends it. */
  onChange(listener: () => void): () => void
  close(): void
}

export interface JwtSourceParts extends Omit<LatestParts<JwtBundles>, 'same'> {
  readonly fetch: (wish: JwtSvidWish, limits: CallLimits) => Promise<readonly JwtSvid[]>
}

/** Resolves when the first bundles are there; rejects with a `WorkloadApiFault` when there will be none. */
export async function openJwtSource(parts: JwtSourceParts, signal: AbortSignal | undefined): Promise<JwtSource> {
  const latest = new Latest<JwtBundles>({ ...parts, same: sameBundles })
  await latest.ready(signal)
  const cache = new JwtCache(parts.fetch, parts.clock)
  latest.onChange(() => {
    if (latest.peek() === null) cache.clear()
  })
  return {
    bundles: () => latest.get(),
    bundle(trustDomain) {
      const found = latest.get().get(trustDomain)
      if (found === undefined) throw new WorkloadApiFault('missing', 'the Workload API gave no bundle for that trust domain')
      return found
    },
    async fetch(audience, { id, hint, signal: stop } = {}) {
      if (latest.state().kind === 'closed') throw closed()
      const wish = { audience: typeof audience === 'string' ? [audience] : audience, id: id ?? null }
      const svids = await unlessAborted(cache.get(wish), stop)
      const found = svids.find((svid) => hint === undefined || svid.hint === hint)
      if (found === undefined) throw new WorkloadApiFault('missing', 'the Workload API gave no JWT-SVID of that hint')
      return found
    },
    state: () => latest.state(),
    onChange: (listener) => latest.onChange(listener),
    close() {
      latest.close()
      cache.clear()
    },
  }
}

function sameBundles(one: JwtBundles, other: JwtBundles): boolean {
  return one.size === other.size && Array.from(one).every(([trustDomain, text]) => other.get(trustDomain) === text)
}

/** One who gives up must not end the question for the others who share it. */
export async function unlessAborted<Value>(work: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (signal === undefined) return work
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(aborted())
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
