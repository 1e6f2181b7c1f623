import { describe, expect, test } from 'vitest'
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

const other = 'spiffe://acme.example/ns/test/sa/other'
const json = { 'content-type': 'application/json' }

const tools: readonly Settings[] = [
  { name: 'iam.roles.list', match: 'GET /roles', kind: 'discovery', effect: 'read', risk: 'low', egress: 'internal', data: ['internal'] },
  { name: 'iam.users.search', match: 'GET /users', kind: 'discovery', effect: 'read', risk: 'low', egress: 'internal' },
  { name: 'iam.roles.grant', match: 'POST /grants', kind: 'privilege', effect: 'write', risk: 'medium', egress: 'internal', args: 'json' },
  { name: 'crm.customer.read', match: 'GET /customers/{id}', effect: 'read', risk: 'low', egress: 'internal', data: ['personal'] },
  { name: 'crm.note.write', match: 'POST /notes', effect: 'write', risk: 'low', egress: 'internal', args: 'json' },
  { name: 'partner.upload', match: 'POST /files', effect: 'send', risk: 'low', egress: 'partner', accepts: ['public', 'internal'] },
  { name: 'partner.ping', match: 'POST /ping', effect: 'send', risk: 'low', egress: 'partner' },
  {
    name: 'payments.refund.create',
    match: 'POST /refunds',
    effect: 'write',
    risk: 'medium',
    egress: 'internal',
    args: 'json',
    debit: { eur: '/amount' },
  },
]

const intent = {
  tools: ['iam.*', 'crm.*', 'partner.*', 'payments.*'],
  resources: ['*'],
  data: ['public', 'internal', 'personal'],
  egress: ['internal', 'partner'],
  budget: { calls: 1000, eur: 1000 },
  ttl: '1h',
}

function options(to: string, more: Partial<RunningOptions> = {}): RunningOptions {
  return { routes: { api: routeTo(to, 'api', { tools }) }, agents: [freeAgent({ intent }), freeAgent({ id: other, intent })], ...more }
}

/** Calls of one agent: what each came to, as the agent hears of it. */
class Agent {
  readonly #running: Running
  readonly #id: string

  constructor(running: Running, id = agentId) {
    this.#running = running
    this.#id = id
  }

  async get(path: string, task?: string): Promise<string> {
    return codeOf(await this.#ask(path, { method: 'GET' }, task))
  }

  async post(path: string, body: object, task?: string): Promise<string> {
    return codeOf(await this.#ask(path, { method: 'POST', body: JSON.stringify(body), headers: json }, task))
  }

  async open(asked: object): Promise<string> {
    const body = JSON.stringify({ purpose: 'a test', ...asked })
    const { json: said } = await this.#ask('/.countersign/v1/tasks', { method: 'POST', body, headers: json })
    return String(said['id'])
  }

  async end(task: string): Promise<void> {
    await this.#ask(`/.countersign/v1/tasks/${task}/complete`, { method: 'POST' })
  }

  async #ask(path: string, how: { method: string; body?: string; headers?: Record<string, string> }, task?: string): Promise<Answered> {
    const named = task === undefined ? {} : { 'countersign-task': task }
    const headers = { authorization: `Bearer ${await this.#running.svid(this.#id)}`, ...how.headers, ...named }
    return ask(this.#running.port(), path, { ...how, headers })
  }
}

function codeOf({ status, json: said }: Answered): string {
  return status === 200 ? 'allowed' : String(said['code'])
}

/** The rules that refused the last call, and what its input said of its sequence. */
function last(running: Running): { readonly rules: unknown[]; readonly sequence: Settings } {
  const lines = running.ledgerText().trim().split('\n')
  const said = lines.map((line) => JSON.parse(line)).findLast((line) => line.input !== undefined)
  return { rules: said.result.reasons.map(({ rule }: { rule: string }) => rule), sequence: said.input.sequence }
}

describe('discovery, then a privilege', () => {
  test('is refused, in another task of the caller and after a restart too, while low-risk steps go on', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream.url))
    const agent = new Agent(running)
    for (const path of ['/api/roles', '/api/users', '/api/roles?page=2', '/api/customers/1']) expect(await agent.get(path)).toBe('allowed')
    expect(await agent.post('/api/notes', { text: 'seen' })).toBe('allowed')
    expect(await agent.post('/api/grants', { role: 'admin' })).toBe('decide.denied')
    expect(last(running).rules).toEqual(['sequence.discovery-then-privilege'])

    const task = await agent.open({ tools: ['iam.roles.grant'], resources: [] })
    expect(await agent.post('/api/grants', { role: 'admin' }, task)).toBe('decide.denied')
    expect(last(running).sequence).toMatchObject({ step: 0, brought: ['internal', 'kind:discovery', 'personal'] })
    await running.restart()
    expect(await agent.post('/api/grants', { role: 'admin' }, task)).toBe('decide.denied')
    expect(await new Agent(running, other).post('/api/grants', { role: 'reader' })).toBe('allowed')
    expect(upstream.seen.filter(({ url }) => url === '/grants')).toHaveLength(1)
  })

