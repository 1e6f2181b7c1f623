import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { codes, type Code } from '../../src/refusal.ts'
import { ada, no } from '../support/approval-rig.ts'
import { certificateFor } from '../support/certificate.ts'
import { givenDecision, obligation, writeGiven } from '../support/given.ts'
import { defaultPolicyBytes, filesOf, packBundle, patched } from '../support/policy-rig.ts'
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
import { answering, rawClient, rawServer } from '../support/sockets.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-refusals-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const jwt = { type: 'jwt', audience: 'https://api.acme.example' }

interface Expected {
  readonly decision?: 'deny' | 'ask' | 'defer'
  /** Kinds of the lines of the call: a refusal of its own, or the outcome of a call whose decision was written. */
  readonly lines?: readonly ['refusal'] | readonly ['decision', 'outcome']
  readonly retry?: 'never' | 'later' | 'after-approval'
  /** `Retry-After` of one that may be tried again later. */
  readonly after?: string
}

/** Holds a problem document to the table of codes, and to its line in the ledger. */
function expectRefusal(running: Running, answer: Answered, code: Code, expected: Expected = {}): void {
  const { decision = 'deny', lines = ['refusal'], retry = codes[code].status === 503 ? 'later' : 'never', after = '1' } = expected
  const { status, title, fault } = codes[code]
  expect(answer.json, answer.text).toMatchObject({
    type: `urn:countersign:refusal:${code}`,
    title,
    status,
    code,
    retry,
    terminal: retry === 'never',
  })
  expect(answer.status).toBe(status)
  expect(answer.headers['content-type']).toBe('application/problem+json')
  expect(answer.headers['cache-control']).toBe('no-store')
  expect(answer.headers['countersign-decision']).toBe(decision)
  expect(answer.headers['retry-after']).toBe(retry === 'later' ? after : undefined)
  const id = String(answer.headers['countersign-call'])
  expect(id).toMatch(/^c_[0-9A-HJKMNP-TV-Z]{26}$/)
  expect(answer.json['call']).toBe(id)
  const written = running.entries().filter((line) => line.id === id)
  expect(written.map(({ kind }) => kind)).toEqual(lines)
  expect(written.at(-1)).toMatchObject({ code, refused: status, fault })
}

/** A sidecar with one route `api` to an upstream. */
function start(to: string, route: Settings = {}, more: Partial<RunningOptions> = {}): Promise<Running> {
  return Running.start({
    routes: { api: routeTo(to, 'api', route) },
    providers: route['credential'] === undefined ? {} : { api: jwt },
    ...more,
  })
}

async function call(running: Running, path = '/api/a', more: Parameters<typeof ask>[2] = {}): Promise<Answered> {
  const authorization = `Bearer ${await running.svid()}`
  return ask(running.port(), path, { ...more, headers: { authorization, ...more.headers } })
}

async function openTask(running: Running): Promise<string> {
  const opened = await call(running, '/.countersign/v1/tasks', { method: 'POST', body: '{"purpose":"test"}' })
  return String(opened.json['id'])
}

/** An upstream that answers when it is told to. */
async function holding(): Promise<
  AsyncDisposable & { readonly url: string; readonly arrived: Promise<void>; readonly release: () => void }
> {
  const arrived = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const upstream = await TestUpstream.start((_request, response) => {
    arrived.resolve()
    void released.promise.then(() => response.end('late'))
  })
  const { url } = upstream
  return { url, arrived: arrived.promise, release: released.resolve, [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose]() }
}

/** Nobody listens there. */
async function deadUrl(): Promise<string> {
  const upstream = await TestUpstream.start()
  const { url } = upstream
  await upstream[Symbol.asyncDispose]()
  return url
}

/** Answers every token request with the same document. */
async function issuerThatAnswers(document: object): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function oauth(issuer: string): Settings {
  return {
    type: 'oauth',
    issuer,
    endpoints: { token: `${issuer}/token` },
    client: { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'CLIENT_SECRET' } },
    scope: ['orders:read'],
    timeout: '2s',
  }
}

