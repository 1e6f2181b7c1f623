import { createHash, createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { givenDecision, obligation, writeGiven } from '../support/given.ts'
import { agentId, anyTool, ask, freeAgent, routeTo, Running, TestUpstream, type Answered, type Settings } from '../support/running.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-obligations-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const jwt = { type: 'jwt', audience: 'https://api.acme.example', ttl: '60s' }
const reason = {
  rule: 'given.no',
  severity: 'high',
  effect: 'deny',
  observable: false,
  controls: [],
  message_agent: 'not this',
  detail: {},
}

interface Given {
  readonly decision: object
  readonly route?: Settings
  readonly decide?: Settings
  readonly agent?: Settings
  readonly providers?: Readonly<Record<string, Settings>>
  readonly env?: Readonly<Record<string, string>>
  readonly clock?: () => number
}

let bundles = 0

function start(to: string, { decision, route, decide, agent, providers, env, clock }: Given): Promise<Running> {
  const path = writeGiven(folder, decision, `given-${bundles++}`)
  return Running.start({
    routes: { api: routeTo(to, 'api', { tools: [anyTool('api.any', { args: 'json' })], ...route }) },
    agents: [freeAgent(agent)],
    settings: { decide: { bundle: { path, unsafe_unsigned: true }, ...decide } },
    ...(providers && { providers }),
    ...(env && { env }),
    ...(clock && { clock }),
  })
}

async function call(running: Running, more: Parameters<typeof ask>[2] = {}): Promise<Answered> {
  const headers = { authorization: `Bearer ${await running.svid()}`, ...more.headers }
  return ask(running.port(), '/api/a', { ...more, headers })
}

function post(running: Running, body: string, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
  return call(running, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } })
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const events = (running: Running, kind: string): Readonly<Record<string, unknown>>[] =>
  running.entries().filter((line) => line['event'] === kind)

test('an obligation that nobody knows refuses the call', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await start(upstream.url, { decision: givenDecision({ obligations: [obligation('send_flowers', {})] }) })
  expect((await call(running)).json).toMatchObject({ code: 'decide.malformed' })
  expect(upstream.seen).toEqual([])
})

describe('redact_request', () => {
  const decision = givenDecision({ obligations: [obligation('redact_request', { paths: ['/customer/ssn', '/items/*/price'] })] })

  test('changes what leaves at its places alone, and both digests are in the ledger', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { decision })
    const body = '{ "customer": {"\\u0073sn":"078-05-1120", "n": 1.50e1}, "items":[ {"price":12.30},{"price":"4"} ] }'
    const sent = '{ "customer": {"\\u0073sn":"***", "n": 1.50e1}, "items":[ {"price":null},{"price":"***"} ] }'
    const answer = await post(running, body, { 'content-digest': `sha-256=:${Buffer.from(sha256(body), 'hex').toString('base64')}:` })
    expect(answer.status).toBe(200)
    expect(upstream.seen.map((seen) => seen.body)).toEqual([sent])
    expect(upstream.seen[0]?.headers).toMatchObject({ 'content-length': String(sent.length), 'content-type': 'application/json' })
    expect(upstream.seen[0]?.headers['content-digest']).toBeUndefined()
    const [judged, outcome] = running.entries().filter(({ id }) => id === answer.headers['countersign-call'])
    expect(judged).toMatchObject({ kind: 'decision', body: { sha256: sha256(body), size: body.length, judged: true } })
    expect(outcome).toMatchObject({ kind: 'outcome', sent_sha256: sha256(sent), bytes_out: sent.length })
    expect(running.ledgerText()).not.toContain('078-05-1120')
  })

  test('has nothing to do where there is no body', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { decision })
    expect((await call(running)).status).toBe(200)
    expect(running.entries().at(-1)).not.toHaveProperty('sent_sha256')
  })

  test('refuses a body that nobody judged', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { decision, route: { tools: [anyTool('api.any')] } })
    expect((await post(running, '{"customer":{"ssn":"078-05-1120"}}')).json).toMatchObject({ code: 'decide.malformed' })
    expect(upstream.seen).toEqual([])
    expect(running.entries().at(-1)).toMatchObject({ kind: 'refusal', detail: expect.stringContaining('was not judged') })
  })
})

test('narrow_credential lends less than the provider offers, and nothing where nothing is left', async () => {
  await using upstream = await TestUpstream.start()
  const providers = { api: jwt }
  const narrowed = givenDecision({ obligations: [obligation('narrow_credential', { ttl: 5000 })] })
  await using running = await start(upstream.url, { decision: narrowed, providers, route: { credential: 'api' } })
  expect((await call(running)).status).toBe(200)
  const [head = '', payload = ''] = String(upstream.seen[0]?.headers['authorization']).split('.')
  const { exp, iat } = JSON.parse(Buffer.from(payload, 'base64url').toString())
  expect(head).toMatch(/^Bearer /)
  expect(exp - iat).toBeLessThanOrEqual(5)

  const nothing = givenDecision({ obligations: [obligation('narrow_credential', { scopes: ['read'] })] })
  await using other = await start(upstream.url, { decision: nothing, providers, route: { credential: 'api' } })
  expect((await call(other)).json).toMatchObject({ code: 'decide.malformed' })
  expect(upstream.seen).toHaveLength(1)
})

