import { randomBytes } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Abused, idOf, unharmed } from '../../support/abused.ts'
import { ask, freeAgent, routeTo, type Answered } from '../../support/running.ts'
import { rawClient } from '../../support/sockets.ts'

/** The ports that are not for agents, called by one: it shares the loopback with them. */
let abused: Abused
let task: string

beforeAll(async () => {
  abused = await Abused.start(['alice'], (url) => ({
    routes: { api: routeTo(url, 'api', { credential: 'api' }) },
    providers: { api: { type: 'jwt', audience: 'https://api.acme.example', introspect: { secret: { file: 'upstream.secret' } } } },
    agents: [freeAgent({ id: idOf('alice'), implicit: false })],
  }))
  task = await abused.open('alice')
})
afterEach(async () => expect(await abused.condition()).toEqual(unharmed))
afterAll(() => abused[Symbol.asyncDispose]())

const key = (): string => readFileSync(join(abused.folder, 'admin.key'), 'utf8').trim()

function admin(method: string, path: string, headers: Readonly<Record<string, string>>, body?: string): Promise<Answered> {
  return ask(abused.port('admin'), path, { method, headers, ...(body === undefined ? {} : { body }) })
}

const doors = (): [method: string, path: string][] => [
  ['GET', '/v1/status'],
  ['GET', '/v1/tasks'],
  ['GET', `/v1/tasks/${task}`],
  ['POST', `/v1/tasks/${task}/pause`],
  ['POST', `/v1/tasks/${task}/resume`],
  ['POST', `/v1/tasks/${task}/complete`],
  ['POST', `/v1/callers/${encodeURIComponent(idOf('alice'))}/clear-sensitivity`],
  ['GET', '/v1/logs?from=0&follow=false'],
  ['GET', '/../v1/status'],
  ['GET', '//v1/status'],
  ['HEAD', '/v1/logs?from=0&follow=false'],
  ['OPTIONS', '/v1/tasks'],
]

