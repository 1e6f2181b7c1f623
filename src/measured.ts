/** What the metrics read of a running sidecar, at each look. */
import type { MetricsOptions } from './admin/metrics.ts'
import { standingSecrets } from './config/standing.ts'
import type { Foundation } from './foundation.ts'
import type { Lapse } from './lapses.ts'
import { secondsLeft } from './trust.ts'
import type { Wiring } from './wire.ts'

export interface Running extends Pick<MetricsOptions, 'version' | 'inFlight' | 'ready'> {
  readonly foundation: Foundation
  /** The wiring in force. */
  readonly wiring: () => Wiring
  readonly lapses: () => readonly Lapse[]
}

export function measured({ foundation, wiring, lapses, ...rest }: Running): MetricsOptions {
  const { clock, recorder, policy, state, watchdog, credential } = foundation
  return {
    ...rest,
    ledgerSize: () => recorder.position().seq,
    sinks: () => recorder.sinks(),
    policy: () => policy.status(),
    kills: () => state.kills.kills(),
    leases: () => credential.sizes(),
    watched: () => watchdog.watching,
    approvals: () => lapses().map(({ kind, name, until }) => ({ kind, name, seconds: (until - clock()) / 1000 })),
    standing: () => standingSecrets(wiring().loaded.config),
    svid: () => secondsLeft(wiring().trust.own, clock()),
    sources: () => wiring().trust.sources.map((source) => ({ type: source.type, ready: source.ready() })),
  }
}
