import { Counter, Histogram, Registry, type Gauge } from 'prom-client'
import type { PolicyStatus } from '../decide/in-force.ts'
import type { SinkStatus } from '../record/feed.ts'
import type { LedgerEvent } from '../record/record.ts'
import type { KillRow } from '../state/kills.ts'
import { numberGauge, rowsGauge } from './gauges.ts'
import { killMetrics } from './kill-metrics.ts'
import { leaseMetrics, type LeaseSizes } from './lease-metrics.ts'
import { policyMetrics, type PolicyMeasures } from './policy-metrics.ts'
import { sinkMetrics } from './sink-metrics.ts'

/** What one call adds to the metrics. Every label comes from configuration or a closed table, never from an agent. */
export interface CallMeasure {
  /** Route name; null when none was matched. */
  readonly route: string | null
  /** Name of a catalogued tool; null for everything else. */
  readonly tool: string | null
  readonly effect: string | null
  /** Refusal code; null when the call was forwarded. */
  readonly code: string | null
  readonly fault: string | null
  /** Upstream status class such as `2xx`; null without an answer. */
  readonly statusClass: string | null
  readonly seconds: number
  readonly evalSeconds: number | null
}

export interface Metrics {
  observe(measure: CallMeasure): void
  event(kind: string): void
  /** Counts an event with what its `detail` says of it. */
  told(event: LedgerEvent): void
  reload(ok: boolean): void
  /** What came of a notice: `delivered`, `failed` after every attempt, or `dropped` unsent. */
  notice(notifier: string, delivery: 'delivered' | 'failed' | 'dropped'): void
  readonly policy: PolicyMeasures
  /** Counts an evaluation that took longer than its budget. */
  slow(entrypoint: string): void
  /** Counts an answer that held the credential lent to its call, by the place it stood in. */
  echoed(found: { readonly route: string; readonly where: string }): void
  text(): Promise<string>
}

export interface MetricsOptions {
  readonly version: string
  readonly inFlight: () => number
  readonly ready: () => boolean
  readonly ledgerSize: () => number
  readonly sinks: () => readonly SinkStatus[]
  readonly policy: () => PolicyStatus
  /** Kills in force. */
  readonly kills: () => readonly Pick<KillRow, 'scope'>[]
  readonly leases: () => LeaseSizes
  /** Whether somebody looks for evaluations that do not end. */
  readonly watched: () => boolean
  /** Approvals that end, and seconds until they do; below 0 once they have. */
  readonly approvals: () => readonly { readonly kind: string; readonly name: string; readonly seconds: number }[]
  /** Secrets of the configuration that outlive every task: the setting, and whether it is lent. */
  readonly standing: () => readonly { readonly place: string; readonly lent: boolean }[]
  /** The X.509-SVID of this Countersign: its SPIFFE ID and seconds until it expires; null while it has none. */
  readonly svid: () => { readonly id: string; readonly seconds: number } | null
  /** Identity sources by type, and whether each can verify now. */
  readonly sources: () => readonly { readonly type: string; readonly ready: boolean }[]
}

const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Makes the Prometheus metrics of one Countersign; each has its own registry. */
export function makeMetrics(options: MetricsOptions): Metrics {
  const registers = [new Registry()]
  const calls = new Counter({
    name: 'countersign_calls_total',
    help: 'Calls by route, tool, decision and upstream status class.',
    labelNames: ['route', 'tool', 'effect', 'status'],
    registers,
  })
  const refusals = new Counter({
    name: 'countersign_refusals_total',
    help: 'Refusals by code and by who must act.',
    labelNames: ['code', 'fault', 'route'],
    registers,
  })
  const seconds = new Histogram({ name: 'countersign_call_seconds', help: 'Time of a call.', labelNames: ['route'], buckets, registers })
  const evals = new Histogram({
    name: 'countersign_policy_seconds',
    help: 'Time of one policy evaluation.',
    buckets: [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.001, 0.005, 0.05],
    registers,
  })
  const events = new Counter({ name: 'countersign_events_total', help: 'Ledger events by kind.', labelNames: ['kind'], registers })
  const reloads = new Counter({ name: 'countersign_reloads_total', help: 'Configuration reloads.', labelNames: ['result'], registers })
  const { notices, slow } = policyCounters(registers)
  const echoes = echoCounter(registers)
  gauges(options, registers)
  const told = counting(options, events, registers)
  return {
    observe: (measure) => {
      const route = measure.route ?? 'none'
      calls.inc({ route, tool: measure.tool ?? 'none', effect: measure.effect ?? 'none', status: measure.statusClass ?? 'none' })
      if (measure.code !== null) refusals.inc({ code: measure.code, fault: measure.fault ?? 'countersign', route })
      seconds.observe({ route }, measure.seconds)
      if (measure.evalSeconds !== null) evals.observe(measure.evalSeconds)
    },
    event: (kind) => events.inc({ kind }),
    told,
    notice: (notifier, result) => notices.inc({ notifier, result }),
    policy: policyMetrics(options.policy, registers),
    reload: (ok) => reloads.inc({ result: ok ? 'swapped' : 'kept-old' }),
    slow: (entrypoint) => slow.inc({ entrypoint }),
    echoed: (found) => echoes.inc(found),
    text: async () => (registers[0] ? registers[0].metrics() : ''),
  }
}

