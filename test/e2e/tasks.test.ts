import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { LiveUpstream } from '../support/live-upstream.ts'
import {
  agentId,
  anyTool,
  ask,
  freeAgent,
  routeTo,
  Running,
  TestUpstream,
  type Answered,
  type RunningOptions,
  type Settings,
} from '../support/running.ts'
import { rawClient } from '../support/sockets.ts'

const other = 'spiffe://acme.example/ns/test/sa/other'
const introspection = { secret: { env: 'INTROSPECTION' } }
const providers = { api: { type: 'jwt', audience: 'https://api.acme.example', introspect: introspection } }
const tools: readonly Settings[] = [
  { name: 'crm.order.read', match: 'GET /orders/{id}', effect: 'read', risk: 'low', egress: 'internal', resource: 'order:{id}' },
  { name: 'crm.customer.read', match: 'GET /customers/{id}', effect: 'read', risk: 'low', egress: 'internal', data: ['personal'] },
  { name: 'crm.refund', match: 'POST /refunds', effect: 'write', risk: 'low', egress: 'internal', args: 'json', debit: { eur: '/amount' } },
  { name: 'mail.send', match: 'POST /messages', effect: 'send', risk: 'low', egress: 'partner', accepts: ['public', 'internal'] },
]

function start(to: string, more: Partial<RunningOptions> = {}): Promise<Running> {
  const agents = [freeAgent(), freeAgent({ id: other })]
  return Running.start({
    routes: { api: routeTo(to, 'api', { credential: 'api', tools }) },
    providers,
    agents,
    env: { INTROSPECTION: 'introspection-secret' },
    ...more,
  })
}

/** An agent's calls with a fresh SVID each. */
async function as(running: Running, path: string, more: Parameters<typeof ask>[2] & { readonly id?: string } = {}): Promise<Answered> {
  const authorization = `Bearer ${await running.svid(more.id ?? agentId)}`
  return ask(running.port(), path, { ...more, headers: { authorization, ...more.headers } })
}

const json = { 'content-type': 'application/json' }

async function open(running: Running, asked: Settings = {}, id = agentId): Promise<string> {
  const body = JSON.stringify({ purpose: 'refund order 1042', ...asked })
  const answer = await as(running, '/.countersign/v1/tasks', { method: 'POST', body, headers: json, id })
  expect(answer.status, answer.text).toBe(201)
  return String(answer.json['id'])
}

function act(running: Running, task: string, verb: string, id = agentId): Promise<Answered> {
  return as(running, `/.countersign/v1/tasks/${task}/${verb}`, { method: 'POST', id })
}

