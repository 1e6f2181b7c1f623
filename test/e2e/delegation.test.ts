import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { countersign } from '../support/command-line.ts'
import { LiveUpstream } from '../support/live-upstream.ts'
import {
  agentId,
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

const helper = 'spiffe://acme.example/ns/test/sa/helper'
const stranger = 'spiffe://acme.example/ns/test/sa/stranger'
const tools: readonly Settings[] = [
  { name: 'crm.order.read', match: 'GET /orders/{id}', effect: 'read', risk: 'low', egress: 'internal', resource: 'order:{id}' },
  { name: 'crm.customer.read', match: 'GET /customers/{id}', effect: 'read', risk: 'low', egress: 'internal', data: ['personal'] },
  { name: 'mail.send', match: 'POST /messages', effect: 'send', risk: 'low', egress: 'partner', accepts: ['public', 'internal'] },
]
const json = { 'content-type': 'application/json' }

function start(to: string, more: Partial<RunningOptions> = {}): Promise<Running> {
  const agents = [freeAgent(), freeAgent({ id: helper }), freeAgent({ id: stranger })]
  return Running.start({ routes: { api: routeTo(to, 'api', { tools }) }, agents, ...more })
}

async function as(running: Running, path: string, id: string, more: Parameters<typeof ask>[2] = {}): Promise<Answered> {
  const authorization = `Bearer ${await running.svid(id)}`
  return ask(running.port(), path, { ...more, headers: { authorization, ...more?.headers } })
}

function post(running: Running, path: string, id: string, body: Settings = {}): Promise<Answered> {
  return as(running, `/.countersign/v1/tasks${path}`, id, { method: 'POST', body: JSON.stringify(body), headers: json })
}

async function open(running: Running, asked: Settings = {}, id = agentId): Promise<string> {
  const answer = await post(running, '', id, { purpose: 'refund order 1042', ...asked })
  expect(answer.status, answer.text).toBe(201)
  return String(answer.json['id'])
}

/** A grant, as it goes from agent to agent. */
async function offer(running: Running, task: string, asked: Settings = {}, id = agentId): Promise<Settings> {
  const answer = await post(running, `/${task}/hand-off`, id, { to: helper, purpose: 'read the order', ...asked })
  expect(answer.status, answer.text).toBe(201)
  return { grant: answer.json['id'], token: answer.json['token'] }
}

async function handOn(running: Running, task: string, asked: Settings & { readonly to?: string } = {}, id = agentId): Promise<string> {
  const answer = await post(running, '', asked.to ?? helper, await offer(running, task, asked, id))
  expect(answer.status, answer.text).toBe(201)
  return String(answer.json['id'])
}

async function admin(running: Running, path: string, body?: Settings): Promise<Settings> {
  const authorization = `Bearer ${readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()}`
  const how = body === undefined ? {} : { method: 'POST', body: JSON.stringify({ by: 'oncall@acme.example', ...body }) }
  const answer = await fetch(`http://127.0.0.1:${running.port('admin')}${path}`, { headers: { authorization, ...json }, ...how })
  expect(answer.status).toBe(200)
  return (await answer.json()) as Settings
}

function eventsOf(running: Running, task: string): Settings[] {
  return running.entries().filter((line) => line['task'] === task && line['event'] !== undefined)
}

describe('a task that is handed on', () => {
  test('is opened by its receiver, with less, and stands in the ledger from whom, under what and with which scope', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running)
    const child = await handOn(running, task, { tools: ['crm.order.read'], resources: ['order:1'], ttl: '1m' })
    expect((await as(running, `/t/${child}/api/orders/1`, helper)).status).toBe(200)
    for (const path of ['/api/orders/2', '/api/customers/42'])
      expect((await as(running, `/t/${child}${path}`, helper)).json, path).toMatchObject({ code: 'decide.denied' })
    expect((await as(running, `/t/${child}/api/orders/1`, agentId)).json).toMatchObject({ code: 'task.unknown' })
    expect(eventsOf(running, task).find(({ event }) => event === 'task.handed-on')).toMatchObject({
      by: agentId,
      detail: {
        to: helper,
        purpose: 'read the order',
        tools: ['crm.order.read'],
        resources: ['order:1'],
        root: `agent:${agentId}`,
        depth: 1,
      },
    })
    expect(eventsOf(running, child)[0]).toMatchObject({
      event: 'task.opened',
      by: helper,
      detail: { parent: task, from: agentId, tools: ['crm.order.read'], root: `agent:${agentId}`, depth: 1, chain: [agentId] },
    })
    const call = running.entries().find((line) => line['task'] === child && line['kind'] === 'decision')
    expect(call).toMatchObject({ root: `agent:${agentId}`, parent: task, chain: [agentId] })
    const line = running
      .ledgerText()
      .split('\n')
      .find((text) => text.includes(String(call?.id)))
    expect(JSON.parse(line ?? '{}').input.delegation).toMatchObject({
      depth: 1,
      root: `agent:${agentId}`,
      chain: [{ party: agentId, task, issuer: null, intent: { tools: ['*'] } }],
      verified: true,
    })
    expect((await running.verify()).ok).toBe(true)
  })

  test('shows its token once, in no line of the ledger, and to its parent as a state and no more', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running)
    const grant = await offer(running, task)
    expect(running.ledgerText()).not.toContain(String(grant['token']))
    expect(readFileSync(join(running.folder, 'state.db')).includes(String(grant['token']))).toBe(false)
    const child = String((await post(running, '', helper, grant)).json['id'])
    const grants = await as(running, `/.countersign/v1/tasks/${task}/grants`, agentId)
    expect(grants.json).toMatchObject({ grants: [{ id: grant['grant'], to: helper, state: 'redeemed', child }] })
    const children = await as(running, `/.countersign/v1/tasks/${task}/children`, agentId)
    expect(children.json).toMatchObject({ children: [{ id: child, agent: helper, state: 'active' }] })
    for (const path of [task, `${task}/grants`, `${task}/children`])
      expect((await as(running, `/.countersign/v1/tasks/${path}`, helper)).json, path).toMatchObject({ code: 'task.unknown' })
  })

  test('is a tree that people see', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running, { budget: { calls: 10 } })
    const child = await handOn(running, task, { budget: { calls: 5 } })
    const grandchild = await handOn(running, child, { to: stranger }, helper)
    await as(running, `/t/${grandchild}/api/orders/1`, stranger)
    await offer(running, grandchild, { to: agentId }, stranger)
    const spent = (most: number): Settings => ({ budget: { calls: { spent: 1, most } } })
    const below = { id: grandchild, ...spent(5), children: [], offered: [{ to: agentId }] }
    const tree = { id: task, ...spent(10), children: [{ id: child, ...spent(5), children: [below] }] }
    expect(await admin(running, `/v1/tasks/${task}/tree`)).toMatchObject(tree)
    expect(await admin(running, '/v1/tasks/tree')).toMatchObject({ trees: [tree] })
    const at = ['--addr', `127.0.0.1:${running.port('admin')}`, '--key', join(running.folder, 'admin.key')]
    const [text, machine] = [await countersign(['task', 'tree', ...at]), await countersign(['task', 'tree', task, '-o', 'json', ...at])]
    expect(text.stdout.replaceAll(/g_\w+/g, 'g_1')).toBe(
      [
        `${task}  active     agent  refund order 1042  calls 1/10`,
        `└─ ${child}  active     helper  read the order  calls 1/5`,
        `   └─ ${grandchild}  active     stranger  read the order  calls 1/5`,
        `      └─ g_1  offered    agent\n`,
      ].join('\n'),
    )
    expect(JSON.parse(machine.stdout)).toMatchObject(tree)
  })
})