function echoCounter(registers: Registry[]): Counter<'route' | 'where'> {
  return new Counter({
    name: 'countersign_credential_echoes_total',
    help: 'Answers that held the credential lent to their call, by where it was found and removed.',
    labelNames: ['route', 'where'],
    registers,
  })
}

/** Counts what ledger events say of kills and leases, and what sinks did with them. */
function counting({ kills, leases, sinks }: MetricsOptions, events: Counter<'kind'>, registers: Registry[]): Metrics['told'] {
  sinkMetrics(sinks, registers)
  const killed = killMetrics(kills, registers)
  const lease = leaseMetrics(leases, registers)
  return (event) => {
    events.inc({ kind: event.kind })
    if (event.kind === 'kill.engaged') killed({ scope: event.detail['scope'], by: event.by })
    if (event.kind.startsWith('lease.')) lease(event)
  }
}

/** What policy brings about besides decisions. */
function policyCounters(registers: Registry[]) {
  const notices = new Counter({
    name: 'countersign_notices_total',
    help: 'Notices of policy by notifier and what came of them.',
    labelNames: ['notifier', 'result'],
    registers,
  })
  const slow = new Counter({
    name: 'countersign_policy_slow_evaluations_total',
    help: 'Evaluations that took longer than their budget.',
    labelNames: ['entrypoint'],
    registers,
  })
  return { notices, slow }
}

function gauges(options: MetricsOptions, registers: Registry[]): void {
  const { version, policy, svid, sources, approvals, standing, inFlight, ready, watched, ledgerSize } = options
  const live = (name: string, help: string, read: () => number): Gauge => numberGauge(registers, name, help, read)
  const rows = <Label extends string>(name: string, help: string, labels: readonly Label[], read: Rows<Label>): Gauge<Label> =>
    rowsGauge(registers, name, help, labels, read)
  rows('countersign_build_info', 'Version and policy.', ['version', 'policy'], () => [
    [{ version, policy: policy().policy?.revision ?? '' }, 1],
  ])
  const svidHelp = 'Seconds until the X.509-SVID of this Countersign expires; 0, without an ID, while it has none.'
  rows('countersign_svid_expires_seconds', svidHelp, ['spiffe_id'], () => {
    const own = svid()
    return own === null ? [] : [[{ spiffe_id: own.id }, own.seconds]]
  })
  rows('countersign_identity_sources_ready', 'Identity sources that can verify now, by type.', ['type'], () =>
    sources().map((source) => [{ type: source.type }, source.ready ? 1 : 0]),
  )
  const approvalHelp = 'Seconds until an approval of an agent, route, tool or provider lapses; below 0 once it has, and calls are refused.'
  rows('countersign_approval_expires_seconds', approvalHelp, ['kind', 'name'], () =>
    approvals().map(({ kind, name, seconds }) => [{ kind, name }, seconds]),
  )
  const standingHelp =
    'Secrets of the configuration that outlive every task, by setting; use is `lent` when calls of agents carry it, else `own`.'
  rows('countersign_standing_secrets', standingHelp, ['place', 'use'], () =>
    standing().map(({ place, lent }) => [{ place, use: lent ? 'lent' : 'own' }, 1]),
  )
  live('countersign_calls_in_flight', 'Calls in flight.', inFlight)
  live('countersign_ready', '1 when calls can be served.', () => (ready() ? 1 : 0))
  live('countersign_policy_watchdog', '1 while a thread looks for evaluations that do not end.', () => (watched() ? 1 : 0))
  live('countersign_ledger_lines', 'Lines in the ledger.', ledgerSize)
  live('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss())
}

type Rows<Label extends string> = Parameters<typeof rowsGauge<Label>>[4]
