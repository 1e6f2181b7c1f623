import { readFileSync } from 'node:fs'
import { createServer, request, Agent, type ClientRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Abused, idOf, unharmed, upstreamSecret } from '../../support/abused.ts'
import { answers as readAnswers, type RawAnswer } from '../../support/listen-rig.ts'
import { anyTool, ask, freeAgent, routeTo, type Answered, type SeenRequest, type Settings } from '../../support/running.ts'

/** What an agent can try with tasks: those of others, its own once ended, and two things at once. */
let abused: Abused
const partner = slowUpstream()
const lanes = 8
const readers = Array.from({ length: lanes }, (_, at) => `reader${at}`)

beforeAll(async () => {
  await partner.listening
  const intent = {
    tools: ['*'],
    resources: ['*'],
    data: ['public', 'internal', 'personal', 'unlabelled'],
    egress: ['internal', 'partner', 'public'],
    budget: { calls: 1_000_000, eur: 1_000_000 },
    ttl: '1h',
  }
  const agent = (name: string, more: Settings = {}): Settings => freeAgent({ id: idOf(name), intent, implicit: false, ...more })
  const pay = {
    name: 'api.pay',
    match: 'POST /pay/{id}',
    effect: 'write',
    risk: 'low',
    egress: 'internal',
    args: 'json',
    debit: { eur: '/amount' },
  }
  const mail = {
    name: 'mail.send',
    match: 'POST /send/{id}',
    effect: 'send',
    risk: 'low',
    egress: 'partner',
    accepts: ['public'],
    args: 'json',
  }
  abused = await Abused.start(['alice', 'bob', 'carol', 'racer', ...readers], (url) => ({
    routes: {
      api: routeTo(url, 'api', {
        credential: 'api',
        tools: [pay, { ...anyTool('api.personal', { data: ['personal'] }), match: 'GET /people/{id}' }, anyTool('api.any')],
      }),
      mail: routeTo(url, 'mail', { tools: [mail] }),
      partner: routeTo(partner.url(), 'partner', {
        tools: [anyTool('partner.any', { effect: 'send', egress: 'partner', accepts: ['public'] })],
      }),
    },
    providers: {
      api: { type: 'jwt', audience: 'https://api.acme.example', introspect: { client: 'upstream', secret: { file: 'upstream.secret' } } },
    },
    agents: [agent('alice'), agent('bob'), agent('carol', { implicit: true }), agent('racer'), ...readers.map((name) => agent(name))],
  }))
})
afterEach(async () => expect(await abused.condition()).toEqual(unharmed))
afterAll(async () => {
  await abused[Symbol.asyncDispose]()
  await partner.close()
})

const api = '/.countersign/v1/tasks'

function outcomeOf(answers: readonly Answered[]): string[] {
  return answers.map(({ status, json }) => (status === 200 ? 'ok' : String(json['code']))).sort()
}

