import { readFileSync } from 'node:fs'
import { request, type ClientRequest } from 'node:http'
import { join } from 'node:path'
import { array, assert, asyncProperty, constantFrom } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { agentId, ask, freeAgent, routeTo, Running, TestUpstream, type Answered, type Settings } from '../support/running.ts'

const other = 'spiffe://acme.example/ns/test/sa/other'
const pod = (name: string): string => `spiffe://acme.example/ns/pods/sa/${name}`
const json = { 'content-type': 'application/json' }

const tools: readonly Settings[] = [
  { name: 'crm.read', match: 'GET /customers/{id}', effect: 'read', risk: 'low', egress: 'internal', data: ['personal'] },
  { name: 'crm.ping', match: 'GET /ping/{id}', effect: 'read', risk: 'low', egress: 'internal', data: ['public'] },
  { name: 'mail.send', match: 'POST /mail', effect: 'send', risk: 'low', egress: 'partner', args: 'json', accepts: ['public'] },
  { name: 'drop.upload', match: 'PUT /files/{name}', effect: 'send', risk: 'low', egress: 'partner', accepts: ['public'] },
  { name: 'pay.small', match: 'POST /pay', effect: 'write', risk: 'low', egress: 'internal', args: 'json', debit: { eur: '/amount' } },
  { name: 'pay.big', match: 'POST /refunds', effect: 'write', risk: 'critical', kind: 'routine', egress: 'internal', args: 'json' },
  { name: 'pay.other', match: 'PUT /refunds', effect: 'write', risk: 'critical', kind: 'routine', egress: 'internal', args: 'json' },
]

const intent = {
  tools: ['crm.*', 'mail.*', 'drop.*', 'pay.*'],
  resources: ['*'],
  data: ['public', 'personal'],
  egress: ['internal', 'partner'],
  budget: { calls: 1_000_000, eur: 1_000_000 },
  ttl: '1h',
}

function start(to: string, settings: Settings = {}): Promise<Running> {
  return Running.start({
    routes: { api: routeTo(to, 'api', { tools }) },
    agents: [
      freeAgent({ intent, implicit: false }),
      freeAgent({ id: other, intent, implicit: false }),
      freeAgent({ id: pod('*'), intent }),
    ],
    settings: { decide: { environment: 'test', settings } },
  })
}

/** An agent that tries; a token is made once, for a test is over before it expires. */
class Agent {
  readonly id: string
  readonly #running: Running
  readonly #authorization: string

  private constructor(running: Running, id: string, authorization: string) {
    this.#running = running
    this.id = id
    this.#authorization = authorization
  }

  static async of(running: Running, id = agentId): Promise<Agent> {
    return new Agent(running, id, `Bearer ${await running.svid(id)}`)
  }

