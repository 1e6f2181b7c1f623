import { describe, expect, it } from 'vitest'
import { makeAgentApi } from '../../../src/agent-api/agent-api.ts'
import { readObject } from '../../../src/agent-api/body.ts'
import type { Call } from '../../../src/listen/call.ts'
import type { Entry } from '../../../src/record/record.ts'
import { readJson } from '../../../src/match/json.ts'
import { Refusal } from '../../../src/refusal.ts'
import { sketchCall, type CallSketch } from '../../support/question.ts'
import { agentId, noon, otherId, sketchAgent, sketchCaller, taskRig, type TaskRig, type TaskRigOptions } from '../../support/task-rig.ts'

interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Readonly<Record<string, unknown>>
  readonly recorded: readonly string[]
}

interface ApiRig extends TaskRig {
  readonly ask: (method: string, target: string, body?: unknown, caller?: string | null) => Promise<Answered>
}

function refuseAll(): never {
  throw new Error('not part of this')
}

function apiRig(options: TaskRigOptions = {}): ApiRig {
  const rig = taskRig({ agents: [sketchAgent(), sketchAgent({ id: otherId })], ...options })
  const ask: ApiRig['ask'] = async (method, target, body, caller = agentId) => {
    const recorded: string[] = []
    const entry: Entry = {
      identified: (one) => one,
      refuse: async (refusal) => {
        recorded.push(refusal.code)
        return refusal
      },
      tasked: refuseAll,
      matched: refuseAll,
      decided: refuseAll,
      rejudged: refuseAll,
      permitted: refuseAll,
      commit: refuseAll,
      leased: refuseAll,
      close: refuseAll,
    }
    const api = makeAgentApi({
      tasks: rig.tasks,
      delegation: rig.delegation,
      held: async (_by, act) => act(),
      waiting: () => [],
      clock: rig.clock,
      state: rig.state,
      agents: () => rig.registry,
      approvals: { read: (id) => rig.state.approvals.approval(id), holds: { wait: async () => null }, hold: 0 },
      parseJson: (bytes) => readJson(bytes).value,
      verifySubject: (token) => (token.reveal() === 'good-token' ? { subject: 'u1', issuer: 'https://login.acme.example' } : null),
      identify: () => {
        if (caller === null) throw new Refusal('identify.missing')
        return sketchCaller(caller)
      },
      record: { call: () => entry },
      tokens: { issue: async ({ id }) => `token of ${id}` },
      transaction: () => {
        throw new Error('not part of this')
      },
    })
    const call = answerable(method, target, body)
    await api(call.call)
    return { ...call.answer(), recorded }
  }
  return Object.assign(rig, { ask })
}

function answerable(method: string, target: string, body: unknown): { readonly call: Call; answer: () => Omit<Answered, 'recorded'> } {
  let status = 0
  let headers: Record<string, unknown> = {}
  let text = ''
  const sketch: CallSketch = { method, target, kind: 'agent-api', route: null }
  const chunks = body === undefined ? [] : [typeof body === 'string' ? body : JSON.stringify(body)]
  const call: Call = {
    ...sketchCall({ ...sketch, body: chunks }),
    outgoing: {
      writeHead: (code: number, fields: Record<string, unknown>) => {
        status = code
        headers = fields
      },
      end: (bytes: Buffer) => {
        text = bytes.toString()
      },
    } as unknown as Call['outgoing'],
    refuse: (refusal) => {
      status = refusal.status
      text = JSON.stringify({ code: refusal.code, reasons: refusal.reasons })
    },
  }
  return { call, answer: () => ({ status, headers, body: JSON.parse(text) as Record<string, unknown> }) }
}

async function opened(rig: ApiRig): Promise<string> {
  const { body } = await rig.ask('POST', '/v1/tasks', { purpose: 'refund order 1042' })
  return String(body['id'])
}

