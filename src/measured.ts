/** What the metrics read of a running sidecar, at each look. */
import { resolve } from 'node:path'
import type { CallMeasure } from './admin/call-metrics.ts'
import type { MetricsOptions } from './admin/metrics.ts'
import type { Loaded } from './config/load.ts'
import { standingSecrets } from './config/standing.ts'
import type { Foundation } from './foundation.ts'
import type { Lapse } from './lapses.ts'
import type { EntrySummary } from './record/entry.ts'
import { listSegments } from './record/segment.ts'
import { codes } from './refusal.ts'
import { expiryOf } from './trust.ts'
import type { Wiring } from './wire.ts'

export interface Running extends Pick<MetricsOptions, 'version' | 'inFlight' | 'share' | 'ready'> {
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
    ledgerRoom: () => roomOf(wiring().loaded),
    sinks: () => recorder.sinks(),
    policy: () => policy.status(),
    kills: () => state.kills.kills(),
    leases: () => credential.sizes(),
    watched: () => watchdog.watching,
    approvals: () => lapses().map(({ kind, name, until }) => ({ kind, name, seconds: (until - clock()) / 1000 })),
    standing: () => standingSecrets(wiring().loaded.config),
    pending: () => state.approvals.pending(),
    agents: () => wiring().agents.agents,
    svid: () => expiryOf(wiring().trust.own),
    sources: () => wiring().trust.sources.map((source) => ({ type: source.type, ready: source.ready() })),
  }
}

/** What the segments take, as the folder says it: whoever moves some away makes room. */
function roomOf({ config: { record }, folder }: Loaded): { readonly used: number; readonly quota: number } | null {
  try {
    const segments = listSegments(resolve(folder, record.ledger.path))
    return { used: segments.reduce((sum, { size }) => sum + size, 0), quota: record.ledger.quota }
  } catch {
    return null
  }
}

/** What a finished call adds to the metrics. */
export function measureOf({ route, tool, method, provider, effect, code, status, durationMs, stageMs }: EntrySummary): CallMeasure {
  const { identify = 0, task = 0, match = 0, decide, forward } = stageMs
  return {
    route,
    tool,
    method,
    provider,
    effect,
    code,
    fault: code === null ? null : codes[code].fault,
    statusClass: status === null ? null : `${Math.floor(status / 100)}xx`,
    seconds: durationMs / 1000,
    decisionSeconds: decide === undefined ? null : (identify + task + match + decide) / 1000,
    evalSeconds: decide === undefined ? null : decide / 1000,
    upstreamSeconds: forward === undefined ? null : forward / 1000,
  }
}
