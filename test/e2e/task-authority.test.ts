import { hash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { completion, ModelApi } from '../support/model-api.ts'
import { agentId, ask, freeAgent, routeTo, Running, TestUpstream, type Answered, type Settings } from '../support/running.ts'

const worker = 'spiffe://acme.example/ns/test/sa/worker'
const other = 'spiffe://acme.example/ns/test/sa/other'
const json = { 'content-type': 'application/json' }
const budget = { calls: 1_000_000, bytes_out: 1_000_000, eur: 100 }
const intent = { ...(freeAgent()['intent'] as Settings), budget }
const agents = [
  freeAgent({ opens_for: ['spiffe://acme.example/ns/test/sa/worker'], intent }),
  freeAgent({ id: worker, implicit: false, intent }),
  freeAgent({ id: other }),
]
const tools: readonly Settings[] = [
  { name: 'api.read', match: 'GET /orders/{id}', effect: 'read', risk: 'low', egress: 'internal' },
  { name: 'api.pay', match: 'POST /pay', effect: 'write', risk: 'low', egress: 'internal', args: 'json', debit: { eur: '/amount' } },
  { name: 'api.upload', match: 'POST /upload', effect: 'write', risk: 'low', egress: 'internal' },
]

async function as(running: Running, path: string, more: Parameters<typeof ask>[2] & { readonly id?: string } = {}): Promise<Answered> {
  const authorization = `Bearer ${await running.svid(more.id ?? agentId)}`
  return ask(running.port(), path, { ...more, headers: { authorization, ...more.headers } })
}

async function open(
  running: Running,
  asked: Settings = {},
  more: { readonly id?: string; readonly headers?: Readonly<Record<string, string>> } = {},
) {
  const body = JSON.stringify({ purpose: 'refund order 1042', ...asked })
  const answer = await as(running, '/.countersign/v1/tasks', { method: 'POST', body, ...more, headers: { ...json, ...more.headers } })
  return { answer, id: String(answer.json['id']), token: String(answer.json['token']) }
}

/** By a person, over the admin port. */
async function person(running: Running, path: string, body: Settings): Promise<{ status: number; json: Settings }> {
  const key = readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()
  const answer = await fetch(`http://127.0.0.1:${running.port('admin')}/v1/tasks${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, ...json },
    body: JSON.stringify({ reason: 'an incident', by: 'oncall@acme.example', ...body }),
  })
  return { status: answer.status, json: (await answer.json()) as Settings }
}

/** Sends these chunks with no announced length, each when the one before was taken; resolves when an answer came or the connection went. */
function upload(port: number, path: string, headers: Readonly<Record<string, string>>, chunks: readonly Buffer[]): Promise<number> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, path, method: 'POST', agent: false, headers }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    sent.on('error', () => resolve(0))
    const next = (at: number): void => {
      const chunk = chunks[at]
      if (chunk === undefined) sent.end()
      else sent.write(chunk, () => setImmediate(next, at + 1))
    }
    next(0)
  })
}

function opened(running: Running, task: string): Readonly<Record<string, unknown>> | undefined {
  return running.entries().find((line) => line['event'] === 'task.opened' && line['task'] === task)
}

test('a task is opened by its orchestrator or a person, carried as a token, and used by its caller alone', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await Running.start({ routes: { api: routeTo(upstream.url, 'api', { tools }) }, agents })
  const call = (headers: Readonly<Record<string, string>>, id = worker, path = '/api/orders/1') => as(running, path, { id, headers })

  const byOrchestrator = await open(running, { caller: worker, tools: ['api.read'], ttl: '10m' })
  expect(byOrchestrator.answer.json).toMatchObject({ caller: worker, opened_by: agentId, state: 'active', left: budget })
  expect(opened(running, byOrchestrator.id)).toMatchObject({
    by: agentId,
    caller: worker,
    detail: { opener: 'orchestrator', root: `agent:${agentId}` },
  })

  // the token leads there, for the worker alone, and never goes upstream
  const { token, id } = byOrchestrator
  expect((await call({ 'countersign-task': token })).status).toBe(200)
  expect((await call({ 'countersign-task': token }, worker, `/t/${id}/api/orders/2`)).status).toBe(200)
  expect((await call({ 'countersign-task': id })).status).toBe(200)
  expect(JSON.stringify(upstream.seen)).not.toContain(token)
  expect(running.ledgerText()).not.toContain(token)
  for (const thief of [agentId, other]) {
    expect((await call({ 'countersign-task': token }, thief)).json, thief).toMatchObject({ status: 403, code: 'task.unknown' })
    expect((await as(running, `/.countersign/v1/tasks/${id}/complete`, { method: 'POST', id: thief })).json).toMatchObject({
      code: 'task.unknown',
    })
  }
  const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${token.split('.')[1]}.`
  expect((await call({ 'countersign-task': none })).json).toMatchObject({ code: 'task.unknown' })

  // only for whom it is registered to open, within that caller's registration, and not the other way round
  for (const [asked, by] of [
    [{ caller: other }, agentId],
    [{ caller: 'spiffe://acme.example/ns/test/sa/nobody' }, agentId],
    [{ caller: 7 }, agentId],
    [{ caller: agentId }, worker],
    [{ caller: worker, budget: { eur: 101 } }, agentId],
  ] as const)
    expect((await open(running, asked, { id: by })).answer.json, JSON.stringify(asked)).toMatchObject({
      status: 403,
      code: 'decide.denied',
    })

  // a person opens one, and takes it back
  const byPerson = await person(running, '', { agent: worker, purpose: 'look into order 7', tools: ['api.read'], budget: { calls: 3 } })
  expect(byPerson).toMatchObject({ status: 201, json: { caller: worker, openedBy: 'person:oncall@acme.example', left: { calls: 3 } } })
  const taken = { token: String(byPerson.json['token']), id: String(byPerson.json['id']) }
  expect((await call({ 'countersign-task': taken.token })).status).toBe(200)
  expect((await call({ 'countersign-task': token }, worker, `/t/${taken.id}/api/orders/1`)).json).toMatchObject({ code: 'task.unknown' })
  expect((await person(running, `/${taken.id}/revoke`, {})).json).toMatchObject({ state: 'revoked', left: { calls: 2 } })
  expect((await call({ 'countersign-task': taken.token })).json).toMatchObject({ code: 'task.ended' })
  expect((await as(running, `/.countersign/v1/tasks/${taken.id}/resume`, { method: 'POST', id: worker })).json).toMatchObject({
    code: 'task.ended',
  })
  expect(opened(running, taken.id)).toMatchObject({ by: 'person:oncall@acme.example', detail: { reason: 'an incident' } })
  expect((await person(running, '', { agent: 'spiffe://acme.example/ns/test/sa/nobody', purpose: 'x' })).status).toBe(404)
  expect((await person(running, '', { agent: worker, purpose: 'x', tools: ['*'], ttl: '9d' })).status).toBe(409)

  // another key makes tokens unknown, ids still work
  await running.restart()
  expect((await call({ 'countersign-task': token })).json).toMatchObject({ code: 'task.unknown' })
  expect((await call({ 'countersign-task': id })).status).toBe(200)
})

describe('a budget', () => {
  test('of bytes is spent by what leaves, before it leaves, and of money by amounts that are amounts', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start({ routes: { api: routeTo(upstream.url, 'api', { tools }) }, agents })
    const { id } = await open(running, { budget: { bytes_out: 100_000, eur: 50 } })
    const headers = { authorization: `Bearer ${await running.svid()}`, 'countersign-task': id }
    const post = (path: string, body: string) => as(running, path, { method: 'POST', body, headers: { 'countersign-task': id, ...json } })

    for (const bad of ['{}', '{"amount":-1}', '{"amount":"1"}', '{"amount":null}', '{"amount":1e999}', '{"amount":NaN}'])
      expect((await post('/api/pay', bad)).json, bad).toMatchObject({ status: 400, code: 'match.body' })
    expect((await post('/api/pay', '{"amount":50}')).status).toBe(200)
    expect((await post('/api/pay', '{"amount":0.01}')).status).toBe(403)

    const spent = async (): Promise<unknown> => ((await as(running, `/.countersign/v1/tasks/${id}`)).json['spent'] as Settings)['bytes_out']
    const before = Number(await spent())
    expect(before).toBe('{"amount":50}'.length)
    expect((await post('/api/upload', 'x'.repeat(40_000))).status).toBe(200)
    expect(await spent()).toBe(before + 40_000)
    expect((await post('/api/upload', 'x'.repeat(60_000))).status).toBe(403) // announced: refused before a byte leaves

    const chunk = Buffer.alloc(10_000, 'y')
    const status = await upload(
      running.port(),
      '/api/upload',
      headers,
      Array.from({ length: 40 }, () => chunk),
    )
    expect([0, 403]).toContain(status)
    const total = Number(await spent())
    expect(total).toBeLessThanOrEqual(100_000)
    expect(total).toBeGreaterThan(before + 40_000)
    const line = running.entries().findLast((one) => one.kind === 'outcome')
    expect(line).toMatchObject({ ended: 'refused', code: 'task.budget' })
    expect(Number(line?.['bytes_out'])).toBeLessThanOrEqual(60_000)
    expect(upstream.seen.every(({ body }) => body.length < 60_000)).toBe(true)
  })

  test('of one last unit is spent by one of two calls, a thousand times', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start({ routes: { api: routeTo(upstream.url, 'api', { tools }) }, agents })
    const { tasks, state } = running.sidecar.foundation
    const authorization = `Bearer ${await running.svid()}`
    let won = 0
    for (let race = 0; race < 1000; race += 20) {
      const opens = await Promise.all(Array.from({ length: 20 }, () => open(running, { budget: { calls: 1 } })))
      const calls = opens.flatMap(({ id }) =>
        [1, 2].map((at) => ask(running.port(), `/t/${id}/api/orders/${at}`, { headers: { authorization } })),
      )
      const answers = await Promise.all(calls)
      for (let at = 0; at < answers.length; at += 2) {
        const pair = [answers[at], answers[at + 1]]
        if (pair.filter((answer) => answer?.status === 200).length === 1) won++
        expect(pair.map((answer) => answer?.status)).toEqual(expect.arrayContaining([200, 403]))
      }
      for (const { id } of opens) {
        const row = state.task(id)
        if (row !== null) await tasks.complete(row, { kind: 'agent', name: agentId }, 'done')
      }
    }
    expect(won).toBe(1000)
    expect(upstream.seen).toHaveLength(1000)
  }, 120_000)
})