describe('opening a task', () => {
  it('answers what it is, that it must not be kept, and which call it was', async () => {
    const rig = apiRig()
    const { status, headers, body } = await rig.ask('POST', '/v1/tasks', {
      purpose: 'refund order 1042',
      tools: ['crm.order.read'],
      budget: { calls: 5 },
      ttl: '10m',
      on_behalf_of: 'good-token',
    })
    expect(status).toBe(201)
    expect(headers).toMatchObject({
      'Cache-Control': 'no-store',
      'Countersign-Call': 'c_01JDZZZZZZZZZZZZZZZZZZZZZZ',
      'Countersign-Decision': 'allow',
    })
    expect(body).toMatchObject({
      state: 'active',
      implicit: false,
      intent: { purpose: 'refund order 1042', tools: ['crm.order.read'], budget: { calls: 5, refunds_eur: 200 } },
      on_behalf_of: { subject: 'u1', issuer: 'https://login.acme.example' },
      expires: new Date(noon + 600_000).toISOString(),
    })
    expect(rig.state.task(String(body['id']))).toMatchObject({ caller: agentId, root: 'user:u1' })
    expect(JSON.stringify([body, rig.events])).not.toContain('good-token')
  })

  it.each([
    ['beyond what the agent was registered for', { purpose: 'p', tools: ['*'] }, 403, 'decide.denied'],
    ['with a key that means nothing', { purpose: 'p', __proto_: 1 }, 403, 'decide.denied'],
    ['for somebody it cannot prove', { purpose: 'p', on_behalf_of: 'bad-token' }, 403, 'decide.denied'],
    ['for somebody who is no token', { purpose: 'p', on_behalf_of: { sub: 'u1' } }, 403, 'decide.denied'],
    ['for no purpose', {}, 403, 'decide.denied'],
    ['for a purpose that draws on terminals', { purpose: '\u001b[2J' }, 403, 'decide.denied'],
    ['with a list for a body', [], 400, 'match.body'],
    ['with the same key twice', '{"purpose":"a","purpose":"b"}', 400, 'match.body'],
    ['with a key that stands for the prototype', '{"purpose":"p","__proto__":{"tools":["*"]}}', 403, 'decide.denied'],
    ['with something after the document', '{"purpose":"p"} {}', 400, 'match.body'],
    ['with more than 16 KiB', JSON.stringify({ purpose: 'x'.repeat(16 * 1024) }), 413, 'listen.too-large'],
  ])('%s is refused, in the record first', async (_, body, status, code) => {
    const rig = apiRig()
    const answer = await rig.ask('POST', '/v1/tasks', body)
    expect([answer.status, answer.body['code'], answer.recorded]).toEqual([status, code, [code]])
    expect(rig.state.tasks({})).toEqual([])
    expect(JSON.stringify(answer.body)).not.toContain('\\u001b')
  })

  it('is refused for a body announced too long before any of it is asked for', async () => {
    const asked: string[] = []
    const call: Call = { ...sketchCall({ method: 'POST', length: 16 * 1024 + 1 }), continue: () => asked.push('100') }
    await expect(readObject(call, () => ({}))).rejects.toMatchObject({ code: 'listen.too-large' })
    expect(asked).toEqual([])
  })

  it('is refused for a body that turns out too long, and for one that is cut short', async () => {
    const chunked = sketchCall({ method: 'POST', length: null, body: Array.from({ length: 5 }, () => ' '.repeat(4096)) })
    await expect(readObject(chunked, () => ({}))).rejects.toMatchObject({ code: 'listen.too-large' })
    expect(chunked.incoming.destroyed).toBe(false)
    const cut = sketchCall({ method: 'POST', body: ['{"purpose"'] })
    cut.incoming.destroy(new Error('reset'))
    await expect(readObject(cut, () => ({}))).rejects.toMatchObject({ code: 'listen.malformed' })
  })

  it('keeps a purpose as it came, whatever it would mean elsewhere', async () => {
    const rig = apiRig()
    for (const purpose of ['<img src=x onerror=alert(1)>', "'; DROP TABLE tasks; --", '${process.exit()}', '{{7*7}}', '../../etc/passwd']) {
      const { status, body } = await rig.ask('POST', '/v1/tasks', { purpose })
      expect([status, body['intent']]).toMatchObject([201, { purpose }])
    }
  })

  it('is refused when policy says no, with what policy tells the agent', async () => {
    const rig = apiRig()
    rig.verdict = { effect: 'deny', reasons: [{ rule: 'task.night', message_agent: 'not at night' }] }
    expect((await rig.ask('POST', '/v1/tasks', { purpose: 'p' })).body).toEqual({ code: 'decide.denied', reasons: ['not at night'] })
  })

  it('needs an identity and a registration', async () => {
    const rig = apiRig()
    expect((await rig.ask('POST', '/v1/tasks', { purpose: 'p' }, null)).body['code']).toBe('identify.missing')
    const nobody = await rig.ask('POST', '/v1/tasks', { purpose: 'p' }, 'spiffe://acme.example/ns/x/sa/nobody')
    expect(nobody.body).toEqual({ code: 'task.agent-not-live', reasons: [] })
  })
})