describe('the task of another', () => {
  test('is as unknown as one that never was: to use, read, pause, resume and end', async () => {
    const task = await abused.open('alice')
    const never = `t_${'0'.repeat(26)}`
    const from = abused.upstream.seen.length
    const acts = (id: string): Promise<Answered>[] => [
      abused.ask('/api/x', { as: 'bob', task: id }),
      abused.ask(`/t/${id}/api/x`, { as: 'bob' }),
      abused.ask(`${api}/${id}`, { as: 'bob' }),
      abused.act('bob', id, 'pause'),
      abused.act('bob', id, 'resume'),
      abused.act('bob', id, 'complete'),
    ]
    const [foreign, unknown] = await Promise.all([Promise.all(acts(task)), Promise.all(acts(never))])
    for (const [at, answer] of foreign.entries()) {
      expect(answer).toMatchObject({ status: 403, json: { code: 'task.unknown' } })
      const told = (one: Answered | undefined): object => ({ ...one?.json, call: '', task: '' })
      expect(told(answer)).toEqual(told(unknown[at]))
    }
    expect(abused.upstream.seen).toHaveLength(from)
    expect((await abused.ask(`${api}/${task}`)).json).toMatchObject({ state: 'active', spent: {} })
    await abused.act('alice', task, 'complete')
  })

  test('is not found by naming tasks in odd ways', async () => {
    const task = await abused.open('alice')
    const other = await abused.open('alice')
    const line = `GET /api/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${abused.token('alice')}\r\n`
    const from = abused.upstream.seen.length
    const lies = [
      `Countersign-Task: ${task}\r\nCountersign-Task: ${other}\r\n`,
      `Countersign-Task: ${task}\r\nCountersign-Task: ${task}\r\n`,
      `Countersign-Task: ${task}, ${other}\r\n`,
      `Countersign-Task: ${task}\r\nConnection: countersign-task\r\n`,
      `Countersign_Task: ${task}\r\n`,
      `Countersign-Task: ${task.toLowerCase()}\r\n`,
      `Countersign-Task: ${task}x\r\n`,
      `Countersign-Task: "${task}"\r\n`,
      `Countersign-Task:\r\n`,
      `Countersign-Task: ../${task}\r\n`,
      `Countersign-Task: ${task}%20\r\n`,
      `Countersign-Task: ${task}\0\r\n`,
    ]
    for (const lie of lies) {
      const [answer] = await abused.raw(`${line}${lie}\r\n`)
      expect(answer?.status, lie).toBe(400)
    }
    const differ = await abused.ask(`/t/${other}/api/x`, { task })
    expect(differ).toMatchObject({ status: 400, json: { code: 'listen.malformed' } })
    expect(abused.upstream.seen).toHaveLength(from)
    expect((await abused.ask(`/t/${task}/api/x`, { task })).status).toBe(200)
    // without a name there is no guess between open ones
    expect(await abused.ask('/api/x')).toMatchObject({ status: 403, json: { code: 'task.missing' } })
    for (const id of [task, other]) await abused.act('alice', id, 'complete')
  })

  test('dropping the name of an explicit task is no way to an implicit one', async () => {
    expect((await abused.ask('/api/implicit', { as: 'carol' })).status).toBe(200)
    const task = await abused.open('carol', { budget: { calls: 1 } })
    expect(await abused.ask('/api/dropped', { as: 'carol' })).toMatchObject({ status: 403, json: { code: 'task.missing' } })
    expect((await abused.act('carol', task, 'pause')).status).toBe(200)
    expect((await abused.ask('/api/dropped', { as: 'carol' })).status).toBe(403)
    await abused.act('carol', task, 'complete')
  })

  test('is not widened by how it is asked for', async () => {
    const odd = [
      '{"purpose":"x","budget":{"calls":-1}}',
      '{"purpose":"x","budget":{"calls":1e999}}',
      '{"purpose":"x","budget":{"calls":2000000}}',
      '{"purpose":"x","budget":{"__proto__":{"calls":9}}}',
      '{"purpose":"x","tools":["*","*"],"tools":[]}',
      '{"purpose":"x","ttl":"999h"}',
      '{"purpose":"x","ttl":-1}',
      '{"purpose":"x","ttl":"0s"}',
      '{"purpose":"x","egress":["everywhere"]}',
      '{"purpose":"x","data":["secret"]}',
      '{"purpose":"x","caller":"spiffe://acme.example/ns/test/sa/bob"}',
      '{"purpose":"x","implicit":true}',
      '{"purpose":"x","parent":"t_x"}',
      '{"purpose":"x","on_behalf_of":"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."}',
      '{"purpose":"x\\u0000y"}',
      '{"purpose":""}',
      '[]',
      '"x"',
      '{',
    ]
    for (const body of odd) {
      const { status, json, text } = await abused.ask(api, { method: 'POST', body })
      expect([201, 400, 403], body).toContain(status)
      if (status !== 201) continue
      const budget = (json['intent'] as { budget: Record<string, number> }).budget
      expect(budget['calls'], `${body}: ${text}`).toBeLessThanOrEqual(1_000_000)
      expect(budget['calls'], body).toBeGreaterThanOrEqual(0)
      expect(Date.parse(String(json['expires'])) - Date.now(), body).toBeLessThanOrEqual(3_600_000)
      await abused.act('alice', String(json['id']), 'complete')
    }
  })
})