test('debit_budget spends from the task until nothing is left', async () => {
  await using upstream = await TestUpstream.start()
  const decision = givenDecision({ obligations: [obligation('debit_budget', { meter: 'eur', amount: 40 })] })
  const intent = { ...(freeAgent()['intent'] as Settings), budget: { eur: 100 } }
  await using running = await start(upstream.url, { decision, agent: { intent } })
  expect([(await call(running)).status, (await call(running)).status]).toEqual([200, 200])
  expect((await call(running)).json).toMatchObject({ code: 'task.budget' })
  const { state } = running.sidecar.foundation
  expect(state.facts(state.activeTasks(agentId)[0]?.id ?? '', agentId).task.spent).toEqual({ calls: 2, eur: 80 })
})

test('a meter that the task was never given is not spent', async () => {
  await using upstream = await TestUpstream.start()
  const decision = givenDecision({ obligations: [obligation('debit_budget', { meter: 'eur', amount: 0 })] })
  await using running = await start(upstream.url, { decision })
  expect((await call(running)).json).toMatchObject({ code: 'task.budget' })
  expect(upstream.seen).toEqual([])
})

test('raise_sensitivity counts as read by the task and its caller', async () => {
  await using upstream = await TestUpstream.start()
  const decision = givenDecision({ obligations: [obligation('raise_sensitivity', { classes: ['health', 'public'] })] })
  await using running = await start(upstream.url, { decision })
  expect((await call(running)).status).toBe(200)
  const { state } = running.sidecar.foundation
  const facts = state.facts(state.activeTasks(agentId)[0]?.id ?? '', agentId)
  expect(facts.task.sensitivity).toEqual(['health'])
  expect(Object.keys(facts.caller.sensitivity)).toEqual(['health'])
})

test('rate_limit refuses with the time to wait, spends nothing then, and a restart gives nothing back', async () => {
  await using upstream = await TestUpstream.start()
  const hour = 3_600_000
  const limit = obligation('rate_limit', { key: 'exports', scope: 'caller', calls: 2, per: 24 * hour })
  let later = 0
  const clock = (): number => Date.now() + later
  await using running = await start(upstream.url, { decision: givenDecision({ obligations: [limit] }), clock })
  expect([(await call(running)).status, (await call(running)).status]).toEqual([200, 200])
  const refused = await call(running)
  expect(refused.json).toMatchObject({ code: 'decide.rate-limited', status: 429, retry: 'later', terminal: false })
  const wait = Number(refused.headers['retry-after'])
  expect(wait).toBeGreaterThan(22 * 3600)
  expect(wait).toBeLessThanOrEqual(26 * 3600)
  expect(running.entries().at(-1)).toMatchObject({ kind: 'refusal', code: 'decide.rate-limited', fault: 'agent' })
  const { state } = running.sidecar.foundation
  expect(state.facts(state.activeTasks(agentId)[0]?.id ?? '', agentId).task.spent['calls']).toBe(2)
  await running.restart()
  expect((await call(running)).json).toMatchObject({ code: 'decide.rate-limited' })
  later = 26 * hour
  const token = await running.issuer.mint(agentId, 'spiffe://acme.example/countersign', 300 + 26 * 3600)
  expect((await ask(running.port(), '/api/a', { headers: { authorization: `Bearer ${token}` } })).json['code']).not.toBe(
    'decide.rate-limited',
  )
})