/** The same by a person, over the admin port. */
async function person(running: Running, task: string, verb: string): Promise<number> {
  const key = readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()
  const answer = await fetch(`http://127.0.0.1:${running.port('admin')}/v1/tasks/${task}/${verb}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, ...json },
    body: JSON.stringify({ reason: 'an incident', by: 'oncall@acme.example' }),
  })
  return answer.status
}

function events(running: Running, task: string): [unknown, unknown][] {
  return running
    .entries()
    .filter((line) => line['task'] === task && String(line['event']).startsWith('task.'))
    .map((line) => [line['event'], line['by']])
}

/** What an upstream that introspects learns of a token. */
async function isActive(running: Running, token: string): Promise<unknown> {
  const authorization = `Basic ${Buffer.from('api:introspection-secret').toString('base64')}`
  const url = `http://127.0.0.1:${running.port('health')}/introspect`
  const answer = await fetch(url, { method: 'POST', body: new URLSearchParams({ token }), headers: { authorization } })
  return ((await answer.json()) as Settings)['active']
}

describe('a task', () => {
  test('is given to a call that names none, once, where the agent is registered so', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const calls = await Promise.all([1, 2, 3].map((at) => as(running, `/api/orders/${at}`)))
    expect(calls.map(({ status }) => status)).toEqual([200, 200, 200])
    const tasks = new Set(
      running
        .entries()
        .filter(({ kind }) => kind === 'decision')
        .map((line) => line['task']),
    )
    expect(tasks.size).toBe(1)
    expect(events(running, String([...tasks][0]))).toEqual([['task.opened', agentId]])
  })

  test('that was opened must be named from then on', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running)
    expect((await as(running, '/api/orders/1')).json).toMatchObject({ code: 'task.missing' })
    expect((await as(running, `/t/${task}/api/orders/1`)).status).toBe(200)
    expect((await as(running, '/api/orders/2', { headers: { 'countersign-task': task } })).status).toBe(200)
    const lines = running.entries().filter(({ kind }) => kind === 'decision')
    expect(lines.map((line) => line['task'])).toEqual([task, task])
  })

  test('named in header and path must be the same', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const [one, two] = [await open(running), await open(running)]
    const answer = await as(running, `/t/${one}/api/orders/1`, { headers: { 'countersign-task': two } })
    expect(answer.json).toMatchObject({ status: 400, code: 'listen.malformed', reasons: ['header and path name different tasks'] })
    expect(upstream.seen).toEqual([])
  })

  test('may be narrower than the agent, and then is', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running, { tools: ['crm.order.read'], resources: ['order:1042'], data: ['public'], egress: ['internal'] })
    expect((await as(running, `/t/${task}/api/orders/1042`)).status).toBe(200)
    expect((await as(running, `/t/${task}/api/orders/1043`)).json).toMatchObject({ code: 'decide.denied' })
    expect((await as(running, `/t/${task}/api/customers/42`)).json).toMatchObject({ code: 'decide.denied' })
    expect(upstream.seen.map(({ url }) => url)).toEqual(['/orders/1042'])
    const rules = running.entries().flatMap((line) => (line.kind === 'refusal' ? [line['rules']] : []))
    expect(rules[0]).toContain('intent.resource')
    expect(rules[1]).toContain('intent.tool')
  })

  test('is never wider than the agent, and is told so without an echo', async () => {
    await using upstream = await TestUpstream.start()
    const intent = {
      tools: ['crm.order.read'],
      resources: ['order:*'],
      data: ['public'],
      egress: ['internal'],
      budget: { calls: 10 },
      ttl: '1m',
    }
    await using running = await start(upstream.url, { agents: [freeAgent({ intent })] })
    const wider: Settings[] = [
      { tools: ['crm.customer.read'] },
      { tools: ['crm.*'] },
      { resources: ['customer:1'] },
      { data: ['personal'] },
      { egress: ['public'] },
      { budget: { calls: 11 } },
      { budget: { eur: 1 } },
      { ttl: '2m' },
      { unknown: true },
    ]
    for (const asked of wider) {
      const body = JSON.stringify({ purpose: 'x', ...asked })
      const answer = await as(running, '/.countersign/v1/tasks', { method: 'POST', headers: json, body })
      expect(answer.json, body).toMatchObject({ status: 403, code: 'decide.denied' })
      expect(answer.text).not.toMatch(/crm\.|customer|personal|unknown":/)
    }
    expect(running.entries().filter((line) => line['event'] === 'task.opened')).toEqual([])
  })

  test('of another caller is like one that never was, whatever is asked of it', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running)
    const foreign = [
      await as(running, `/t/${task}/api/orders/1`, { id: other }),
      await as(running, `/.countersign/v1/tasks/${task}`, { id: other }),
      await act(running, task, 'pause', other),
      await act(running, task, 'resume', other),
      await act(running, task, 'complete', other),
    ]
    const never = await as(running, `/.countersign/v1/tasks/t_${'0'.repeat(26)}`, { id: other })
    for (const answer of foreign) {
      expect(answer.json).toMatchObject({ status: 403, code: 'task.unknown' })
      expect(answer.json['reasons']).toEqual(never.json['reasons'])
    }
    expect((await as(running, `/.countersign/v1/tasks/${task}`)).json).toMatchObject({ id: task, state: 'active' })
    expect(upstream.seen).toEqual([])
  })

  test('that its agent paused makes no call until its agent resumes it', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running)
    expect((await act(running, task, 'pause')).json).toMatchObject({ state: 'paused', paused: { by: 'agent' } })
    expect((await as(running, `/t/${task}/api/orders/1`)).json).toMatchObject({ code: 'task.paused' })
    expect((await as(running, '/api/orders/1')).json).toMatchObject({ code: 'task.missing' })
    expect((await act(running, task, 'resume')).json).toMatchObject({ state: 'active' })
    expect((await as(running, `/t/${task}/api/orders/1`)).status).toBe(200)
    expect(events(running, task)).toEqual([
      ['task.opened', agentId],
      ['task.paused', agentId],
      ['task.resumed', agentId],
    ])
  })

  test('that a person paused is resumed by a person alone, also when the agent had paused it first', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running)
    await act(running, task, 'pause')
    expect(await person(running, task, 'pause')).toBe(200)
    for (const verb of ['resume', 'complete'])
      expect((await act(running, task, verb)).json, verb).toMatchObject({
        code: 'task.paused',
        reasons: ['only a person can lift this pause'],
      })
    expect((await as(running, `/t/${task}/api/orders/1`)).json).toMatchObject({ code: 'task.paused' })
    const seen = await as(running, `/.countersign/v1/tasks/${task}`)
    expect(seen.json).toMatchObject({ state: 'paused', paused: { by: 'person', reason: null } })
    expect(seen.text).not.toContain('incident')
    expect(await person(running, task, 'resume')).toBe(200)
    expect((await as(running, `/t/${task}/api/orders/1`)).status).toBe(200)
    expect(events(running, task).slice(2)).toEqual([
      ['task.paused', 'person:oncall@acme.example'],
      ['task.resumed', 'person:oncall@acme.example'],
    ])
  })

  test('ends for good, by its agent or by a person', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const [one, two] = [await open(running), await open(running)]
    expect((await act(running, one, 'complete')).json).toMatchObject({ state: 'completed' })
    expect(await person(running, two, 'complete')).toBe(200)
    for (const task of [one, two]) {
      expect((await as(running, `/t/${task}/api/orders/1`)).json).toMatchObject({ code: 'task.ended' })
      for (const verb of ['pause', 'resume', 'complete'])
        expect((await act(running, task, verb)).json, verb).toMatchObject({ code: 'task.ended' })
      expect(await person(running, task, 'resume')).toBe(409)
    }
    expect((await as(running, '/api/orders/1')).status).toBe(200) // none is open any more: the next call gets an implicit one
  })

  test('ends when its time has passed, also for a call that nobody makes', async () => {
    let ahead = 0
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { clock: () => Date.now() + ahead })
    const task = await open(running, { ttl: '10s' })
    expect((await as(running, `/t/${task}/api/orders/1`)).status).toBe(200)
    const token = String(upstream.seen[0]?.headers.authorization).slice(7)
    expect(await isActive(running, token)).toBe(true)
    ahead = 10_000
    while (running.entries().every((line) => line['event'] !== 'lease.revoked' && line['event'] !== 'lease.expired'))
      await new Promise((resolve) => running.sidecar.foundation.recorder.subscribe(resolve))
    expect(await isActive(running, token)).toBe(false)
    expect(events(running, task)).toEqual([
      ['task.opened', agentId],
      ['task.expired', 'clock'],
    ])
    expect((await as(running, `/t/${task}/api/orders/1`)).json).toMatchObject({ code: 'task.ended', reasons: ['the task was expired'] })
  })

  test('spends what it was opened with and no more', async () => {
    await using upstream = await TestUpstream.start()
    const intent = { ...(freeAgent()['intent'] as Settings), budget: { calls: 100, eur: 200 } }
    await using running = await start(upstream.url, { agents: [freeAgent({ intent })] })
    const task = await open(running, { budget: { calls: 4, eur: 150 } })
    const refund = (amount: number): Promise<Answered> =>
      as(running, `/t/${task}/api/refunds`, { method: 'POST', headers: json, body: JSON.stringify({ amount }) })
    expect((await refund(100)).status).toBe(200)
    expect((await refund(51)).json).toMatchObject({ status: 403 })
    expect((await refund(50)).status).toBe(200)
    expect((await refund(0.01)).json).toMatchObject({ status: 403 })
    expect((await as(running, `/.countersign/v1/tasks/${task}`)).json).toMatchObject({ spent: { calls: 2, eur: 150 } })
    expect((await as(running, `/t/${task}/api/orders/1`)).status).toBe(200)
    expect((await as(running, `/t/${task}/api/orders/2`)).status).toBe(200)
    expect((await as(running, `/t/${task}/api/orders/3`)).json).toMatchObject({ code: 'task.budget' })
    expect(upstream.seen).toHaveLength(4)
  })

  test('two calls at once never spend the same budget', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running, { budget: { calls: 5 } })
    const answers = await Promise.all(Array.from({ length: 12 }, (_, at) => as(running, `/t/${task}/api/orders/${at}`)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(5)
    expect(upstream.seen).toHaveLength(5)
  })

  test('is opened, read and ended by no web page', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running)
    for (const [path, method] of [
      ['/.countersign/v1/tasks', 'POST'],
      [`/.countersign/v1/tasks/${task}`, 'GET'],
      [`/.countersign/v1/tasks/${task}/complete`, 'POST'],
    ] as const) {
      for (const headers of [{ origin: 'https://partner.example' }, { origin: 'null' }, { 'sec-fetch-site': 'same-origin' }])
        expect((await as(running, path, { method, headers })).json).toMatchObject({ status: 400, code: 'listen.malformed' })
      expect((await as(running, path, { method, headers: { host: 'partner.example' } })).json).toMatchObject({ status: 400 })
    }
    expect((await as(running, `/.countersign/v1/tasks/${task}`)).json).toMatchObject({ state: 'active' })
  })
})

