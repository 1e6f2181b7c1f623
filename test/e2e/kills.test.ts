import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { countersign } from '../support/command-line.ts'
import { admin, as, events, get, kill, openStream, openTask, OpenCall, post, StreamingUpstream } from '../support/kill-rig.ts'
import { agentId, anyTool, ask, freeAgent, owners, routeTo, Running, type RunningOptions, type Settings } from '../support/running.ts'

const other = 'spiffe://acme.example/ns/test/sa/other'
const pod = (name: string): string => `spiffe://acme.example/ns/pods/sa/${name}`

const tools: readonly Settings[] = [
  { name: 'api.events', match: 'GET /events', effect: 'read', risk: 'low', egress: 'internal' },
  anyTool('api.any'),
]

function options(to: string, more: Partial<RunningOptions> = {}): RunningOptions {
  const introspect = { secret: { env: 'INTROSPECTION' } }
  return {
    routes: { api: routeTo(to, 'api', { credential: 'api', tools, owner: 'api-team@acme.example' }), open: routeTo(to, 'open') },
    providers: { api: { type: 'jwt', audience: 'https://api.acme.example', introspect, owner: 'vault-team@acme.example' } },
    agents: [freeAgent(), freeAgent({ id: other, owners: { ...owners, business: 'other@acme.example' } }), freeAgent({ id: pod('*') })],
    env: { INTROSPECTION: 'introspection-secret' },
    ...more,
  }
}

/** What an upstream that introspects learns of a token. */
async function isActive(running: Running, token = ''): Promise<unknown> {
  const authorization = `Basic ${Buffer.from('api:introspection-secret').toString('base64')}`
  const url = `http://127.0.0.1:${running.port('health')}/introspect`
  const answer = await fetch(url, { method: 'POST', body: new URLSearchParams({ token }), headers: { authorization } })
  return ((await answer.json()) as Settings)['active']
}

/** Scope, name, and whether the task of a covered call ends with it. */
const covering: readonly (readonly [string, string | undefined, boolean])[] = [
  ['agent', agentId, true],
  ['owner', owners.business, true],
  ['trust-domain', 'acme.example', true],
  ['everything', undefined, true],
  ['route', 'api', false],
  ['tool', 'api.events', false],
  ['owner', 'api-team@acme.example', false],
  ['owner', 'vault-team@acme.example', false],
]

