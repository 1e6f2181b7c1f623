import { expect, test } from 'vitest'
import type { CallMeasure } from '../../../src/admin/call-metrics.ts'
import { makeMetrics } from '../../../src/admin/metrics.ts'

const nobody = { business: '', security: '', incident: '' }

function made(): ReturnType<typeof makeMetrics> {
  return makeMetrics({
    version: '1.2.3',
    inFlight: () => 0,
    share: () => 1,
    ready: () => true,
    ledgerSize: () => 41,
    ledgerRoom: () => ({ used: 4096, quota: 65_536 }),
    policy: () => ({ policy: null, mark: null, confirmed: null, age: null, lapsed: 'none', fault: null }),
    kills: () => [],
    leases: () => ({ out: 0, ending: 0, overdue: 0 }),
    watched: () => true,
    approvals: () => [],
    standing: () => [],
    sinks: () => [],
    pending: () => 3,
    agents: () => [
      {
        id: 'spiffe://acme.example/a',
        owners: { business: 'crm@acme.example', security: 'sec@acme.example', incident: 'on@acme.example' },
      },
      { id: 'spiffe://acme.example/b', owners: null },
    ],
    svid: () => ({ id: 'spiffe://acme.example/countersign', expires: 1_800_000_000_500 }),
    sources: () => [],
  })
}

const allowed: CallMeasure = {
  route: 'crm',
  tool: 'crm.read',
  effect: 'allow',
  method: 'jwt-svid',
  code: null,
  fault: null,
  provider: 'crm',
  statusClass: '2xx',
  seconds: 0.02,
  decisionSeconds: 0.0002,
  evalSeconds: 0.00004,
  upstreamSeconds: 0.019,
}

test('a call counts under its route, tool, decision and proof, and its time under what took it', async () => {
  const metrics = made()
  metrics.observe(allowed)
  const lines = (await metrics.text()).split('\n')
  for (const line of [
    'countersign_requests_total{route="crm",tool="crm.read",decision="allow",method="jwt-svid",status="2xx"} 1',
    'countersign_request_duration_seconds_sum{route="crm"} 0.02',
    'countersign_decision_duration_seconds_sum 0.0002',
    'countersign_policy_eval_duration_seconds_sum 0.00004',
    'countersign_upstream_duration_seconds_sum{route="crm"} 0.019',
  ])
    expect(lines).toContain(line)
})

test('a credential that was not to be had counts with its provider, and so does one that was', async () => {
  const metrics = made()
  metrics.observe({ ...allowed, code: 'credential.too-wide', fault: 'operator', statusClass: null, upstreamSeconds: null })
  metrics.told({ kind: 'lease.issued', by: 'countersign', detail: { provider: 'crm' } })
  const lines = (await metrics.text()).split('\n')
  expect(lines).toContain('countersign_credential_issue_total{strategy="crm",outcome="too-wide"} 1')
  expect(lines).toContain('countersign_credential_issue_total{strategy="crm",outcome="issued"} 1')
  expect(lines).toContain('countersign_refusals_total{code="credential.too-wide",fault="operator",route="crm"} 1')
  expect(lines.some((line) => line.startsWith('countersign_upstream_duration_seconds_count'))).toBe(false)
})

test('an answer of people counts with how long they were waited for, and an approval that lapsed does not', async () => {
  const metrics = made()
  metrics.told({ kind: 'approval.approved', by: 'person:kim', detail: { waited: 42_000 } })
  metrics.told({ kind: 'approval.declined', by: 'person:kim', detail: { waited: 3000 } })
  metrics.told({ kind: 'approval.expired', by: 'clock', detail: {} })
  const lines = (await metrics.text()).split('\n')
  expect(lines).toContain('countersign_approval_wait_seconds_sum{verdict="approved"} 42')
  expect(lines).toContain('countersign_approval_wait_seconds_sum{verdict="declined"} 3')
  expect(lines.filter((line) => line.startsWith('countersign_approval_wait_seconds_count'))).toHaveLength(2)
  expect(lines).toContain('countersign_approvals_pending 3')
})

test('owners stand beside their agent, so that an alert can say whom to call; an agent without any has empty ones', async () => {
  const lines = (await made().text()).split('\n')
  const owners = 'business="crm@acme.example",security="sec@acme.example",incident="on@acme.example"'
  expect(lines).toContain(`countersign_agent_owner_info{agent="spiffe://acme.example/a",${owners}} 1`)
  const none = Object.entries(nobody).map(([role, name]) => `${role}="${name}"`)
  expect(lines).toContain(`countersign_agent_owner_info{agent="spiffe://acme.example/b",${none.join(',')}} 1`)
  expect(lines).toContain('countersign_svid_expiry_timestamp_seconds{spiffe_id="spiffe://acme.example/countersign"} 1800000000.5')
  expect(lines).toContain('countersign_log_chain_height 41')
})
