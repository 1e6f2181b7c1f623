import { expect, test } from 'vitest'
import {
  anyTool,
  ask,
  audience,
  freeAgent,
  routeTo,
  Running,
  TestUpstream,
  type RunningOptions,
  type Settings,
} from '../support/running.ts'
import { agentId, WorkloadCompany } from '../support/workload-company.ts'

function options(
  company: WorkloadCompany,
  upstream: TestUpstream,
  more: { readonly route?: string; readonly source?: Settings } = {},
): RunningOptions {
  const name = more.route ?? 'api'
  return {
    agents: [freeAgent({ id: agentId })],
    routes: { [name]: routeTo(upstream.url, name, { tools: [anyTool(`${name}.any`)] }) },
    settings: { identify: { audience, sources: [{ type: 'spiffe', socket: company.socket, ...more.source }] } },
  }
}

test('a reload that leaves identity as it is keeps its streams, even while the Workload API is away', async () => {
  await using company = await WorkloadCompany.found()
  await using upstream = await TestUpstream.start()
  await using running = await Running.start(options(company, upstream))
  const trust = running.sidecar.trust()
  await trust.settled(5000)
  const headers = { authorization: `Bearer ${await company.acme.mint(agentId, audience, 300)}` }
  await company.stop()
  await running.reload(options(company, upstream, { route: 'crm' }))
  expect(running.sidecar.trust()).toBe(trust)
  expect((await ask(running.port(), '/crm/1', { headers })).status).toBe(200)
  expect((await ask(running.port(), '/api/1', { headers })).status).toBe(404)
})

test('a reload that changes identity swaps in sources that have their keys: no call in between is refused', async () => {
  await using company = await WorkloadCompany.found()
  await using upstream = await TestUpstream.start()
  await using running = await Running.start(options(company, upstream))
  await running.sidecar.trust().settled(5000)
  const token = await company.acme.mint(agentId, audience, 300)
  const statuses = new Set<number>()
  const load = { on: true }
  const calls = (async () => {
    for (let at = 0; load.on; at++)
      statuses.add((await ask(running.port(), `/api/${at}`, { headers: { authorization: `Bearer ${token}` } })).status)
  })()
  for (const leeway of ['1s', '2s', '3s', '4s']) await running.reload(options(company, upstream, { source: { leeway } }))
  load.on = false
  await calls
  // a call that a change of trust overtook is told so, and may come again
  expect([...statuses].filter((status) => status !== 200 && status !== 503)).toEqual([])
  const refusals = running.entries().filter(({ kind }) => kind === 'refusal')
  expect(refusals.filter(({ code }) => code !== 'decide.unavailable')).toEqual([])
})
