import { readFileSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { agentId, ask, routeTo, Running, TestUpstream, type Answered } from '../support/running.ts'

const key = (running: Running): string => readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()

function admin(running: Running, path: string, options: Parameters<typeof ask>[2] = {}): Promise<Answered> {
  return ask(running.port('admin'), path, { ...options, headers: { authorization: `Bearer ${key(running)}`, ...options.headers } })
}

/** The first `count` events of the log stream. */
function events(
  running: Running,
  path: string,
  count: number,
  headers: Record<string, string> = {},
): Promise<{ id: number; data: string }[]> {
  return new Promise((resolve, reject) => {
    const found: { id: number; data: string }[] = []
    const sent = request(
      { host: '127.0.0.1', port: running.port('admin'), path, headers: { authorization: `Bearer ${key(running)}`, ...headers } },
      (response) => {
        let text = ''
        const take = (): void => {
          for (const match of text.matchAll(/id: (\d+)\ndata: (.*)\n\n/g)) found.push({ id: Number(match[1]), data: match[2] ?? '' })
          text = text.slice(text.lastIndexOf('\n\n') + 2)
        }
        response.setEncoding('utf8')
        response.on('error', () => {})
        response.on('data', (part: string) => {
          text += part
          if (!text.endsWith('\n\n')) return
          take()
          if (found.length < count) return
          sent.destroy()
          resolve(found.slice(0, count))
        })
        response.on('end', () => resolve(found))
      },
    )
    sent.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? undefined : reject(error)))
    sent.end()
  })
}

describe('the admin port', () => {
  test('is never open: no key, a wrong key, an SVID and a web page are refused, also on loopback', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start({ routes: { api: routeTo(upstream.url, 'api') } })
    const port = running.port('admin')
    expect((await ask(port, '/v1/tasks')).status).toBe(401)
    expect((await ask(port, '/v1/tasks', { headers: { authorization: `Bearer ${key(running)}x` } })).status).toBe(401)
    expect((await ask(port, '/v1/tasks', { headers: { authorization: `Bearer ${await running.svid()}` } })).status).toBe(401)
    expect((await ask(port, '/v1/logs', { headers: { authorization: `Basic ${key(running)}` } })).status).toBe(401)
    expect((await admin(running, '/v1/tasks', { headers: { origin: 'http://evil.example' } })).status).toBe(403)
    expect((await admin(running, '/v1/tasks')).status).toBe(200)
    expect(statSync(join(running.folder, 'admin.key')).mode & 0o777).toBe(0o600)
  })

  test('shows tasks without their sealed token or session, and pauses, resumes and completes them', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start({ routes: { api: routeTo(upstream.url, 'api') } })
    const svid = { authorization: `Bearer ${await running.svid()}` }
    expect((await ask(running.port(), '/api/a', { headers: svid })).status).toBe(200)
    const { tasks } = (await admin(running, '/v1/tasks?state=active')).json as { tasks: { id: string; caller: string }[] }
    expect(tasks).toMatchObject([{ caller: agentId, implicit: true }])
    const id = tasks[0]?.id ?? ''
    const shown = await admin(running, `/v1/tasks/${id}`)
    expect(shown.json).not.toHaveProperty('session')
    expect(shown.json).not.toHaveProperty('subjectToken')
    const act = (verb: string): Promise<Answered> =>
      admin(running, `/v1/tasks/${id}/${verb}`, { method: 'POST', body: JSON.stringify({ reason: 'looks odd', by: 'oncall' }) })
    expect((await act('pause')).json).toMatchObject({ state: 'paused', paused: { by: 'person', reason: 'looks odd' } })
    expect((await ask(running.port(), '/api/a', { headers: svid })).json['code']).toBe('task.paused')
    expect((await act('pause')).status).toBe(409)
    expect((await act('resume')).json).toMatchObject({ state: 'active' })
    expect((await ask(running.port(), '/api/a', { headers: svid })).status).toBe(200)
    expect((await act('complete')).json).toMatchObject({ state: 'completed', ended: { by: 'person:oncall', cause: 'looks odd' } })
    expect(
      running
        .entries()
        .filter(({ event }) => String(event).startsWith('task.'))
        .map(({ event, by }) => [event, by]),
    ).toEqual([
      ['task.opened', agentId],
      ['task.paused', 'person:oncall'],
      ['task.resumed', 'person:oncall'],
      ['task.completed', 'person:oncall'],
    ])
  })

  test.each([
    ['GET', '/v1/tasks/t_nope', undefined, 404],
    ['POST', '/v1/tasks/t_nope/pause', '{"reason":"x","by":"y"}', 404],
    ['POST', '/v1/tasks/t_nope/pause', '{"reason":"x"}', 400],
    ['POST', '/v1/tasks/t_nope/pause', 'no json', 400],
    ['POST', '/v1/tasks/t_nope/explode', '{"reason":"x","by":"y"}', 404],
    ['GET', '/v1/tasks?state=odd', undefined, 400],
    ['GET', '/v1/%ff', undefined, 400],
    ['GET', '/v1/logs?from=x', undefined, 400],
    ['DELETE', '/v1/tasks', undefined, 404],
    // the gate of the page
    ['GET', '/', undefined, 401],
    ['GET', '/nothing', undefined, 404],
  ])('%s %s with %s is answered %i', async (method, path, body, status) => {
    await using running = await Running.start({ routes: { api: routeTo('http://127.0.0.1:9', 'api') } })
    expect((await admin(running, path, { method, ...(body === undefined ? {} : { body }) })).status).toBe(status)
  })

  test('streams the stored lines byte for byte, follows, and resumes after the last event that was seen', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start({ routes: { api: routeTo(upstream.url, 'api') } })
    const svid = { authorization: `Bearer ${await running.svid()}` }
    await ask(running.port(), '/api/first', { headers: svid })
    const stored = running.ledgerText().trim().split('\n')
    const all = await events(running, '/v1/logs?from=1&follow=false', 1000)
    expect(all.map(({ data }) => data)).toEqual(stored)
    const last = all.at(-1)?.id ?? 0
    const next = events(running, '/v1/logs?follow=true', 2, { 'last-event-id': String(last) })
    const call = await ask(running.port(), '/api/second', { headers: svid })
    const [decision, outcome] = (await next).map(({ data }) => JSON.parse(data))
    expect(decision).toMatchObject({
      decision_id: call.headers['countersign-call'],
      custom: { countersign: { seq: last + 1, kind: 'decision' } },
    })
    expect(outcome).toMatchObject({ decision_id: call.headers['countersign-call'], custom: { countersign: { kind: 'outcome' } } })
  })

  test('forgets what a caller has read when a person says so, and the ledger keeps who and why', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start({
      routes: {
        crm: routeTo(upstream.url, 'crm', {
          tools: [{ name: 'crm.read', match: 'GET /x', effect: 'read', risk: 'low', data: ['personal'], egress: 'internal' }],
        }),
        out: routeTo(upstream.url, 'out', {
          tools: [{ name: 'out.send', match: 'POST /x', effect: 'send', risk: 'low', egress: 'public' }],
        }),
      },
    })
    const headers = { authorization: `Bearer ${await running.svid()}` }
    const send = (): Promise<Answered> => ask(running.port(), '/out/x', { method: 'POST', headers })
    expect((await send()).status).toBe(200)
    expect((await ask(running.port(), '/crm/x', { headers })).status).toBe(200)
    expect((await send()).status).toBe(403)
    const path = `/v1/callers/${encodeURIComponent(agentId)}/clear-sensitivity`
    expect((await admin(running, path, { method: 'POST', body: '{"reason":"new pod","by":"oncall"}' })).status).toBe(200)
    expect((await send()).status).toBe(200)
    expect(running.entries().find(({ event }) => event === 'caller.sensitivity-cleared')).toMatchObject({
      by: 'person:oncall',
      caller: agentId,
    })
  })
})