describe('what was read stays with the caller', () => {
  const mail = (running: Running, task: string | null, id = agentId): Promise<Answered> =>
    as(running, `${task === null ? '' : `/t/${task}`}/api/messages`, { method: 'POST', body: 'hello', id })

  test('in its task, in the next one, in an implicit one, and after a restart', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const first = await open(running)
    expect((await mail(running, first)).status).toBe(200)
    expect((await as(running, `/t/${first}/api/customers/42`)).status).toBe(200)
    const refused = { status: 403, code: 'decide.denied' }
    expect((await mail(running, first)).json).toMatchObject(refused)
    const second = await open(running)
    expect((await mail(running, second)).json).toMatchObject(refused)
    await act(running, first, 'complete')
    await act(running, second, 'complete')
    expect((await mail(running, null)).json).toMatchObject(refused)
    await running.restart()
    expect((await mail(running, null)).json).toMatchObject(refused)
    expect((await mail(running, await open(running))).json).toMatchObject(refused)
    expect((await mail(running, null, other)).status).toBe(200) // another caller has read nothing
    const rules = running.entries().filter(({ kind }) => kind === 'refusal')
    expect(rules.every((line) => String(line['rules']).includes('data.beyond-destination'))).toBe(true)
  })

  test('until it has decayed', async () => {
    let ahead = 0
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, {
      clock: () => Date.now() + ahead,
      settings: { task: { memory: '1m' } },
    })
    const first = await open(running, { ttl: '30s' })
    await as(running, `/t/${first}/api/customers/42`)
    await act(running, first, 'complete')
    ahead = 50_000
    expect((await mail(running, await open(running, { ttl: '5s' }))).status).toBe(403)
    ahead = 62_000
    expect((await mail(running, await open(running, { ttl: '5s' }))).status).toBe(200)
  })

  test('also when two calls race: the mail that goes out was judged before the read', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running)
    await Promise.all([as(running, `/t/${task}/api/customers/42`), mail(running, task), mail(running, task)])
    const lines = running.entries().filter(({ kind }) => kind === 'decision')
    const read = lines.findIndex((line) => line['tool'] === 'crm.customer.read')
    expect(read).toBeGreaterThanOrEqual(0)
    expect(lines.slice(read + 1).map((line) => line['tool'])).not.toContain('mail.send')
  })
})