test('an active task that another session uses is judged first, and a person lets it go on where policy wants that', async () => {
  await using upstream = await TestUpstream.start()
  const settings = {
    task: { session: { by: 'proof' } },
    decide: { environment: 'test', settings: { reauthorise: [{ causes: ['session'], effect: 'ask' }] } },
  }
  await using running = await Running.start({ routes: { api: routeTo(upstream.url, 'api', { tools }) }, agents, settings })
  const [first, second] = [await running.svid(agentId, 300), await running.svid(agentId, 299)]
  const use = (svid: string, path: string, method = 'GET', body?: string): Promise<Answered> =>
    ask(running.port(), path, { method, headers: { authorization: `Bearer ${svid}`, ...json }, ...(body === undefined ? {} : { body }) })
  const id = String((await use(first, '/.countersign/v1/tasks', 'POST', '{"purpose":"x"}')).json['id'])
  expect((await use(first, `/t/${id}/api/orders/1`)).status).toBe(200)
  const held = await use(second, `/t/${id}/api/orders/1`)
  expect(held.json).toMatchObject({ code: 'approve.required', reasons: ['a person must say that this task goes on'] })
  expect((await use(first, `/t/${id}/api/orders/1`)).status).toBe(200)
  expect((await person(running, `/${id}/resume`, {})).json).toMatchObject({ state: 'active', waiting: null })
  expect((await use(second, `/t/${id}/api/orders/1`)).status).toBe(200)
  expect((await use(first, `/t/${id}/api/orders/1`)).status).toBe(200)
  const events = running.entries().filter((line) => line['task'] === id && line['event'] !== undefined)
  expect(events.map((line) => [line['event'], line['by']])).toEqual([
    ['task.opened', agentId],
    ['approval.opened', agentId],
    ['task.reauthorised', 'person:oncall@acme.example'],
    ['approval.withdrawn', 'countersign'],
  ])
})

