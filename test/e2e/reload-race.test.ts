import { request } from 'node:http'
import { expect, test } from 'vitest'
import { freeAgent, routeTo, Running, TestUpstream, type RunningOptions } from '../support/running.ts'

/** A judged call whose body is under way while `meanwhile` happens; gives the status of its answer. */
async function slowCall(running: Running, meanwhile: () => Promise<void>): Promise<number> {
  const arrived = running.sidecar.foundation.state.activeTasks.bind(running.sidecar.foundation.state)
  const headers = {
    authorization: `Bearer ${await running.svid()}`,
    'content-type': 'application/json',
    'content-length': '2',
    expect: '100-continue',
  }
  const sent = request({ host: '127.0.0.1', port: running.port(), path: '/api/things', method: 'POST', agent: false, headers })
  const status = new Promise<number>((resolve, reject) => {
    sent.on('error', reject)
    sent.on('response', (response) => void response.resume().on('end', () => resolve(response.statusCode ?? 0)))
  })
  sent.flushHeaders()
  // the body is asked for when the call is known, live and matched
  await new Promise((resolve) => sent.once('continue', resolve))
  expect(arrived('spiffe://acme.example/ns/test/sa/agent')).toHaveLength(1)
  await meanwhile()
  sent.end('{}')
  return status
}

function options(upstream: string, more: Partial<RunningOptions> = {}): RunningOptions {
  const tools = [{ name: 'api.write', match: 'POST /things', effect: 'write', risk: 'low', egress: 'internal', args: 'json' }]
  return {
    routes: { api: routeTo(upstream, 'api', { credential: 'api', tools }) },
    providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
    ...more,
  }
}

test('an agent suspended by a reload makes no call whose body was still on its way', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await Running.start(options(upstream.url))
  const suspended = options(upstream.url, { agents: [freeAgent({ lifecycle: 'suspended' })] })
  expect(await slowCall(running, () => running.reload(suspended))).toBe(503)
  expect(upstream.seen).toEqual([])
})

test('a call that began before its route was pointed elsewhere takes no credential to the old place', async () => {
  await using before = await TestUpstream.start()
  await using after = await TestUpstream.start()
  await using running = await Running.start(options(before.url))
  expect(await slowCall(running, () => running.reload(options(after.url)))).toBe(503)
  expect([...before.seen, ...after.seen]).toEqual([])
})

test('a reload that changes nothing a call rests on does not disturb it', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await Running.start(options(upstream.url))
  const other = options(upstream.url, { settings: { listen: { limits: { calls_per_caller: 32 } } } })
  expect(await slowCall(running, () => running.reload(other))).toBe(200)
  expect(upstream.seen).toHaveLength(1)
})
