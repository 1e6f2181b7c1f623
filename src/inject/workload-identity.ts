import type { Log } from '../foundation.ts'
import { StreamedIdentity } from '../identify/spiffe/spiffe-own.ts'
import { openWorkloadApi } from '../identify/workload-api/workload-api.ts'
import type { ServerIdentity } from '../listen/server-identity.ts'

export interface WorkloadIdentity {
  readonly identity: Pick<ServerIdentity, 'current' | 'onChange'>
  readonly close: () => void
}

/**
 * The X.509-SVID of the Workload API at `SPIFFE_ENDPOINT_SOCKET` of `env`, renewed live. `id`: which one; null: the first. Until there is
 * one, and from its expiry on, there is nothing to serve with. Throws a `WorkloadApiFault` when there is no usable address.
 */
export function ofWorkloadApi(
  env: Readonly<Record<string, string | undefined>>,
  id: string | null,
  log: Pick<Log, 'info' | 'warn'>,
): WorkloadIdentity {
  const api = openWorkloadApi({ env })
  const own = new StreamedIdentity({ id, hint: null }, Date.now, api)
  api.watchX509Context((event) => {
    if (event.kind === 'update') own.take(event.value)
    else if (event.kind === 'redacted' || event.kind === 'ended') own.take(null)
    if (event.kind === 'update') log.info({ spiffe_id: own.current()?.id ?? null }, 'an SVID came')
    else log.warn({ event: event.kind, why: event.why }, 'the Workload API gives no SVID')
  })
  return { identity: own, close: () => api.close() }
}