test('prompt, decision, tool call and effect are one chain, with the transaction they belong to', async () => {
  await using model = await ModelApi.start()
  await using upstream = await TestUpstream.start()
  const issuer = 'https://tts.acme.example'
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const keys = { keys: [{ ...(await exportJWK(publicKey)), kid: 'tts', alg: 'ES256', use: 'sig' }] }
  const llm = { name: 'llm.complete', match: 'POST /v1/{+any}', effect: 'send', risk: 'low', egress: 'public', prompt: true }
  const routes = { api: routeTo(upstream.url, 'api', { tools }), llm: routeTo(model.url, 'llm', { tools: [llm] }) }
  const folder = mkdtempSync(join(tmpdir(), 'countersign-tts-'))
  const file = join(folder, 'keys.json')
  writeFileSync(file, JSON.stringify(keys))
  const settings = { task: { transactions: { issuers: [{ issuer, audience: 'acme.example', keys: { file } }] } } }
  await using running = await Running.start({ routes, agents, settings })
  rmSync(folder, { recursive: true })
  const txn = await new SignJWT({ txn: 'txn-17', scope: 'refund', req_wl: 'gateway', rctx: { req_ip: '192.0.2.1' } })
    .setProtectedHeader({ alg: 'ES256', typ: 'txntoken+jwt', kid: 'tts' })
    .setIssuedAt()
    .setExpirationTime('5m')
    .setAudience('acme.example')
    .setSubject('person-17')
    .sign(privateKey)
  const plan = `sha256:${hash('sha256', 'the plan')}`
  const step = `sha256:${hash('sha256', 'this step')}`
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const { id, answer } = await open(running, { prompt: plan }, { headers: { 'txn-token': txn, traceparent } })
  expect(answer.json).toMatchObject({
    prompt: { declared: plan, model_call: null },
    correlation: { trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', txn: 'txn-17' },
  })
  const headers = { 'countersign-task': id, 'txn-token': txn }
  const asked = JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: 'refund?' }] })
  const streamed = await as(running, '/llm/v1/chat/completions', { method: 'POST', body: asked, headers: { ...headers, ...json } })
  expect(streamed.text).toContain(completion.split(' ')[0])
  const done = await as(running, '/api/orders/1', { headers: { ...headers, 'countersign-prompt': step } })
  expect(done.status).toBe(200)
  expect(Object.keys(upstream.seen[0]?.headers ?? {})).not.toEqual(expect.arrayContaining(['txn-token']))
  expect(JSON.stringify(upstream.seen)).not.toMatch(/countersign-/)

  const decisions = running.entries().filter(({ kind }) => kind === 'decision')
  const [modelCall, toolCall] = decisions
  const outcome = running.entries().find(({ kind, ...line }) => kind === 'outcome' && line['tool'] === 'llm.complete')
  const answerSha256 = hash('sha256', streamed.text)
  expect(outcome).toMatchObject({ body_sha256: hash('sha256', asked), answer_sha256: answerSha256 })
  expect(modelCall).toMatchObject({ prompt: { declared: plan, model_call: null } })
  const chain = { model_call: streamed.headers['countersign-call'], request_sha256: hash('sha256', asked), answer_sha256: answerSha256 }
  expect(toolCall).toMatchObject({
    prompt: { declared: step, ...chain },
    txn: {
      verified: true,
      id: 'txn-17',
      issuer,
      sub_sha256: hash('sha256', 'person-17'),
      rctx_sha256: hash('sha256', '{"req_ip":"192.0.2.1"}'),
    },
  })
  expect((await as(running, `/.countersign/v1/tasks/${id}`)).json).toMatchObject({ prompt: { declared: plan, ...chain } })
  expect(running.ledgerText()).not.toMatch(/person-17|192\.0\.2\.1/)
  expect(running.ledgerText()).not.toContain(txn)

  const forged = `${txn.slice(0, -8)}AAAAAAAA`
  expect((await as(running, '/api/orders/2', { headers: { ...headers, 'txn-token': forged } })).status).toBe(200)
  const last = running.entries().findLast(({ kind }) => kind === 'decision')
  expect(last).toMatchObject({ txn: { verified: false, id: null, token_sha256: hash('sha256', forged) } })
  expect((await as(running, '/api/orders/2', { headers: { ...headers, 'countersign-prompt': 'the plan' } })).json).toMatchObject({
    code: 'listen.malformed',
  })
})