describe('a running sidecar refuses with', () => {
  test('listen.malformed', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const answer = await call(running, '/api/a/../b')
    expectRefusal(running, answer, 'listen.malformed')
    expect(answer.headers.connection).toBe('close')
    expect(upstream.seen).toEqual([])
  })

  test('listen.too-large', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, {}, { settings: { listen: { limits: { body: '1KiB' } } } })
    expectRefusal(running, await call(running, '/api/a', { method: 'POST', body: 'a'.repeat(1025) }), 'listen.too-large')
    expect(upstream.seen).toEqual([])
  })

  test('listen.overloaded', async () => {
    await using upstream = await holding()
    await using running = await start(upstream.url, {}, { settings: { listen: { limits: { calls_per_caller: 1 } } } })
    const first = call(running, '/api/first')
    await upstream.arrived
    expectRefusal(running, await call(running, '/api/second'), 'listen.overloaded')
    upstream.release()
    expect((await first).status).toBe(200)
    expect((await call(running, '/api/third')).status).toBe(200)
  })

  test('listen.draining', async () => {
    await using upstream = await holding()
    await using running = await start(upstream.url, {}, { settings: { listen: { drain: '100ms' } } })
    const held = call(running)
    await upstream.arrived
    await running.close()
    expectRefusal(running, await held, 'listen.draining', { lines: ['decision', 'outcome'] })
  })

  test('identify.missing', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const answer = await ask(running.port(), '/api/a', { headers: { 'x-api-key': 'sk-dummy' } })
    expectRefusal(running, answer, 'identify.missing')
    expect(answer.headers['www-authenticate']).toBe('Bearer')
  })

  test('identify.rejected', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const forBilling = await running.svid(agentId, 300, 'spiffe://acme.example/billing')
    const answer = await ask(running.port(), '/api/a', { headers: { authorization: `Bearer ${forBilling}` } })
    expectRefusal(running, answer, 'identify.rejected')
    expect(answer.text).not.toContain('billing')
  })

  test('identify.unavailable', async () => {
    await using upstream = await TestUpstream.start()
    const sources = [{ type: 'jwt-svid', trust_domain: 'acme.example', keys: { file: 'not-there.json' } }]
    await using running = await start(upstream.url, {}, { settings: { identify: { sources } } })
    expectRefusal(running, await call(running), 'identify.unavailable')
    expect(await (await fetch(`http://127.0.0.1:${running.port('health')}/readyz`)).text()).toContain('no identity source')
  })

  test('task.missing', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, {}, { agents: [freeAgent({ implicit: false })] })
    expectRefusal(running, await call(running), 'task.missing')
  })

  test('task.unknown', async () => {
    await using upstream = await TestUpstream.start()
    const other = 'spiffe://acme.example/ns/test/sa/other'
    await using running = await start(upstream.url, {}, { agents: [freeAgent(), freeAgent({ id: other })] })
    const task = await openTask(running)
    const authorization = `Bearer ${await running.svid(other)}`
    const foreign = await call(running, `/t/${task}/api/a`, { headers: { authorization } })
    expectRefusal(running, foreign, 'task.unknown')
    const never = await call(running, `/t/t_${'0'.repeat(26)}/api/a`, { headers: { authorization } })
    // one answer for what is another's and what never was
    expect({ ...never.json, call: '', task: '' }).toEqual({ ...foreign.json, call: '', task: '' })
  })

  test('task.ended', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await openTask(running)
    await call(running, `/.countersign/v1/tasks/${task}/complete`, { method: 'POST' })
    expectRefusal(running, await call(running, `/t/${task}/api/a`), 'task.ended')
  })

  test('task.paused', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await openTask(running)
    await call(running, `/.countersign/v1/tasks/${task}/pause`, { method: 'POST' })
    expectRefusal(running, await call(running, `/t/${task}/api/a`), 'task.paused', { retry: 'later' })
  })

  test('task.agent-not-live', async () => {
    await using upstream = await TestUpstream.start()
    const { security: _left, ...owners } = freeAgent()['owners'] as Record<string, string>
    await using running = await start(upstream.url, {}, { agents: [freeAgent({ owners })] })
    const answer = await call(running)
    expectRefusal(running, answer, 'task.agent-not-live')
    expect(answer.text).not.toContain('owner')
  })

  test('task.budget', async () => {
    await using upstream = await TestUpstream.start()
    const intent = { ...(freeAgent()['intent'] as Settings), budget: { calls: 1 } }
    await using running = await start(upstream.url, {}, { agents: [freeAgent({ intent })] })
    expect((await call(running, '/api/one')).status).toBe(200)
    expectRefusal(running, await call(running, '/api/two'), 'task.budget')
    expect(upstream.seen).toHaveLength(1)
  })

  test('kill.engaged', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const { kill } = await running.sidecar.foundation.kills.engage({ scope: 'route', name: 'api', by: 'person:oncall', reason: 'test' })
    const answer = await call(running)
    expectRefusal(running, answer, 'kill.engaged')
    expect(answer.text).not.toContain('oncall')
    expect(running.entries().at(-1)).toMatchObject({ detail: `${kill.id}: route api, by person:oncall` })
    expect(upstream.seen).toEqual([])
  })

  test('match.unroutable', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    expectRefusal(running, await call(running, '/elsewhere'), 'match.unroutable')
  })

  test('match.body', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { tools: [anyTool('api.any', { args: 'json' })] })
    const body = '{"amount":1,"amount":1000}'
    const answer = await call(running, '/api/a', { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    expectRefusal(running, answer, 'match.body')
    expect(upstream.seen).toEqual([])
  })

  test('decide.denied', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { tools: [anyTool('api.any', { match: 'GET /known' })] })
    expectRefusal(running, await call(running, '/api/unknown'), 'decide.denied')
    const written = running.entries().find(({ code }) => code === 'decide.denied')
    expect(written).toMatchObject({ rules: expect.arrayContaining(['tool.uncatalogued']), tool: 'api.uncatalogued', caller: agentId })
  })

  test('decide.rate-limited', async () => {
    await using upstream = await TestUpstream.start()
    const limit = obligation('rate_limit', { key: 'all of them', scope: 'all', calls: 1, per: 8000 })
    const path = writeGiven(folder, givenDecision({ obligations: [limit] }))
    const now = Date.now()
    const clock = (): number => now
    await using running = await start(upstream.url, {}, { settings: { decide: { bundle: { path, unsafe_unsigned: true } } }, clock })
    expect((await call(running)).status).toBe(200)
    expectRefusal(running, await call(running), 'decide.rate-limited', { retry: 'later', after: '9' })
    expect(upstream.seen).toHaveLength(1)
  })

  test('decide.malformed', async () => {
    await using upstream = await TestUpstream.start()
    // a policy that denies as it must and says "alloW" where it allows
    const files = filesOf(defaultPolicyBytes)
    // and that no longer says of itself what it allows
    const manifest = JSON.parse(Buffer.from(files['.manifest'] ?? '').toString()) as Record<string, unknown>
    const bare = { ...files, '.manifest': JSON.stringify({ ...manifest, metadata: {} }) }
    const bundle = packBundle({ ...bare, 'policy.wasm': patched(Buffer.from(files['policy.wasm'] ?? ''), 'allow\0', 'alloW\0') })
    const path = join(folder, 'policy.tar.gz')
    writeFileSync(path, bundle)
    await using running = await start(upstream.url, {}, { settings: { decide: { bundle: { path, unsafe_unsigned: true } } } })
    expectRefusal(running, await call(running), 'decide.malformed')
    expect(upstream.seen).toEqual([])
  })

  test('decide.unavailable', async () => {
    await using upstream = await TestUpstream.start()
    // policy sees all of a call or nothing, and a name this long is past what it sees
    await using running = await start(upstream.url, { tools: [anyTool(`api.${'a'.repeat(300)}`)] })
    const answer = await call(running)
    expectRefusal(running, answer, 'decide.unavailable', { retry: 'never' })
    expect(upstream.seen).toEqual([])
  })

  test('approve.required', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { tools: [anyTool('api.any', { risk: 'critical' })] })
    const answer = await call(running)
    expectRefusal(running, answer, 'approve.required', { decision: 'ask', retry: 'after-approval' })
    expect(answer.json['reasons']).toEqual(['a call of this risk needs a person'])
    expect(upstream.seen).toEqual([])
  })

  test('approve.declined', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { tools: [anyTool('api.any', { risk: 'critical' })] })
    const { id } = (await call(running)).json['approval'] as { id: string }
    await running.sidecar.foundation.approvals.answer(id, ada, no())
    const answer = await call(running)
    expectRefusal(running, answer, 'approve.declined')
    expect(answer.json).toMatchObject({ reasons: ['a person declined it'], approval: { id } })
    expect(answer.text).not.toMatch(/ada|month/)
    expect(running.entries().filter(({ event }) => event === 'approval.opened')).toHaveLength(1)
    expect(upstream.seen).toEqual([])
  })

  test('approve.deferred', async () => {
    await using upstream = await TestUpstream.start()
    const requires = [{ id: 'scanned', signal: 'malware-scan', hold: '20ms' }]
    await using running = await start(upstream.url, {}, { settings: { decide: { settings: { requires } } } })
    const answer = await call(running)
    expectRefusal(running, answer, 'approve.deferred', { decision: 'defer', retry: 'later' })
    expect(answer.json['reasons']).toEqual(['this call waits for a fact that is not there yet, or is not as it must be'])
    expect(upstream.seen).toEqual([])
  })

  test('approve.expired', async () => {
    await using upstream = await TestUpstream.start()
    const time = { now: Date.now() }
    const settings = { approve: { ttl: '10s' } }
    await using running = await start(
      upstream.url,
      { tools: [anyTool('api.any', { risk: 'critical' })] },
      { settings, clock: () => time.now },
    )
    const { id } = (await call(running)).json['approval'] as { id: string }
    time.now += 10_000
    expectRefusal(running, await call(running), 'approve.expired', { retry: 'later', after: '60' })
    expect(running.entries().filter(({ event }) => event === 'approval.expired')).toMatchObject([{ by: 'clock', detail: { approval: id } }])
    time.now += 60_000
    const answer = await call(running)
    expectRefusal(running, answer, 'approve.required', { decision: 'ask', retry: 'after-approval' })
    expect(answer.json['approval']).not.toMatchObject({ id })
    expect(upstream.seen).toEqual([])
  })

  test('credential.unavailable', async () => {
    await using upstream = await TestUpstream.start()
    const providers = { api: oauth(await deadUrl()) }
    await using running = await start(upstream.url, { credential: 'api' }, { providers, env: { CLIENT_SECRET: 'client-secret' } })
    const answer = await call(running)
    expectRefusal(running, answer, 'credential.unavailable', { lines: ['decision', 'outcome'], retry: 'later' })
    expect(upstream.seen).toEqual([])
  })

  test('credential.unplaced', async () => {
    await using upstream = await TestUpstream.start()
    const apply = { placeholder: 'countersign-api-key' }
    const providers = { api: { type: 'static', value: { env: 'API_KEY' }, unsafe_standing: true, apply } }
    await using running = await start(upstream.url, { credential: 'api' }, { providers, env: { API_KEY: 'api-key' } })
    const answer = await call(running)
    expectRefusal(running, answer, 'credential.unplaced', { lines: ['decision', 'outcome'] })
    expect(upstream.seen).toEqual([])
  })

  test('credential.too-wide', async () => {
    await using upstream = await TestUpstream.start()
    await using issuer = await issuerThatAnswers({
      access_token: 'wide-token-71ac',
      token_type: 'Bearer',
      expires_in: 60,
      scope: 'orders:read orders:write',
    })
    const providers = { api: oauth(issuer.url) }
    await using running = await start(upstream.url, { credential: 'api' }, { providers, env: { CLIENT_SECRET: 'client-secret' } })
    const answer = await call(running)
    expectRefusal(running, answer, 'credential.too-wide', { lines: ['decision', 'outcome'] })
    expect(answer.text).not.toContain('wide-token')
    expect(upstream.seen).toEqual([])
  })

  test('forward.forbidden-address', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { reach: 'public' })
    expectRefusal(running, await call(running), 'forward.forbidden-address', { lines: ['decision', 'outcome'] })
    await using metadata = await start('http://169.254.169.254', { reach: 'private' })
    expectRefusal(metadata, await call(metadata), 'forward.forbidden-address', { lines: ['decision', 'outcome'] })
    expect(upstream.seen).toEqual([])
  })

  test('forward.redirect', async () => {
    await using upstream = await TestUpstream.start((_request, response) =>
      response.writeHead(307, { location: 'https://partner.example/' }).end(),
    )
    await using running = await start(upstream.url)
    expectRefusal(running, await call(running), 'forward.redirect', { lines: ['decision', 'outcome'] })
  })

  test('forward.unreachable', async () => {
    await using running = await start(await deadUrl())
    const answer = await call(running)
    expectRefusal(running, answer, 'forward.unreachable', { lines: ['decision', 'outcome'], retry: 'later' })
  })

  test('forward.untrusted', async () => {
    const { cert, key } = certificateFor('crm.acme.example')
    const seen: string[] = []
    const upstream = createSecureServer({ cert, key }, (request, response) => {
      seen.push(request.url ?? '')
      response.end('ok')
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    await using running = await start(`https://127.0.0.1:${(upstream.address() as AddressInfo).port}`)
    expectRefusal(running, await call(running), 'forward.untrusted', { lines: ['decision', 'outcome'], retry: 'later' })
    expect(running.entries().at(-1)).toMatchObject({ kind: 'outcome', dialled: null, downstream_proven: null })
    expect(seen).toEqual([])
    await new Promise((resolve) => upstream.close(resolve))
  })

  test('forward.timeout', async () => {
    await using upstream = await holding()
    await using running = await start(upstream.url, { timeouts: { head: '100ms' } })
    expectRefusal(running, await call(running), 'forward.timeout', { lines: ['decision', 'outcome'] })
  })

  test('forward.response-refused', async () => {
    const upstream = await rawServer(answering('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'))
    await using running = await start(`http://127.0.0.1:${upstream.port}`)
    expectRefusal(running, await call(running), 'forward.response-refused', { lines: ['decision', 'outcome'] })
    await upstream.close()
  })

  test('record.failed', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, {}, { settings: { record: { ledger: { path: 'ledger', quota: '16KiB' } } } })
    let answer = await call(running, '/api/0')
    for (let at = 1; answer.status === 200; at++) answer = await call(running, `/api/${at}`)
    const forwarded = upstream.seen.length
    expect(answer.status).toBe(503)
    expect(answer.json).toMatchObject({ code: 'record.failed', retry: 'later', terminal: false })
    expect(answer.headers['countersign-decision']).toBe('deny')
    // what cannot be recorded is not done: it has no decision line; a refusal is shorter, and may just have room
    const own = running.entries().filter(({ id }) => id === answer.headers['countersign-call'])
    expect(own.filter(({ kind }) => kind !== 'refusal')).toEqual([])
    expect((await call(running, '/api/again')).json).toMatchObject({ code: 'record.failed' })
    expect(upstream.seen).toHaveLength(forwarded)
    expect(await (await fetch(`http://127.0.0.1:${running.port('health')}/readyz`)).text()).toContain('ledger')
  })

  test('internal', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    // no call can bring a bug about, so one is put in
    Object.assign(running.sidecar.foundation.state, {
      mint: () => {
        throw new TypeError('secret-in-a-stack-trace')
      },
    })
    const answer = await call(running)
    expectRefusal(running, answer, 'internal')
    expect(answer.text).not.toContain('secret-in')
    expect(running.ledgerText()).not.toContain('secret-in')
    expect(running.entries().at(-1)).toMatchObject({ code: 'internal', cause: 'TypeError' })
    expect(upstream.seen).toEqual([])
  })
})

