import { Counter, Histogram, type Registry } from 'prom-client'

/** What one call adds to the metrics. Every label comes from configuration or a closed table, never from an agent. */
export interface CallMeasure {
  /** Route name; null when none was matched. */
  readonly route: string | null
  /** Name of a catalogued tool; null for everything else. */
  readonly tool: string | null
  readonly effect: string | null
  /** How the caller was proven; null when it was not. */
  readonly method: string | null
  /** Refusal code; null when the call was forwarded. */
  readonly code: string | null
  readonly fault: string | null
  /** Name of the provider that the route's credential comes from; null for none. */
  readonly provider: string | null
  /** Upstream status class such as `2xx`; null without an answer. */
  readonly statusClass: string | null
  readonly seconds: number
  /** From its head until policy had judged it; null when none did. */
  readonly decisionSeconds: number | null
  readonly evalSeconds: number | null
  /** From its credential to its end; null when it was not forwarded. */
  readonly upstreamSeconds: number | null
}

const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const shortBuckets = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25]

/** What became of credentials that permitted calls asked for. */
export type Issues = Counter<'strategy' | 'outcome'>

/** Makes the metrics of calls; gives what counts one. */
export function callMetrics(registers: Registry[], issues: Issues): (measure: CallMeasure) => void {
  const calls = new Counter({
    name: 'countersign_requests_total',
    help: 'Calls by route, tool, decision, how the caller was proven, and upstream status class.',
    labelNames: ['route', 'tool', 'decision', 'method', 'status'],
    registers,
  })
  const refusals = new Counter({
    name: 'countersign_refusals_total',
    help: 'Refusals by code and by who must act.',
    labelNames: ['code', 'fault', 'route'],
    registers,
  })
  const times = histograms(registers)
  return (measure) => {
    const { code, provider } = measure
    const route = measure.route ?? 'none'
    const tool = measure.tool ?? 'none'
    calls.inc({ route, tool, decision: measure.effect ?? 'none', method: measure.method ?? 'none', status: measure.statusClass ?? 'none' })
    if (code !== null) refusals.inc({ code, fault: measure.fault ?? 'countersign', route })
    if (code?.startsWith('credential.') === true) issues.inc({ strategy: provider ?? 'none', outcome: code.slice('credential.'.length) })
    times.whole.observe({ route }, measure.seconds)
    if (measure.decisionSeconds !== null) times.decision.observe(measure.decisionSeconds)
    if (measure.evalSeconds !== null) times.evaluation.observe(measure.evalSeconds)
    if (measure.upstreamSeconds !== null) times.upstream.observe({ route }, measure.upstreamSeconds)
  }
}

function histograms(registers: Registry[]) {
  const whole = new Histogram({
    name: 'countersign_request_duration_seconds',
    help: 'Time of a call, from its head to its end.',
    labelNames: ['route'],
    buckets,
    registers,
  })
  const decision = new Histogram({
    name: 'countersign_decision_duration_seconds',
    help: 'From the head of a call until policy has judged it, its body read.',
    buckets: shortBuckets,
    registers,
  })
  const evaluation = new Histogram({
    name: 'countersign_policy_eval_duration_seconds',
    help: 'Time of one policy evaluation, with its input.',
    buckets: shortBuckets,
    registers,
  })
  const upstream = new Histogram({
    name: 'countersign_upstream_duration_seconds',
    help: 'From the sending of a call to the last byte of its answer.',
    labelNames: ['route'],
    buckets,
    registers,
  })
  return { whole, decision, evaluation, upstream }
}
