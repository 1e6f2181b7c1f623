import { Histogram, type Registry } from 'prom-client'
import { numberGauge } from './gauges.ts'

/** Counts an answer by what `detail` says of it. */
export type CountApproval = (event: { readonly kind: string; readonly detail: Readonly<Record<string, unknown>> }) => void

const buckets = [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400]

/** Makes the metrics of approvals. `pending`: how many wait for people now. Labels are verdicts, never a name. */
export function approvalMetrics(pending: () => number, registers: Registry[]): CountApproval {
  const waits = new Histogram({
    name: 'countersign_approval_wait_seconds',
    help: 'From the asking of an approval to its last answer, by verdict: approved, declined.',
    labelNames: ['verdict'],
    buckets,
    registers,
  })
  numberGauge(registers, 'countersign_approvals_pending', 'Approvals that wait for people.', pending)
  return ({ kind, detail }) => {
    const waited = detail['waited']
    if ((kind === 'approval.approved' || kind === 'approval.declined') && typeof waited === 'number')
      waits.observe({ verdict: kind.slice('approval.'.length) }, waited / 1000)
  }
}
