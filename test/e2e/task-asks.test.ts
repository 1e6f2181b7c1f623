import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ada, ben, handleOf, no, turned, yes } from '../support/approval-rig.ts'
import { agentId, ask, freeAgent, routeTo, Running, TestUpstream, type Answered, type Settings } from '../support/running.ts'

const worker = 'spiffe://acme.example/ns/test/sa/worker'
const tasks = '/.countersign/v1/tasks'
const tools: readonly Settings[] = [{ name: 'api.read', match: 'GET /orders/{id}', effect: 'read', risk: 'low', egress: 'internal' }]

interface Asked {
  readonly settings?: Settings
  readonly approve?: Settings
  readonly task?: Settings
  readonly agents?: readonly Settings[]
}

async function started({ settings, approve, task, agents }: Asked = {}) {
  const upstream = await TestUpstream.start()
  const time = { passed: 0 }
  const running = await Running.start({
    routes: { api: routeTo(upstream.url, 'api', { tools }) },
    agents: agents ?? [freeAgent({ implicit: false, opens_for: [worker] }), freeAgent({ id: worker, implicit: false })],
    clock: () => Date.now() + time.passed,
    settings: {
      decide: { environment: 'test', settings: settings ?? { opening: [{ openers: ['self', 'orchestrator', 'hand-off', 'implicit'] }] } },
      ...(approve && { approve }),
      ...(task && { task }),
    },
  })
  const send = async (
    path: string,
    body: unknown = {},
    by = agentId,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answered> => {
    const authorization = `Bearer ${await running.svid(by, 1800)}`
    if (body === null) return ask(running.port(), path, { headers: { authorization, ...headers } })
    return ask(running.port(), path, { method: 'POST', headers: { authorization, ...headers }, body: JSON.stringify(body) })
  }
  return {
    time,
    running,
    send,
    open: (more: Settings = {}, by?: string, headers?: Readonly<Record<string, string>>) =>
      send(tasks, { purpose: 'refund order 1042', tools: ['api.read'], ttl: '10m', ...more }, by, headers),
    approvals: running.sidecar.foundation.approvals,
    events: (): unknown[] => running.entries().flatMap(({ event }) => (/^(?:approval|task)\./.test(String(event)) ? [event] : [])),
    [Symbol.asyncDispose]: async () => {
      await running[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

describe('a task that policy asks a person about', () => {
  test('is opened once, by the same request, when a person approved it', async () => {
    await using rig = await started()
    const { open, approvals, running, send } = rig
    const asked = await open()
    expect(asked).toMatchObject({ status: 403, json: { code: 'approve.required', retry: 'after-approval', terminal: false } })
    expect(asked.headers['countersign-decision']).toBe('ask')
    const { id, status } = handleOf(asked)
    expect(status).toBe(`http://127.0.0.1:${running.port()}/.countersign/v1/approvals/${id}`)
    expect(handleOf(await open()).id).toBe(id)
    expect((await send(new URL(status).pathname, null)).json).toMatchObject({
      state: 'pending',
      matter: 'task-open',
      task: null,
      tool: null,
    })
    expect((await send(new URL(status).pathname, null, worker)).json['code']).toBe('match.unroutable')

    await approvals.answer(id, ada, yes())
    const opened = await open()
    expect(opened).toMatchObject({ status: 201, json: { state: 'active', intent: { purpose: 'refund order 1042', tools: ['api.read'] } } })
    expect((await send(new URL(status).pathname, null)).json).toMatchObject({ state: 'redeemed', task: opened.json['id'] })
    expect((await send(`/t/${String(opened.json['id'])}/api/orders/1`, null)).status).toBe(200)

    const again = await open()
    expect(again.json['code']).toBe('approve.required')
    expect(handleOf(again).id).not.toBe(id)
    expect(rig.events()).toEqual(['approval.opened', 'approval.answered', 'approval.approved', 'task.opened', 'approval.opened'])
    const line = running.entries().find(({ event }) => event === 'task.opened')
    expect(line).toMatchObject({ task: opened.json['id'], detail: { approval: id, approved_by: ['person:ada'] } })
    expect(running.entries().find(({ event }) => event === 'approval.opened')).toMatchObject({ detail: { matter: 'task-open' } })
    expect((await running.verify()).ok).toBe(true)
  })

  test('is another question when anything of it is another', async () => {
    await using rig = await started()
    const { id } = handleOf(await rig.open())
    await rig.approvals.answer(id, ada, yes())
    for (const [change, by] of [
      [{ purpose: 'refund every order' }, agentId],
      [{ tools: ['*'] }, agentId],
      [{ ttl: '11m' }, agentId],
      [{ budget: { calls: 7 } }, agentId],
      [{ prompt: `sha256:${'a'.repeat(64)}` }, agentId],
      [{ caller: worker }, agentId],
      [{}, worker],
    ] as const) {
      const other = await rig.open(change, by)
      expect(other.json['code'], JSON.stringify(change)).toBe('approve.required')
      expect(handleOf(other).id).not.toBe(id)
    }
    expect((await rig.open()).status).toBe(201)
  })

  test('shows people what would be opened, by Countersign and whole', async () => {
    await using rig = await started()
    const { id } = handleOf(await rig.open({ purpose: 'refund order 7', caller: worker, budget: { calls: 3 } }))
    const row = await rig.approvals.read(id)
    expect(row).toMatchObject({
      caller: agentId,
      worker,
      single: true,
      quorum: 1,
      tool: '',
      excluded: [`agent:${agentId}`, `agent:${worker}`],
    })
    expect(row?.shown).toMatchObject({
      title: `open a task for ${worker}: 1 tool patterns, for 600 s`,
      purpose: 'refund order 7',
      caller: worker,
      reasons: [{ rule: 'task.opened' }],
      opening: { opener: agentId, cause: null, tools: ['api.read'], budget: { calls: 3 }, ttl: 600_000 },
    })
  })

  test('is answered by nobody of its chain, by as many as must, and never by an objective', async () => {
    await using rig = await started({
      settings: { opening: [{}], approvals: { who: [{ tasks: ['open'], approvers: ['group:approvers', 'group:finance'], quorum: 2 }] } },
    })
    const { id } = handleOf(await rig.open())
    await expect(rig.approvals.answer(id, { ...ada, also: [agentId] }, yes())).rejects.toMatchObject({ why: 'in-chain' })
    await expect(rig.approvals.answer(id, { ...ada, groups: [] }, yes())).rejects.toMatchObject({ why: 'not-approver' })
    const objective = { tools: ['api.read'], calls: 2, ttl: 60_000 }
    await expect(rig.approvals.answer(id, ada, { ...yes(), objective })).rejects.toMatchObject({ why: 'objective' })
    await rig.approvals.answer(id, ada, yes())
    expect((await rig.open()).json['code']).toBe('approve.required')
    await rig.approvals.answer(id, ben, yes())
    expect((await rig.open()).status).toBe(201)
  })

  test('stays closed after a no, and a broken glass opens it', async () => {
    await using rig = await started({
      settings: { opening: [{}], approvals: { who: [{ tasks: ['open'], approvers: ['group:nobody-here'] }] } },
    })
    const declined = handleOf(await rig.open({ purpose: 'delete all' })).id
    await rig.approvals.answer(declined, { ...ada, groups: ['nobody-here'] }, no())
    expect((await rig.open({ purpose: 'delete all' })).json).toMatchObject({ code: 'approve.declined', terminal: true })
    const { id } = handleOf(await rig.open())
    await rig.approvals.answer(id, ada, { ...yes(), breakGlass: true })
    expect((await rig.open()).status).toBe(201)
    const line = rig.running.entries().find(({ event }) => event === 'task.opened')
    expect(line).toMatchObject({ detail: { approval: id, break_glass: true } })
  })

  test('waits for the answer when the agent prefers that, and says so', async () => {
    await using rig = await started()
    const asked = turned(rig.running, 'pending')
    const held = rig.open({}, agentId, { prefer: 'wait=20' })
    await rig.approvals.answer((await asked).id, ada, yes())
    const opened = await held
    expect(opened.status).toBe(201)
    expect(opened.headers['preference-applied']).toBe('wait=20')
    const late = await rig.open({ purpose: 'another' }, agentId, { prefer: 'wait=1' })
    expect(late.json['code']).toBe('approve.required')
    expect(late.headers['preference-applied']).toBe('wait=1')
    expect((await rig.open({ purpose: 'a third' })).headers['preference-applied']).toBeUndefined()
  })

  test('does not wait for a person once its agent is killed', async () => {
    await using rig = await started()
    const asked = turned(rig.running, 'pending')
    const held = rig.open({}, agentId, { prefer: 'wait=20' })
    const { id } = await asked
    await rig.running.sidecar.foundation.kills.engage({ scope: 'agent', name: agentId, by: 'person:ada', reason: 'enough' })
    expect((await held).json['code']).toBe('kill.engaged')
    expect(await rig.approvals.read(id)).toMatchObject({ state: 'withdrawn' })
  })

  test('opens one task for one answer, of however many requests at once', async () => {
    await using rig = await started()
    const { id } = handleOf(await rig.open())
    await rig.approvals.answer(id, ada, yes())
    const all = await Promise.all(Array.from({ length: 40 }, () => rig.open()))
    expect(all.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(all.every(({ status, json }) => status === 201 || json['code'] === 'approve.required')).toBe(true)
  })

  test('ends when the approval is withdrawn that it was opened under', async () => {
    await using rig = await started()
    const { id } = handleOf(await rig.open())
    await rig.approvals.answer(id, ada, yes())
    const task = String((await rig.open()).json['id'])
    await rig.approvals.withdraw(id, ben, 'it was a mistake')
    expect((await rig.send(`/t/${task}/api/orders/1`, null)).json['code']).toBe('task.ended')
    expect(rig.running.entries().find(({ event }) => event === 'task.revoked')).toMatchObject({ task, by: 'person:ben' })
    expect((await rig.open()).json['code']).toBe('approve.declined')
  })

  test('is remembered with its answer over a restart', async () => {
    await using rig = await started()
    const { id } = handleOf(await rig.open())
    await rig.approvals.answer(id, ada, yes())
    await rig.running.restart()
    const opened = await rig.open()
    expect(opened.status).toBe(201)
    await rig.running.restart()
    expect(await rig.running.sidecar.foundation.approvals.read(id)).toMatchObject({ state: 'redeemed', opens: opened.json['id'] })
    expect((await rig.open()).json['code']).toBe('approve.required')
  })

  test('has a row for a hand-off that ends with the task that hands on', async () => {
    await using rig = await started({ settings: { opening: [{ openers: ['hand-off'] }] } })
    const parent = String((await rig.open()).json['id'])
    const grant = (await rig.send(`${tasks}/${parent}/hand-off`, { to: worker, purpose: 'a part of it' })).json
    const redeem = () => rig.send(tasks, { grant: grant['id'], token: grant['token'] }, worker)
    const { id } = handleOf(await redeem())
    expect(handleOf(await redeem()).id).toBe(id)
    expect(await rig.approvals.read(id)).toMatchObject({
      matter: 'task-open',
      task: parent,
      excluded: [`agent:${agentId}`, `agent:${worker}`],
    })
    expect((await rig.send(`/.countersign/v1/approvals/${id}`, null, worker)).json['task']).toBeNull()
    await rig.approvals.answer(id, ada, yes())
    expect((await redeem()).status).toBe(201)

    const second = (await rig.send(`${tasks}/${parent}/hand-off`, { to: worker, purpose: 'another part' })).json
    const left = handleOf(await rig.send(tasks, { grant: second['id'], token: second['token'] }, worker)).id
    await rig.send(`${tasks}/${parent}/complete`)
    expect(await rig.approvals.read(left)).toMatchObject({ state: 'withdrawn', closed: { reason: 'the task was completed' } })
  })

  test('that a person opens is answered by another person', async () => {
    await using rig = await started({ settings: { opening: [{ openers: ['person'] }] } })
    const key = readFileSync(join(rig.running.folder, 'admin.key'), 'utf8').trim()
    const body = JSON.stringify({ agent: agentId, purpose: 'look into order 7', reason: 'case 4711', by: 'ada' })
    const open = () =>
      fetch(`http://127.0.0.1:${rig.running.port('admin')}/v1/tasks`, { method: 'POST', headers: { authorization: `Bearer ${key}` }, body })
    const asked = await open()
    const [row] = await rig.approvals.list({ states: ['pending'] })
    expect([asked.status, ((await asked.json()) as Settings)['title']]).toEqual([409, expect.stringContaining(`asked as ${row?.id}`)])
    expect(row).toMatchObject({ caller: 'person:ada', worker: agentId, matter: 'task-open' })
    await expect(rig.approvals.answer(row?.id ?? '', ada, yes())).rejects.toMatchObject({ why: 'in-chain' })
    await rig.approvals.answer(row?.id ?? '', ben, yes())
    expect((await open()).status).toBe(201)
  })

  test('is asked about no more often than a caller may', async () => {
    await using rig = await started({ approve: { pending_per_caller: 2 } })
    await rig.open({ purpose: 'one' })
    await rig.open({ purpose: 'two' })
    expect((await rig.open({ purpose: 'three' })).json['code']).toBe('listen.overloaded')
    expect((await rig.open({ purpose: 'two' })).json['code']).toBe('approve.required')
  })

  test('that a call opens by itself is asked about as well, and the call goes on once it may', async () => {
    await using rig = await started({ agents: [freeAgent()] })
    const asked = turned(rig.running, 'pending')
    const held = rig.send('/api/orders/1', null, agentId, { prefer: 'wait=20' })
    await rig.approvals.answer((await asked).id, ada, yes())
    expect((await held).status).toBe(200)
    expect((await held).headers['preference-applied']).toBe('wait=20')
    expect((await rig.send('/api/orders/2', null)).status).toBe(200)
  })
})

describe('a task that goes on only when a person says so', () => {
  const idle = { settings: { reauthorise: [{ causes: ['idle'], effect: 'ask' }] }, task: { reauthorise: { idle: '5m' } } }

  async function silent() {
    const rig = await started(idle)
    const task = String((await rig.open({ ttl: '1h' })).json['id'])
    const call = (headers?: Readonly<Record<string, string>>) => rig.send(`/t/${task}/api/orders/1`, null, agentId, headers)
    expect((await call()).status).toBe(200)
    rig.time.passed += 360_000
    return { ...rig, task, call, [Symbol.asyncDispose]: rig[Symbol.asyncDispose] }
  }

  test('goes on by the same call after the answer, once', async () => {
    await using rig = await silent()
    const asked = await rig.call()
    const { id } = handleOf(asked)
    expect(asked.json['code']).toBe('approve.required')
    expect(await rig.approvals.read(id)).toMatchObject({ matter: 'task-resume', task: rig.task, shown: { opening: { cause: 'idle' } } })
    await rig.approvals.answer(id, ada, yes())
    expect((await rig.call()).status).toBe(200)
    const line = rig.running.entries().find(({ event }) => event === 'task.reauthorised')
    expect(line).toMatchObject({ detail: { cause: 'idle', approval: id, approved_by: ['person:ada'] } })
    rig.time.passed += 360_000
    expect(handleOf(await rig.call()).id).not.toBe(id)
  })

  test('is asked about no more when a person resumes it', async () => {
    await using rig = await silent()
    const { id } = handleOf(await rig.call())
    const { foundation } = rig.running.sidecar
    const row = foundation.state.task(rig.task)
    if (row !== null) await foundation.tasks.resumeByPerson(row, 'person:ben')
    expect(await rig.approvals.read(id)).toMatchObject({ state: 'withdrawn', closed: { reason: 'a person let the task go on' } })
    expect((await rig.call()).status).toBe(200)
  })

  test('is paused when the approval is withdrawn that it went on under', async () => {
    await using rig = await silent()
    const { id } = handleOf(await rig.call())
    await rig.approvals.answer(id, ada, yes())
    await rig.call()
    await rig.approvals.withdraw(id, ben, 'it was a mistake')
    expect((await rig.call()).json['code']).toBe('task.paused')
    expect((await rig.send(`${tasks}/${rig.task}/resume`)).json['code']).toBe('task.paused')
  })

  test('goes on in the session that was asked about, and in no other', async () => {
    await using rig = await started({
      settings: { reauthorise: [{ causes: ['session'], effect: 'ask' }] },
      task: { session: { by: 'proof' } },
    })
    const opened = await rig.open({ ttl: '1h' })
    const path = `/t/${String(opened.json['id'])}/api/orders/1`
    const [one, two] = [await rig.running.svid(agentId, 1801), await rig.running.svid(agentId, 1802)]
    const use = (token: string) => ask(rig.running.port(), path, { headers: { authorization: `Bearer ${token}` } })
    const { id } = handleOf(await use(one))
    await rig.approvals.answer(id, ada, yes())
    const other = await use(two)
    expect(other.json['code']).toBe('approve.required')
    expect(handleOf(other).id).not.toBe(id)
    expect((await use(one)).status).toBe(200)
    expect((await use(one)).status).toBe(200)
    expect((await use(two)).json['code']).toBe('approve.required')
  })

  test('waits for the answer, and ends the wait when its task ends', async () => {
    await using rig = await silent()
    const asked = turned(rig.running, 'pending')
    const held = rig.call({ prefer: 'wait=20' })
    await asked
    await rig.send(`${tasks}/${rig.task}/complete`)
    expect((await held).json['code']).toBe('task.ended')
  })
})