  /** `METHOD /path`, in a task or in none. */
  call(what: string, task?: string, body?: object | string, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
    const [method = '', path = ''] = what.split(' ')
    const text = typeof body === 'object' ? JSON.stringify(body) : body
    const named = task === undefined ? {} : { 'countersign-task': task }
    const all = { ...this.headers, ...named, ...(text === undefined ? {} : json), ...headers }
    return ask(this.#running.port(), path, { method, headers: all, ...(text === undefined ? {} : { body: text }) })
  }

  get headers(): Readonly<Record<string, string>> {
    return { authorization: this.#authorization }
  }

  async open(asked: object = {}): Promise<string> {
    const answer = await this.call('POST /.countersign/v1/tasks', undefined, { purpose: 'a test', ...asked })
    expect(answer.status, answer.text).toBe(201)
    return String(answer.json['id'])
  }

  act(task: string, verb: 'complete' | 'pause' | 'resume'): Promise<Answered> {
    return this.call(`POST /.countersign/v1/tasks/${task}/${verb}`, undefined, {})
  }

  async handOff(task: string, to: Agent, asked: object = {}): Promise<string> {
    const granted = await this.call(`POST /.countersign/v1/tasks/${task}/hand-off`, undefined, { to: to.id, purpose: 'a part', ...asked })
    expect(granted.status, granted.text).toBe(201)
    const { id: grant, token } = granted.json
    const redeemed = await to.call('POST /.countersign/v1/tasks', undefined, { grant, token })
    expect(redeemed.status, redeemed.text).toBe(201)
    return String(redeemed.json['id'])
  }
}

async function approve(running: Running, id: unknown): Promise<void> {
  const headers = { authorization: `Bearer ${readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()}`, ...json }
  const body = JSON.stringify({ by: 'oncall', reason: 'fine' })
  const answer = await ask(running.port('admin'), `/v1/approvals/${String(id)}/approve`, { method: 'POST', headers, body })
  expect(answer.status, answer.text).toBe(200)
}

/** The order in which calls of these tools were permitted. */
function permitted(running: Running, caller: string): unknown[] {
  return running.entries().flatMap((line) => (line['kind'] === 'decision' && line['caller'] === caller ? [line['tool']] : []))
}

describe('a send that is slipped in beside a read', () => {
  test('is never permitted after it, in 200 races of a send between two reads', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const both: string[] = []
    for (let round = 0; round < 200; round += 10) {
      await Promise.all(
        Array.from({ length: 10 }, async (_, at) => {
          const agent = await Agent.of(running, pod(`racer-${round + at}`))
          const [, sent] = await Promise.all([
            agent.call('GET /api/customers/1'),
            agent.call('POST /api/mail', undefined, { round }),
            agent.call('GET /api/customers/2'),
          ])
          if (sent.status === 200) both.push(agent.id)
          expect((await agent.call('POST /api/mail', undefined, { round, again: true })).json['code']).toBe('decide.denied')
        }),
      )
    }
    // one that passed was permitted before anything was read
    for (const id of both) expect(permitted(running, id)[0], id).toBe('mail.send')
    expect(upstream.seen.filter(({ body }) => body.includes('again'))).toEqual([])
  }, 60_000)

  test('carries nothing of what was read, in 100 uploads that were open before it', async () => {
    const got: string[] = []
    await using upstream = await TestUpstream.start((seen, response) => {
      got.push(seen.body)
      response.end(seen.method === 'GET' ? 'the-secret' : '{}')
    })
    await using running = await start(upstream.url)
    for (let round = 0; round < 100; round += 10) {
      await Promise.all(
        Array.from({ length: 10 }, async (_, at) => {
          const agent = await Agent.of(running, pod(`slow-${round + at}`))
          const upload = openUpload(running.port(), agent.headers)
          const read = await agent.call('GET /api/customers/1')
          expect(read.text).toBe('the-secret')
          upload.sent.end(read.text)
          await upload.over
        }),
      )
    }
    expect(got.filter((body) => body.includes('the-secret'))).toEqual([])
  }, 60_000)
})

function openUpload(
  port: number,
  headers: Readonly<Record<string, string>>,
): { readonly sent: ClientRequest; readonly over: Promise<void> } {
  const { promise: over, resolve } = Promise.withResolvers<void>()
  const sent = request({ host: '127.0.0.1', port, path: '/api/files/a', method: 'PUT', agent: false, headers }, (response) => {
    response.resume().on('error', resolve).on('close', resolve)
  })
  sent.on('error', resolve).on('close', resolve)
  sent.write('first piece')
  return { sent, over }
}

describe('what was read', () => {
  const moves = ['complete', 'open', 'pause', 'resume', 'drop', 'narrow', 'child', 'back', 'restart'] as const

  test('stays with an agent that completes, reopens, pauses, hands on or drops its task, in any order', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    let run = 0
    const course = array(constantFrom(...moves), { minLength: 1, maxLength: 6 })
    await assert(
      asyncProperty(course, async (steps) => {
        const agent = await Agent.of(running, pod(`washer-${++run}`))
        const helper = await Agent.of(running, pod(`helper-${run}`))
        let task = await agent.open()
        expect((await agent.call('GET /api/customers/1', task)).status).toBe(200)
        let who = agent
        for (const step of steps) {
          if (step === 'complete') await who.act(task, 'complete')
          else if (step === 'pause' || step === 'resume') await who.act(task, step)
          else if (step === 'drop') expect((await who.call('POST /api/mail', undefined, { run })).status).toBe(403)
          else if (step === 'open') [who, task] = [agent, await agent.open()]
          else if (step === 'narrow') [who, task] = [agent, await agent.open({ tools: ['mail.send'], data: [] })]
          else if (step === 'restart' && run % 10 === 0) await running.restart()
          else if (step === 'child' || step === 'back') {
            const to = step === 'child' ? helper : agent
            const parent = await agent.open()
            ;[who, task] = [to, await agent.handOff(parent, to)]
          }
        }
        const sent = await who.call('POST /api/mail', task, { run })
        expect(sent.status, `${steps.join(' ')}: ${sent.text}`).toBe(403)
      }),
      { numRuns: 60 },
    )
    expect(upstream.seen.filter(({ url }) => url === '/mail')).toEqual([])
  }, 120_000)
})

