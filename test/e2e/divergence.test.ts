import { expect, test } from 'vitest'
import { anyTool, ask, freeAgent, routeTo, Running, TestUpstream } from '../support/running.ts'

const intent = { tools: ['crm.*'], resources: ['*'], data: ['public'], egress: ['internal'], budget: { calls: 100 }, ttl: '1h' }

test('a task that keeps leaving its intent is taken to a person, and its refusals outlive a restart', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await Running.start({
    routes: {
      crm: routeTo(upstream.url, 'crm', { tools: [anyTool('crm.any')] }),
      erp: routeTo(upstream.url, 'erp', { tools: [anyTool('erp.any')] }),
    },
    agents: [freeAgent({ intent })],
    settings: { decide: { settings: { divergence: { denials: 2 } } } },
  })
  const call = async (path: string) => {
    const { status, json } = await ask(running.port(), path, { headers: { authorization: `Bearer ${await running.svid()}` } })
    return status === 200 ? 'allowed' : json['code']
  }
  expect(await call('/crm/1')).toBe('allowed')
  expect(await call('/erp/1')).toBe('decide.denied')
  expect(await call('/crm/2')).toBe('allowed')
  expect(await call('/erp/2')).toBe('decide.denied')
  expect(await call('/crm/3')).toBe('approve.required')
  await running.restart()
  expect(await call('/crm/4')).toBe('approve.required')
  expect(upstream.seen.map(({ url }) => url)).toEqual(['/1', '/2'])
})
