import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { leaseMetrics } from '../../../src/admin/lease-metrics.ts'

test('the metrics of leases say how many are out, what became of the others, and how long taking back took', async () => {
  const register = new Registry()
  const sizes = { out: 3, ending: 2, overdue: 1 }
  const count = leaseMetrics(() => sizes, [register])
  for (const event of ['issued', 'issued', 'renewed', 'orphaned', 'revocation-failed', 'revocation-overdue'])
    count({ kind: `lease.${event}`, detail: { provider: 'crm' } })
  count({ kind: 'lease.revoked', detail: { provider: 'crm', took: 40 } })
  const text = await register.metrics()
  for (const line of [
    'countersign_credentials_active 3',
    'countersign_credentials_ending 2',
    'countersign_lease_revocations_overdue 1',
    'countersign_lease_events_total{provider="crm",event="issued"} 2',
    'countersign_lease_events_total{provider="crm",event="renewed"} 1',
    'countersign_lease_events_total{provider="crm",event="revocation-overdue"} 1',
    'countersign_lease_revocation_seconds_count{provider="crm"} 1',
    'countersign_lease_revocation_seconds_sum{provider="crm"} 0.04',
    'countersign_lease_revocation_seconds_bucket{le="0.025",provider="crm"} 0',
    'countersign_lease_revocation_seconds_bucket{le="0.05",provider="crm"} 1',
  ])
    expect(text.split('\n')).toContain(line)
})