describe('notify', () => {
  const notice = (to: string) => obligation('notify', { to, message: 'somebody should look' })

  test.each([
    ['an allow', givenDecision(), 'allow', 200],
    ['a denial', givenDecision({ effect: 'deny', reasons: [reason] }), 'deny', 403],
    ['a question', givenDecision({ effect: 'ask', reasons: [{ ...reason, effect: 'ask' }] }), 'ask', 403],
  ])('writes an event before the line of %s', async (_, decision, effect, status) => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { decision: { ...decision, obligations: [notice('ledger')] } })
    const answer = await call(running)
    expect(answer.status).toBe(status)
    const lines = running.entries()
    const at = lines.findIndex((line) => line['event'] === 'notification')
    const id = answer.headers['countersign-call']
    expect(lines[at]).toMatchObject({
      by: 'policy',
      caller: agentId,
      detail: { to: 'ledger', message: 'somebody should look', effect, decision: id, tool: 'api.any', times: 1 },
    })
    expect(at).toBeLessThan(lines.findIndex((line) => line.id === id))
  })

  test('is handed to the notifier of that name, signed', async () => {
    const key = 'the-key-of-this-test'
    await using inbox = await TestUpstream.start()
    await using upstream = await TestUpstream.start()
    const notifiers = { oncall: { type: 'webhook', url: `${inbox.url}/hook`, secret: { env: 'HOOK' } } }
    const decision = givenDecision({ obligations: [notice('oncall')] })
    await using running = await start(upstream.url, { decision, decide: { notifiers }, env: { HOOK: key } })
    const answer = await call(running)
    await vi.waitFor(() => expect(inbox.seen).toHaveLength(1), { timeout: 5000 })
    const [seen] = inbox.seen
    expect(seen).toMatchObject({ method: 'POST', url: '/hook', headers: { 'content-type': 'application/cloudevents+json; charset=utf-8' } })
    const event = JSON.parse(seen?.body ?? '')
    expect(event).toMatchObject({ specversion: '1.0', type: 'countersign.notification', data: { to: 'oncall', caller: agentId } })
    expect(event.data.decision).toBe(answer.headers['countersign-call'])
    const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature } = seen?.headers ?? {}
    expect(id).toBe(event.id)
    expect(signature).toBe(`v1,${createHmac('sha256', key).update(`${id}.${at}.${seen?.body}`).digest('base64')}`)
    const counted = 'countersign_notices_total{notifier="oncall",result="delivered"} 1'
    await vi.waitFor(async () => expect((await ask(running.port('health'), '/metrics')).text).toContain(counted), { timeout: 5000 })
  })

  test('never waits for a notifier that does not answer', async () => {
    await using inbox = await TestUpstream.start(() => undefined)
    await using upstream = await TestUpstream.start()
    const notifiers = { oncall: { type: 'webhook', url: inbox.url } }
    await using running = await start(upstream.url, {
      decision: givenDecision({ obligations: [notice('oncall')] }),
      decide: { notifiers },
    })
    expect((await call(running)).status).toBe(200)
  })

  test('refuses a call whose notice nobody would get, and tells those who are known', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { decision: givenDecision({ obligations: [notice('nobody'), notice('ledger')] }) })
    expect((await call(running)).json).toMatchObject({ code: 'decide.malformed' })
    expect(upstream.seen).toEqual([])
    expect(events(running, 'notification')).toHaveLength(1)
  })
})

describe('revoke_leases', () => {
  const revoke = obligation('revoke_leases', {})

  test('takes back what the task has before a denial is answered', async () => {
    await using upstream = await TestUpstream.start()
    const providers = { api: jwt }
    const route = { credential: 'api' }
    await using running = await start(upstream.url, { decision: givenDecision(), providers, route })
    expect((await call(running)).status).toBe(200)
    expect(running.sidecar.foundation.credential.sizes()).toMatchObject({ out: 1 })
    const decision = givenDecision({ effect: 'deny', reasons: [reason], obligations: [revoke] })
    const path = writeGiven(folder, decision, 'revoking')
    await running.reload({
      routes: { api: routeTo(upstream.url, 'api', { tools: [anyTool('api.any', { args: 'json' })], ...route }) },
      agents: [freeAgent()],
      settings: { decide: { bundle: { path, unsafe_unsigned: true } } },
      providers,
    })
    expect((await call(running)).json).toMatchObject({ code: 'decide.denied' })
    expect(running.sidecar.foundation.credential.sizes()).toMatchObject({ out: 0 })
    expect(JSON.stringify(running.sidecar.foundation.state.leases({}))).toContain('"revoking"')
  })

  test('lends the call at hand a fresh one', async () => {
    await using upstream = await TestUpstream.start()
    const decision = givenDecision({ obligations: [revoke] })
    await using running = await start(upstream.url, { decision, providers: { api: jwt }, route: { credential: 'api' } })
    expect([(await call(running)).status, (await call(running)).status]).toEqual([200, 200])
    const lent = upstream.seen.map(({ headers }) => headers['authorization'])
    expect(new Set(lent).size).toBe(2)
    expect(running.sidecar.foundation.credential.sizes()).toMatchObject({ out: 1 })
  })
})

describe('pass_unsearched', () => {
  const coded = (): Promise<TestUpstream> =>
    TestUpstream.start((_seen, response) => response.writeHead(200, { 'content-encoding': 'compress' }).end('unreadable'))
  const lent = { route: { credential: 'api' }, providers: { api: jwt } }

  test('lets an answer pass in a coding that cannot be searched for the credential, and the record says so', async () => {
    await using upstream = await coded()
    await using running = await start(upstream.url, {
      decision: givenDecision({ obligations: [obligation('pass_unsearched', {})] }),
      ...lent,
    })
    const answer = await call(running)
    expect([answer.status, answer.headers['content-encoding'], answer.text]).toEqual([200, 'compress', 'unreadable'])
    expect(running.ledgerText()).toContain('pass_unsearched')
  })

  test('not being said, the answer is refused', async () => {
    await using upstream = await coded()
    await using running = await start(upstream.url, { decision: givenDecision({}), ...lent })
    expect((await call(running)).json).toMatchObject({ code: 'forward.response-refused' })
  })
})