describe('two things at once', () => {
  test('of the calls that race for a budget of one exactly one wins, 200 times over', async () => {
    await sideBySide(200, async (round) => {
      const task = await abused.open('racer', { budget: { calls: 1 } })
      const racers = 2 + (round % 3)
      const answers = await Promise.all(
        Array.from({ length: racers }, (_, at) => abused.ask(`/api/race/${round}/${at}`, { as: 'racer', task })),
      )
      expect(
        answers.filter(({ status }) => status === 200),
        outcomeOf(answers).join(),
      ).toHaveLength(1)
      expect(seenUnder(`/race/${round}/`), 'what reached the upstream').toHaveLength(1)
      await abused.act('racer', task, 'complete')
    })
  })

  test('nor do two payments together spend more than there is', async () => {
    await sideBySide(40, async (round) => {
      const task = await abused.open('racer', { budget: { calls: 10, eur: 10 } })
      let paying = 0
      const paid = (): number => seenUnder(`/pay/${round}.`).reduce((sum, { body }) => sum + Number(JSON.parse(body).amount), 0)
      const pay = (amount: number | string): Promise<Answered> => {
        const headers = { 'content-type': 'application/json' }
        return abused.ask(`/api/pay/${round}.${++paying}`, { as: 'racer', task, method: 'POST', headers, body: `{"amount":${amount}}` })
      }
      const answers = await Promise.all([pay(6), pay(7), pay(5)])
      expect(paid()).toBeLessThanOrEqual(10)
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
      for (const amount of [-5, 0.1, 4.1, '1e999', '"1"', '1e-400', '[]']) await pay(amount)
      expect(paid()).toBeLessThanOrEqual(10)
      await abused.act('racer', task, 'complete')
    })
  })

  test('a task that is completed twice in parallel ends once', async () => {
    for (let round = 0; round < 25; round++) {
      const task = await abused.open('racer')
      const answers = await Promise.all(Array.from({ length: 3 }, () => abused.act('racer', task, 'complete')))
      expect(outcomeOf(answers)).toEqual(['ok', 'task.ended', 'task.ended'])
      expect(abused.story(task)).toEqual(['task.opened', 'task.completed'])
    }
  })

  test('a task that is resumed twice in parallel is resumed once, and whoever asked hears that it runs', async () => {
    for (let round = 0; round < 25; round++) {
      const task = await abused.open('racer')
      expect((await abused.act('racer', task, 'pause')).status).toBe(200)
      const answers = await Promise.all(Array.from({ length: 3 }, () => abused.act('racer', task, 'resume')))
      expect(outcomeOf(answers)).toEqual(['ok', 'ok', 'ok'])
      expect(abused.story(task)).toEqual(['task.opened', 'task.paused', 'task.resumed'])
      await abused.act('racer', task, 'complete')
    }
  })

  test('pausing, resuming, calling and completing at once: after the end nothing goes out, and the ledger tells one story', async () => {
    for (let round = 0; round < 25; round++) {
      const task = await abused.open('racer')
      const work = Array.from({ length: 4 }, (_, at) => abused.ask(`/api/mix/${round}/${at}`, { as: 'racer', task }))
      const verbs = (['pause', 'resume', 'complete', 'resume', 'pause', 'resume'] as const).map((verb) => abused.act('racer', task, verb))
      for (const { status, text } of await Promise.all([...work, ...verbs])) expect([200, 403], text).toContain(status)
      await abused.act('racer', task, 'complete')
      const from = abused.upstream.seen.length
      const late = await Promise.all([
        abused.ask('/api/late', { as: 'racer', task }),
        abused.act('racer', task, 'resume'),
        abused.act('racer', task, 'pause'),
      ])
      for (const answer of late) expect(answer).toMatchObject({ status: 403, json: { code: 'task.ended' } })
      expect(abused.upstream.seen).toHaveLength(from)
      const story = abused.story(task)
      expect(story[0]).toBe('task.opened')
      expect(story.at(-1)).toBe('task.completed')
      for (let at = 1; at < story.length; at++) expect(story[at], story.join()).not.toBe(story[at - 1])
    }
  })
})

