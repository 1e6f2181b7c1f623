import { expect, test } from 'vitest'
import { ask, freeAgent, routeTo, Running, TestUpstream } from '../support/running.ts'
import { SpanReceiver, type SeenSpan } from '../support/span-receiver.ts'

const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

async function rig(receiver: SpanReceiver, upstream: TestUpstream, ratio: number): Promise<Running> {
  return Running.start({
    agents: [freeAgent()],
    routes: { api: routeTo(upstream.url, 'api', { credential: 'api' }) },
    providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
    settings: { record: { traces: { url: receiver.url, ratio } } },
  })
}

/** Spans go out when the sidecar drains at the latest. */
async function drained(running: Running, receiver: SpanReceiver): Promise<readonly SeenSpan[]> {
  await running.close()
  return receiver.spans
}

test('a call is one trace with its caller and its upstream, and the ledger names it', async () => {
  await using receiver = await SpanReceiver.start()
  await using upstream = await TestUpstream.start()
  await using running = await rig(receiver, upstream, 0)
  const authorization = `Bearer ${await running.svid()}`
  await ask(running.port(), '/api/a', { headers: { authorization, traceparent: parent, tracestate: 'vendor=1' } })
  const spans = await drained(running, receiver)
  const [own] = spans.filter(({ kind }) => kind === 2)
  const [out] = spans.filter(({ kind }) => kind === 3)
  expect(own).toMatchObject({ trace: '0af7651916cd43dd8448eb211c80319c', parent: 'b7ad6b7169203331', status: null })
  expect(own?.attributes).toMatchObject({
    'countersign.decision': 'allow',
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': 'api.any',
  })
  expect(out).toMatchObject({ trace: own?.trace, parent: own?.id })
  expect(out?.attributes).toMatchObject({ 'server.address': '127.0.0.1', 'http.response.status_code': 200 })
  const [seen] = upstream.seen
  expect(seen?.headers['traceparent']).toBe(`00-${own?.trace}-${out?.id}-01`)
  expect(seen?.headers['tracestate']).toBe('vendor=1')
  expect(spans.filter(({ kind }) => kind === 1).map(({ name }) => name)).toEqual([
    'identify',
    'task',
    'match',
    'decide',
    'approve',
    'commit',
    'credential',
  ])
  const line =
    running
      .ledgerText()
      .split('\n')
      .find((text) => text.includes('"kind":"decision"')) ?? '{}'
  expect(JSON.parse(line)).toMatchObject({ trace_id: own?.trace, span_id: own?.id })
})

test('a call that its caller does not sample goes on with the header that it came with, and nothing is told of it', async () => {
  await using receiver = await SpanReceiver.start()
  await using upstream = await TestUpstream.start()
  await using running = await rig(receiver, upstream, 1)
  const authorization = `Bearer ${await running.svid()}`
  const unsampled = `${parent.slice(0, -2)}00`
  await ask(running.port(), '/api/a', { headers: { authorization, traceparent: unsampled } })
  expect(await drained(running, receiver)).toEqual([])
  expect(upstream.seen[0]?.headers['traceparent']).toBe(unsampled)
})

test('what spans say holds no credential, no token and nothing of a path, a query or a body', async () => {
  await using receiver = await SpanReceiver.start()
  await using upstream = await TestUpstream.start()
  await using running = await rig(receiver, upstream, 1)
  const svid = await running.svid()
  const headers = { authorization: `Bearer ${svid}`, 'content-type': 'application/json' }
  await ask(running.port(), '/api/marker-path?q=marker-query', { method: 'POST', headers, body: '{"marker":"marker-body"}' })
  await ask(running.port(), '/marker-none')
  const spans = await drained(running, receiver)
  expect(spans.length).toBeGreaterThan(8)
  const text = JSON.stringify(spans)
  expect(text).not.toMatch(/marker/)
  expect(text).not.toContain(svid)
  const lent = upstream.seen[0]?.headers.authorization?.slice('Bearer '.length) ?? svid
  expect(text).not.toContain(lent)
})

test('a receiver that is away costs calls nothing, and the log says that it misses spans', async () => {
  await using receiver = await SpanReceiver.start()
  await using upstream = await TestUpstream.start()
  await using running = await rig(receiver, upstream, 1)
  receiver.status = 503
  const authorization = `Bearer ${await running.svid()}`
  expect((await ask(running.port(), '/api/a', { headers: { authorization } })).status).toBe(200)
  await running.close()
  expect(receiver.authorizations).toHaveLength(1)
  expect(receiver.spans).toEqual([])
  expect(running.logged.filter((line) => line.includes('spans are not taken, and dropped'))).toHaveLength(1)
})
