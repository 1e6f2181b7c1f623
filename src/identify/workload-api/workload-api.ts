import { endpointAddress } from './address.ts'
import { Client, jwtBundlesStream, witBundlesStream, witSvidsStream, x509BundlesStream, x509ContextStream } from './client.ts'
import { WorkloadApiFault } from './fault.ts'
import type { WorkloadApiFaultCode } from './fault.ts'
import type { JwtBundles, JwtSvid, ValidatedJwtSvid } from './jwt-answers.ts'
import { openJwtSource } from './jwt-source.ts'
import type { JwtSource } from './jwt-source.ts'
import type { SourceState } from './latest.ts'
import type { Watch, WatchEvent, WatchListener } from './watch.ts'
import type { WitBundles, WitSvid } from './wit-answers.ts'
import type { X509Bundles, X509Context, X509Svid } from './x509-context.ts'
import { openX509Source } from './x509-source.ts'
import type { X509Source } from './x509-source.ts'

/** The client of the SPIFFE Workload API, as the package exports it under `countersign/workload-api`. */

export interface WorkloadApiOptions {
  /** Such as `unix:///run/spire/agent.sock` or `tcp://127.0.0.1:8000`; default: `SPIFFE_ENDPOINT_SOCKET` of `env`. */
  readonly address?: string
  /** Where the address is looked up, for instance `the environment of the process`: nothing is read from the environment that is not handed in. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Epoch ms; decides what has expired. Default `Date.now`. */
  readonly clock?: () => number
  /** Ms of the longest wait before the endpoint is tried again; default 30 000. */
  readonly maxBackoff?: number
  /** Ms for an answer that is not a stream; default 10 000. */
  readonly timeout?: number
}

export interface SourceOptions {
  /** Ends the wait for the first update; the source that is open then is not touched. */
  readonly signal?: AbortSignal
  /** Told why a message was discarded. */
  readonly onDiscard?: (why: string) => void
}

export interface FetchOptions {
  readonly signal?: AbortSignal
}

/** A way to one endpoint. Everything that fails fails with a `WorkloadApiFault`. */
export interface WorkloadApi {
  /** The address as it was given. */
  readonly address: string
  /** `FetchX509SVID`, watched. */
  watchX509Context(listener: WatchListener<X509Context>): Watch
  /** `FetchX509Bundles`, watched. */
  watchX509Bundles(listener: WatchListener<X509Bundles>): Watch
  /** `FetchJWTBundles`, watched. */
  watchJwtBundles(listener: WatchListener<JwtBundles>): Watch
  /** `FetchWITSVID`, watched; for one ID when it is given. */
  watchWitSvids(listener: WatchListener<readonly WitSvid[]>, choice?: { readonly id?: string }): Watch
  /** `FetchWITBundles`, watched. */
  watchWitBundles(listener: WatchListener<WitBundles>): Watch
  /** The first message of a stream, without trying again: for a look. */
  fetchX509Context(options?: FetchOptions): Promise<X509Context>
  fetchX509Bundles(options?: FetchOptions): Promise<X509Bundles>
  fetchJwtBundles(options?: FetchOptions): Promise<JwtBundles>
  /** `FetchJWTSVID`, always asked anew. `JwtSource.fetch` keeps tokens. */
  fetchJwtSvids(audience: string | readonly string[], options?: FetchOptions & { readonly id?: string }): Promise<readonly JwtSvid[]>
  /** `ValidateJWTSVID`; rejects with `invalid-token` for a token that is not valid for the audience. */
  validateJwtSvid(token: string, audience: string, options?: FetchOptions): Promise<ValidatedJwtSvid>
  /** Resolves when the first SVIDs are there. */
  openX509Source(options?: SourceOptions): Promise<X509Source>
  /** Resolves when the first bundles are there. */
  openJwtSource(options?: SourceOptions): Promise<JwtSource>
  /** Ends every watch and source, and whatever is being waited for. */
  close(): void
}

/** Nothing is dialled before it is needed. Throws a `WorkloadApiFault` with the code `address` when there is no usable address. */
export function openWorkloadApi(options: WorkloadApiOptions = {}): WorkloadApi {
  const { env = {}, clock = Date.now, maxBackoff = 30_000, timeout = 10_000 } = options
  const { text, target } = endpointAddress(options.address, env)
  const client = new Client({ target, maxBackoff, timeout })
  return {
    address: text,
    watchX509Context: (listener) => client.watch(x509ContextStream, listener),
    watchX509Bundles: (listener) => client.watch(x509BundlesStream, listener),
    watchJwtBundles: (listener) => client.watch(jwtBundlesStream, listener),
    watchWitSvids: (listener, { id } = {}) => client.watch(witSvidsStream(id ?? null), listener),
    watchWitBundles: (listener) => client.watch(witBundlesStream, listener),
    fetchX509Context: ({ signal } = {}) => client.look(x509ContextStream, { signal }),
    fetchX509Bundles: ({ signal } = {}) => client.look(x509BundlesStream, { signal }),
    fetchJwtBundles: ({ signal } = {}) => client.look(jwtBundlesStream, { signal }),
    fetchJwtSvids: (audience, { id, signal } = {}) =>
      client.jwtSvids({ audience: typeof audience === 'string' ? [audience] : audience, id: id ?? null }, { signal }),
    validateJwtSvid: (token, audience, { signal } = {}) => client.validateJwtSvid(token, audience, { signal }),
    openX509Source: ({ signal, onDiscard = ignore } = {}) =>
      openX509Source({ start: (listener) => client.watch(x509ContextStream, listener), clock, discarded: onDiscard }, signal),
    openJwtSource: ({ signal, onDiscard = ignore } = {}) =>
      openJwtSource(
        {
          start: (listener) => client.watch(jwtBundlesStream, listener),
          clock,
          discarded: onDiscard,
          fetch: (wish, limits) => client.jwtSvids(wish, limits),
        },
        signal,
      ),
    close: () => client.close(),
  }
}

function ignore(): void {
  // a message that is discarded changes nothing
}

export { WorkloadApiFault }
export type {
  JwtBundles,
  JwtSource,
  JwtSvid,
  SourceState,
  ValidatedJwtSvid,
  Watch,
  WatchEvent,
  WatchListener,
  WitBundles,
  WitSvid,
  WorkloadApiFaultCode,
  X509Bundles,
  X509Context,
  X509Source,
  X509Svid,
}