  test('is allowed where the privilege is what the task is for: it was declared first, or used before', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream.url))
    const agent = new Agent(running)
    const task = await agent.open({ tools: ['iam.roles.list', 'iam.roles.grant'] })
    expect(await agent.get('/api/roles', task)).toBe('allowed')
    expect(await agent.post('/api/grants', { role: 'reader' }, task)).toBe('allowed')
    await agent.end(task)

    const routine = new Agent(running, other)
    expect(await routine.post('/api/grants', { role: 'reader' })).toBe('allowed')
    expect(await routine.get('/api/roles')).toBe('allowed')
    expect(await routine.post('/api/grants', { role: 'writer' })).toBe('allowed')
  })
})

describe('retrieval, then a send', () => {
  test('is refused as a whole, in pieces, through another task, and to where nobody said what is accepted', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream.url))
    const agent = new Agent(running)
    expect(await agent.post('/api/files', { part: 0 })).toBe('allowed')
    expect(await agent.get('/api/roles')).toBe('allowed')
    expect(await agent.post('/api/files', { part: 1 })).toBe('allowed')
    expect(await agent.post('/api/ping', {})).toBe('decide.denied')
    expect(await agent.get('/api/customers/1')).toBe('allowed')
    for (const part of [2, 3, 4]) expect(await agent.post('/api/files', { part })).toBe('decide.denied')
    expect(last(running).rules).toEqual(['data.beyond-destination'])
    const task = await agent.open({ tools: ['partner.upload'] })
    expect(await agent.post('/api/files', { part: 5 }, task)).toBe('decide.denied')
    expect(upstream.seen.filter(({ url }) => url === '/files')).toHaveLength(2)
  })
})

describe('a divergence score', () => {
  test('stands in the input and the ledger with its reasons, takes the task to a person, and outlives a restart', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(
      options(upstream.url, {
        agents: [freeAgent({ intent: { ...intent, tools: ['crm.*'], egress: ['internal'] } })],
        settings: { decide: { settings: { divergence: { score: 40 } } } },
      }),
    )
    const agent = new Agent(running)
    expect(await agent.get('/api/customers/1')).toBe('allowed')
    expect(await agent.get('/api/roles')).toBe('decide.denied')
    expect(await agent.post('/api/files', {})).toBe('decide.denied')
    expect(await agent.get('/api/customers/2')).toBe('approve.required')
    const reasons = [
      { kind: 'tool', count: 2, points: 20 },
      { kind: 'egress', count: 1, points: 12 },
      { kind: 'flow', count: 1, points: 12 },
    ]
    expect(last(running)).toMatchObject({ rules: ['divergence.escalates'], sequence: { divergence: { score: 44, reasons } } })
    await running.restart()
    expect(await agent.get('/api/customers/3')).toBe('approve.required')
    expect(last(running).sequence['divergence']).toEqual({ score: 44, reasons })
  })
})

describe('one act cut into many', () => {
  const split = [
    { meter: 'eur', above: 100 },
    { class: 'internal', above: '1KiB', within: 'day' },
  ]

  test('is refused where its parts come to too much, over tasks and a restart', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream.url, { settings: { decide: { settings: { split } } } }))
    const agent = new Agent(running)
    const one = await agent.open({})
    for (const order of [1, 2]) expect(await agent.post('/api/refunds', { amount: 40, order }, one)).toBe('allowed')
    expect(await agent.post('/api/refunds', { amount: 21, order: 3 }, one)).toBe('decide.denied')
    expect(last(running).rules).toEqual(['sequence.split'])
    await agent.end(one)
    await running.restart()
    const two = await agent.open({})
    expect(await agent.post('/api/refunds', { amount: 21, order: 3 }, two)).toBe('decide.denied')
    expect(last(running).sequence['sums']).toEqual([{ kind: 'meter', name: 'eur', resource: null, amount: 21, hour: 80, day: 80 }])
    expect(await agent.post('/api/refunds', { amount: 20, order: 3 }, two)).toBe('allowed')
    expect(await new Agent(running, other).post('/api/refunds', { amount: 100, order: 4 })).toBe('allowed')
  })

  test('never passes as two calls that race', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream.url, { settings: { decide: { settings: { split } } } }))
    const agent = new Agent(running)
    const one = await agent.open({})
    const said = await Promise.all(Array.from({ length: 12 }, (_, order) => agent.post('/api/refunds', { amount: 30, order }, one)))
    expect(said.filter((code) => code === 'allowed')).toHaveLength(3)
  })

  test('is seen in pieces of data that a destination may have, one by one', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream.url, { settings: { decide: { settings: { split } } } }))
    const agent = new Agent(running)
    const piece = (part: number) => ({ part, text: 'x'.repeat(400) })
    expect(await agent.post('/api/files', piece(0))).toBe('allowed')
    expect(await agent.get('/api/roles')).toBe('allowed')
    for (const part of [1, 2]) expect(await agent.post('/api/files', piece(part))).toBe('allowed')
    expect(await agent.post('/api/files', piece(3))).toBe('decide.denied')
    expect(last(running).rules).toEqual(['sequence.split'])
  })
})
