import { Counter, Histogram, type Gauge, type Registry } from 'prom-client'
import { numberGauge } from './gauges.ts'

/** Counts an event of a lease by the provider that its `detail` names. */
export type CountLease = (event: { readonly kind: string; readonly detail: Readonly<Record<string, unknown>> }) => void

export interface LeaseSizes {
  /** Leases that calls may use. */
  readonly out: number
  /** Leases that are being taken back. */
  readonly ending: number
  /** Those of them that should be gone by now. */
  readonly overdue: number
}

/** Makes the metrics of leases. Labels are names of providers in the configuration and kinds of events, never a lease. */
export function leaseMetrics(sizes: () => LeaseSizes, registers: Registry[]): CountLease {
  const events = new Counter({
    name: 'countersign_lease_events_total',
    help: 'What became of leases, by provider: issued, renewed, renewal-failed, revoked, expired, discarded, orphaned, revocation-failed, revocation-overdue.',
    labelNames: ['provider', 'event'],
    registers,
  })
  const seconds = new Histogram({
    name: 'countersign_lease_revocation_seconds',
    help: 'From the end of a lease to the word of its issuer that the credential is gone.',
    labelNames: ['provider'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300],
    registers,
  })
  const live = (name: string, help: string, read: (now: LeaseSizes) => number): Gauge =>
    numberGauge(registers, name, help, () => read(sizes()))
  live('countersign_credentials_active', 'Leases that calls may use.', ({ out }) => out)
  live('countersign_credentials_ending', 'Leases that are being taken back, or left to their expiry.', ({ ending }) => ending)
  live(
    'countersign_lease_revocations_overdue',
    'Leases whose revocation takes longer than credential.revocation.within.',
    ({ overdue }) => overdue,
  )
  return ({ kind, detail }) => {
    const provider = String(detail['provider'])
    events.inc({ provider, event: kind.replace(/^lease\./, '') })
    if (typeof detail['took'] === 'number') seconds.observe({ provider }, detail['took'] / 1000)
  }
}