describe('the admin port', () => {
  test('is shut without the key: with nothing, an SVID, in every slot, or what looks like a key', async () => {
    const svid = abused.token('alice')
    const keys: Readonly<Record<string, string>>[] = [
      {},
      { authorization: `Bearer ${svid}` },
      { authorization: svid },
      { 'x-api-key': svid },
      { 'x-api-key': key() },
      { authorization: key() },
      { authorization: `bearer ${key()}` },
      { authorization: `Basic ${btoa(`x:${key()}`)}` },
      { authorization: `Bearer  ${key()}` },
      { authorization: `Bearer ${key()}, Bearer x` },
      { 'proxy-authorization': `Bearer ${key()}` },
      { cookie: `key=${key()}` },
      { authorization: 'Bearer ' },
      { authorization: 'Bearer undefined' },
      { authorization: `Bearer ${key().slice(0, -1)}` },
      { authorization: `Bearer ${key()}x` },
      { authorization: `Bearer ${key().toLowerCase()}` },
    ]
    for (const [method, path] of doors()) {
      for (const headers of keys) {
        const body = method === 'POST' ? '{"reason":"x","by":"x"}' : undefined
        const { status, text } = await admin(method, path, headers, body)
        // who sends a cookie is a browser, and browsers show a session and no key
        const shut = 'cookie' in headers ? 403 : 401
        expect(status, `${method} ${path} ${JSON.stringify(Object.keys(headers))}`).toBe(shut)
        expect(text).not.toContain(task)
      }
    }
    expect((await abused.ask(`/.countersign/v1/tasks/${task}`)).json).toMatchObject({ state: 'active' })
  })

  test('is shut to a web page even with the key', async () => {
    for (const [method, path] of doors()) {
      for (const header of ['origin', 'sec-fetch-site']) {
        const { status, headers } = await admin(method, path, { authorization: `Bearer ${key()}`, [header]: 'null' })
        expect(status, `${method} ${path}`).toBe(403)
        expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
      }
    }
  })

  test('shows its gate alone to who opens the page with a key, a cookie of his own, or from another page', async () => {
    const given: Readonly<Record<string, string>>[] = [
      {},
      { authorization: `Bearer ${key()}` },
      { cookie: `key=${key()}` },
      { 'sec-fetch-site': 'null' },
      { 'sec-fetch-site': 'same-origin' },
    ]
    for (const headers of given) {
      const { status, text } = await admin('GET', '/', headers)
      expect(status, JSON.stringify(Object.keys(headers))).toBe(401)
      expect(text).not.toContain(task)
    }
    expect((await admin('GET', '/', { origin: 'null', authorization: `Bearer ${key()}` })).status).toBe(403)
  })

  test('its key cannot be guessed, nor built up from parts of it, nor read by others', async () => {
    const guesses = Array.from({ length: 1500 }, () => randomBytes(32).toString('base64url'))
    for (let length = 1; length < key().length; length++)
      guesses.push(key().slice(0, length), key().slice(0, length).padEnd(key().length, 'A'))
    // one key in sixteen ends so
    if (guesses.at(-1) === key()) guesses.pop()
    for (let at = 0; at < guesses.length; at += 50) {
      const some = await Promise.all(
        guesses.slice(at, at + 50).map((guess) => admin('GET', '/v1/status', { authorization: `Bearer ${guess}` })),
      )
      for (const { status } of some) expect(status).toBe(401)
    }
    expect(statSync(join(abused.folder, 'admin.key')).mode & 0o777).toBe(0o600)
    expect((await admin('GET', '/v1/status', { authorization: `Bearer ${key()}` })).status).toBe(200)
  })

  test('odd requests by somebody who has the key do it no harm', async () => {
    const authorization = `Bearer ${key()}`
    const odd = [
      '/v1/tasks/%',
      '/v1/tasks/%ff',
      '/v1/%2e%2e/v1/status',
      '/v1/tasks/__proto__',
      '/v1/tasks/constructor/pause',
      '/v1/logs?from=-1',
    ]
    odd.push(
      '/v1/logs?from=9999999999999999999',
      '/v1/tasks?state=toString',
      `/v1/tasks/${'x'.repeat(9000)}`,
      '//',
      '/v1/tasks//',
      'v1',
      '*',
    )
    for (const path of odd) {
      for (const method of ['GET', 'POST']) {
        const client = await rawClient(abused.port('admin'))
        const body = '{"reason":"x","by":"x"}'
        client.socket.end(
          `${method} ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: ${authorization}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
        )
        await client.closed
        expect(client.text(), `${method} ${path.slice(0, 40)}`).not.toMatch(/^HTTP\/1\.1 5/)
      }
    }
    for (const body of ['', '[]', 'null', '{"reason":1,"by":2}', '{"reason":"","by":""}', '{', 'x'.repeat(100_000)]) {
      expect((await admin('POST', `/v1/tasks/${task}/complete`, { authorization }, body)).status).toBe(400)
    }
    const split = { reason: 'line\nbreak\u2028\u001b[31m', by: 'person\r\n\u0000' }
    expect((await admin('POST', `/v1/tasks/${task}/pause`, { authorization }, JSON.stringify(split))).status).toBeLessThan(500)
    for (const line of abused.ledgerText().trim().split('\n')) expect(() => JSON.parse(line)).not.toThrow()
    // oxlint-disable-next-line no-control-regex
    expect(abused.ledgerText()).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f\u2028\u2029]/)
    await admin('POST', `/v1/tasks/${task}/resume`, { authorization }, '{"reason":"x","by":"x"}')
  })
})

describe('the health port', () => {
  const paths = ['/livez', '/readyz', '/metrics', '/.well-known/jwks.json', '/ledger.pub']

  test('tells nothing that an agent brought or was lent', async () => {
    const marker = `spy-${randomBytes(6).toString('hex')}`
    await abused.ask(`/api/${marker}?${marker}=1`, { task, headers: { 'user-agent': marker, [`x-${marker}`]: marker } })
    await abused.ask(`/${marker}/x`, { task })
    await abused.ask('/api/x', { headers: { authorization: `Bearer ${marker}` } })
    const lent = abused.upstream.seen.at(-1)?.headers.authorization?.slice(7) ?? ''
    expect(lent).not.toBe('')
    for (const path of paths) {
      const { status, text, headers } = await ask(abused.port('health'), path, {
        headers: { authorization: `Bearer ${abused.token('alice')}` },
      })
      expect(status, path).toBe(200)
      for (const secret of [marker, lent, abused.token('alice'), key(), task, '"d"']) {
        expect(text + JSON.stringify(headers), path).not.toContain(secret)
      }
    }
  })

  test('changes nothing and lets nobody through', async () => {
    for (const path of [...paths, '/v1/tasks', '/api/x', '/.countersign/v1/tasks', '/introspect', '/../etc/passwd', '/%2e%2e/admin.key']) {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        const { status } = await ask(abused.port('health'), path, {
          method,
          body: 'token=x',
          headers: { authorization: `Bearer ${key()}` },
        })
        expect([401, 404, 405], `${method} ${path}`).toContain(status)
      }
    }
  })

  test('introspection answers its upstream alone: not the agent, not with the key of another', async () => {
    await abused.ask('/api/lent', { task })
    const lent = abused.upstream.seen.at(-1)?.headers.authorization?.slice(7) ?? ''
    const credentials = [
      '',
      `Bearer ${abused.token('alice')}`,
      `Bearer ${lent}`,
      `Basic ${btoa(`api:${key()}`)}`,
      `Basic ${btoa('api:')}`,
      `Basic ${btoa(':')}`,
    ]
    for (const authorization of credentials) {
      const { status, text } = await ask(abused.port('health'), '/introspect', {
        method: 'POST',
        body: `token=${encodeURIComponent(lent)}`,
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...(authorization === '' ? {} : { authorization }) },
      })
      expect(status).toBe(401)
      expect(text).not.toContain('"active":true')
    }
  })
})

test('the key, a lease or a token of an agent stands in no file but its own, and in no line for the operator', async () => {
  await abused.ask('/api/lent', { task })
  const lent = abused.upstream.seen.map(({ headers }) => headers.authorization?.slice(7) ?? 'none')
  const places = {
    ledger: abused.ledgerText(),
    log: abused.process.logged.join('\n'),
    state: readFileSync(join(abused.folder, 'state.db-wal'), 'latin1'),
  }
  for (const [place, text] of Object.entries(places)) {
    for (const secret of [key(), abused.token('alice'), ...lent]) expect(text.includes(secret), place).toBe(false)
  }
})