describe('a call that is held open by its own body', () => {
  /** Begins a mail of alice's, whose body policy reads; `finish` sends the rest of it. */
  async function begin(task: string): Promise<{ finish(): Promise<RawAnswer | undefined> }> {
    const client = await abused.client()
    const body = '{"text":"nothing of note"}'
    const head = `POST /mail/send/1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${abused.token('alice')}\r\nCountersign-Task: ${task}\r\n`
    client.socket.write(`${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`)
    await wait(60)
    return {
      finish: async () => {
        client.socket.write(body.slice(5))
        const [answer] = readAnswers(await client.until((text) => readAnswers(text)[0]?.body.includes('}') === true))
        client.socket.destroy()
        return answer
      },
    }
  }

  const meanwhile: readonly (readonly [what: string, act: (task: string) => Promise<unknown>, code: string | null])[] = [
    ['nothing happened', async () => null, null],
    ['the task was paused', (task) => abused.act('alice', task, 'pause'), 'task.paused'],
    ['the task was completed', (task) => abused.act('alice', task, 'complete'), 'task.ended'],
    ['its budget was spent', (task) => abused.ask('/api/x', { task }), 'task.budget'],
    ['personal data was read', (task) => abused.ask('/api/people/1', { task }), 'decide.denied'],
  ]

  test.each(meanwhile)('is judged as things stand when its body is there: %s', async (what, act, code) => {
    const task = await abused.open('alice', what === 'its budget was spent' ? { budget: { calls: 1 } } : {})
    const held = await begin(task)
    await act(task)
    const before = seenUnder('/send/').length
    const answer = await held.finish()
    expect(seenUnder('/send/')).toHaveLength(before + (code === null ? 1 : 0))
    if (code === null) expect(answer?.status).toBe(200)
    else expect(code === 'task.budget' ? ['task.budget', 'decide.denied'] : [code]).toContain(JSON.parse(answer?.body ?? '{}').code)
    await abused.act('alice', task, 'complete')
    await forget('alice')
  })

  test('reading personal data and mailing at once, however they meet: no mail is decided after the read', async () => {
    await sideBySide(60, async (round, lane) => {
      const as = `reader${lane}`
      await forget(as)
      const task = await abused.open(as)
      const mail = (at: number): Promise<Answered> => {
        const headers = { 'content-type': 'application/json' }
        return abused.ask(`/mail/send/${round}.${at}`, { as, task, method: 'POST', headers, body: '{"text":"hello"}' })
      }
      await Promise.all([mail(0), mail(1), abused.ask('/api/people/1', { as, task }), mail(2), mail(3)])
      await abused.act(as, task, 'complete')
    })
    abused.history.catchUp()
    const read = new Map<string, number>()
    for (const { task, tool, seq } of abused.history.decisions.values()) {
      if (tool === 'api.personal') read.set(task, Math.min(seq, read.get(task) ?? seq))
    }
    const late = [...abused.history.decisions.values()].filter(
      ({ task, tool, seq }) => tool === 'mail.send' && seq > (read.get(task) ?? seq),
    )
    expect(late).toEqual([])
    expect(read.size).toBeGreaterThanOrEqual(60)
  })
})

describe('after the end', () => {
  test('a kept connection and a lease that was seen are worth nothing', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const onKept = (path: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const headers = { authorization: `Bearer ${abused.token('alice')}`, 'countersign-task': task }
        request({ host: '127.0.0.1', port: abused.port(), agent, path, headers }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode ?? 0))
        })
          .on('error', reject)
          .end()
      })
    const task = await abused.open('alice')
    expect(await onKept('/api/kept')).toBe(200)
    const lent = abused.upstream.seen.at(-1)?.headers.authorization?.slice(7) ?? ''
    expect((await introspect(lent)).json).toMatchObject({ active: true, task })
    const from = abused.upstream.seen.length
    expect((await abused.act('alice', task, 'complete')).status).toBe(200)
    expect(await onKept('/api/kept')).toBe(403)
    expect((await introspect(lent)).json).toEqual({ active: false })
    expect(abused.upstream.seen).toHaveLength(from)
    agent.destroy()
  })

  test('an upload begun before personal data was read is cut when it is read, and a new one is refused', async () => {
    const task = await abused.open('alice')
    const upload = slowUpload(task)
    await upload.write('one')
    await until(() => partner.text().includes('one'))
    expect((await abused.ask('/api/people/42', { task })).status).toBe(200)
    await until(() => partner.aborted() === 1)
    const before = partner.text()
    for (let at = 0; at < 5; at++) await upload.write('after-the-read')
    expect(partner.text()).toBe(before)
    expect(partner.completed()).toBe(0)
    expect(['refused', 'gone']).toContain(await upload.ended)
    expect(await abused.ask('/partner/new', { task, method: 'POST', body: 'x' })).toMatchObject({
      status: 403,
      json: { code: 'decide.denied' },
    })
    const cut = abused.entries().filter(({ kind, task: of, tool }) => kind === 'outcome' && of === task && tool === 'partner.any')
    expect(cut).toMatchObject([{ ended: 'cut', code: 'decide.denied' }])
    await abused.act('alice', task, 'complete')
  })

  test('what was read follows its reader into a new task, whatever became of the old one', async () => {
    const mail = (task: string): Promise<Answered> =>
      abused.ask('/mail/send/new', {
        as: 'bob',
        task,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"text":"x"}',
      })
    const first = await abused.open('bob')
    expect((await mail(first)).status).toBe(200)
    expect((await abused.ask('/api/people/7', { as: 'bob', task: first })).status).toBe(200)
    await abused.act('bob', first, 'complete')
    const second = await abused.open('bob', { data: ['public'], egress: ['partner'], tools: ['mail.send'] })
    expect(await mail(second)).toMatchObject({ status: 403, json: { code: 'decide.denied' } })
    await forget('bob')
    expect((await mail(second)).status).toBe(200)
    await abused.act('bob', second, 'complete')
  })

  test('a pause by a person is not shaken off: not by resuming, nor by ending', async () => {
    const task = await abused.open('bob')
    const key = readFileSync(join(abused.folder, 'admin.key'), 'utf8').trim()
    const person = (verb: string): Promise<Answered> =>
      ask(abused.port('admin'), `/v1/tasks/${task}/${verb}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}` },
        body: '{"reason":"a look at it","by":"oncall"}',
      })
    expect((await person('pause')).status).toBe(200)
    for (const verb of ['resume', 'complete', 'pause'] as const) {
      expect(await abused.act('bob', task, verb)).toMatchObject({ status: 403, json: { code: 'task.paused' } })
    }
    expect(await abused.ask('/api/x', { as: 'bob', task })).toMatchObject({ status: 403, json: { code: 'task.paused' } })
    expect((await person('resume')).status).toBe(200)
    expect((await abused.ask('/api/x', { as: 'bob', task })).status).toBe(200)
    await abused.act('bob', task, 'complete')
  })

  test('and an agent that opens tasks without end is stopped while others open theirs', async () => {
    const opened: string[] = []
    let last = await abused.ask(api, { as: 'racer', method: 'POST', body: '{"purpose":"x"}' })
    for (
      ;
      last.status === 201 && opened.length < 200;
      last = await abused.ask(api, { as: 'racer', method: 'POST', body: '{"purpose":"x"}' })
    ) {
      opened.push(String(last.json['id']))
    }
    expect(last).toMatchObject({ status: 503, json: { code: 'listen.overloaded' } })
    const other = await abused.open('bob')
    await Promise.all([...opened.map((id) => abused.act('racer', id, 'complete')), abused.act('bob', other, 'complete')])
  })
})