describe('when a task ends', () => {
  const ways: readonly (readonly [string, (running: Running, task: string) => Promise<unknown>])[] = [
    ['its agent completes it', (running, task) => act(running, task, 'complete')],
    ['a person completes it', (running, task) => person(running, task, 'complete')],
  ]

  test.each(ways)('because %s, no byte comes down any more and its leases are dead', async (_who, end) => {
    const left = Promise.withResolvers<void>()
    let more = (): boolean => false
    let token = ''
    await using upstream = await LiveUpstream.start((incoming, response) => {
      token = String(incoming.headers.authorization).slice(7)
      response.on('close', () => left.resolve())
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: before\n\n')
      more = () => response.write('data: after\n\n')
    })
    await using running = await start(upstream.url)
    const task = await open(running)
    const client = await rawClient(running.port())
    const head = `GET /t/${task}/api/orders/1 HTTP/1.1\r\nHost: 127.0.0.1:${running.port()}\r\n`
    client.socket.write(`${head}Authorization: Bearer ${await running.svid()}\r\n\r\n`)
    await client.until((text) => text.includes('data: before\n\n'))
    expect(await isActive(running, token)).toBe(true)
    await end(running, task)
    more()
    expect(await isActive(running, token)).toBe(false)
    await left.promise
    await client.closed
    expect(client.text()).not.toContain('after')
    expect(client.text()).not.toContain('\r\n0\r\n') // cut, not ended: a part is never taken for the whole
    await running.close()
    const outcome = running.entries().find(({ kind }) => kind === 'outcome')
    expect(outcome).toMatchObject({ ended: 'cut', status: 200 })
    expect(running.entries().find((line) => line['event'] === 'lease.revoked')).toMatchObject({ task })
  })

  test('no byte goes up any more', async () => {
    let bytes = ''
    const arrived = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<boolean>()
    await using upstream = await LiveUpstream.start((incoming) => {
      incoming.setEncoding('utf8').on('data', (part: string) => {
        bytes += part
        arrived.resolve()
      })
      incoming.on('error', () => {}).on('close', () => ended.resolve(incoming.complete))
    })
    await using running = await start(upstream.url, {
      routes: { api: routeTo(upstream.url, 'api', { credential: 'api', tools: [anyTool('api.any')] }) },
    })
    const task = await open(running)
    const headers = { authorization: `Bearer ${await running.svid()}` }
    const up = request({ host: '127.0.0.1', port: running.port(), path: `/t/${task}/api/up`, method: 'POST', agent: false, headers })
    up.on('error', () => {})
    up.write('before')
    await arrived.promise
    await act(running, task, 'complete')
    up.write('after')
    expect(await ended.promise).toBe(false)
    await running.close()
    expect(bytes).toBe('before')
    const outcome = running.entries().find(({ kind }) => kind === 'outcome')
    expect(outcome).toMatchObject({ ended: 'cut', code: 'task.ended' })
  })

  test('because its time has passed, a stream that is silent is cut too', async () => {
    let ahead = 0
    await using upstream = await LiveUpstream.start((_incoming, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: before\n\n')
    })
    await using running = await start(upstream.url, { clock: () => Date.now() + ahead })
    const task = await open(running, { ttl: '10s' })
    const client = await rawClient(running.port())
    const head = `GET /t/${task}/api/orders/1 HTTP/1.1\r\nHost: 127.0.0.1:${running.port()}\r\n`
    client.socket.write(`${head}Authorization: Bearer ${await running.svid()}\r\n\r\n`)
    await client.until((text) => text.includes('data: before\n\n'))
    ahead = 10_000
    await client.closed
    await running.close()
    expect(running.entries().find(({ kind }) => kind === 'outcome')).toMatchObject({ ended: 'cut', status: 200 })
  })

  test('calls of another task go on', async () => {
    const release = Promise.withResolvers<void>()
    const arrived = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    await using upstream = await LiveUpstream.start((incoming, response) => {
      arrived[Number(incoming.url?.at(-1))]?.resolve()
      response.writeHead(200).write('before')
      void release.promise.then(() => response.end('after'))
    })
    await using running = await start(upstream.url)
    const [one, two] = [await open(running), await open(running)]
    const kept = as(running, `/t/${one}/api/orders/0`)
    const cut = as(running, `/t/${two}/api/orders/1`)
    const failed = expect(cut).rejects.toThrow(/aborted|hang up|reset/)
    await Promise.all(arrived.map(({ promise }) => promise))
    await act(running, two, 'complete')
    await failed
    release.resolve()
    expect((await kept).text).toBe('beforeafter')
  })
})