describe('a grant', () => {
  test('is redeemed by nobody but its receiver, with its token, and once, also after a restart', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running)
    const grant = await offer(running, task)
    const refused = { status: 403, code: 'decide.denied', reasons: ['no such grant is open to this agent'] }
    for (const [who, body] of [
      [stranger, grant],
      [agentId, grant],
      [helper, { ...grant, token: 'guessed' }],
      [helper, { grant: 'g_00000000000000000000000000', token: grant['token'] }],
      [helper, { grant: grant['grant'] }],
    ] as const)
      expect((await post(running, '', who, body)).json).toMatchObject(refused)
    await running.restart()
    const answers = await Promise.all(Array.from({ length: 8 }, () => post(running, '', helper, grant)))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    await running.restart()
    expect((await post(running, '', helper, grant)).json).toMatchObject(refused)
  })

  test('ends when it is withdrawn, when its time has passed, and with its task', async () => {
    let ahead = 0
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { clock: () => Date.now() + ahead })
    const task = await open(running)
    const [withdrawn, late, left] = [await offer(running, task), await offer(running, task, { expires: '10s' }), await offer(running, task)]
    const answer = await post(running, `/${task}/grants/${String(withdrawn['grant'])}/withdraw`, agentId)
    expect(answer.json).toMatchObject({ state: 'withdrawn' })
    ahead = 10_000
    // what is overdue at a start ends before the first call
    await running.restart()
    const expired = eventsOf(running, task).filter(({ event }) => event === 'grant.expired')
    expect(expired).toMatchObject([{ by: 'clock', caller: agentId, detail: { grant: late['grant'], to: helper } }])
    const { grants } = (await as(running, `/.countersign/v1/tasks/${task}/grants`, agentId)).json as { grants: Settings[] }
    expect(grants.map(({ state }) => state)).toEqual(['withdrawn', 'expired', 'offered'])
    await post(running, `/${task}/complete`, agentId)
    for (const grant of [withdrawn, late, left]) expect((await post(running, '', helper, grant)).status).toBe(403)
    const told = eventsOf(running, task).filter(({ event }) => event === 'grant.withdrawn')
    expect(told.map(({ detail }) => (detail as Settings)['cause'])).toEqual([
      'withdrawn by the task that offered it',
      'its task was completed',
    ])
  })

  test('is not offered for more than its task has, nor to who is not live, nor deeper than the setting', async () => {
    await using upstream = await TestUpstream.start()
    const settings = { task: { delegation: { depth: 1 } } }
    await using running = await start(upstream.url, { settings })
    const task = await open(running, {
      tools: ['crm.order.read'],
      resources: ['order:1'],
      egress: ['internal'],
      data: ['public'],
      budget: { calls: 5 },
    })
    for (const [asked, reason] of [
      [{ tools: ['*'] }, 'tools[0] is not within this task'],
      [{ resources: ['order:*'] }, 'resources[0] is not within this task'],
      [{ data: ['personal'] }, 'data[0] is not within this task'],
      [{ egress: ['partner'] }, 'egress[0] is not within this task'],
      [{ budget: { calls: 6 } }, 'budget calls is above this task'],
      [{ budget: { eur: 1 } }, 'budget names a meter that is not within this task'],
      [{ ttl: '2h' }, 'ttl is longer than this task lets it live'],
      [{ expires: '2h' }, 'expires is longer than this task lives'],
      [{ to: 'spiffe://acme.example/ns/test/sa/nobody' }, 'to must be the SPIFFE ID of an agent that is registered, live and not stopped'],
    ] as const) {
      const answer = await post(running, `/${task}/hand-off`, agentId, { to: helper, purpose: 'p', ...asked })
      expect(answer.json).toMatchObject({ status: 403, code: 'decide.denied', reasons: [reason] })
    }
    const child = await handOn(running, task)
    const deeper = await post(running, `/${child}/hand-off`, helper, { to: stranger, purpose: 'p' })
    expect(deeper.json).toMatchObject({ code: 'decide.denied', reasons: ['a task may be handed on 1 times and no more'] })
  })
})