function seenUnder(path: string): readonly SeenRequest[] {
  return abused.upstream.seen.filter(({ url }) => url.startsWith(path))
}

/** Rounds on tasks of their own, some at a time. */
async function sideBySide(rounds: number, run: (round: number, lane: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async (at: number): Promise<void> => {
    while (next < rounds) await run(next++, at)
  }
  await Promise.all(Array.from({ length: lanes }, (_, at) => lane(at)))
}

/** A person says that what an agent has read no longer counts. */
async function forget(as: string): Promise<void> {
  const { status } = await ask(abused.port('admin'), `/v1/callers/${encodeURIComponent(idOf(as))}/clear-sensitivity`, {
    method: 'POST',
    headers: { authorization: `Bearer ${readFileSync(join(abused.folder, 'admin.key'), 'utf8').trim()}` },
    body: '{"reason":"a new round","by":"oncall"}',
  })
  expect(status).toBe(200)
}

async function introspect(token: string): Promise<Answered> {
  return ask(abused.port('health'), '/introspect', {
    method: 'POST',
    body: `token=${encodeURIComponent(token)}`,
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${btoa(`upstream:${upstreamSecret}`)}`,
    },
  })
}

/** An upload of alice's to the partner that goes on until it is told to end. */
function slowUpload(task: string): { write(text: string): Promise<void>; readonly ended: Promise<string> } {
  const headers = { authorization: `Bearer ${abused.token('alice')}`, 'countersign-task': task }
  const { promise, resolve } = Promise.withResolvers<string>()
  const sent: ClientRequest = request(
    { host: '127.0.0.1', port: abused.port(), path: '/partner/upload', method: 'POST', agent: false, headers },
    (response) => {
      response.resume()
      resolve(response.statusCode === 403 ? 'refused' : 'answered')
    },
  )
  sent.on('error', () => resolve('gone'))
  return {
    write: async (text) => {
      if (!sent.destroyed) sent.write(text)
      await wait(20)
    },
    ended: promise,
  }
}

/** An upstream that takes bodies slowly and says what came of them. */
function slowUpstream() {
  let text = ''
  let aborted = 0
  let completed = 0
  const server = createServer((incoming, response) => {
    incoming.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    incoming.on('error', () => undefined)
    incoming.on('end', () => {
      completed++
      response.end('ok')
    })
    incoming.on('close', () => {
      if (!incoming.complete) aborted++
    })
  })
  const listening = new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    listening,
    url: () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    text: () => text,
    aborted: () => aborted,
    completed: () => completed,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function until(holds: () => boolean): Promise<void> {
  for (let look = 0; !holds(); look++) {
    if (look > 500) throw new Error('it did not come to that')
    await wait(10)
  }
}