describe('a refusal of a route is worded as', () => {
  const refusing = async (refusals: string): Promise<Answered & { readonly call: string; readonly approval: string }> => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { refusals, tools: [anyTool('api.any', { risk: 'critical' })] })
    const answer = await call(running)
    const id = String(answer.headers['countersign-call'])
    expect(running.entries().find((line) => line.id === id)).toMatchObject({ kind: 'refusal', code: 'approve.required' })
    expect(answer.status).toBe(403)
    expect(answer.headers['countersign-decision']).toBe('ask')
    const [approval] = await running.sidecar.foundation.approvals.list({})
    return { ...answer, call: id, approval: approval?.id ?? 'none' }
  }

  test('problem', async () => {
    const answer = await refusing('problem')
    expect(answer.headers['content-type']).toBe('application/problem+json')
    expect(answer.json).toMatchObject({
      code: 'approve.required',
      title: 'A person must approve this',
      call: answer.call,
      approval: { id: answer.approval },
    })
  })

  test('json-rpc', async () => {
    const answer = await refusing('json-rpc')
    expect(answer.headers['content-type']).toBe('application/json')
    expect(answer.json).toMatchObject({
      jsonrpc: '2.0',
      id: null,
      error: {
        code: -32001,
        message: 'A person must approve this',
        data: { code: 'approve.required', call: answer.call, approval: { id: answer.approval } },
      },
    })
  })

  test('aws-xml', async () => {
    const answer = await refusing('aws-xml')
    expect(answer.headers['content-type']).toBe('application/xml')
    expect(answer.text).toContain('<Code>AccessDenied</Code>')
    expect(answer.text).toContain(
      `approve.required: A person must approve this; a call of this risk needs a person; approval ${answer.approval}`,
    )
    expect(answer.text).toContain(`<RequestId>${answer.call}</RequestId>`)
  })

  test('github', async () => {
    const answer = await refusing('github')
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(answer.json).toMatchObject({
      message: 'A person must approve this; a call of this risk needs a person',
      documentation_url: 'urn:countersign:refusal:approve.required',
      status: '403',
      call: answer.call,
      approval: { id: answer.approval },
    })
  })
})

test('what cannot be read as a request at all is answered, closed and counted in the ledger', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await start(upstream.url)
  const client = await rawClient(running.port())
  client.socket.write('GET /api/a HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n')
  await client.closed
  expect(client.text()).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
  expect(client.text()).toContain('"code":"listen.malformed"')
  await running.close()
  expect(running.entries()).toContainEqual(expect.objectContaining({ kind: 'event', event: 'request.malformed' }))
})
