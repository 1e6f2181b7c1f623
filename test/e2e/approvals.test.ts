import { request, type IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { ada, askedOptions, ben, handleOf, no, openTask, other, refund, turned, yes } from '../support/approval-rig.ts'
import { LiveUpstream } from '../support/live-upstream.ts'
import { agentId, ask, freeAgent, Running, TestUpstream, type Answered, type RunningOptions } from '../support/running.ts'

const bodies = (upstream: TestUpstream): string[] => upstream.seen.map(({ body }) => body)
const events = (running: Running): unknown[] =>
  running.entries().flatMap(({ event }) => (String(event).startsWith('approval.') ? [event] : []))

async function started(more: Partial<RunningOptions> = {}, route = {}) {
  const upstream = await TestUpstream.start()
  const running = await Running.start(askedOptions(upstream.url, more, route))
  return {
    upstream,
    running,
    approvals: () => running.sidecar.foundation.approvals,
    [Symbol.asyncDispose]: async () => {
      await running[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

describe('a call that policy asks a person about', () => {
  test('is refused with a handle, passes once when a person approved it, and is asked about again', async () => {
    await using rig = await started()
    const { running, upstream, approvals } = rig
    const asked = await refund(running)
    expect(asked).toMatchObject({ status: 403, json: { code: 'approve.required', retry: 'after-approval', terminal: false } })
    expect(asked.headers['countersign-decision']).toBe('ask')
    const { id, status } = handleOf(asked)
    expect(status).toBe(`http://127.0.0.1:${running.port()}/.countersign/v1/approvals/${id}`)
    expect(handleOf(await refund(running)).id).toBe(id)
    expect(upstream.seen).toEqual([])

    await approvals().answer(id, ada, yes())
    expect(await refund(running)).toMatchObject({ status: 200 })
    expect(bodies(upstream)).toEqual(['{"amount":180}'])
    const again = await refund(running)
    expect(again.json['code']).toBe('approve.required')
    expect(handleOf(again).id).not.toBe(id)
    expect(bodies(upstream)).toHaveLength(1)

    const decision = running.entries().find(({ kind }) => kind === 'decision')
    expect(decision).toMatchObject({ effect: 'allow', approval: id, approval_kind: 'action', approved_by: ['person:ada'], rules: [] })
    expect(events(running)).toEqual(['approval.opened', 'approval.answered', 'approval.approved', 'approval.opened'])
    const opened = running.entries().find(({ event }) => event === 'approval.opened')
    expect(opened).toMatchObject({ detail: { approval: id, call: asked.json['call'], approvers: [], quorum: 1 } })
    expect((await running.verify()).ok).toBe(true)
  })

  test('is another call when its body, its path, a header that the route selects by, its type or its task is another', async () => {
    await using rig = await started()
    const { running, approvals, upstream } = rig
    const [task, second] = [await openTask(running), await openTask(running)]
    const { id } = handleOf(await refund(running, { task }))
    await approvals().answer(id, ada, yes())
    for (const change of [
      { body: '{"amount":181}' },
      { path: '/pay/refunds?dry=0' },
      { headers: { 'x-op': 'all' } },
      { headers: { 'content-type': 'application/json;charset=utf-8' } },
      { task: second },
    ]) {
      const answer = await refund(running, { task, ...change })
      expect(answer.json['code'], JSON.stringify(change)).toBe('approve.required')
      expect(handleOf(answer).id).not.toBe(id)
    }
    expect(upstream.seen).toEqual([])
    expect(await refund(running, { task })).toMatchObject({ status: 200 })
  })

  test('of another caller neither uses the approval nor hears of it', async () => {
    await using rig = await started()
    const { running, approvals } = rig
    const task = await openTask(running)
    const { id } = handleOf(await refund(running, { task }))
    await approvals().answer(id, ada, yes())
    expect((await refund(running, { task, by: other })).json['code']).toBe('task.unknown')
    const poll = async (by: string, which: string): Promise<Answered> =>
      ask(running.port(), `/.countersign/v1/approvals/${which}`, { headers: { authorization: `Bearer ${await running.svid(by)}` } })
    const foreign = await poll(other, id)
    expect(foreign).toMatchObject({ status: 404, json: { code: 'match.unroutable' } })
    expect({ ...(await poll(other, `a_${'0'.repeat(26)}`)).json, call: '' }).toEqual({ ...foreign.json, call: '' })
    const own = await poll(agentId, id)
    expect(own.json).toMatchObject({ id, state: 'approved', reason: 'make the same call again', task, tool: 'pay.refund', objective: null })
    expect(own.text).not.toMatch(/ada|returned/)
  })

  test('keeps its approval over a restart, and what was used stays used', async () => {
    await using rig = await started()
    const { running, approvals, upstream } = rig
    const { id } = handleOf(await refund(running))
    await running.restart()
    expect(handleOf(await refund(running)).id).toBe(id)
    await approvals().answer(id, ada, yes())
    await running.restart()
    expect((await refund(running)).status).toBe(200)
    await running.restart()
    expect((await refund(running)).json['code']).toBe('approve.required')
    expect(upstream.seen).toHaveLength(1)
  })

  test('is refused by a policy that denies it now, whatever was answered', async () => {
    await using rig = await started()
    const { running, approvals, upstream } = rig
    await approvals().answer(handleOf(await refund(running)).id, ada, yes())
    const settings = { tiers: [{ tools: ['pay.refund'], effect: 'deny' }] }
    await running.reload(askedOptions(upstream.url, { settings: { decide: { settings } } }))
    expect((await refund(running)).json).toMatchObject({ code: 'decide.denied', terminal: true })
    expect(upstream.seen).toEqual([])
  })

  test('is asked about again by a policy that now wants other people, and more of them', async () => {
    await using rig = await started()
    const { running, approvals, upstream } = rig
    const first = handleOf(await refund(running)).id
    await approvals().answer(first, ada, yes())
    const who = [{ approvers: ['group:finance', 'group:approvers'], quorum: 2 }]
    await running.reload(askedOptions(upstream.url, { settings: { decide: { settings: { approvals: { who } } } } }))
    const { id } = handleOf(await refund(running))
    expect(id).not.toBe(first)
    expect(await approvals().read(first)).toMatchObject({ state: 'withdrawn', closed: { by: 'countersign' } })
    await approvals().answer(id, ada, yes())
    expect((await refund(running)).json['code']).toBe('approve.required')
    await approvals().answer(id, ben, yes())
    expect((await refund(running)).status).toBe(200)
    expect(running.entries().find(({ kind }) => kind === 'decision')).toMatchObject({ approved_by: ['person:ada', 'person:ben'] })
  })

  test('whose body was not read whole is not asked about', async () => {
    await using rig = await started()
    const answer = await refund(rig.running, { path: '/pay/files' })
    expect(answer.json['code']).toBe('decide.denied')
    expect(events(rig.running)).toEqual([])
  })

  test('of an agent with too many open questions is refused until people have caught up', async () => {
    await using rig = await started({ settings: { approve: { pending_per_caller: 2 } } })
    const { running, approvals } = rig
    const { id } = handleOf(await refund(running, { body: '{"amount":1}' }))
    await refund(running, { body: '{"amount":2}' })
    expect((await refund(running, { body: '{"amount":3}' })).json).toMatchObject({ code: 'listen.overloaded', retry: 'later' })
    expect(handleOf(await refund(running, { body: '{"amount":1}' })).id).toBe(id)
    await approvals().answer(id, ada, no())
    expect((await refund(running, { body: '{"amount":3}' })).json['code']).toBe('approve.required')
  })

  test('asks once however often it is made at once, and of all calls one passes', async () => {
    await using rig = await started()
    const { running, approvals, upstream } = rig
    const task = await openTask(running)
    const asked = await Promise.all(Array.from({ length: 20 }, () => refund(running, { task })))
    const ids = new Set(asked.map((answer) => handleOf(answer).id))
    expect(ids.size).toBe(1)
    expect(events(running)).toEqual(['approval.opened'])
    await approvals().answer([...ids][0] ?? '', ada, yes())
    const raced = await Promise.all(Array.from({ length: 40 }, () => refund(running, { task })))
    expect(raced.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(upstream.seen).toHaveLength(1)
    expect(new Set(raced.flatMap(({ json }) => json['code'] ?? []))).toEqual(new Set(['approve.required']))
  })
})

describe('a call that is ready to wait', () => {
  const waiting = { headers: { prefer: 'wait=20' } }

  test('passes as soon as a person approves it', async () => {
    await using rig = await started()
    const { running, approvals, upstream } = rig
    const opened = turned(running, 'pending')
    const held = refund(running, waiting)
    const { id } = await opened
    expect(upstream.seen).toEqual([])
    await approvals().answer(id, ada, yes())
    expect(await held).toMatchObject({ status: 200 })
    expect(running.entries().find(({ kind }) => kind === 'decision')).toMatchObject({ approval: id })
    expect(running.sidecar.foundation.holds.size).toBe(0)
    expect(running.sidecar.foundation.revoke.held).toBe(0)
  })

  test('hears at once that a person declined', async () => {
    await using rig = await started()
    const opened = turned(rig.running, 'pending')
    const held = refund(rig.running, waiting)
    await rig.approvals().answer((await opened).id, ada, no())
    expect(await held).toMatchObject({ status: 403, json: { code: 'approve.declined', terminal: true } })
    expect((await held).text).not.toContain('month')
  })

  test('is told to come back when the time is over, and finds its question as it was', async () => {
    await using rig = await started({ settings: { approve: { hold: '50ms' } } })
    const first = await refund(rig.running, waiting)
    expect(first.json['code']).toBe('approve.required')
    expect(handleOf(await refund(rig.running, waiting)).id).toBe(handleOf(first).id)
  })

  test('goes on waiting for the others when one of two has answered', async () => {
    const who = [{ approvers: ['group:finance', 'group:approvers'], quorum: 2 }]
    await using rig = await started({ settings: { decide: { settings: { approvals: { who } } } } })
    const opened = turned(rig.running, 'pending')
    const held = refund(rig.running, waiting)
    const { id } = await opened
    await rig.approvals().answer(id, ada, yes())
    expect(rig.running.sidecar.foundation.holds.size).toBe(1)
    await rig.approvals().answer(id, ben, yes())
    expect((await held).status).toBe(200)
  })

  test('ends with its task', async () => {
    await using rig = await started()
    const { running } = rig
    const task = await openTask(running)
    const opened = turned(running, 'pending')
    const held = refund(running, { ...waiting, task })
    const { id } = await opened
    const authorization = `Bearer ${await running.svid()}`
    await ask(running.port(), `/.countersign/v1/tasks/${task}/complete`, { method: 'POST', headers: { authorization } })
    expect((await held).json['code']).toBe('task.ended')
    expect(await rig.approvals().read(id)).toMatchObject({ state: 'withdrawn', closed: { by: 'countersign' } })
  })

  test('is not asked about any more once its tool, its route or its owner is killed; what others ask stays', async () => {
    await using rig = await started({}, { owner: 'pay-team@acme.example' })
    const { running, approvals } = rig
    const { kills, holds } = running.sidecar.foundation
    const handle = async (path: string): Promise<string> => handleOf(await refund(running, { path })).id
    for (const [scope, name] of [
      ['tool', 'pay.refund'],
      ['route', 'pay'],
      ['owner', 'pay-team@acme.example'],
    ] as const) {
      const [one, two] = [await handle('/pay/refunds'), await handle('/pay/refunds/large')]
      const held = refund(running, waiting)
      await expect.poll(() => holds.size).toBe(1)
      const closed = turned(running, 'withdrawn')
      const { kill } = await kills.engage({ scope, name, by: 'person:oncall', reason: 'look first' })
      expect((await held).json['code'], scope).toBe('kill.engaged')
      const reason = `killed by ${kill.id}: look first`
      expect(await closed).toMatchObject({ state: 'withdrawn', closed: { by: 'countersign', reason } })
      expect(await approvals().read(one)).toMatchObject({ closed: { reason } })
      expect(await approvals().read(two)).toMatchObject({ state: scope === 'tool' ? 'pending' : 'withdrawn' })
      await kills.lift(kill.id, 'person:oncall', 'over')
    }
  })

  test('ends when Countersign shuts down, with its handle', async () => {
    await using rig = await started()
    const opened = turned(rig.running, 'pending')
    const held = refund(rig.running, waiting)
    await opened
    await rig.running.close()
    expect((await held).json['code']).toBe('approve.required')
  })

  test('leaves when its client does', async () => {
    await using rig = await started()
    const { running } = rig
    const opened = turned(running, 'pending')
    const headers = {
      authorization: `Bearer ${await running.svid()}`,
      'content-type': 'application/json',
      prefer: 'wait=20',
      'content-length': '2',
    }
    const sent = request({ host: '127.0.0.1', port: running.port(), path: '/pay/refunds', method: 'POST', headers, agent: false })
    sent.on('error', () => {})
    sent.end('{}')
    const { id } = await opened
    const { holds } = running.sidecar.foundation
    await expect.poll(() => holds.size).toBe(1)
    sent.destroy()
    await expect.poll(() => holds.size).toBe(0)
    await running.close()
    const refused = running.entries().find(({ kind }) => kind === 'refusal')
    expect(refused).toMatchObject({ code: 'listen.malformed', cause: 'ClientGone' })
    expect(id).toMatch(/^a_/)
  })

  test('polls its approval the same way', async () => {
    await using rig = await started()
    const { running, approvals } = rig
    const { id } = handleOf(await refund(running))
    const poll = async (): Promise<Answered> =>
      ask(running.port(), `/.countersign/v1/approvals/${id}`, {
        headers: { authorization: `Bearer ${await running.svid()}`, prefer: 'wait=20' },
      })
    const polled = poll()
    await expect.poll(() => running.sidecar.foundation.holds.size).toBe(1)
    await approvals().answer(id, ada, yes())
    expect((await polled).json).toMatchObject({ state: 'approved' })
  })
})

describe('a withdrawal', () => {
  test('cuts what streams under the approval, takes the lease back, and lets it not be used again', async () => {
    const streams: IncomingMessage[] = []
    await using live = await LiveUpstream.start((asked, response) => {
      streams.push(asked)
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
    })
    await using running = await Running.start(
      askedOptions(live.url, { providers: { pay: { type: 'jwt', audience: 'https://pay.acme.example' } } }, { credential: 'pay' }),
    )
    const { approvals, credential, revoke } = running.sidecar.foundation
    const stream = { method: 'GET', path: '/pay/events' }
    const { id, ...rest } = handleOf(await refund(running, stream))
    expect(rest.expires).toMatch(/Z$/)
    await approvals.answer(id, ada, yes())
    const authorization = `Bearer ${await running.svid()}`
    const cut = Promise.withResolvers<void>()
    const first = Promise.withResolvers<void>()
    const sent = request({
      host: '127.0.0.1',
      port: running.port(),
      path: '/pay/events',
      agent: false,
      headers: { authorization, 'content-type': 'application/json' },
    })
    sent.on('response', (response) =>
      response
        .on('data', () => first.resolve())
        .on('error', () => cut.resolve())
        .on('end', () => cut.resolve()),
    )
    sent.end()
    await first.promise
    expect(credential.sizes().out).toBe(1)
    await approvals.withdraw(id, ben, 'it was the wrong order')
    await cut.promise
    await expect.poll(() => revoke.size).toBe(0)
    expect(credential.sizes().out).toBe(0)
    await expect
      .poll(() => running.entries().find(({ kind }) => kind === 'outcome'))
      .toMatchObject({ ended: 'cut', code: 'approve.declined' })
    expect(running.entries().map(({ event }) => event)).toContain('approval.withdrawn')
    expect((await refund(running, stream)).json['code']).toBe('approve.declined')
  })
})

describe('an objective', () => {
  const objective = { tools: ['pay.refund'], calls: 2, ttl: 60_000 }

  test('lets as many calls pass as people said, whatever they hold, each recorded', async () => {
    await using rig = await started()
    const { running, approvals, upstream } = rig
    const task = await openTask(running)
    const { id } = handleOf(await refund(running, { task }))
    await approvals().answer(id, ada, { ...yes(), objective })
    for (const amount of [1, 2]) expect((await refund(running, { task, body: `{"amount":${amount}}` })).status).toBe(200)
    expect((await refund(running, { task, body: '{"amount":3}' })).json['code']).toBe('approve.required')
    expect(upstream.seen).toHaveLength(2)
    const under = running.entries().filter(({ approval }) => approval === id)
    expect(under.map(({ kind, approval_kind: kindOf }) => `${kind} ${kindOf}`)).toEqual(['decision objective', 'decision objective'])
  })

  test('is granted by a person before any call, and never covers a call of critical risk', async () => {
    await using rig = await started()
    const { running, approvals } = rig
    const task = await openTask(running)
    await approvals().grant({ task }, { tools: ['pay.*'], calls: 5, ttl: 60_000 }, ada, 'the returns of this week')
    expect((await refund(running, { task })).status).toBe(200)
    const large = await refund(running, { task, path: '/pay/refunds/large' })
    expect(large.json['code']).toBe('approve.required')
    const { id } = handleOf(large)
    await expect(approvals().answer(id, ada, { ...yes(), objective: { ...objective, tools: ['pay.*'] } })).rejects.toMatchObject({
      why: 'objective',
    })
    await approvals().answer(id, ada, yes())
    expect((await refund(running, { task, path: '/pay/refunds/large' })).status).toBe(200)
    expect(events(running)).toContain('approval.granted')
  })

  test('is granted to a workload for every task of it, and for no other workload', async () => {
    await using rig = await started()
    const { running, approvals } = rig
    const { id } = await approvals().grant(
      { agent: agentId },
      { tools: ['pay.refund'], calls: 3, ttl: 60_000 },
      ada,
      'the returns of today',
    )
    const [one, two] = [await openTask(running), await openTask(running)]
    for (const task of [one, two]) expect((await refund(running, { task })).status).toBe(200)
    expect((await refund(running, { by: other })).json['code']).toBe('approve.required')
    await running.restart()
    expect((await refund(running, { task: two })).status).toBe(200)
    expect((await refund(running, { task: two })).json['code']).toBe('approve.required')
    const under = running.entries().filter(({ kind, approval }) => kind === 'decision' && approval === id)
    expect(under.map(({ task, approval_kind: kindOf }) => [task, kindOf])).toEqual([one, two, two].map((task) => [task, 'objective']))
  })

  test('for every task of a workload, ends with its withdrawal, in all of them', async () => {
    await using rig = await started()
    const { running, approvals } = rig
    const { id } = await approvals().grant(
      { agent: agentId },
      { tools: ['pay.refund'], calls: 9, ttl: 60_000 },
      ada,
      'the returns of today',
    )
    expect((await refund(running)).status).toBe(200)
    await approvals().withdraw(id, ben, 'enough')
    expect((await refund(running)).json['code']).toBe('approve.required')
  })

  test('shows the agent in its task what it waits for, and only there', async () => {
    await using rig = await started()
    const { running, approvals } = rig
    const task = await openTask(running)
    const asked = turned(running, 'pending')
    const held = refund(running, { task, headers: { prefer: 'wait=20' } })
    const { id } = await asked
    const headers = { authorization: `Bearer ${await running.svid()}` }
    const view = async () => (await ask(running.port(), `/.countersign/v1/tasks/${task}`, { headers })).json
    // the wait begins right after people were told
    while (running.sidecar.foundation.holds.size === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(await view()).toMatchObject({
      held: [{ call: expect.stringMatching(/^c_/), tool: 'pay.refund', code: 'approve.required', approval: id }],
      approvals: [{ id, matter: 'call', state: 'pending', tool: 'pay.refund' }],
    })
    await approvals().answer(id, ada, yes())
    const answered = await held
    expect(answered.status).toBe(200)
    expect(answered.headers['preference-applied']).toBe('wait=20')
    expect(await view()).toMatchObject({ held: [], approvals: [] })
  })

  test('is gone when it is withdrawn', async () => {
    await using rig = await started()
    const task = await openTask(rig.running)
    const { id } = await rig.approvals().grant({ task }, { tools: ['pay.*'], calls: 5, ttl: 60_000 }, ada, 'the returns of this week')
    expect((await refund(rig.running, { task })).status).toBe(200)
    await rig.approvals().withdraw(id, ben, 'enough')
    expect((await refund(rig.running, { task })).json['code']).toBe('approve.required')
  })
})

test('nobody whom the task acts for, nor its workload, answers it', async () => {
  await using rig = await started({ agents: [freeAgent()] })
  const { id } = handleOf(await refund(rig.running))
  const self = { name: `person:${agentId}`, method: 'key-pair', groups: ['approvers'] } as const
  await expect(rig.approvals().answer(id, self, yes())).rejects.toMatchObject({ why: 'in-chain' })
  await expect(rig.approvals().answer(id, { ...ada, also: [agentId.toUpperCase()] }, yes())).rejects.toMatchObject({ why: 'in-chain' })
})