describe('an approval', () => {
  test('of 100 that ten calls race for is used exactly once each', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    for (let round = 0; round < 100; round += 5) {
      await Promise.all(
        [0, 1, 2, 3, 4].map(async (at) => {
          const agent = await Agent.of(running, pod(`asker-${round + at}`))
          const refund = { amount: round + at }
          const asked = await agent.call('POST /api/refunds', undefined, refund)
          await approve(running, (asked.json['approval'] as Settings)['id'])
          const answers = await Promise.all(Array.from({ length: 10 }, () => agent.call('POST /api/refunds', undefined, refund)))
          expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
          for (const { status, json: said } of answers) if (status !== 200) expect(said['code']).toBe('approve.required')
        }),
      )
    }
    expect(upstream.seen).toHaveLength(100)
    expect(new Set(upstream.seen.map(({ body }) => body)).size).toBe(100)
  }, 60_000)

  test('is good for the very call that was shown, and for no other', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const [agent, neighbour] = [await Agent.of(running), await Agent.of(running, other)]
    const [task, second] = [await agent.open(), await agent.open()]
    const theirs = await neighbour.open()
    const refund = { amount: 20, to: 'a' }
    const asked = await agent.call('POST /api/refunds', task, refund)
    const id = (asked.json['approval'] as Settings)['id']
    await approve(running, id)
    const child = await agent.handOff(task, neighbour, { tools: ['pay.*'] })
    const tries: readonly (() => Promise<Answered>)[] = [
      () => agent.call('POST /api/refunds', task, { amount: 21, to: 'a' }),
      () => agent.call('POST /api/refunds', task, { to: 'a', amount: 20 }),
      () => agent.call('POST /api/refunds', task, '{"amount":20,"to":"a"} '),
      () => agent.call('POST /api/refunds?to=b', task, refund),
      () => agent.call('POST /api/refunds?', task, refund),
      () => agent.call('PUT /api/refunds', task, refund),
      () => agent.call('POST /api/refunds', task, refund, { 'content-type': 'application/json;charset=utf-8' }),
      () => agent.call('POST /api/refunds', second, refund),
      () => neighbour.call('POST /api/refunds', theirs, refund),
      () => neighbour.call('POST /api/refunds', child, refund),
      () => neighbour.call('POST /api/refunds', task, refund),
      () => agent.call('POST /api/refunds', task, refund, { 'x-http-method-override': 'PUT' }),
      () => agent.call('POST /api/refunds', task, '{"amount":20,"amount":900,"to":"a"}'),
    ]
    for (const [at, attempt] of tries.entries()) expect((await attempt()).status, `attempt ${at + 1}`).toBeGreaterThanOrEqual(400)
    expect(upstream.seen).toEqual([])
    expect((await agent.call('POST /api/refunds', task, refund)).status).toBe(200)
    expect(upstream.seen.map(({ body }) => body)).toEqual([JSON.stringify(refund)])
  })

  test('is given by no agent, its children and the names of its chain included', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const [agent, helper] = [await Agent.of(running), await Agent.of(running, other)]
    const task = await agent.open()
    const child = await agent.handOff(task, helper)
    const asked = await helper.call('POST /api/refunds', child, { amount: 20 })
    const { id } = asked.json['approval'] as Settings
    const path = `/v1/approvals/${String(id)}/approve`
    const body = JSON.stringify({ reason: 'fine', by: 'oncall' })
    for (const one of [agent, helper]) {
      expect((await one.call(`POST /.countersign${path}`, undefined, { reason: 'fine' })).status).toBe(404)
      const headers = { ...one.headers, ...json }
      expect((await ask(running.port('admin'), path, { method: 'POST', headers, body })).status).toBe(401)
    }
    const key = `Bearer ${readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()}`
    for (const by of [agentId, other, `agent:${agentId}`, `person:agent:${other}`, ` ${agentId} `, agentId.toUpperCase()]) {
      const said = JSON.stringify({ reason: 'fine', by })
      const answer = await ask(running.port('admin'), path, { method: 'POST', headers: { authorization: key, ...json }, body: said })
      expect(answer.status, by).toBe(403)
    }
    expect((await helper.call('POST /api/refunds', child, { amount: 20 })).json['code']).toBe('approve.required')
    expect(upstream.seen).toEqual([])
  })
})