describe('a killed agent', () => {
  test('is handed nothing, and redeems nothing that it was handed before', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running)
    const grant = await offer(running, task)
    const { kills } = running.sidecar.foundation
    const { kill } = await kills.engage({ scope: 'agent', name: helper, by: 'person:oncall', reason: 'test' })
    expect((await post(running, `/${task}/hand-off`, agentId, { to: helper, purpose: 'p' })).json).toMatchObject({
      code: 'decide.denied',
      reasons: ['to must be the SPIFFE ID of an agent that is registered, live and not stopped'],
    })
    expect((await post(running, '', helper, grant)).json['code']).toBe('kill.engaged')
    await kills.lift(kill.id, 'person:oncall', 'over')
    expect((await post(running, '', helper, grant)).status).toBe(201)
  })
})

describe('a child', () => {
  test('spends what its ancestors have, and of the last unit one of two gets it', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running, { budget: { calls: 3 } })
    const [one, two] = [await handOn(running, task), await handOn(running, task, { to: stranger })]
    expect((await as(running, `/t/${task}/api/orders/1`, agentId)).status).toBe(200)
    expect((await as(running, `/t/${one}/api/orders/1`, helper)).status).toBe(200)
    const race = await Promise.all([as(running, `/t/${one}/api/orders/1`, helper), as(running, `/t/${two}/api/orders/1`, stranger)])
    expect(race.map(({ status }) => status)).toEqual(expect.arrayContaining([200, 403]))
    expect(race.find(({ status }) => status === 403)?.json).toMatchObject({ code: 'task.budget' })
    expect((await as(running, `/t/${task}/api/orders/1`, agentId)).json).toMatchObject({ code: 'task.budget' })
  })

  test('launders nothing: what it reads its ancestors have read, in their next task too, and what they read it has read', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const mail = (task: string, id: string): Promise<Answered> =>
      as(running, `/t/${task}/api/messages`, id, { method: 'POST', body: 'hello' })
    const task = await open(running)
    const [reader, sender] = [await handOn(running, task), await handOn(running, task, { to: stranger })]
    for (const [each, id] of [
      [task, agentId],
      [reader, helper],
      [sender, stranger],
    ] as const)
      expect((await mail(each, id)).status).toBe(200)
    expect((await as(running, `/t/${reader}/api/customers/42`, helper)).status).toBe(200)
    for (const [each, id] of [
      [task, agentId],
      [reader, helper],
      [sender, stranger],
    ] as const)
      expect((await mail(each, id)).json).toMatchObject({ code: 'decide.denied' })
    await post(running, `/${task}/complete`, agentId)
    for (const id of [agentId, helper, stranger])
      expect((await mail(await open(running, {}, id), id)).json).toMatchObject({ code: 'decide.denied' })
    const rules = running.entries().filter(({ kind, code }) => kind === 'refusal' && code === 'decide.denied')
    expect(rules.every((line) => String(line['rules']).includes('data.beyond-destination'))).toBe(true)
  })

  test.each([
    ['a child reads', [agentId, helper]],
    ['its parent reads', [helper, agentId]],
    ['another child of its parent reads', [stranger, helper]],
  ] as const)('lets no slow upload go on that was begun before %s', async (_what, [sender, reader]) => {
    const arrived = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<boolean>()
    let bytes = ''
    await using upstream = await LiveUpstream.start((incoming, response) => {
      if (incoming.url !== '/messages') {
        response.end('{}')
        return
      }
      incoming.setEncoding('utf8').on('data', (part: string) => ((bytes += part), arrived.resolve()))
      incoming.on('error', () => {}).on('close', () => gone.resolve(incoming.complete))
    })
    await using running = await start(upstream.url)
    const task = await open(running)
    const tasks = { [agentId]: task, [helper]: await handOn(running, task), [stranger]: await handOn(running, task, { to: stranger }) }
    const headers = { authorization: `Bearer ${await running.svid(sender)}` }
    const path = `/t/${tasks[sender]}/api/messages`
    const up = request({ host: '127.0.0.1', port: running.port(), path, method: 'POST', agent: false, headers })
    up.on('error', () => {})
    up.write('before')
    await arrived.promise
    expect((await as(running, `/t/${tasks[reader]}/api/customers/42`, reader)).status).toBe(200)
    up.write('after')
    expect(await gone.promise).toBe(false)
    expect(bytes).toBe('before')
    await running.close()
    const cut = running.entries().find((line) => line['kind'] === 'outcome' && line['tool'] === 'mail.send')
    expect(cut).toMatchObject({ ended: 'cut', code: 'decide.denied' })
  })

  test('stops when the agent that handed it on is suspended, and its open work is cut', async () => {
    await using upstream = await LiveUpstream.start((_incoming, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: before\n\n')
    })
    await using running = await start(upstream.url)
    const child = await handOn(running, await open(running))
    const client = await rawClient(running.port())
    const head = `GET /t/${child}/api/orders/1 HTTP/1.1\r\nHost: 127.0.0.1:${running.port()}\r\n`
    client.socket.write(`${head}Authorization: Bearer ${await running.svid(helper)}\r\n\r\n`)
    await client.until((text) => text.includes('data: before\n\n'))
    const agents = [freeAgent({ lifecycle: 'suspended' }), freeAgent({ id: helper })]
    await running.reload({ routes: { api: routeTo(upstream.url, 'api', { tools }) }, agents })
    await client.closed
    expect((await as(running, `/t/${child}/api/orders/1`, helper)).json).toMatchObject({ code: 'task.agent-not-live' })
  })

  test('ends with its root when that is more than its agent is registered for by now', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const child = await handOn(running, await open(running))
    const intent = { ...(freeAgent()['intent'] as Settings), tools: ['mail.send'] }
    await running.reload({
      routes: { api: routeTo(upstream.url, 'api', { tools }) },
      agents: [freeAgent({ intent }), freeAgent({ id: helper })],
    })
    expect((await as(running, `/t/${child}/api/orders/1`, helper)).json).toMatchObject({ code: 'task.ended' })
    expect(eventsOf(running, child).at(-1)).toMatchObject({ event: 'task.revoked', by: 'rule:task.within-agent' })
  })

  test('is cut in mid-stream, with its own children, when its root ends, each end told with its cause', async () => {
    await using upstream = await LiveUpstream.start((_incoming, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: before\n\n')
    })
    await using running = await start(upstream.url)
    const task = await open(running)
    const child = await handOn(running, task)
    const grandchild = await handOn(running, child, { to: stranger }, helper)
    const client = await rawClient(running.port())
    const head = `GET /t/${grandchild}/api/orders/1 HTTP/1.1\r\nHost: 127.0.0.1:${running.port()}\r\n`
    client.socket.write(`${head}Authorization: Bearer ${await running.svid(stranger)}\r\n\r\n`)
    await client.until((text) => text.includes('data: before\n\n'))
    await admin(running, `/v1/tasks/${task}/complete`, { reason: 'an incident' })
    await client.closed
    for (const [each, id] of [
      [child, helper],
      [grandchild, stranger],
    ] as const) {
      expect((await as(running, `/t/${each}/api/orders/1`, id)).json).toMatchObject({ code: 'task.ended' })
      expect(eventsOf(running, each).at(-1)).toMatchObject({
        event: 'task.revoked',
        by: 'person:oncall@acme.example',
        detail: { cause: `its parent ${task} was completed` },
      })
    }
  })

  test('is paused with its root, lifted with it, and by nobody else', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const task = await open(running)
    const child = await handOn(running, task)
    await admin(running, `/v1/tasks/${task}/pause`, { reason: 'look' })
    expect((await as(running, `/t/${child}/api/orders/1`, helper)).json).toMatchObject({ code: 'task.paused' })
    for (const verb of ['resume', 'complete'])
      expect((await post(running, `/${child}/${verb}`, helper)).json).toMatchObject({ code: 'task.paused' })
    await running.restart()
    expect((await as(running, `/t/${child}/api/orders/1`, helper)).json).toMatchObject({ code: 'task.paused' })
    await admin(running, `/v1/tasks/${task}/resume`, { reason: 'fine' })
    expect((await as(running, `/t/${child}/api/orders/1`, helper)).status).toBe(200)
    expect(eventsOf(running, child).map(({ event }) => event)).toEqual(['task.opened', 'task.paused', 'task.resumed'])
  })
})
