import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { agentId, anyTool, ask, routeTo, Running, TestUpstream, type Answered, type Settings } from '../support/running.ts'
import { rawClient } from '../support/sockets.ts'

/** What is lent: nothing of it is to come back to the agent. */
const secret = '7301:AAE-live_secret.of~the-crm'
const placeholder = 'countersign-crm-key'
const ambient = { listen: { agent: [{ at: '127.0.0.1:0', ambient: agentId }], health: { at: '127.0.0.1:0' }, drain: '2s' } }

interface Case extends AsyncDisposable {
  readonly running: Running
  readonly upstream: TestUpstream
  /** One call of the agent, which proves itself unless it is told not to. */
  call(path: string, more?: Parameters<typeof ask>[2]): Promise<Answered>
}

/** A sidecar in front of an upstream, with the secret lent in this way. */
async function lending(
  apply: Settings,
  more: { route?: Settings; provider?: Settings; secret?: string; ambient?: boolean } = {},
): Promise<Case> {
  const upstream = await TestUpstream.start((seen, response) => {
    const told = new URL(seen.url, 'http://upstream.invalid').searchParams.get('say') ?? ''
    const location = told.replace('UP', `http://${seen.headers.host}`).replaceAll('SECRET', secret)
    if (told !== '') return void response.writeHead(302, { location, link: `<${location}>; rel="next"` }).end(`see ${location}`)
    return void response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}')
  })
  const running = await Running.start({
    routes: {
      crm: routeTo(`${upstream.url}/v1`, 'crm', { credential: 'crm', ...more.route }),
      other: routeTo(`${upstream.url}/other`, 'other'),
    },
    providers: { crm: { type: 'static', value: { env: 'CRM' }, unsafe_standing: true, apply, ...more.provider } },
    env: { CRM: more.secret ?? secret },
    ...(more.ambient ? { settings: ambient } : {}),
  })
  return {
    running,
    upstream,
    call: async (path, options = {}) => {
      const identity: Record<string, string> = more.ambient ? {} : { authorization: `Bearer ${await running.svid()}` }
      return ask(running.port(), path, { ...options, headers: { ...identity, ...options.headers } })
    },
    [Symbol.asyncDispose]: async () => {
      await running[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

const asJson = { 'content-type': 'application/json' }
const asForm = { 'content-type': 'application/x-www-form-urlencoded' }
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

describe('a credential', () => {
  test.each<[string, Settings, Settings, string, string]>([
    ['in a header', { header: 'X-Crm', prefix: 'Key ' }, {}, 'x-crm', `Key ${secret}`],
    ['as a Basic password with a fixed user', { basic: 'api' }, {}, 'authorization', basic('api', secret)],
    [
      'as a Basic password with its own user',
      { basic: { from: 'credential' } },
      { user: 'v-task-1' },
      'authorization',
      basic('v-task-1', secret),
    ],
    ['as a cookie', { cookie: 'session' }, {}, 'cookie', `session=${secret}`],
  ])('goes %s, and what the agent sent there does not', async (_way, apply, provider, name, value) => {
    await using lent = await lending(apply, { provider, ambient: true })
    const answer = await lent.call('/crm/a?b=c', { headers: { [name]: 'mine=1; session=mine' } })
    expect(answer.status, answer.text).toBe(200)
    expect(lent.upstream.seen[0]?.url).toBe('/v1/a?b=c')
    expect(lent.upstream.seen[0]?.headers[name]).toBe(value)
    expect(lent.upstream.seen[0]?.rawHeaders.join('\n')).not.toContain('mine')
  })

  test('goes into the query, and a parameter of that name in any spelling is refused', async () => {
    await using lent = await lending({ query: 'api_key' })
    expect((await lent.call('/crm/a?x=1')).status).toBe(200)
    expect(lent.upstream.seen[0]?.url).toBe(`/v1/a?x=1&api_key=${encodeURIComponent(secret)}`)
    for (const own of ['api_key=m', 'API_KEY=m', 'api%5Fkey=m', 'a=1;api_key=m', 'api_key[]=m', '%61pi.key=m', 'api%20key', '+api_key=m']) {
      const answer = await lent.call(`/crm/a?${own}`)
      expect([own, answer.status, answer.json['code']]).toEqual([own, 400, 'listen.malformed'])
    }
    expect(lent.upstream.seen).toHaveLength(1)
  })

  test('goes only where its route leads: another route gets nothing of it', async () => {
    await using lent = await lending({ header: 'X-Crm' })
    await lent.call('/crm/a')
    await lent.call('/other/a', { headers: { 'x-crm': placeholder } })
    expect(lent.upstream.seen[1]?.url).toBe('/other/a')
    expect(JSON.stringify(lent.upstream.seen[1])).not.toContain(secret)
  })

  test.each<[string, Settings, string]>([
    ['a cookie', { cookie: 'session' }, 'value; admin=1'],
    ['a header', { header: 'X-Crm' }, 'value\r\nx-admin: 1'],
    ['a path', { path: '/bot{secret}' }, 'a/../../admin'],
    ['a path', { path: '/{secret}' }, '..'],
    ['a path', { path: '/bot{secret}' }, 'a?b'],
    ['a path', { path: '/bot{secret}' }, 'a%2fb'],
  ])('that would end %s early is not sent at all', async (_where, apply, bad) => {
    await using lent = await lending(apply, { secret: bad })
    expect((await lent.call('/crm/a')).json).toMatchObject({ code: 'credential.unavailable' })
    expect(lent.upstream.seen).toEqual([])
    expect(lent.running.ledgerText()).not.toContain('admin')
  })
})

describe('a placeholder', () => {
  test.each<[string, string, string]>([
    ['authorization', placeholder, secret],
    ['authorization', `Bearer ${placeholder}`, `Bearer ${secret}`],
    ['authorization', `token ${placeholder}`, `token ${secret}`],
    ['authorization', basic('api', placeholder), basic('api', secret)],
    ['x-api-key', placeholder, secret],
    ['x-goog-api-key', placeholder, secret],
    ['private-token', placeholder, secret],
    ['x-crm-key', placeholder, secret],
  ])('in %s (%s) is swapped for the credential, for a caller without a token', async (name, sent, got) => {
    await using lent = await lending({ placeholder }, { ambient: true })
    const answer = await lent.call('/crm/a', { headers: { [name]: sent, accept: '*/*' } })
    expect(answer.status, answer.text).toBe(200)
    expect(lent.upstream.seen[0]?.headers[name]).toBe(got)
    expect(lent.running.entries().find(({ kind }) => kind === 'decision')).toMatchObject({ caller: agentId, method: 'ambient' })
    expect(lent.running.ledgerText()).not.toContain(secret)
  })

  test('stands beside the token of the caller, which is dropped', async () => {
    await using lent = await lending({ placeholder })
    const svid = await lent.running.svid()
    await lent.call('/crm/a', { headers: { authorization: `Bearer ${placeholder}`, 'x-api-key': svid } })
    expect(lent.upstream.seen[0]?.headers.authorization).toBe(`Bearer ${secret}`)
    expect(lent.upstream.seen[0]?.headers['x-api-key']).toBeUndefined()
  })

  test('in the query is found in any encoding, and every other byte stays', async () => {
    await using lent = await lending({ placeholder })
    await lent.call(`/crm/a?x=%7E&key=countersign%2Dcrm-%6bey&y=${placeholder}x`)
    expect(lent.upstream.seen[0]?.url).toBe(`/v1/a?x=%7E&key=${encodeURIComponent(secret)}&y=${placeholder}x`)
  })

  test('that stands nowhere is a refusal that says so, and nothing is sent', async () => {
    await using lent = await lending({ placeholder })
    const places = {
      'user-agent': placeholder,
      referer: placeholder,
      cookie: `k=${placeholder}`,
      'x-note': `see ${placeholder}.`,
      ...asJson,
    }
    const answer = await lent.call(`/crm/${placeholder}?${placeholder}=1`, { method: 'POST', headers: places, body: `"${placeholder}"` })
    expect(answer.json).toMatchObject({ status: 400, code: 'credential.unplaced', reasons: [expect.stringContaining('placeholder')] })
    expect(answer.text).not.toContain(placeholder)
    expect(lent.upstream.seen).toEqual([])
  })

  test('of one route is nothing but text on another', async () => {
    await using lent = await lending({ placeholder })
    await lent.call('/other/a?key=countersign-crm-key', { headers: { 'x-crm-key': placeholder } })
    expect(lent.upstream.seen[0]?.headers['x-crm-key']).toBe(placeholder)
    expect(lent.upstream.seen[0]?.url).toBe('/other/a?key=countersign-crm-key')
  })

  test('bound to its places is text everywhere else', async () => {
    await using lent = await lending({ placeholder, at: [{ header: 'X-Crm-Key' }, { query: 'key' }] })
    const answer = await lent.call(`/crm/a?note=${placeholder}`, { headers: { 'x-crm-key': placeholder, 'x-note': placeholder } })
    expect(answer.status, answer.text).toBe(200)
    expect(lent.upstream.seen[0]?.headers).toMatchObject({ 'x-crm-key': secret, 'x-note': placeholder })
    expect(lent.upstream.seen[0]?.url).toBe(`/v1/a?note=${placeholder}`)
    expect((await lent.call(`/crm/a?note=${placeholder}`)).json).toMatchObject({ code: 'credential.unplaced' })
  })
})

describe('a path template', () => {
  const told = (reference: string): string => `/crm/a/b?say=${encodeURIComponent(reference)}`

  test('puts the credential between the base path and the path of the call', async () => {
    await using lent = await lending({ path: '/bot{secret}' })
    await lent.call('/crm/sendMessage?chat=%7E')
    expect(lent.upstream.seen[0]?.url).toBe(`/v1/bot${secret}/sendMessage?chat=%7E`)
  })

  test('links to what is below it lead through the proxy, without the credential', async () => {
    await using lent = await lending({ path: '/bot{secret}' })
    const answer = await lent.call(told('UP/v1/botSECRET/file?x=1'))
    expect(answer.status, answer.text).toBe(302)
    expect(answer.headers.location).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/crm\/file\?x=1$/)
    expect(answer.headers.link).toMatch(/\/crm\/file\?x=1>; rel="next"$/)
    expect(answer.text).not.toContain(secret)
    expect((await lent.call(told('/v1/botSECRET/file'))).headers.location).toBe('/crm/file')
  })

  test.each([
    'UP/v1/botSECRET',
    '/v1/botSECRET/x?again=SECRET',
    'UP/v1/botSECRETx/file',
    '/v1/bot7301/file',
    '/file/botSECRET/x',
    '../botSECRET/..',
  ])('a redirect to %s tells the agent nothing of it', async (reference) => {
    await using lent = await lending({ path: '/bot{secret}' })
    const answer = await lent.call(told(reference))
    expect(`${JSON.stringify(answer.headers)}${answer.text}`).not.toContain(secret)
    expect(answer.headers.location ?? '/crm/').toMatch(/^(http:\/\/127\.0\.0\.1:\d+)?\/crm\//)
  })

  test.each([
    '/crm/../admin',
    '/crm/%2e%2e/admin',
    '/crm/..%2fadmin',
    '/crm//../admin',
    '/crm/..;/admin',
    'http://evil.example/crm/a',
    '//evil.example/crm/a',
  ])('no path of the agent leads out of it: %s', async (target) => {
    await using lent = await lending({ path: '/bot{secret}' })
    const client = await rawClient(lent.running.port())
    const svid = await lent.running.svid()
    client.socket.write(
      `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${lent.running.port()}\r\nAuthorization: Bearer ${svid}\r\nConnection: close\r\n\r\n`,
    )
    expect(await client.until(() => false)).toMatch(/^HTTP\/1\.1 4\d\d /)
    expect(lent.upstream.seen).toEqual([])
  })
})

describe('a body template', () => {
  const json = { body: { json: '/auth/api_key' } }
  const form = { body: { form: 'client_secret' } }

  test('adds one member to a judged document, drops what was said of its bytes, and records what was sent', async () => {
    await using lent = await lending(json, { route: { tools: [anyTool('crm.any', { match: 'POST /{+path}', args: 'json' })] } })
    const body = '{ "x": 1.0, "auth": {"user":"a"} }'
    const answer = await lent.call('/crm/a', { method: 'POST', body, headers: { ...asJson, 'content-digest': 'sha-256=:x:', digest: 'x' } })
    expect(answer.status, answer.text).toBe(200)
    const seen = lent.upstream.seen[0]
    expect(seen?.body).toBe(`{ "x": 1.0, "auth": {"api_key":"${secret}","user":"a"} }`)
    expect(seen?.headers).toMatchObject({ 'content-length': String(Buffer.byteLength(seen?.body ?? '')) })
    expect(seen?.rawHeaders.join('\n').toLowerCase()).not.toContain('digest')
    const lines = lent.running.entries().filter(({ id }) => id === answer.headers['countersign-call'])
    expect(lines[0]).toMatchObject({ kind: 'decision', body: { sha256: sha256(body) } })
    expect(lines[1]).toMatchObject({ kind: 'outcome', sent_sha256: sha256(seen?.body ?? '') })
    expect(lent.running.ledgerText()).not.toContain(secret)
  })

  test('adds one field to a form that came as a stream', async () => {
    await using lent = await lending(form)
    const answer = await lent.call('/crm/token', { method: 'POST', body: 'grant_type=x', headers: { ...asForm, 'content-md5': 'x' } })
    expect(answer.status, answer.text).toBe(200)
    expect(lent.upstream.seen[0]?.body).toBe(`grant_type=x&client_secret=${encodeURIComponent(secret)}`)
    expect(lent.upstream.seen[0]?.headers['content-md5']).toBeUndefined()
  })

  test('waits for a body that comes in pieces, announced or not', async () => {
    await using lent = await lending(form)
    const svid = await lent.running.svid()
    for (const framing of ['Content-Length: 7', 'Transfer-Encoding: chunked']) {
      const client = await rawClient(lent.running.port())
      client.socket.write(
        `POST /crm/a HTTP/1.1\r\nHost: 127.0.0.1:${lent.running.port()}\r\nAuthorization: Bearer ${svid}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n${framing}\r\n\r\n`,
      )
      const chunked = framing.startsWith('Transfer')
      client.socket.write(chunked ? '3\r\na=1\r\n' : 'a=1')
      setImmediate(() => client.socket.write(chunked ? '4\r\n&b=2\r\n0\r\n\r\n' : '&b=2'))
      expect(await client.until(() => false)).toMatch(/^HTTP\/1\.1 200 /)
    }
    for (const { body, headers } of lent.upstream.seen) {
      expect(body).toBe(`a=1&b=2&client_secret=${encodeURIComponent(secret)}`)
      expect(headers['content-length']).toBe(String(body.length))
      expect(headers['transfer-encoding']).toBeUndefined()
    }
    expect(lent.upstream.seen).toHaveLength(2)
    const outcomes = lent.running.entries().filter(({ kind }) => kind === 'outcome')
    expect(outcomes).toMatchObject([1, 2].map(() => ({ body_sha256: sha256('a=1&b=2') })))
  })

  test.each<[string, Settings, Settings, string, string]>([
    ['a member of that name', json, asJson, '{"auth":{"api_key":"mine"}}', 'listen.malformed'],
    ['one in other letters', json, asJson, '{"auth":{"API_key":"mine"}}', 'listen.malformed'],
    ['one that is escaped', json, asJson, '{"auth":{"\\u0061pi_key":"mine"}}', 'listen.malformed'],
    ['no object for it', json, asJson, '{"auth":[]}', 'credential.unplaced'],
    ['two objects for it', json, asJson, '{"auth":{},"auth":{}}', 'credential.unplaced'],
    ['no JSON', json, asJson, '{"auth":{}', 'credential.unplaced'],
    ['another type', json, asForm, '{"auth":{}}', 'credential.unplaced'],
    ['a coding', json, { ...asJson, 'content-encoding': 'gzip' }, '{"auth":{}}', 'credential.unplaced'],
    ['another charset', json, { 'content-type': 'application/json; charset=utf-7' }, '{"auth":{}}', 'credential.unplaced'],
    ['a field of that name', form, asForm, 'a=1&client_secret=mine', 'listen.malformed'],
    ['one that is encoded', form, asForm, 'a=1&client%5Fsecret=mine', 'listen.malformed'],
    ['one after a semicolon', form, asForm, 'a=1;Client_Secret=mine', 'listen.malformed'],
    ['one with an array', form, asForm, 'client_secret[]=mine', 'listen.malformed'],
    ['raw bytes', form, asForm, 'a=1\r\nb', 'credential.unplaced'],
  ])('refuses a body with %s', async (_what, apply, headers, body, code) => {
    await using lent = await lending(apply)
    const answer = await lent.call('/crm/a', { method: 'POST', body, headers: headers as Record<string, string> })
    expect(answer.json).toMatchObject({ status: 400, code })
    expect(lent.upstream.seen).toEqual([])
  })

  test('refuses a call without a body, and a body that is longer than may be held', async () => {
    await using lent = await lending(form)
    expect((await lent.call('/crm/a', { headers: asForm })).json).toMatchObject({ code: 'credential.unplaced' })
    const long = await lent.call('/crm/a', { method: 'POST', headers: asForm, body: `a=${'x'.repeat(2 * 1024 * 1024)}` })
    expect(long.json).toMatchObject({ status: 413, code: 'listen.too-large' })
    expect(lent.upstream.seen).toEqual([])
  })
})