describe('a kill', () => {
  test.each(covering)('of %s %s cuts what is open, refuses what comes and takes the credential back', async (scope, name, ends) => {
    await using upstream = await StreamingUpstream.start()
    await using running = await Running.start(options(upstream.url))
    const stream = await openStream(running)
    const upload = new OpenCall(
      running.port(),
      scope === 'tool' ? '/api/events' : '/api/files',
      scope === 'tool' ? 'GET' : 'POST',
      await as(running),
    )
    upload.sent.write('first')
    await upstream.until(() => upstream.uploaded === 5 || upstream.streams.size === 2)
    const [token] = upstream.tokens
    expect(await isActive(running, token)).toBe(true)

    const answer = await kill(running, scope, name)
    expect(answer.status, answer.text).toBe(201)
    expect(answer.json).toMatchObject({ scope, name: name ?? null, by: 'person:oncall', fresh: true, cut: 2, known: true })
    await Promise.all([stream.over, upload.over])
    await upstream.until(() => upstream.cut === 2)
    expect(stream.text).toBe('data: 1\n\n')

    const seen = upstream.seen.length
    const refused = await get(running, '/api/events')
    expect(refused.json).toMatchObject({
      code: 'kill.engaged',
      status: 403,
      terminal: true,
      reasons: ['it is stopped until a person lifts that'],
    })
    expect(refused.text).not.toContain('oncall')
    expect(upstream.seen).toHaveLength(seen)
    await running.sidecar.foundation.kills.settled()
    expect(await isActive(running, token)).toBe(false)
    expect(events(running, 'kill.engaged')).toEqual([expect.objectContaining({ kill: answer.json['id'], reason: 'test', cut: 2 })])
    expect(events(running, 'task.revoked')).toHaveLength(ends ? 1 : 0)
    expect((await admin(running, '/v1/status')).json['kills']).toMatchObject([{ scope, name: name ?? null }])
    expect((await running.verify()).ok).toBe(true)
  })

  test('of a tool, a route, another agent and another owner leaves the rest as it is', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await Running.start(options(upstream.url))
    const stream = await openStream(running)
    for (const [scope, name] of [
      ['tool', 'api.any'],
      ['route', 'open'],
      ['agent', other],
      ['owner', 'other@acme.example'],
      ['trust-domain', 'partner.example'],
    ] as const)
      expect((await kill(running, scope, name)).json, name).toMatchObject({ cut: 0 })
    upstream.streams.forEach((one) => one.write('data: 2\n\n'))
    await stream.until(() => stream.text.includes('data: 2'))
    expect((await get(running, '/open/a')).json).toMatchObject({ code: 'kill.engaged' })
    expect((await get(running, '/api/other')).json).toMatchObject({ code: 'kill.engaged' })
    expect(stream.ended).toBe(false)
  })

  test('of a task ends it for good, and the agent goes on with another', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await Running.start(options(upstream.url, { agents: [freeAgent({ implicit: false })] }))
    const [one, two] = [await openTask(running), await openTask(running)]
    const [first, second] = [await openStream(running, agentId, one), await openStream(running, agentId, two)]
    const { json } = await kill(running, 'task', one)
    expect(json).toMatchObject({ cut: 1, tasks: 1 })
    await first.over
    expect((await get(running, '/api/a', agentId, one)).json['code']).toBe('kill.engaged')
    expect((await get(running, '/api/a', agentId, two)).status).toBe(200)
    expect(second.ended).toBe(false)
    expect((await admin(running, `/v1/kills/${String(json['id'])}/lift`, { reason: 'looked into', by: 'oncall' })).status).toBe(200)
    expect((await get(running, '/api/a', agentId, one)).json['code']).toBe('task.ended')
  })

  test('lets the agent open, resume and end nothing, however it asks; a person lifts it, by name', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await Running.start(options(upstream.url, { agents: [freeAgent({ implicit: false })] }))
    const task = await openTask(running)
    await post(running, `/.countersign/v1/tasks/${task}/pause`, {})
    const { json } = await kill(running, 'agent', agentId)
    for (const [path, body] of [
      ['', { purpose: 'a clean one' }],
      [`/${task}/resume`, {}],
      [`/${task}/complete`, {}],
    ] as const)
      expect((await post(running, `/.countersign/v1/tasks${path}`, body)).json['code'], path).toBe('kill.engaged')
    expect((await get(running, `/.countersign/v1/tasks/${task}`)).json).toMatchObject({ state: 'revoked' })
    const id = String(json['id'])
    expect((await admin(running, `/v1/kills/${id}/lift`, { reason: 'over' })).status).toBe(400)
    expect((await admin(running, `/v1/kills/${id}/lift`, { reason: 'over', by: 'oncall' })).json).toMatchObject({
      lifted: { by: 'person:oncall', reason: 'over' },
    })
    expect((await admin(running, `/v1/kills/${id}/lift`, { reason: 'over', by: 'oncall' })).status).toBe(404)
    expect((await get(running, '/api/a', agentId, await openTask(running))).status).toBe(200)
    expect(events(running, 'kill.lifted')).toEqual([expect.objectContaining({ kill: id, scope: 'agent', reason: 'over' })])
    expect((await admin(running, '/v1/kills')).json).toEqual({ kills: [] })
    expect((await admin(running, '/v1/kills?all')).json).toMatchObject({ kills: [{ id }] })
  })

  test('of a pattern stops every identity under it, new ones too; of one identity that one alone', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await Running.start(options(upstream.url))
    await kill(running, 'agent', pod('one'))
    expect((await get(running, '/api/a', pod('one'))).json['code']).toBe('kill.engaged')
    expect((await get(running, '/api/a', pod('two'))).status).toBe(200)
    expect((await kill(running, 'agent', pod('*'))).json).toMatchObject({ known: true, tasks: 1 })
    for (const name of ['two', 'never-seen']) expect((await get(running, '/api/a', pod(name))).json['code']).toBe('kill.engaged')
    expect((await get(running, '/api/a')).status).toBe(200)
  })

  test('holds after a restart, and engaging it again is engaging it once', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await Running.start(options(upstream.url))
    const first = await kill(running, 'agent', agentId)
    const again = await kill(running, 'agent', agentId, 'once more')
    expect(again.json).toMatchObject({ id: first.json['id'], reason: 'test', fresh: false })
    await running.restart()
    expect((await get(running, '/api/a')).json['code']).toBe('kill.engaged')
    expect(events(running, 'kill.engaged')).toHaveLength(1)
    expect(events(running, 'kill.in-force')).toEqual([expect.objectContaining({ kill: first.json['id'], scope: 'agent', name: agentId })])
  })

  test('says what is wrong with what it is asked for, and warns of a name that nobody has', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await Running.start(options(upstream.url))
    expect((await kill(running, 'planet', 'earth')).json).toMatchObject({
      status: 400,
      title: expect.stringContaining('one of agent, task'),
    })
    expect((await kill(running, 'agent', 'refund-agent')).json).toMatchObject({ title: expect.stringContaining('a SPIFFE ID') })
    expect((await kill(running, 'everything', 'really')).status).toBe(400)
    expect((await kill(running, 'agent', 'spiffe://acme.example/ns/test/sa/agant')).json).toMatchObject({ known: false })
    expect((await admin(running, '/v1/kills', { scope: 'everything', by: 'oncall' })).status).toBe(400)
    expect((await get(running, '/api/a')).status).toBe(200)
  })

  test('counts an agent whose owner was changed to one that is killed, by a reload', async () => {
    await using upstream = await StreamingUpstream.start()
    const base = options(upstream.url)
    await using running = await Running.start(base)
    const stream = await openStream(running)
    await kill(running, 'owner', 'gone@acme.example')
    await running.reload({ ...base, agents: [freeAgent({ owners: { ...owners, security: 'gone@acme.example' } })] })
    await stream.over
    expect((await get(running, '/api/a')).json['code']).toBe('kill.engaged')
    expect(await isActive(running, upstream.tokens[0])).toBe(false)
  })
})