describe('a budget', () => {
  test('of one last unit is spent once by a task and its child that race for it, 500 times', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url)
    const [agent, helper] = [await Agent.of(running), await Agent.of(running, other)]
    let won = 0
    for (let round = 0; round < 500; round += 20) {
      await Promise.all(
        Array.from({ length: 20 }, async (_, at) => {
          const task = await agent.open({ budget: { calls: 1 } })
          const child = await agent.handOff(task, helper, { budget: { calls: 1 } })
          const pair = [agent.call(`GET /api/ping/${at}`, task), helper.call(`GET /api/ping/${at}`, child)]
          const answers = await Promise.all(at % 2 === 0 ? pair : pair.reverse())
          won += answers.filter(({ status }) => status === 200).length
          expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
          await agent.act(task, 'complete')
        }),
      )
    }
    expect(won).toBe(500)
    expect(upstream.seen).toHaveLength(500)
  }, 120_000)

  test('is not outspent by one risky act that is cut into small ones, over many tasks at once', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await start(upstream.url, { split: [{ meter: 'eur', above: 100 }] })
    const agent = await Agent.of(running)
    const tasks = await Promise.all(Array.from({ length: 8 }, () => agent.open()))
    const parts = tasks.flatMap((task, at) => [0, 1, 2, 3, 4].map((part) => agent.call('POST /api/pay', task, { amount: 9, at, part })))
    const answers = await Promise.all(parts)
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(11)
    await running.restart()
    expect((await agent.call('POST /api/pay', await agent.open(), { amount: 9 })).json['code']).toBe('decide.denied')
    expect(upstream.seen).toHaveLength(11)
  })
})

test('a task is used by nobody but its caller, and by nobody once it is over', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await start(upstream.url)
  const [agent, thief] = [await Agent.of(running), await Agent.of(running, other)]
  const opened = await agent.call('POST /.countersign/v1/tasks', undefined, { purpose: 'a test' })
  const [id, token] = [String(opened.json['id']), String(opened.json['token'])]
  const verbs = ['', '/pause', '/resume', '/complete', '/hand-off']
  for (const name of [id, token, `${token}x`, token.slice(0, -2), `${token.split('.').slice(0, 2).join('.')}.`])
    expect((await thief.call('GET /api/ping/1', name)).json['code']).toBe('task.unknown')
  for (const verb of verbs) {
    const answer = await thief.call(
      `${verb === '' ? 'GET' : 'POST'} /.countersign/v1/tasks/${id}${verb}`,
      undefined,
      verb === '' ? undefined : {},
    )
    expect(answer.status, verb).toBeGreaterThanOrEqual(400)
    expect(answer.json['code'], verb).not.toBe('task.ended')
  }
  expect((await thief.call(`GET /t/${id}/api/ping/1`)).json['code']).toBe('task.unknown')

  await agent.act(id, 'complete')
  for (const verb of ['pause', 'resume', 'complete'] as const) expect((await agent.act(id, verb)).json['code'], verb).toBe('task.ended')
  for (const name of [id, token]) expect((await agent.call('GET /api/ping/1', name)).json['code']).toBe('task.ended')
  const handed = await agent.call(`POST /.countersign/v1/tasks/${id}/hand-off`, undefined, { to: other, purpose: 'more' })
  expect(handed.status).toBe(403)
  for (const wider of [
    { tools: ['*'] },
    { tools: ['iam.*'] },
    { data: ['secret'] },
    { egress: ['public'] },
    { budget: { eur: 1e9 } },
    { budget: { eur: -1 } },
    { ttl: '9d' },
    { autonomy: 'autonomous' },
    { root: 'user:boss' },
    { id },
  ])
    expect((await agent.call('POST /.countersign/v1/tasks', undefined, { purpose: 'wider', ...wider })).status, JSON.stringify(wider)).toBe(
      403,
    )
  expect(upstream.seen).toEqual([])
})
