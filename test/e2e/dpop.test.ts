import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { agentKey, prove, type AgentKey } from '../support/dpop.ts'
import { Issuer, type Jwk } from '../support/issuer.ts'
import {
  agentId,
  anyTool,
  ask,
  audience,
  freeAgent,
  routeTo,
  Running,
  TestUpstream,
  type Answered,
  type Settings,
} from '../support/running.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-dpop-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const issuer = new Issuer()
const bundle = join(folder, 'bundle.json')
writeFileSync(bundle, issuer.bundle())

/** A sidecar with a tool for bound callers and one for all. */
function start(upstream: TestUpstream, dpop: Settings = {}, agent: Settings = {}): Promise<Running> {
  const tools = [
    { ...anyTool('api.refund', { bound: true }), match: 'POST /refunds' },
    { ...anyTool('api.read'), match: 'GET /orders/{id}' },
  ]
  return Running.start({
    routes: { api: routeTo(upstream.url, 'api', { tools }) },
    agents: [freeAgent(agent)],
    settings: { identify: { dpop, sources: [{ type: 'jwt-svid', trust_domain: 'acme.example', keys: { file: bundle } }] } },
  })
}

const mint = (claims: Jwk = {}): string => issuer.mint({ claims: { sub: agentId, aud: audience, ...claims } })

interface Sending {
  readonly path: string
  readonly method?: string
  readonly nonce?: string
}

/** Calls with a token that is bound to a key, as a client would that speaks DPoP. */
async function callBound(running: Running, key: AgentKey, token: string, { path, method = 'GET', nonce }: Sending): Promise<Answered> {
  const htu = running.url(path).split('?', 1)[0]
  const proof = await prove({ key, token, now: Date.now(), claims: { htm: method, htu, ...(nonce === undefined ? {} : { nonce }) } })
  return ask(running.port(), path, { method, headers: { authorization: `DPoP ${token}`, dpop: proof } })
}

test('a bound tool is for a caller that proves its key, and the same token without proof is worth nothing anywhere', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await start(upstream)
  const key = await agentKey()
  const token = mint({ cnf: { jkt: key.jkt } })

  const bearer = await ask(running.port(), '/api/refunds', { method: 'POST', headers: { authorization: `Bearer ${mint()}` } })
  expect(bearer.json).toMatchObject({
    code: 'decide.denied',
    reasons: ['this tool needs a caller that proves that it holds a key, by mTLS or DPoP'],
  })
  const read = await ask(running.port(), '/api/orders/1', { headers: { authorization: `Bearer ${mint()}` } })
  expect(read.status).toBe(200)

  expect((await callBound(running, key, token, { method: 'POST', path: '/api/refunds?dry=1' })).status).toBe(200)
  for (const path of ['/api/refunds', '/api/orders/1']) {
    const stolen = await ask(running.port(), path, { headers: { authorization: `Bearer ${token}` } })
    expect(stolen.json).toMatchObject({ code: 'identify.rejected' })
    expect(stolen.headers['www-authenticate']).toMatch(/^DPoP error="invalid_token", algs="[A-Z0-9 ]+"$/)
  }

  expect(upstream.seen.map(({ url }) => url)).toEqual(['/orders/1', '/refunds?dry=1'])
  for (const { headers } of upstream.seen) expect(headers).not.toHaveProperty('dpop')
  const lines = running.entries().filter(({ kind, tool }) => kind === 'decision' && tool === 'api.refund')
  expect(lines).toMatchObject([{ caller: agentId, confirmed: 'dpop', method: 'jwt-svid', human: null }])
  expect(running.entries().find(({ code }) => code === 'decide.denied')).toMatchObject({ rules: ['caller.bound'], confirmed: 'bearer' })
  expect(running.ledgerText()).not.toContain(token.split('.')[2])
})

test('a proof serves one request, also after a reload, and the agent is told to make a new one', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await start(upstream)
  const key = await agentKey()
  const token = mint({ cnf: { jkt: key.jkt } })
  const dpop = await prove({ key, token, now: Date.now(), claims: { htm: 'GET', htu: running.url('/api/orders/1') } })
  const again = (): Promise<Answered> => ask(running.port(), '/api/orders/1', { headers: { authorization: `DPoP ${token}`, dpop } })
  expect((await again()).status).toBe(200)
  const refused = await again()
  expect(refused.status).toBe(401)
  expect(refused.json['reasons']).toEqual(['the DPoP proof was used before: make a new one for every request, also when trying again'])
  expect(refused.headers['www-authenticate']).toMatch(/^DPoP error="invalid_dpop_proof"/)
  await running.reload({
    routes: { api: routeTo(upstream.url, 'api') },
    settings: { identify: { sources: [{ type: 'jwt-svid', trust_domain: 'acme.example', keys: { file: bundle } }] } },
  })
  expect((await again()).json['reasons']).toEqual(refused.json['reasons'])
  expect((await callBound(running, key, token, { path: '/api/orders/1' })).status).toBe(200)
})

test('where nonces are required, a client gets one with the refusal and goes on', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await start(upstream, { nonce: 'required' })
  const key = await agentKey()
  const token = mint({ cnf: { jkt: key.jkt } })
  const first = await callBound(running, key, token, { path: '/api/orders/1' })
  expect(first.json).toMatchObject({ status: 401, code: 'identify.rejected', retry: 'later' })
  expect(first.headers['www-authenticate']).toMatch(/^DPoP error="use_dpop_nonce", algs="/)
  const nonce = String(first.headers['dpop-nonce'])
  expect((await callBound(running, key, token, { path: '/api/orders/1', nonce })).status).toBe(200)
})

test('tasks are opened by a bound caller like by any other', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await start(upstream)
  const key = await agentKey()
  const token = mint({ cnf: { jkt: key.jkt } })
  const path = '/.countersign/v1/tasks'
  const dpop = await prove({ key, token, now: Date.now(), claims: { htm: 'POST', htu: running.url(path) } })
  const opened = await ask(running.port(), path, {
    method: 'POST',
    body: '{"purpose":"test"}',
    headers: { authorization: `DPoP ${token}`, dpop },
  })
  expect(opened.status).toBe(201)
  const task = String(opened.json['id'])
  expect((await callBound(running, key, token, { path: `/t/${task}/api/orders/1` })).status).toBe(200)
})

test('an agent that a vendor hosts is not let in without TLS, neither to call nor to open a task', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await start(upstream, {}, { hosting: 'vendor', approved: { until: '2999-01-01' } })
  for (const [method, path] of [
    ['GET', '/api/orders/1'],
    ['POST', '/.countersign/v1/tasks'],
  ] as const) {
    const answer = await ask(running.port(), path, { method, headers: { authorization: `Bearer ${mint()}` } })
    expect(answer.json).toMatchObject({
      code: 'identify.rejected',
      reasons: ['this agent is let in by a TLS listener alone, with a client certificate or an OIDC token'],
    })
  }
  expect(upstream.seen).toEqual([])
})
