import { Counter, Registry, type Gauge } from 'prom-client'
import type { PolicyStatus } from '../decide/in-force.ts'
import type { SinkStatus } from '../record/feed.ts'
import type { LedgerEvent } from '../record/record.ts'
import type { KillRow } from '../state/kills.ts'
import { approvalMetrics } from './approval-metrics.ts'
import { callMetrics, type CallMeasure, type Issues } from './call-metrics.ts'
import { numberGauge, rowsGauge } from './gauges.ts'
import { killMetrics } from './kill-metrics.ts'
import { leaseMetrics, type LeaseSizes } from './lease-metrics.ts'
import { policyMetrics, type PolicyMeasures } from './policy-metrics.ts'
import { sinkMetrics } from './sink-metrics.ts'

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
  /** Counts spans that no receiver will have. */
  spansDropped(count: number): void
  text(): Promise<string>
}

export interface MetricsOptions {
  readonly version: string
  readonly inFlight: () => number
  /** What callers may hold of their limit at present: 1, or less while the process falls behind. */
  readonly share: () => number
  readonly ready: () => boolean
  readonly ledgerSize: () => number
  /** Bytes of the segments of the ledger, and the most they may take; null when nobody can look. */
  readonly ledgerRoom: () => { readonly used: number; readonly quota: number } | null
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
  /** Approvals that wait for people. */
  readonly pending: () => number
  /** Registered agents with whom to turn to; null for one that nobody owns. */
  readonly agents: () => readonly {
    readonly id: string
    readonly owners: Readonly<Record<'business' | 'security' | 'incident', string>> | null
  }[]
  /** The X.509-SVID of this Countersign: its SPIFFE ID and when it expires, epoch ms; null while it has none. */
  readonly svid: () => { readonly id: string; readonly expires: number } | null
  /** Identity sources by type, and whether each can verify now. */
  readonly sources: () => readonly { readonly type: string; readonly ready: boolean }[]
}

/** Makes the Prometheus metrics of one Countersign; each has its own registry. */
export function makeMetrics(options: MetricsOptions): Metrics {
  const registers = [new Registry()]
  const events = new Counter({ name: 'countersign_events_total', help: 'Ledger events by kind.', labelNames: ['kind'], registers })
  const reloads = new Counter({ name: 'countersign_reloads_total', help: 'Configuration reloads.', labelNames: ['result'], registers })
  const { notices, slow } = policyCounters(registers)
  const echoes = echoCounter(registers)
  const spans = new Counter({ name: 'countersign_spans_dropped_total', help: 'Spans that no receiver has taken.', registers })
  gauges(options, registers)
  const issues: Issues = new Counter({
    name: 'countersign_credential_issue_total',
    help: 'Credentials that permitted calls asked for, by provider; outcome is issued, unavailable or too-wide.',
    labelNames: ['strategy', 'outcome'],
    registers,
  })
  const told = counting(options, { events, issues }, registers)
  return {
    observe: callMetrics(registers, issues),
    event: (kind) => events.inc({ kind }),
    told,
    notice: (notifier, result) => notices.inc({ notifier, result }),
    policy: policyMetrics(options.policy, registers),
    reload: (ok) => reloads.inc({ result: ok ? 'swapped' : 'kept-old' }),
    slow: (entrypoint) => slow.inc({ entrypoint }),
    echoed: (found) => echoes.inc(found),
    spansDropped: (count) => spans.inc(count),
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

/** What is counted of events whatever they are about. */
interface Told {
  readonly events: Counter<'kind'>
  readonly issues: Issues
}

/** Counts what ledger events say of kills, leases and approvals, and what sinks did with them. */
function counting({ kills, leases, pending, sinks }: MetricsOptions, { events, issues }: Told, registers: Registry[]): Metrics['told'] {
  sinkMetrics(sinks, registers)
  const killed = killMetrics(kills, registers)
  const lease = leaseMetrics(leases, registers)
  const approval = approvalMetrics(pending, registers)
  return (event) => {
    events.inc({ kind: event.kind })
    if (event.kind === 'lease.issued') issues.inc({ strategy: String(event.detail['provider']), outcome: 'issued' })
    if (event.kind === 'kill.engaged') killed({ scope: event.detail['scope'], by: event.by })
    if (event.kind.startsWith('lease.')) lease(event)
    if (event.kind.startsWith('approval.')) approval(event)
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
  const { version, policy, svid, agents, sources, approvals, standing, inFlight, share, ready, watched, ledgerSize, ledgerRoom } = options
  const live = (name: string, help: string, read: () => number): Gauge => numberGauge(registers, name, help, read)
  const rows = <Label extends string>(name: string, help: string, labels: readonly Label[], read: Rows<Label>): Gauge<Label> =>
    rowsGauge(registers, name, help, labels, read)
  rows('countersign_build_info', 'Version of this Countersign.', ['version'], () => [[{ version }, 1]])
  rows('countersign_policy_info', 'The policy in force, by revision.', ['revision'], () =>
    [policy().policy].flatMap((known) => (known === null ? [] : [[{ revision: known.revision }, 1] as const])),
  )
  const ownerHelp = 'Whom to turn to about an agent: join it to an alert that has its agent.'
  rows('countersign_agent_owner_info', ownerHelp, ['agent', 'business', 'security', 'incident'], () =>
    agents().map(({ id, owners }) => [{ agent: id, business: '', security: '', incident: '', ...owners }, 1]),
  )
  rows('countersign_svid_expiry_timestamp_seconds', 'When the X.509-SVID of this Countersign expires, Unix time.', ['spiffe_id'], () => {
    const own = svid()
    return own === null ? [] : [[{ spiffe_id: own.id }, own.expires / 1000]]
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
  live('countersign_caller_share', 'What callers may hold of their limit at present: 1, or less while Countersign falls behind.', share)
  live('countersign_ready', '1 when calls can be served.', () => (ready() ? 1 : 0))
  live('countersign_policy_watchdog', '1 while a thread looks for evaluations that do not end.', () => (watched() ? 1 : 0))
  live('countersign_log_chain_height', 'Lines in the ledger.', ledgerSize)
  live('countersign_ledger_bytes', 'Bytes that the segments of the ledger take.', () => ledgerRoom()?.used ?? Number.NaN)
  live('countersign_ledger_quota_bytes', 'Most that they may take.', () => ledgerRoom()?.quota ?? Number.NaN)
  live('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss())
}

type Rows<Label extends string> = Parameters<typeof rowsGauge<Label>>[4]
