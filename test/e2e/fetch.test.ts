import { createHash, randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { LiveUpstream } from '../support/live-upstream.ts'
import { ask, routeTo, Running, TestUpstream, type Settings } from '../support/running.ts'

const provider = { type: 'jwt', audience: 'https://api.acme.example' }

function start(to: string, more: Settings = {}): Promise<Running> {
  const credentialed = more['credential'] !== undefined
  return Running.start({ routes: { api: routeTo(to, 'api', more) }, providers: credentialed ? { api: provider } : {} })
}

async function bearer(running: Running): Promise<Record<string, string>> {
  return { authorization: `Bearer ${await running.svid()}` }
}

describe('a redirect', () => {
  /** Answers `/base/from` with a redirect to `location`, and everything else with what was asked. */
  async function redirecting(status: number, location: (self: string) => string): Promise<TestUpstream> {
    const upstream: TestUpstream = await TestUpstream.start(({ url, method, body }, response) => {
      if (url === '/base/from') response.writeHead(status, { location: location(upstream.url) }).end()
      else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ url, method, body }))
    })
    return upstream
  }

  test.each([
    ['an absolute URL', (self: string) => `${self}/base/to?x=1`],
    ['a URL without a scheme', (self: string) => `${self.slice(5)}/base/to?x=1`],
    ['an absolute path', () => '/base/to?x=1'],
    ['a relative path', () => 'to?x=1'],
    ['a relative path with dots', () => './here/../to?x=1'],
  ])('to %s of the same upstream is followed through the proxy, with the lease', async (_kind, location) => {
    await using upstream = await redirecting(302, location)
    await using running = await start(`${upstream.url}/base`, { credential: 'api' })
    const answer = await fetch(running.url('/api/from'), { headers: await bearer(running) })
    expect(answer.redirected).toBe(true)
    expect(answer.url).toBe(running.url('/api/to?x=1'))
    expect(await answer.json()).toMatchObject({ url: '/base/to?x=1' })
    expect(upstream.seen.map(({ headers }) => headers.authorization?.startsWith('Bearer ey'))).toEqual([true, true])
    expect(running.entries().filter(({ kind }) => kind === 'decision')).toHaveLength(2)
  })

  test.each([
    [301, 'GET'],
    [302, 'GET'],
    [303, 'GET'],
    [307, 'POST'],
    [308, 'POST'],
  ])('%i after a POST goes on as %s, as fetch does it', async (status, method) => {
    await using upstream = await redirecting(status, (self) => `${self}/base/to`)
    await using running = await start(`${upstream.url}/base`)
    const answer = await fetch(running.url('/api/from'), { method: 'POST', body: 'order=1042', headers: await bearer(running) })
    expect(await answer.json()).toEqual({ url: '/base/to', method, body: method === 'POST' ? 'order=1042' : '' })
  })

  test.each([
    ['another host', () => 'https://partner.example/base/to'],
    ['another host without a scheme', () => '//partner.example/base/to'],
    ['another port', () => 'http://127.0.0.1:1/base/to'],
    ['another scheme', (self: string) => self.replace('http:', 'https:')],
    ['outside the base path', (self: string) => `${self}/other`],
    ['outside the base path by dots', () => '/base/../other'],
    ['a host behind a user name', (self: string) => `http://127.0.0.1@partner.example${self.slice(self.lastIndexOf(':'))}/base/to`],
    ['a host behind a backslash', () => '\\\\partner.example/base/to'],
    ['no place at all', () => 'javascript:alert(1)'],
  ])('to %s is refused, and the place is not told', async (_kind, location) => {
    await using upstream = await redirecting(302, location)
    await using running = await start(`${upstream.url}/base`, { credential: 'api' })
    const answer = await fetch(running.url('/api/from'), { headers: await bearer(running), redirect: 'manual' })
    expect(answer.status).toBe(502)
    expect(answer.headers.get('location')).toBeNull()
    const text = await answer.text()
    expect(JSON.parse(text)).toMatchObject({ code: 'forward.redirect' })
    expect(text).not.toMatch(/partner|other|alert/)
    expect(upstream.seen).toHaveLength(1)
  })

  test('within a task stays within the task', async () => {
    await using upstream = await redirecting(302, (self) => `${self}/base/to`)
    await using running = await start(`${upstream.url}/base`)
    const headers = await bearer(running)
    const opened = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body: '{"purpose":"follow"}' })
    const answer = await fetch(running.url(`/t/${String(opened.json['id'])}/api/from`), { headers })
    expect(answer.url).toBe(running.url(`/t/${String(opened.json['id'])}/api/to`))
    expect(answer.status).toBe(200)
  })

  test('that does not redirect, such as the place of what was created, is turned homewards too', async () => {
    await using upstream = await redirecting(201, (self) => `${self}/base/things/1`)
    await using running = await start(`${upstream.url}/base`)
    const answer = await fetch(running.url('/api/from'), { method: 'POST', headers: await bearer(running) })
    expect(answer.status).toBe(201)
    expect(answer.headers.get('location')).toBe(running.url('/api/things/1'))
  })
})

