import { readFileSync, writeFileSync } from 'node:fs'
import { request, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { LiveUpstream } from '../support/live-upstream.ts'
import { defaultPolicyBytes, filesOf, packBundle, patched } from '../support/policy-rig.ts'
import { agentId, ask, freeAgent, routeTo, Running, type Answered, type RunningOptions, type Settings } from '../support/running.ts'

const other = 'spiffe://acme.example/ns/test/sa/other'
const introspect = { secret: { env: 'INTROSPECTION' } }
const tools: readonly Settings[] = [
  { name: 'crm.customer.read', match: 'GET /customers/{id}', effect: 'read', risk: 'low', egress: 'internal', data: ['personal'] },
  { name: 'crm.events', match: 'GET /events', effect: 'read', risk: 'low', egress: 'internal' },
  { name: 'partner.upload', match: 'POST /files', effect: 'send', risk: 'low', egress: 'partner', accepts: ['public', 'internal'] },
]

function options(to: string, more: Partial<RunningOptions> = {}): RunningOptions {
  return {
    routes: { api: routeTo(to, 'api', { credential: 'api', tools }) },
    providers: { api: { type: 'jwt', audience: 'https://api.acme.example', introspect } },
    agents: [freeAgent(), freeAgent({ id: other })],
    env: { INTROSPECTION: 'introspection-secret' },
    ...more,
  }
}

/** An upstream that keeps event streams open, counts what is uploaded, and shows the credentials it was called with. */
class Company implements AsyncDisposable {
  readonly tokens: string[] = []
  readonly streams: ServerResponse[] = []
  uploaded = 0
  /** What a read answers. */
  said = '{"name":"Ada"}'
  uploadGone = false
  /** Called when a customer is read: by then it was decided. */
  onRead: () => void = () => undefined
  readonly #waiting = new Set<() => void>()
  readonly #live: LiveUpstream

  private constructor(live: LiveUpstream) {
    this.#live = live
  }

  static async start(): Promise<Company> {
    const answers: { company?: Company } = {}
    const live = await LiveUpstream.start((asked, response) => answers.company?.answer(asked, response))
    return (answers.company = new Company(live))
  }

  get url(): string {
    return this.#live.url
  }

  answer(asked: IncomingMessage, response: ServerResponse): void {
    this.tokens.push(String(asked.headers.authorization).slice(7))
    if (asked.url?.startsWith('/events') === true) {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
      this.streams.push(response)
    } else if (asked.url === '/model') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
      this.streams.push(response)
      asked.on('data', (part: Buffer) => (this.#saw(), (this.uploaded += part.length)))
      asked.on('error', () => undefined)
      asked.on('close', () => ((this.uploadGone ||= !asked.complete), this.#saw()))
      response.on('error', () => undefined)
    } else if (asked.url === '/files') {
      asked.on('data', (part: Buffer) => (this.#saw(), (this.uploaded += part.length)))
      asked.on('error', () => undefined)
      asked.on('close', () => ((this.uploadGone = !asked.complete), this.#saw()))
      asked.on('end', () => response.end('{}'))
    } else {
      this.onRead()
      response.writeHead(200, { 'content-type': 'application/json' }).end(this.said)
    }
    this.#saw()
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => void this.#waiting.add(resolve))
  }

  #saw(): void {
    setImmediate(() => {
      for (const each of this.#waiting) each()
      this.#waiting.clear()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#live[Symbol.asyncDispose]()
  }
}

/** A call that stays open; `text` is what came of its answer so far. */
class OpenCall {
  readonly sent: ClientRequest
  status = 0
  text = ''
  readonly over: Promise<void>
  readonly #waiting = new Set<() => void>()
  #over = false

  constructor(port: number, path: string, method: string, svid: string) {
    this.sent = request({ host: '127.0.0.1', port, path, method, agent: false, headers: { authorization: `Bearer ${svid}` } })
    this.over = new Promise((resolve) => {
      const end = (): void => ((this.#over = true), this.#saw(), resolve())
      this.sent.on('error', end)
      this.sent.on('response', (response) => {
        this.status = response.statusCode ?? 0
        response.setEncoding('utf8')
        response.on('data', (part: string) => ((this.text += part), this.#saw()))
        response.on('error', () => undefined)
        response.on('close', end)
      })
    })
  }

  static async stream(running: Running, id = agentId, path = '/api/events'): Promise<OpenCall> {
    const call = new OpenCall(running.port(), path, 'GET', await running.svid(id))
    call.sent.end()
    await call.until((text) => text.includes('data: 1'))
    return call
  }

  async until(isSo: (text: string) => boolean): Promise<void> {
    while (!isSo(this.text)) {
      if (this.#over) throw new Error(`the call is over: ${this.status} ${this.text}`)
      await new Promise<void>((resolve) => void this.#waiting.add(resolve))
    }
  }

  #saw(): void {
    for (const each of this.#waiting) each()
    this.#waiting.clear()
  }
}

async function get(running: Running, path: string, id = agentId): Promise<Answered> {
  return ask(running.port(), path, { headers: { authorization: `Bearer ${await running.svid(id)}` } })
}

/** What an upstream that introspects learns of a token. */
async function isActive(running: Running, token = ''): Promise<unknown> {
  const authorization = `Basic ${Buffer.from('api:introspection-secret').toString('base64')}`
  const url = `http://127.0.0.1:${running.port('health')}/introspect`
  const answer = await fetch(url, { method: 'POST', body: new URLSearchParams({ token }), headers: { authorization } })
  return ((await answer.json()) as Settings)['active']
}

function events(running: Running, kind: string): unknown[] {
  return running
    .entries()
    .filter((line) => line['event'] === kind)
    .map((line) => line['detail'])
}

function outcomes(running: Running, tool: string): Settings[] {
  return running.entries().filter((line) => line['kind'] === 'outcome' && line['tool'] === tool)
}

/** The default policy under another revision, changed where it is compiled. */
function policy(revision: string, change: (wasm: Uint8Array) => Uint8Array, manifest = (text: string): string => text): Uint8Array {
  const files = filesOf(defaultPolicyBytes)
  const [name = ''] = Object.keys(files).filter((path) => path.endsWith('.manifest'))
  const [wasm = ''] = Object.keys(files).filter((path) => path.endsWith('policy.wasm'))
  const told = JSON.parse(manifest(Buffer.from(files[name] ?? '').toString()))
  return packBundle({
    ...files,
    [name]: JSON.stringify({ ...told, revision }),
    [wasm]: change(Buffer.from(files[wasm] ?? '')),
  })
}

const unchanged = policy('r-same', (wasm) => wasm)
/** Knows no kind of open work, so its default ends all of it. */
const endsAll = policy('r-ends', (wasm) => patched(patched(wasm, '\0stream\0', '\0xtream\0'), '\0lease\0', '\0xease\0'))
const silent = policy(
  'r-silent',
  (wasm) => patched(wasm, '\0countersign/continue\0', '\0countersign/kontinue\0'),
  (text) => text.replaceAll('"countersign/continue"', '"countersign/kontinue"'),
)

async function swap(running: Running, base: RunningOptions, bundle: Uint8Array): Promise<void> {
  writeFileSync(join(running.folder, 'next.tar.gz'), bundle)
  await running.reload({ ...base, settings: { ...base.settings, decide: { bundle: { path: 'next.tar.gz', unsafe_unsigned: true } } } })
}

describe('a slow upload to a partner', () => {
  test('is cut when its caller reads what the partner may not have, before another byte of it gets there', async () => {
    await using company = await Company.start()
    await using running = await Running.start(options(company.url))
    const upload = new OpenCall(running.port(), '/api/files', 'POST', await running.svid())
    upload.sent.write('first')
    await company.until(() => company.uploaded === 5)
    // the read was decided and not yet answered: whatever is sent from now on could hold it
    company.onRead = () => void upload.sent.write('second')
    expect((await get(running, '/api/customers/42')).status).toBe(200)
    await upload.over
    await company.until(() => company.uploadGone)
    expect(company.uploaded).toBe(5)

    expect(upload.status).toBe(403)
    expect(JSON.parse(upload.text)).toMatchObject({
      code: 'decide.denied',
      reasons: ['this destination may not receive what was read since'],
    })
    const revision = running.sidecar.foundation.policy.revision
    const detail = `data.beyond-destination (judged again by policy ${revision}: sensitivity)`
    expect(outcomes(running, 'partner.upload')).toEqual([
      expect.objectContaining({ ended: 'cut', status: null, code: 'decide.denied', bytes_out: 5, detail }),
    ])
    const counts = { streams: { kept: 0, cut: 1 }, leases: { kept: 0, revoked: 1 } }
    expect(events(running, 'work.rejudged')).toEqual([{ cause: 'sensitivity', revision, ...counts }])
    const judged = { revision, code: 'decide.denied', detail }
    expect(events(running, 'lease.revoked')).toEqual([expect.objectContaining({ provider: 'api', cause: 'sensitivity', judged })])
    expect(await isActive(running, company.tokens[0])).toBe(false)
    expect(await isActive(running, company.tokens[1])).toBe(true)
    expect((await running.verify()).ok).toBe(true)
  })

  test('is cut when what comes back turns out to hold more than its tool is labelled with', async () => {
    await using company = await Company.start()
    const note = {
      name: 'crm.note.read',
      match: 'GET /notes/{id}',
      effect: 'read',
      risk: 'low',
      egress: 'internal',
      data: ['public'],
      answer: 'json',
    }
    const routes = { api: routeTo(company.url, 'api', { credential: 'api', tools: [...tools, note] }) }
    await using running = await Running.start(options(company.url, { routes }))
    const upload = new OpenCall(running.port(), '/api/files', 'POST', await running.svid())
    upload.sent.write('first')
    await company.until(() => company.uploaded === 5)
    company.said = JSON.stringify({ note: ['-----BEGIN PRIVATE', 'KEY-----'].join(' ') })
    expect((await get(running, '/api/notes/1')).status).toBe(200)
    upload.sent.write('second')
    await upload.over
    await company.until(() => company.uploadGone)
    expect(company.uploaded).toBe(5)
    expect(JSON.parse(upload.text)).toMatchObject({ code: 'decide.denied' })
    expect(events(running, 'work.rejudged')).toEqual([expect.objectContaining({ cause: 'sensitivity', streams: { kept: 0, cut: 1 } })])
  })

  test('goes on when another caller reads it, when nothing new is read, and when it is only an answer that is open', async () => {
    await using company = await Company.start()
    await using running = await Running.start(options(company.url))
    const stream = await OpenCall.stream(running)
    const upload = new OpenCall(running.port(), '/api/files', 'POST', await running.svid())
    upload.sent.write('first')
    await company.until(() => company.uploaded === 5)
    expect((await get(running, '/api/customers/42', other)).status).toBe(200)
    upload.sent.end('second')
    await upload.over
    expect([upload.status, company.uploaded]).toEqual([200, 11])
    expect(events(running, 'work.rejudged')).toEqual([])

    expect((await get(running, '/api/customers/42')).status).toBe(200)
    expect((await get(running, '/api/customers/43')).status).toBe(200)
    company.streams[0]?.end('data: 2\n\n')
    await stream.over
    expect(stream.text).toBe('data: 1\n\ndata: 2\n\n')
    expect(events(running, 'work.rejudged')).toEqual([expect.objectContaining({ streams: { kept: 1, cut: 0 } })])
  })
})

/** The upload and the read on routes of their own, to upstreams of their own, and a model that may have internal data. */
function apart(partner: string, crm: string): RunningOptions {
  const [read, , upload] = tools
  const model = {
    name: 'llm.complete',
    match: 'POST /model',
    effect: 'send',
    risk: 'low',
    egress: 'public',
    accepts: ['internal'],
    prompt: true,
  }
  return options(partner, {
    routes: {
      api: routeTo(partner, 'api', { credential: 'api', tools: [upload, model] }),
      crm: routeTo(crm, 'crm', { credential: 'api', tools: [read] }),
    },
  })
}

async function openTask(running: Running, tool: string): Promise<string> {
  const body = JSON.stringify({ purpose: 'a test', tools: [tool] })
  const headers = { authorization: `Bearer ${await running.svid()}`, 'content-type': 'application/json' }
  const { json } = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body })
  return String(json['id'])
}

describe('an upload that trickles on one route while the read is on another', () => {
  test('is cut in the tick of the read, also when another task of the caller makes it', async () => {
    await using partner = await Company.start()
    await using crm = await Company.start()
    await using running = await Running.start(apart(partner.url, crm.url))
    const sender = await openTask(running, 'partner.upload')
    const reader = await openTask(running, 'crm.customer.read')
    const upload = new OpenCall(running.port(), `/t/${sender}/api/files`, 'POST', await running.svid())
    for (let sent = 1; sent <= 3; sent++) {
      upload.sent.write('x')
      await partner.until(() => partner.uploaded === sent)
    }
    crm.onRead = () => void upload.sent.write('secret')
    expect((await get(running, `/t/${reader}/crm/customers/42`)).status).toBe(200)
    await upload.over
    await partner.until(() => partner.uploadGone)
    expect([upload.status, partner.uploaded]).toEqual([403, 3])
    expect(JSON.parse(upload.text)).toMatchObject({ code: 'decide.denied', task: sender })
    const again = await ask(running.port(), `/t/${sender}/api/files`, {
      method: 'POST',
      body: 'once more',
      headers: { authorization: `Bearer ${await running.svid()}` },
    })
    expect(again.json).toMatchObject({ code: 'decide.denied' })
    expect((await running.verify()).ok).toBe(true)
  })

  test('is cut as a prompt that is still being sent to a model that answers already, and a model that only answers goes on', async () => {
    await using partner = await Company.start()
    await using crm = await Company.start()
    await using running = await Running.start(apart(partner.url, crm.url))
    const svid = await running.svid()
    const asking = new OpenCall(running.port(), '/api/model', 'POST', svid)
    asking.sent.write('a prompt that goes on')
    await asking.until((text) => text.includes('data: 1'))
    const asked = new OpenCall(running.port(), '/api/model', 'POST', svid)
    asked.sent.end('a whole prompt')
    await asked.until((text) => text.includes('data: 1'))
    await partner.until(() => partner.uploaded === 35)
    crm.onRead = () => void asking.sent.write('secret')
    expect((await get(running, '/crm/customers/42')).status).toBe(200)
    await asking.over
    await partner.until(() => partner.uploadGone)
    expect([asking.text, partner.uploaded]).toEqual(['data: 1\n\n', 35])
    partner.streams[1]?.end('data: 2\n\n')
    await asked.over
    expect(asked.text).toBe('data: 1\n\ndata: 2\n\n')
    expect(events(running, 'work.rejudged')).toEqual([expect.objectContaining({ streams: { kept: 1, cut: 1 } })])
  })
})

describe('a policy that is swapped in', () => {
  test('leaves open what it allows, drops nothing and takes no lease', async () => {
    await using company = await Company.start()
    const base = options(company.url)
    await using running = await Running.start(base)
    const stream = await OpenCall.stream(running)
    await swap(running, base, unchanged)
    company.streams[0]?.write('data: 2\n\n')
    await stream.until((text) => text.includes('data: 2'))
    expect(events(running, 'work.rejudged')).toEqual([
      { cause: 'policy', revision: 'r-same', streams: { kept: 1, cut: 0 }, leases: { kept: 1, revoked: 0 } },
    ])
    company.streams[0]?.end()
    await stream.over
    await OpenCall.stream(running)
    expect(company.tokens[1]).toBe(company.tokens[0])
    expect(await isActive(running, company.tokens[0])).toBe(true)
    expect(outcomes(running, 'crm.events')).toEqual([expect.objectContaining({ ended: 'complete' })])
  })

  test('cuts what it refuses and takes the lease back at its issuer', async () => {
    await using company = await Company.start()
    const base = options(company.url)
    await using running = await Running.start(base)
    const stream = await OpenCall.stream(running)
    expect(await isActive(running, company.tokens[0])).toBe(true)
    await swap(running, base, endsAll)
    await stream.over
    expect(stream.text).toBe('data: 1\n\n')
    expect(await isActive(running, company.tokens[0])).toBe(false)
    const detail = 'default (judged again by policy r-ends: policy)'
    expect(outcomes(running, 'crm.events')).toEqual([
      expect.objectContaining({ ended: 'cut', status: 200, code: 'decide.denied', reasons: ['no rule lets this go on'], detail }),
    ])
    expect(events(running, 'work.rejudged')).toEqual([
      { cause: 'policy', revision: 'r-ends', streams: { kept: 0, cut: 1 }, leases: { kept: 0, revoked: 1 } },
    ])
    const judged = expect.objectContaining({ revision: 'r-ends' })
    expect(events(running, 'lease.revoked')).toEqual([expect.objectContaining({ cause: 'policy', judged })])
    await OpenCall.stream(running) // it may be begun anew, for the policy says so
    expect(company.tokens[1]).not.toBe(company.tokens[0])
    expect((await running.verify()).ok).toBe(true)
  })

  test('ends all that is open when it says nothing about open work', async () => {
    await using company = await Company.start()
    const base = options(company.url)
    await using running = await Running.start(base)
    const stream = await OpenCall.stream(running)
    await swap(running, base, silent)
    await stream.over
    expect(outcomes(running, 'crm.events')).toEqual([
      expect.objectContaining({
        ended: 'cut',
        code: 'decide.denied',
        reasons: ['policy does not say whether this may go on'],
        detail: 'policy r-silent has no entrypoint countersign/continue',
      }),
    ])
    expect(await isActive(running, company.tokens[0])).toBe(false)
  })
})

describe('a configuration that is swapped in', () => {
  const changes: readonly (readonly [string, string, unknown, (base: RunningOptions) => Partial<RunningOptions>])[] = [
    [
      'without the tool of a stream ends it',
      'decide.denied',
      expect.stringContaining('tool.uncatalogued'),
      ({ routes }) => ({ routes: { api: { ...routes['api'], tools: tools.slice(0, 1) } } }),
    ],
    [
      'that labels its tool beyond the intent of its task ends it',
      'decide.denied',
      expect.stringContaining('intent.data'),
      ({ routes }) => ({ routes: { api: { ...routes['api'], tools: [{ ...tools[1], data: ['secret'] }] } } }),
    ],
    [
      'without its route ends it',
      'match.unroutable',
      undefined,
      ({ routes }) => ({ routes: { elsewhere: { ...routes['api'], at: '/elsewhere', credential: undefined } } }),
    ],
    [
      'that suspends its agent ends it',
      'task.agent-not-live',
      expect.stringContaining('suspended'),
      () => ({ agents: [freeAgent({ lifecycle: 'suspended' }), freeAgent({ id: other })] }),
    ],
  ]

  test.each(changes)('%s, and takes its lease back', async (_what, code, detail, change) => {
    await using company = await Company.start()
    const base = options(company.url)
    await using running = await Running.start(base)
    const stream = await OpenCall.stream(running)
    await running.reload({ ...base, ...change(base) })
    await stream.over
    expect(outcomes(running, 'crm.events')).toEqual([expect.objectContaining({ ended: 'cut', code })])
    expect(outcomes(running, 'crm.events')[0]?.['detail']).toEqual(detail)
    expect(await isActive(running, company.tokens[0])).toBe(false)
    expect(events(running, 'lease.revoked')).toEqual([expect.objectContaining({ cause: 'configuration' })])
  })

  test('that takes nothing from them leaves the streams of everyone else open', async () => {
    await using company = await Company.start()
    const base = options(company.url)
    await using running = await Running.start(base)
    const [gone, stays] = [await OpenCall.stream(running), await OpenCall.stream(running, other)]
    await running.reload({ ...base, agents: [freeAgent({ id: other })] })
    await gone.over
    company.streams[1]?.end('data: 2\n\n')
    await stays.over
    expect(stays.text).toBe('data: 1\n\ndata: 2\n\n')
    expect(events(running, 'work.rejudged')).toEqual([
      expect.objectContaining({ streams: { kept: 1, cut: 1 }, leases: { kept: 1, revoked: 1 } }),
    ])
  })

  test('that says the same of all that is open judges nothing, and one that tells policy otherwise does', async () => {
    await using company = await Company.start()
    const base = options(company.url)
    await using running = await Running.start(base)
    const stream = await OpenCall.stream(running)
    await running.reload({ ...base, settings: { listen: { drain: '3s' } } })
    expect(events(running, 'work.rejudged')).toEqual([])
    await running.reload({ ...base, settings: { decide: { environment: 'elsewhere' } } })
    expect(events(running, 'work.rejudged')).toEqual([expect.objectContaining({ cause: 'configuration', streams: { kept: 1, cut: 0 } })])
    company.streams[0]?.end()
    await stream.over
  })
})

test('a task that is paused loses its streams and keeps its leases', async () => {
  await using company = await Company.start()
  await using running = await Running.start(options(company.url))
  const headers = { authorization: `Bearer ${await running.svid()}` }
  const opened = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body: '{"purpose":"watch"}' })
  const task = String(opened.json['id'])
  const stream = await OpenCall.stream(running, agentId, `/t/${task}/api/events`)
  const key = readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()
  const paused = await fetch(`http://127.0.0.1:${running.port('admin')}/v1/tasks/${task}/pause`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{"reason":"looks odd","by":"oncall@acme.example"}',
  })
  expect(paused.status).toBe(200)
  await stream.over
  expect(outcomes(running, 'crm.events')).toEqual([
    expect.objectContaining({ ended: 'cut', code: 'decide.denied', detail: expect.stringContaining('task.not-active') }),
  ])
  expect(events(running, 'work.rejudged')).toEqual([
    expect.objectContaining({ cause: 'pause', streams: { kept: 0, cut: 1 }, leases: { kept: 1, revoked: 0 } }),
  ])
  expect(await isActive(running, company.tokens[0])).toBe(true)
})

test('a thousand streams are judged again turn by turn, and other calls are answered meanwhile', async () => {
  await using company = await Company.start()
  const base = options(company.url, { settings: { listen: { limits: { calls_per_caller: 2000 } } } })
  await using running = await Running.start(base)
  const streams: OpenCall[] = []
  while (streams.length < 1000) {
    const paths = Array.from({ length: 50 }, (_, at) => `/api/events?n=${streams.length + at}`)
    streams.push(...(await Promise.all(paths.map((path) => OpenCall.stream(running, agentId, path)))))
  }
  let turns = 0
  let judging = true
  const turn = (): void => void (judging && (turns++, setImmediate(turn)))
  const judged = running.sidecar.foundation.rejudge({ cause: 'policy' })
  turn()
  const answered = get(running, '/api/customers/42', other)
  expect(await judged).toMatchObject({ streams: { kept: 1000, cut: 0 } })
  judging = false
  expect(turns).toBeGreaterThan(1)
  expect((await answered).status).toBe(200)
  for (const response of company.streams) response.end()
  await Promise.all(streams.map(({ over }) => over))
})