describe('calls that race a kill', () => {
  test('are minted before it or not at all: 1,000 in flight', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await Running.start(options(upstream.url, { settings: { listen: { limits: { calls_per_caller: 2000 } } } }))
    const headers = await as(running)
    await get(running, '/open/first')
    const calls = Array.from({ length: 1000 }, (_, at) => ask(running.port(), `/open/${at}`, { headers }).catch(() => null))
    await upstream.until(() => upstream.seen.length > 200)
    const engaged = running.sidecar.foundation.kills.engage({ scope: 'agent', name: agentId, by: 'person:oncall', reason: 'race' })
    const { json } = await get(running, '/open/after')
    await engaged
    expect(json['code']).toBe('kill.engaged')
    const codes = (await Promise.all(calls)).map((answer) => (answer?.status === 200 ? 'answered' : (answer?.json['code'] ?? 'cut')))
    expect(new Set(codes).difference(new Set(['answered', 'cut', 'kill.engaged'])).size).toBe(0)
    const refused = codes.filter((code) => code === 'kill.engaged').length
    expect(refused).toBeGreaterThan(100)

    const lines = running.entries().map(({ kind, event }) => String(event ?? kind))
    const at = lines.indexOf('kill.engaged')
    expect(lines.slice(0, at).filter((kind) => kind === 'decision').length).toBeGreaterThan(200)
    expect(lines.slice(at).filter((kind) => kind === 'decision')).toEqual([])
    expect(upstream.seen.length).toBeLessThanOrEqual(lines.slice(0, at).filter((kind) => kind === 'decision').length)
    expect((await running.verify()).ok).toBe(true)
  })

  test('are refused by the mint when their body was still on its way', async () => {
    await using upstream = await StreamingUpstream.start()
    const judged = [anyTool('api.judged', { args: 'json' })]
    await using running = await Running.start(options(upstream.url, { routes: { api: routeTo(upstream.url, 'api', { tools: judged }) } }))
    const call = new OpenCall(running.port(), '/api/orders', 'POST', { ...(await as(running)), 'content-type': 'application/json' })
    call.sent.write('{"amount":')
    // by then the task of the call is open: it waits for the rest of its body
    while (running.sidecar.foundation.state.activeTasks(agentId).length === 0) await get(running, '/nowhere')
    expect((await kill(running, 'tool', 'api.judged')).json).toMatchObject({ cut: 0 })
    call.sent.end('1}')
    await call.over
    expect(call.json).toMatchObject({ code: 'kill.engaged', terminal: true })
    expect(upstream.seen).toEqual([])
  })
})

describe('the command line', () => {
  test('stops, lists, lifts and shows it in the log', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await Running.start(options(upstream.url))
    const stream = await openStream(running)
    const access = ['--addr', `127.0.0.1:${running.port('admin')}`, '--key', join(running.folder, 'admin.key')]
    const run = (...args: string[]) => countersign([...args, ...access])
    const killed = await run('kill', 'agent', agentId, '--reason', 'its key leaked', '--as', 'oncall')
    expect(killed).toMatchObject({ code: 0, stderr: '1 calls cut, 1 tasks ending, 1 credentials being taken back\n' })
    const [id = ''] = killed.stdout.split('  ')
    expect(killed.stdout).toContain(`agent ${agentId}  since `)
    expect(killed.stdout).toContain('by person:oncall: its key leaked')
    await stream.over
    expect((await run('kills')).stdout).toContain(id)
    const typo = await run('kill', 'tool', 'mail.sned', '--reason', 'x', '--as', 'oncall')
    expect(typo.stderr).toContain('is the tool spelled right?')
    expect(await run('lift', id, '--as', 'oncall')).toMatchObject({ code: 64 })
    expect(await run('lift', id, '--reason', 'new key')).toMatchObject({ code: 64, stderr: expect.stringContaining('who are you?') })
    expect(await run('kill', 'everything', 'now', '--reason', 'x', '--as', 'oncall')).toMatchObject({ code: 64 })
    expect((await run('lift', id, '--reason', 'new key', '--as', 'oncall')).stdout).toContain('lifted')
    expect((await run('kills')).stdout).not.toContain(id)
    expect((await run('kills', '--all', '-o', 'json')).stdout).toContain(id)
    const logs = (await run('logs')).stdout
    expect(logs).toContain(`kill.engaged  agent  ${agentId}  "its key leaked"  cut 1  tasks 1  leases 1`)
    expect(logs).toContain('kill.lifted')
  })
})