describe('a task', () => {
  it('is paused, resumed and completed by its caller, each an event', async () => {
    const rig = apiRig()
    const id = await opened(rig)
    const paused = await rig.ask('POST', `/v1/tasks/${id}/pause`, { reason: 'waiting for mail' })
    expect([paused.status, paused.body]).toMatchObject([200, { state: 'paused', paused: { by: 'agent', reason: 'waiting for mail' } }])
    expect((await rig.ask('POST', `/v1/tasks/${id}/resume`)).body).toMatchObject({ state: 'active', paused: null })
    expect((await rig.ask('POST', `/v1/tasks/${id}/complete`, {})).body).toMatchObject({ state: 'completed' })
    expect((await rig.ask('GET', `/v1/tasks/${id}`)).body).toMatchObject({
      state: 'completed',
      ended: { at: new Date(noon).toISOString() },
    })
    expect(rig.events.map(({ kind }) => kind)).toEqual(['task.opened', 'task.paused', 'task.resumed', 'task.completed'])
    expect(rig.events[1]?.detail).toMatchObject({ reason: 'waiting for mail' })
    expect(rig.ended).toEqual([`${id} completed`])
  })

  it.each([
    ['GET', ''],
    ['POST', '/pause'],
    ['POST', '/resume'],
    ['POST', '/complete'],
  ])('of another caller answers %s %s like one that never was', async (method, verb) => {
    const rig = apiRig()
    const id = await opened(rig)
    const foreign = await rig.ask(method, `/v1/tasks/${id}${verb}`, undefined, otherId)
    const never = await rig.ask(method, `/v1/tasks/t_01JDAAAAAAAAAAAAAAAAAAAAAA${verb}`, undefined, otherId)
    expect(foreign).toEqual(never)
    expect(foreign.body).toEqual({ code: 'task.unknown', reasons: [] })
    expect(rig.state.task(id)?.state).toBe('active')
  })

  it('that a person paused stays paused, and the agent does not learn why', async () => {
    const rig = apiRig()
    const id = await opened(rig)
    const row = await rig.tasks.own(id, agentId)
    await rig.tasks.pause(row, { kind: 'person', name: 'person:oncall' }, 'suspected leak')
    for (const verb of ['resume', 'complete', 'pause']) {
      expect((await rig.ask('POST', `/v1/tasks/${id}/${verb}`)).body['code']).toBe('task.paused')
    }
    expect(JSON.stringify((await rig.ask('GET', `/v1/tasks/${id}`)).body)).not.toContain('leak')
  })

  it('that ended cannot be changed any more', async () => {
    const rig = apiRig()
    const id = await opened(rig)
    await rig.ask('POST', `/v1/tasks/${id}/complete`)
    for (const verb of ['pause', 'resume', 'complete']) {
      expect((await rig.ask('POST', `/v1/tasks/${id}/${verb}`)).body['code']).toBe('task.ended')
    }
    expect(rig.ended).toHaveLength(1)
  })

  it.each([[{ reason: 7 }], [{ reason: '\u001b[2J' }], [{ why: 'x' }]])('is not paused with the body %j', async (body) => {
    const rig = apiRig()
    const id = await opened(rig)
    expect((await rig.ask('POST', `/v1/tasks/${id}/pause`, body)).body['code']).toBe('match.body')
    expect(rig.state.task(id)?.state).toBe('active')
  })
})

describe('everything else under the reserved path leads nowhere', () => {
  it.each([
    ['GET', '/v1/tasks'],
    ['DELETE', '/v1/tasks/t_01JDAAAAAAAAAAAAAAAAAAAAAA'],
    ['GET', '/v1/tasks/t_01JDAAAAAAAAAAAAAAAAAAAAAA/pause'],
    ['POST', '/v1/tasks/t_01JDAAAAAAAAAAAAAAAAAAAAAA'],
    ['POST', '/v1/tasks/t_01JDAAAAAAAAAAAAAAAAAAAAAA/kill'],
    ['POST', '/v1/tasks/t_01JDAAAAAAAAAAAAAAAAAAAAAA/pause/x'],
    ['POST', '/v1/tasks?x=1'],
    ['POST', '/v2/tasks'],
    ['GET', '/v1'],
    ['GET', '/'],
  ])('%s %s', async (method, target) => {
    const answer = await apiRig().ask(method, target)
    expect([answer.status, answer.body['code'], answer.recorded]).toEqual([404, 'match.unroutable', ['match.unroutable']])
  })
})
