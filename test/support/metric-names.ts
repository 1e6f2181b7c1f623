import { makeMetrics } from '../../src/admin/metrics.ts'

/** Every metric that a Countersign has, by name. */
export async function metricNames(): Promise<readonly string[]> {
  const metrics = makeMetrics({
    version: '0',
    inFlight: () => 0,
    share: () => 1,
    ready: () => true,
    ledgerSize: () => 0,
    ledgerRoom: () => null,
    sinks: () => [],
    policy: () => ({ policy: null, mark: null, confirmed: null, age: null, lapsed: 'none', fault: null }),
    kills: () => [],
    leases: () => ({ out: 0, ending: 0, overdue: 0 }),
    watched: () => true,
    approvals: () => [],
    standing: () => [],
    pending: () => 0,
    agents: () => [],
    svid: () => null,
    sources: () => [],
  })
  return Array.from((await metrics.text()).matchAll(/^# TYPE (\S+)/gm), (match) => match[1] ?? '')
}
