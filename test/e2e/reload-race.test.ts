import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { edition } from '../support/bundle-server.ts'
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

describe('a policy that is swapped in while the body of a call is on its way', () => {
  const judgedBy = (running: Running): unknown[] =>
    running
      .ledgerText()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ path }) => path === 'countersign/decision')
      .map(({ bundles }) => bundles.countersign.revision)

  test('judges the call, whether its file changed or the configuration names another', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream.url))
    const write = (name: string, number: number): string => {
      const path = join(running.folder, name)
      writeFileSync(path, edition({ number, signer: null }))
      return path
    }
    const from = (path: string): RunningOptions =>
      options(upstream.url, { settings: { decide: { bundle: { path, unsafe_unsigned: true }, environment: 'test' } } })
    const first = write('first.tar.gz', 1)
    expect(await slowCall(running, () => running.reload(from(first)))).toBe(200)
    const changed = async (): Promise<void> => {
      write('first.tar.gz', 2)
      await running.reload(from(first))
    }
    expect(await slowCall(running, changed)).toBe(200)
    expect(await slowCall(running, () => running.reload(from(write('second.tar.gz', 3))))).toBe(200)
    expect(judgedBy(running)).toEqual(['r1', 'r2', 'r3'])
    const told = running.entries().filter(({ event }) => event === 'policy.activated')
    expect(told.slice(1).map(({ detail }) => detail)).toMatchObject([
      { revision: 'r1', source: first, signed_by: null, order: { kind: 'serial', value: 1 } },
      { revision: 'r2', before: 'r1' },
      { revision: 'r3', before: 'r2' },
    ])
  })

  test('does not help a call whose mode was changed with it', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream.url))
    const path = join(running.folder, 'policy.tar.gz')
    writeFileSync(path, edition({ number: 1, signer: null }))
    const observing = options(upstream.url, { settings: { decide: { bundle: { path, unsafe_unsigned: true }, mode: 'observe' } } })
    expect(await slowCall(running, () => running.reload(observing))).toBe(503)
    expect(upstream.seen).toEqual([])
  })
})
