import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { loadConfig } from '../../src/config/load.ts'
import { Command } from '../support/command-line.ts'
import { LiveUpstream } from '../support/live-upstream.ts'
import { agentId, ask, freeAgent, owners, routeTo, Running, TestUpstream, type Answered, type Settings } from '../support/running.ts'

const other = 'spiffe://acme.example/ns/test/sa/other'
const words = { by: 'ada', reason: 'because' }

/** One request to the admin API with the local key. */
async function admin(running: Running, path: string, body?: unknown): Promise<Answered> {
  const key = readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()
  return ask(running.port('admin'), `/v1/agents${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${key}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

const at = (id: string, verb = ''): string => `/${encodeURIComponent(id)}${verb === '' ? '' : `/${verb}`}`

async function call(running: Running, id = agentId, path = '/api/a'): Promise<Answered> {
  return ask(running.port(), path, { headers: { authorization: `Bearer ${await running.svid(id)}` } })
}

function events(running: Running): unknown[] {
  return running.entries().flatMap(({ event }) => (typeof event === 'string' && event.startsWith('agent.') ? [event] : []))
}

async function acceptAll(running: Running, id: string): Promise<unknown> {
  const said: unknown[] = []
  for (const [role, by] of Object.entries(owners)) said.push((await admin(running, at(id, 'accept'), { role, by, reason: 'fine' })).json)
  return said.at(-1)
}

describe('an agent that is proposed', () => {
  test('is refused until its three owners have accepted, and a suspension holds over a restart until a named person lifts it', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start({ routes: { api: routeTo(upstream.url, 'api') } })
    expect((await call(running, other)).json).toMatchObject({ code: 'task.agent-not-live' })
    const proposed = await admin(running, '', { registration: freeAgent({ id: other }), ...words })
    expect(proposed.json).toMatchObject({ lifecycle: 'proposed', live: false, missing: ['business', 'security', 'incident'] })
    expect((await call(running, other)).json).toMatchObject({ code: 'task.agent-not-live' })
    const first = await admin(running, at(other, 'accept'), { role: 'business', by: owners.business, reason: 'fine' })
    expect(first.json).toMatchObject({ lifecycle: 'proposed', missing: ['security', 'incident'] })
    expect((await call(running, other)).json).toMatchObject({ code: 'task.agent-not-live' })
    expect(await acceptAll(running, other)).toMatchObject({ lifecycle: 'live', live: true, missing: [] })
    expect((await call(running, other)).status).toBe(200)

    expect((await admin(running, at(other, 'suspend'), words)).json).toMatchObject({ lifecycle: 'suspended' })
    expect((await call(running, other)).json).toMatchObject({ code: 'task.agent-not-live' })
    await running.restart()
    expect((await call(running, other)).json).toMatchObject({ code: 'task.agent-not-live' })
    expect((await admin(running, at(other, 'resume'), { reason: 'fixed' })).status).toBe(400)
    expect((await admin(running, at(other, 'resume'), words)).json).toMatchObject({ lifecycle: 'live' })
    expect((await call(running, other)).status).toBe(200)
    const accepted = ['agent.accepted', 'agent.accepted', 'agent.accepted']
    expect(events(running)).toEqual(['agent.registered', 'agent.proposed', ...accepted, 'agent.suspended', 'agent.resumed'])
    expect((await running.verify()).ok).toBe(true)
  })

  test('takes new acceptances when its registration changes', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start({ routes: { api: routeTo(upstream.url, 'api') } })
    await admin(running, '', { registration: freeAgent({ id: other }), ...words })
    await acceptAll(running, other)
    expect((await call(running, other)).status).toBe(200)
    const again = await admin(running, '', { registration: freeAgent({ id: other }), ...words })
    expect(again.json).toMatchObject({ lifecycle: 'live' })
    const changed = await admin(running, '', { registration: freeAgent({ id: other, purpose: 'more' }), ...words })
    expect(changed.json).toMatchObject({ lifecycle: 'proposed', missing: ['business', 'security', 'incident'] })
    expect((await call(running, other)).json).toMatchObject({ code: 'task.agent-not-live' })
  })

  test('is never accepted by one name for two owners, unless the registration names one for both', async () => {
    await using running = await Running.start({ routes: {} })
    await admin(running, '', { registration: freeAgent({ id: other }), ...words })
    await admin(running, at(other, 'accept'), { role: 'business', ...words })
    const second = await admin(running, at(other, 'accept'), { role: 'security', ...words })
    expect(second).toMatchObject({ status: 403, json: { title: expect.stringContaining('another name accepts as security owner') } })
    const one = { business: 'ada', security: 'ada', incident: 'ada' }
    await admin(running, '', { registration: freeAgent({ id: other, owners: one }), ...words })
    for (const role of ['business', 'security', 'incident']) await admin(running, at(other, 'accept'), { role, ...words })
    expect((await admin(running, at(other))).json).toMatchObject({ live: true })
  })

  test('cannot come from an agent: neither its own API nor the admin port knows its identity', async () => {
    await using running = await Running.start({ routes: {} })
    const headers = { authorization: `Bearer ${await running.svid()}` }
    const body = JSON.stringify({ registration: freeAgent({ id: other }), ...words })
    const own = await ask(running.port(), '/.countersign/v1/agents', { method: 'POST', headers, body })
    expect(own.status).toBe(404)
    for (const path of ['', at(agentId, 'accept'), at(agentId, 'resume')])
      expect((await ask(running.port('admin'), `/v1/agents${path}`, { method: 'POST', headers, body })).status).toBe(401)
    expect(events(running)).toEqual(['agent.registered'])
  })
})

describe('an agent that a file declares', () => {
  test('is written down once with the digest of its file, and can be suspended in the middle of an answer', async () => {
    const arrived = Promise.withResolvers<void>()
    await using upstream = await LiveUpstream.start((_request, response) => {
      response.writeHead(200).write('before')
      arrived.resolve()
    })
    await using running = await Running.start({ routes: { api: routeTo(upstream.url, 'api') } })
    const open = call(running)
    await arrived.promise
    const suspended = admin(running, at(agentId, 'suspend'), words)
    await expect(open).rejects.toThrow()
    expect((await suspended).json).toMatchObject({ lifecycle: 'suspended', source: 'file:countersign.yaml' })
    expect((await call(running)).json).toMatchObject({ code: 'task.agent-not-live' })
    await running.restart()
    expect((await call(running)).json).toMatchObject({ code: 'task.agent-not-live' })
    expect(running.entries()).toContainEqual(expect.objectContaining({ kind: 'outcome', code: 'task.agent-not-live' }))
    const registered = running.entries().filter(({ event }) => event === 'agent.registered')
    expect(registered).toMatchObject([
      { by: 'file:countersign.yaml', detail: { agent: agentId, sha256: expect.stringMatching(/^sha256:/), owners } },
    ])
  })

  test('is changed in its file alone, and stays retired once a person retired it', async () => {
    await using running = await Running.start({ routes: {} })
    expect(await admin(running, '', { registration: freeAgent(), ...words })).toMatchObject({ status: 409 })
    expect(await admin(running, at(agentId, 'accept'), { role: 'business', ...words })).toMatchObject({ status: 409 })
    expect((await admin(running, at(agentId, 'retire'), words)).json).toMatchObject({ lifecycle: 'retired' })
    expect(await admin(running, at(agentId, 'resume'), words)).toMatchObject({ status: 409 })
    await running.restart()
    expect((await call(running)).json).toMatchObject({ code: 'task.agent-not-live' })
  })

  test('comes and goes with its file, and a file goes before what the admin API registered', async () => {
    await using upstream = await TestUpstream.start()
    const routes = { api: routeTo(upstream.url, 'api') }
    const settings = { task: { agents_from: './agents/' } }
    await using running = await Running.start({ routes })
    mkdirSync(join(running.folder, 'agents'))
    const file = join(running.folder, 'agents', 'other.yaml')
    await admin(running, '', { registration: freeAgent({ id: other }), ...words })
    expect((await call(running, other)).json).toMatchObject({ code: 'task.agent-not-live' })
    writeFileSync(file, stringify(freeAgent({ id: other })))
    await running.reload({ routes, settings })
    expect((await call(running, other)).status).toBe(200)
    expect((await admin(running, at(other))).json).toMatchObject({ source: 'file:agents/other.yaml', lifecycle: 'live' })
    writeFileSync(file, stringify(freeAgent({ id: other, lifecycle: 'suspended' })))
    await running.sidecar.reload(loadConfig(running.file, {}))
    expect((await call(running, other)).json).toMatchObject({ code: 'task.agent-not-live' })
    rmSync(file)
    await running.sidecar.reload(loadConfig(running.file, {}))
    expect(await admin(running, at(other))).toMatchObject({ status: 404 })
    expect((await call(running, other)).json).toMatchObject({ code: 'task.agent-not-live' })
    expect((await call(running)).status).toBe(200)
  })

  test('is not live elsewhere than it is registered for, nor past its end', async () => {
    await using upstream = await TestUpstream.start()
    const routes = { api: routeTo(upstream.url, 'api') }
    const agents = [freeAgent({ environment: 'staging' })]
    await using running = await Running.start({ routes, agents })
    expect((await call(running)).json).toMatchObject({ code: 'task.agent-not-live' })
    await running.reload({ routes, agents: [freeAgent({ environment: 'test', valid_until: '2020-01-01' })] })
    expect((await call(running)).json).toMatchObject({ code: 'task.agent-not-live' })
    await running.reload({ routes, agents: [freeAgent({ environment: 'test', valid_until: new Date(Date.now() + 1e12).toISOString() })] })
    expect((await call(running)).status).toBe(200)
  })
})

describe('an approval that lapses', () => {
  const until = (ms: number): Settings => ({ approved: { by: 'risk@acme.example', until: new Date(ms).toISOString() } })

  test('refuses the calls of a route, a tool and a credential, and takes back the leases that are out', async () => {
    const time = { ahead: 0 }
    const clock = (): number => Date.now() + time.ahead
    const end = until(Date.now() + 40_000)
    await using upstream = await TestUpstream.start()
    const tool = (name: string): Settings => ({ name: `${name}.any`, match: '* /{+path}', effect: 'read', risk: 'low', egress: 'internal' })
    const routes = {
      route: routeTo(upstream.url, 'route', { owner: 'route@acme.example', ...end }),
      tool: routeTo(upstream.url, 'tool', { tools: [{ ...tool('tool'), ...end }] }),
      lent: routeTo(upstream.url, 'lent', { credential: 'lent' }),
      never: routeTo(upstream.url, 'never', { approved: { by: 'risk@acme.example' } }),
    }
    const providers = { lent: { type: 'jwt', audience: 'https://lent.acme.example', ...end, owner: 'keys@acme.example' } }
    await using running = await Running.start({ routes, providers, clock })
    for (const name of Object.keys(routes)) expect((await call(running, agentId, `/${name}/a`)).status).toBe(200)
    expect(running.sidecar.foundation.credential.sizes().out).toBe(1)
    expect(running.entries()).toContainEqual(
      expect.objectContaining({
        kind: 'decision',
        route: 'route',
        route_owner: 'route@acme.example',
        route_approved: { by: 'risk@acme.example', until: expect.any(Number) },
      }),
    )
    expect(running.entries()).toContainEqual(
      expect.objectContaining({ kind: 'decision', route: 'lent', credential_owner: 'keys@acme.example' }),
    )
    // leases live on for a while yet
    time.ahead = 41_000
    const token = await running.svid()
    const codes = { route: 'forward.forbidden-address', tool: 'forward.forbidden-address', lent: 'credential.unavailable' }
    for (const [name, code] of Object.entries(codes)) {
      const refused = await ask(running.port(), `/${name}/b`, { headers: { authorization: `Bearer ${token}` } })
      expect(refused.json).toMatchObject({ code, reasons: [expect.stringContaining('has lapsed')] })
    }
    expect((await ask(running.port(), '/never/b', { headers: { authorization: `Bearer ${token}` } })).status).toBe(200)
    await expect.poll(() => running.logged.join('\n'), { timeout: 5000 }).toContain('CS1605')
    await expect.poll(() => running.sidecar.foundation.credential.sizes().out, { timeout: 5000 }).toBe(0)
    const rejudged = { cause: 'lapse', leases: { kept: 0, revoked: 1 } }
    await expect.poll(() => running.entries().find(({ event }) => event === 'work.rejudged')).toMatchObject({ detail: rejudged })
    expect(upstream.seen.filter(({ url }) => url === '/b')).toHaveLength(1)
    const metrics = await ask(running.port('health'), '/metrics')
    expect(metrics.text).toMatch(/countersign_approval_expires_seconds\{kind="provider",name="lent"\} -/)
  })
})

describe('what a reviewer put out of bounds', () => {
  test('is refused whatever the intent says, and the reviewers stand in the record', async () => {
    await using upstream = await TestUpstream.start()
    const reviewers = { legal: { name: 'legal@acme.example', out_of_bounds: { tools: ['api.*'] } } }
    const routes = { api: routeTo(upstream.url, 'api'), free: routeTo(upstream.url, 'free') }
    await using running = await Running.start({ routes, agents: [freeAgent({ reviewers })] })
    expect((await call(running)).json).toMatchObject({ code: 'decide.denied', reasons: ['this is out of bounds for this agent'] })
    expect((await call(running, agentId, '/free/a')).status).toBe(200)
    expect(running.entries()).toContainEqual(
      expect.objectContaining({ rules: ['agent.out-of-bounds'], reviewers: { legal: 'legal@acme.example' } }),
    )
  })
})

describe('countersign agents', () => {
  test('lists, proposes, accepts, suspends, resumes and retires from the command line', async () => {
    await using running = await Running.start({ routes: {} })
    const file = join(running.folder, 'other.yaml')
    writeFileSync(file, stringify(freeAgent({ id: other })))
    const access = ['--addr', `127.0.0.1:${running.port('admin')}`, '--key', join(running.folder, 'admin.key')]
    const run = async (...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> => {
      await using command = new Command(['agents', ...args, ...access])
      return { code: await command.exited, stdout: command.stdout, stderr: command.stderr }
    }
    expect(await run('propose', file, '--reason', 'new', '--as', 'ada')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('waits for business'),
    })
    expect(await run('accept', other, '--role', 'business', '--reason', 'fine')).toMatchObject({ code: 64 })
    for (const [role, by] of Object.entries(owners))
      expect(await run('accept', other, '--role', role, '--as', by, '--reason', 'fine')).toMatchObject({ code: 0 })
    expect((await run('ls')).stdout).toContain(`live       ${other}  api`)
    expect(await run('suspend', other, '--reason', 'odd', '--as', 'ada')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^suspended/),
    })
    expect(await run('resume', other, '--reason', 'fine', '--as', 'ada')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^live/) })
    expect(await run('retire', other, '--reason', 'over', '--as', 'ada')).toMatchObject({ code: 0 })
    expect(await run('resume', other, '--reason', 'no', '--as', 'ada')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is retired'),
    })
    expect(JSON.parse((await run('show', other)).stdout)).toMatchObject({
      id: other,
      live: false,
      source: 'api',
      changed: { by: 'person:ada' },
    })
    writeFileSync(file, 'id: nonsense\npurpse: x\n')
    const wrong = await run('propose', file, '--reason', 'new')
    expect(wrong).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('other.yaml:2:1  CS1204  unknown key "purpse", did you mean "purpose"?'),
    })
  })
})