describe('a streaming body', () => {
  test('goes up and comes back piece by piece', async () => {
    await using upstream = await LiveUpstream.start((request, response) => void request.pipe(response.writeHead(200)))
    await using running = await start(upstream.url)
    const up = new TransformStream<Uint8Array, Uint8Array>()
    const writer = up.writable.getWriter()
    const asked = fetch(running.url('/api/echo'), { method: 'POST', body: up.readable, duplex: 'half', headers: await bearer(running) })
    await writer.write(Buffer.from('one'))
    const answer = await asked // the answer began before the request was over
    const reader = answer.body?.getReader()
    let heard = ''
    const hear = async (most: number): Promise<void> => {
      for (let piece = await reader?.read(); piece?.done === false; piece = await reader?.read()) {
        heard += Buffer.from(piece.value).toString()
        if (heard.length >= most) return
      }
    }
    await hear(3)
    expect(heard).toBe('one')
    await writer.write(Buffer.from('two'))
    await hear(6)
    expect(heard).toBe('onetwo')
    await writer.close()
    expect((await reader?.read())?.done).toBe(true)
    await running.close()
    const sha256 = createHash('sha256').update('onetwo').digest('hex')
    const outcome = running.entries().find(({ kind }) => kind === 'outcome')
    expect(outcome).toMatchObject({ bytes_out: 6, bytes_in: 6, body_sha256: sha256, ended: 'complete' })
  })

  test('of many megabytes arrives whole both ways', async () => {
    const bytes = randomBytes(8 * 1024 * 1024)
    await using upstream = await LiveUpstream.start((request, response) => void request.pipe(response.writeHead(200)))
    await using running = await start(upstream.url)
    const answer = await fetch(running.url('/api/echo'), {
      method: 'POST',
      body: new Blob([bytes]).stream(),
      duplex: 'half',
      headers: await bearer(running),
    })
    const back = Buffer.from(await answer.arrayBuffer())
    expect(back.equals(bytes)).toBe(true)
  })

  test('that the agent gives up going up never ends well upstream', async () => {
    const arrived = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<boolean>()
    await using upstream = await LiveUpstream.start((request) => {
      request.on('data', () => arrived.resolve()).on('close', () => ended.resolve(request.complete))
      request.on('error', () => {})
    })
    await using running = await start(upstream.url)
    const stop = new AbortController()
    const body = new ReadableStream({ start: (controller) => controller.enqueue(Buffer.alloc(1024, 'a')) })
    const asked = fetch(running.url('/api/up'), {
      method: 'POST',
      body,
      duplex: 'half',
      headers: await bearer(running),
      signal: stop.signal,
    })
    const failed = expect(asked).rejects.toThrow('aborted')
    await arrived.promise
    stop.abort()
    await failed
    expect(await ended.promise).toBe(false)
    await running.close()
    expect(running.entries().find(({ kind }) => kind === 'outcome')).toMatchObject({ ended: 'client-gone' })
  })

  test('that the upstream breaks off is never taken for a whole answer', async () => {
    await using upstream = await LiveUpstream.start((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      response.write('half of it', () => response.destroy())
    })
    await using running = await start(upstream.url)
    const answer = await fetch(running.url('/api/broken'), { headers: await bearer(running) })
    await expect(answer.text()).rejects.toThrow('terminated')
    await running.close()
    expect(running.entries().find(({ kind }) => kind === 'outcome')).toMatchObject({ ended: 'upstream-gone', status: 200 })
  })

  test('that the agent gives up reading is given up upstream', async () => {
    const left = Promise.withResolvers<void>()
    await using upstream = await LiveUpstream.start((_request, response) => {
      response.on('close', () => left.resolve())
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: one\n\n')
    })
    await using running = await start(upstream.url)
    const stop = new AbortController()
    const answer = await fetch(running.url('/api/events'), { headers: await bearer(running), signal: stop.signal })
    const reader = answer.body?.getReader()
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('data: one\n\n')
    stop.abort()
    await left.promise
  })
})

test('what is compressed passes untouched where no credential could be in it, and comes plain where one could', async () => {
  const plain = 'a'.repeat(10_000)
  const answer = (accepted: string | undefined, response: ServerResponse): void => {
    if (accepted?.includes('gzip') === true) response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(plain))
    else response.writeHead(200).end(plain)
  }
  await using upstream = await TestUpstream.start(({ headers }, response) => answer(String(headers['accept-encoding']), response))
  await using running = await Running.start({
    routes: { open: routeTo(upstream.url, 'open'), lent: routeTo(upstream.url, 'lent', { credential: 'api' }) },
    providers: { api: provider },
  })
  const headers = { ...(await bearer(running)), 'accept-encoding': 'gzip' }
  const open = await fetch(running.url('/open/a'), { headers })
  expect(open.headers.get('content-encoding')).toBe('gzip')
  expect(await open.text()).toBe(plain)
  const lent = await fetch(running.url('/lent/a'), { headers })
  expect(lent.headers.get('content-encoding')).toBeNull()
  expect(await lent.text()).toBe(plain)
  expect(upstream.seen.map((request) => request.headers['accept-encoding'])).toEqual(['gzip', 'identity'])
})

test('cookies of the agent and sessions of the upstream end at the proxy', async () => {
  await using upstream = await TestUpstream.start((_request, response) =>
    response.writeHead(200, { 'set-cookie': ['session=upstream', 'other=1'], 'x-kept': 'yes' }).end('ok'),
  )
  await using running = await start(upstream.url, { credential: 'api' })
  const answer = await fetch(running.url('/api/a'), { headers: { ...(await bearer(running)), cookie: 'mine=1' } })
  expect(answer.headers.getSetCookie()).toEqual([])
  expect(answer.headers.get('x-kept')).toBe('yes')
  expect(upstream.seen[0]?.headers.cookie).toBeUndefined()
})

test.each([
  ['origin', 'https://partner.example'],
  ['sec-fetch-site', 'cross-site'],
])('a request with %s, as only a web page sends it, is refused', async (name, value) => {
  await using upstream = await TestUpstream.start()
  await using running = await start(upstream.url)
  const answer = await ask(running.port(), '/api/a', { headers: { ...(await bearer(running)), [name]: value } })
  expect(answer.status).toBe(400)
  expect(answer.json).toMatchObject({ code: 'listen.malformed', reasons: ['the request comes from a web page'] })
  expect(upstream.seen).toEqual([])
})