describe('the health port', () => {
  test('answers liveness, readiness, metrics and public keys, and nothing else', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start({
      routes: { api: routeTo(upstream.url, 'api', { credential: 'api' }) },
      providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
    })
    const get = (path: string, method = 'GET'): Promise<Answered> => ask(running.port('health'), path, { method })
    expect((await get('/livez')).text).toBe('ok\n')
    expect((await get('/readyz')).status).toBe(200)
    expect((await get('/ledger.pub')).text.trim()).toBe(running.sidecar.ledger.key)
    const { keys } = (await get('/.well-known/jwks.json')).json as { keys: Record<string, unknown>[] }
    expect(keys).toHaveLength(1)
    expect(keys[0]).not.toHaveProperty('d')
    await ask(running.port(), '/api/a', { headers: { authorization: `Bearer ${await running.svid()}` } })
    await ask(running.port(), '/api/a')
    const { text } = await get('/metrics')
    expect(text).toContain('countersign_requests_total{route="api",tool="api.any",decision="allow",method="jwt-svid",status="2xx"} 1')
    expect(text).toContain('countersign_refusals_total{code="identify.missing",fault="agent",route="api"} 1')
    expect((await get('/introspect', 'POST')).status).toBe(404)
    expect((await get('/v1/tasks')).status).toBe(404)
    expect((await get('/livez', 'POST')).status).toBe(405)
  })

  test('no label of a metric comes from the agent', async () => {
    await using running = await Running.start({ routes: { api: routeTo('http://127.0.0.1:9', 'api', { tools: [] }) } })
    const headers = { authorization: `Bearer ${await running.svid()}`, 'countersign-task': 't_00000000000000000000000000' }
    await ask(running.port(), '/api/marker-in-path', { headers })
    await ask(running.port(), '/marker-route/x', { headers })
    const { text } = await ask(running.port('health'), '/metrics')
    // who is registered, and whose that is, comes from the configuration
    const lines = text.split('\n').filter((line) => !line.startsWith('countersign_agent_owner_info{'))
    expect(lines.join('\n')).not.toMatch(/marker|t_0000|spiffe:/)
  })
})
