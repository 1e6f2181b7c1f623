import { Counter, Gauge, type Registry } from 'prom-client'
import type { PolicyFault, PolicyStatus } from '../decide/in-force.ts'

/** What is measured of the policy in force. */
export interface PolicyMeasures {
  /** Counts a look at the source, or a bundle, that came to nothing. */
  failed(reason: PolicyFault['reason']): void
}

/** Makes the metrics of the policy in force; gauges are read when they are scraped. */
export function policyMetrics(status: () => PolicyStatus, registers: Registry[]): PolicyMeasures {
  const failures = new Counter({
    name: 'countersign_policy_failed_activations_total',
    help: 'Looks and bundles that came to nothing, by reason.',
    labelNames: ['reason'],
    registers,
  })
  const live = (name: string, help: string, read: (now: PolicyStatus) => number | null): Gauge =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        const value = read(status())
        this.reset()
        if (value !== null) this.set(value)
      },
    })
  const seconds = (ms: number | null | undefined): number | null => (ms === null || ms === undefined ? null : ms / 1000)
  live('countersign_policy_in_force', '1 while a policy judges.', ({ lapsed }) => (lapsed === null ? 1 : 0))
  live('countersign_policy_activated_timestamp_seconds', 'When the policy in force was activated, Unix time.', ({ policy }) =>
    seconds(policy?.activated),
  )
  live('countersign_policy_age_seconds', 'Since the source last confirmed the policy in force.', ({ age }) => seconds(age))
  return { failed: (reason) => failures.inc({ reason }) }
}
