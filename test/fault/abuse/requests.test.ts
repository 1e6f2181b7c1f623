import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Abused, idOf, unharmed } from '../../support/abused.ts'
import { anyTool, ask, freeAgent, routeTo } from '../../support/running.ts'

/** What an agent can try with the bytes of a request. The upstream of `crm` is below `/base`; `vault` is another route, not for this agent. */
let abused: Abused

const vaultTool = anyTool('vault.any', { risk: 'critical' })

beforeAll(async () => {
  abused = await Abused.start(['alice'], (url) => ({
    routes: {
      crm: routeTo(`${url}/base`, 'crm', { credential: 'crm' }),
      vault: routeTo(`${url}/vault`, 'vault', { credential: 'vault', tools: [vaultTool] }),
      named: routeTo(`${url}/named`, 'named', { at: undefined, host: 'named.acme.example' }),
      own: routeTo(`${url}/own`, 'own', { at: undefined, port: 0 }),
      metadata: routeTo('http://169.254.169.254', 'metadata'),
      metadata6: routeTo('http://[fd00:ec2::254]', 'metadata6'),
      mapped: routeTo('http://[::ffff:169.254.169.254]', 'mapped'),
      number: routeTo('http://2852039166', 'number'),
      octal: routeTo('http://0251.0376.0251.0376', 'octal'),
      cloud: routeTo('http://metadata.google.internal', 'cloud'),
      unspecified: routeTo('http://0.0.0.0:1', 'unspecified'),
      loopback: routeTo(url, 'loopback', { reach: 'public' }),
      loopback6: routeTo('http://[::1]:1', 'loopback6', { reach: 'public' }),
      localhost: routeTo(url.replace('127.0.0.1', 'localhost'), 'localhost', { reach: 'public' }),
    },
    providers: {
      crm: { type: 'jwt', audience: 'https://crm.acme.example' },
      vault: { type: 'jwt', audience: 'https://vault.acme.example' },
    },
    agents: [freeAgent({ id: idOf('alice') })],
  }))
})
afterEach(async () => expect(await abused.condition()).toEqual(unharmed))
afterAll(() => abused[Symbol.asyncDispose]())

/** What the upstream saw since: each must be a call that was judged, below the base of a route this agent may use. */
function seenSince(from: number): string[] {
  return abused.upstream.seen.slice(from).map(({ method, url }) => `${method} ${url}`)
}

function judgedPaths(): Set<string> {
  return new Set(abused.entries().flatMap(({ kind, path }) => (kind === 'decision' ? [`/base${String(path)}`] : [])))
}

const crlf = '\r\n'

/** A request as bytes, with the agent's token. */
function request(line: string, headers: readonly string[] = [], body = ''): string {
  return [line, 'Host: localhost', `Authorization: Bearer ${abused.token('alice')}`, ...headers, '', body].join(crlf)
}

describe('paths to another route', () => {
  const tricks = [
    '/crm/../vault/x',
    '/crm/%2e%2e/vault/x',
    '/crm/%2E%2e/vault/x',
    '/crm/.%2e/vault/x',
    '/crm/..%2fvault/x',
    '/crm/%2e%2e%2fvault/x',
    '/crm/..%5cvault/x',
    '/crm/..\\vault/x',
    '/crm\\..\\vault/x',
    '/crm/%252e%252e/vault/x',
    '/crm/%25252e%25252e/vault/x',
    '/crm/..;/vault/x',
    '/crm/;/../vault/x',
    '/crm/..;x=y/vault/x',
    '/crm/%2e%2e;/vault/x',
    '//vault/x',
    '/crm//../vault/x',
    '/crm/%c0%ae%c0%ae/vault/x',
    '/crm/%e0%80%ae%e0%80%ae/vault/x',
    '/crm/%uff0e%uff0e/vault/x',
    '/crm/．．/vault/x',
    '/crm/%ef%bc%8e%ef%bc%8e/vault/x',
    '/crm/./../vault/x',
    '/crm/x/../../vault/x',
    '/crm/x/%2e%2e/%2e%2e/vault/x',
    '/crm/..',
    '/crm/../',
    '/crm/%2e%2e',
    '/crm/..%00/vault/x',
    '/crm/%00../vault/x',
    '/crm/..%0d%0a/vault/x',
    '/crm/..%09/vault/x',
    '/crm/.. /vault/x',
    '/crm/..?/vault/x',
    '/crm/..#/vault/x',
    '/crm/%2f%2e%2e%2fvault/x',
    '/crm/%2fvault',
    '/%2e%2e/vault/x',
    '/./vault/x',
    '/crm/..//vault/x',
    '/crm/.../vault/x',
    '/CRM/../vault/x',
    '/crm%2f..%2fvault/x',
    '/t/../vault/x',
    '/t/%2e%2e/vault/x',
    '/.countersign/../vault/x',
    '/.countersign/v1/../../vault/x',
    '/crm/%2e./vault',
    '/crm/..%c0%afvault/x',
    '/crm/%%32%65%%32%65/vault/x',
    '/crm/..%u2216vault',
    'vault/x',
    '*',
    '/crm@vault/x',
    'http://localhost/crm/../vault/x',
    'http://localhost\\@vault/x',
    'http://localhost:80@vault/x',
  ] as const

  test.each(tricks)('%s leads nowhere else', async (path) => {
    const from = abused.upstream.seen.length
    const answers = await abused.raw(Buffer.from(request(`GET ${path} HTTP/1.1`, ['Connection: close'])).toString('latin1'))
    for (const { status } of answers) expect([200, 400, 403, 404]).toContain(status)
    for (const line of seenSince(from)) {
      expect(line).toMatch(/^GET \/base\//)
      // what went out is inside of the base also for an origin that decodes, folds and resolves it
      expect(line.slice(9)).not.toMatch(/(^|[/\\;])(\.|%2e|%252e)(\.|%2e|%252e)($|[/\\;%?#])/i)
      expect(judgedPaths()).toContain(line.slice(4))
    }
  })

  test('the vault itself is refused to this agent, whatever the spelling', async () => {
    for (const path of ['/vault', '/vault/', '/vault/x', '/vault?x', '/VAULT/x', '/vault/%78']) {
      expect([403, 404], path).toContain((await abused.ask(path)).status)
    }
    expect(abused.upstream.seen.filter(({ url }) => url.startsWith('/vault'))).toEqual([])
  })
})

describe('requests inside of requests', () => {
  const inner = `GET /crm/smuggled HTTP/1.1${crlf}Host: localhost${crlf}${crlf}`
  const chunked = `0${crlf}${crlf}${inner}`
  const cases: readonly (readonly [name: string, line: string, headers: readonly string[], body: string])[] = [
    ['CL.TE', 'POST /crm/a HTTP/1.1', [`Content-Length: ${chunked.length}`, 'Transfer-Encoding: chunked'], chunked],
    ['TE.CL', 'POST /crm/a HTTP/1.1', ['Transfer-Encoding: chunked', 'Content-Length: 4'], `5c${crlf}${inner}${crlf}0${crlf}${crlf}`],
    ['two lengths', 'POST /crm/a HTTP/1.1', ['Content-Length: 0', `Content-Length: ${inner.length}`], inner],
    ['one length twice', 'POST /crm/a HTTP/1.1', ['Content-Length: 0, 0'], inner],
    ['a length with a sign', 'POST /crm/a HTTP/1.1', ['Content-Length: +0'], inner],
    ['a length in hex', 'POST /crm/a HTTP/1.1', ['Content-Length: 0x0'], inner],
    ['a blank before the colon', 'POST /crm/a HTTP/1.1', ['Content-Length : 0', 'Transfer-Encoding : chunked'], chunked],
    ['an obsolete fold', 'POST /crm/a HTTP/1.1', ['X-A: 1\r\n Transfer-Encoding: chunked', 'Content-Length: 0'], inner],
    ['another coding', 'POST /crm/a HTTP/1.1', ['Transfer-Encoding: xchunked'], chunked],
    ['chunked twice', 'POST /crm/a HTTP/1.1', ['Transfer-Encoding: chunked, chunked'], chunked],
    ['identity beside chunked', 'POST /crm/a HTTP/1.1', ['Transfer-Encoding: identity', 'Transfer-Encoding: chunked'], chunked],
    ['a vertical tab', 'POST /crm/a HTTP/1.1', ['Transfer-Encoding: \x0bchunked'], chunked],
    ['an underscore twin', 'POST /crm/a HTTP/1.1', ['Transfer_Encoding: chunked', `Content-Length: ${chunked.length}`], chunked],
    ['a bare line feed', 'POST /crm/a HTTP/1.1', [`X: 1\nTransfer-Encoding: chunked`], chunked],
    ['a bare return', 'POST /crm/a HTTP/1.1', [`X: 1\rTransfer-Encoding: chunked`], chunked],
    ['NUL in a name', 'POST /crm/a HTTP/1.1', ['Transfer-Encoding\0: chunked'], chunked],
    ['a body on GET', 'GET /crm/a HTTP/1.1', [`Content-Length: ${inner.length}`], inner],
    [
      'a chunked DELETE',
      'DELETE /crm/a HTTP/1.1',
      ['Transfer-Encoding: chunked'],
      `${inner.length.toString(16)}${crlf}${inner}${crlf}0${crlf}${crlf}`,
    ],
    [
      'a chunked OPTIONS',
      'OPTIONS /crm/a HTTP/1.1',
      ['Transfer-Encoding: chunked'],
      `${inner.length.toString(16)}${crlf}${inner}${crlf}0${crlf}${crlf}`,
    ],
    ['a chunk extension with a return', 'POST /crm/a HTTP/1.1', ['Transfer-Encoding: chunked'], `1;\rx${crlf}a${crlf}${chunked}`],
    ['a chunk size with a sign', 'POST /crm/a HTTP/1.1', ['Transfer-Encoding: chunked'], `+0${crlf}${crlf}${inner}`],
    ['a chunk longer than it says', 'POST /crm/a HTTP/1.1', ['Transfer-Encoding: chunked'], `1${crlf}ab${crlf}${chunked}`],
    ['a chunk size without end', 'POST /crm/a HTTP/1.1', ['Transfer-Encoding: chunked'], `${'f'.repeat(40)}${crlf}${inner}`],
    [
      'an upgrade to h2c',
      'GET /crm/a HTTP/1.1',
      ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA'],
      inner,
    ],
    [
      'a websocket',
      'GET /crm/a HTTP/1.1',
      ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'],
      inner,
    ],
    ['an expectation', 'POST /crm/a HTTP/1.1', ['Expect: 100-continue, x', 'Content-Length: 3'], inner],
    ['CONNECT', 'CONNECT 127.0.0.1:1 HTTP/1.1', [], inner],
    ['TRACE', 'TRACE /crm/a HTTP/1.1', [], ''],
    ['HTTP/1.0', 'POST /crm/a HTTP/1.0', ['Connection: keep-alive', `Content-Length: 0`], inner.replace('1.1', '1.0')],
    ['HTTP/0.9', 'GET /crm/a', [], ''],
    ['HTTP/2.0 in words', 'GET /crm/a HTTP/2.0', [], inner],
    ['a tab for a blank', 'GET\t/crm/a\tHTTP/1.1', [], inner],
    ['a method with a colon', 'GET: /crm/a HTTP/1.1', [], inner],
    ['a header without a colon', 'GET /crm/a HTTP/1.1', ['GET /crm/smuggled HTTP/1.1'], ''],
    ['two Hosts', 'GET /crm/a HTTP/1.1', ['Host: vault.acme.example'], ''],
    ['an absolute form elsewhere', 'GET http://vault.acme.example/crm/a HTTP/1.1', [], ''],
    ['a metadata service in absolute form', 'GET http://169.254.169.254/latest/meta-data/ HTTP/1.1', [], ''],
    ['an override of the method', 'GET /crm/a HTTP/1.1', ['X-HTTP-Method-Override: DELETE'], ''],
    ['another URL', 'GET /crm/a HTTP/1.1', ['X-Original-URL: /vault/x'], ''],
    ['a rewritten URL', 'GET /crm/a HTTP/1.1', ['X-Rewrite-URL: /vault/x'], ''],
    ['Connection that drops the identity', 'GET /crm/a HTTP/1.1', ['Connection: authorization'], ''],
    ['Connection that drops the task', 'GET /crm/a HTTP/1.1', ['Connection: countersign-task'], ''],
    ['Connection that drops the host', 'GET /crm/a HTTP/1.1', ['Connection: close, host'], ''],
    ['an Origin', 'GET /crm/a HTTP/1.1', ['Origin: https://partner.example'], ''],
    ['a fetch of a page', 'GET /crm/a HTTP/1.1', ['Sec-Fetch-Site: cross-site'], ''],
  ]

  test.each(cases)('%s is refused, and what is inside is no request', async (_name, line, headers, body) => {
    const from = abused.upstream.seen.length
    const answers = await abused.raw(`${request(line, headers)}${body}${inner}`)
    expect(answers.length).toBeLessThanOrEqual(1)
    for (const { status } of answers) expect([400, 413, 505]).toContain(status)
    expect(seenSince(from)).toEqual([])
  })

  test('many in one packet, good ones among bad ones: the upstream sees exactly those that were judged', async () => {
    const from = abused.upstream.seen.length
    const good = (at: number): string =>
      request(`POST /crm/exact/${at} HTTP/1.1`, ['Transfer-Encoding: chunked'], `3${crlf}abc${crlf}0${crlf}${crlf}`)
    const packets = cases.map(
      ([, line, headers, body], at) => `${good(at)}${good(at + 1000)}${request(line, headers)}${body}${inner}${good(at + 2000)}`,
    )
    for (const packet of packets) await abused.raw(packet, 150)
    const seen = seenSince(from)
    expect(seen.length).toBeGreaterThan(cases.length)
    expect(seen.filter((line) => !/^POST \/base\/exact\/\d{1,4}$/.test(line))).toEqual([])
    expect(new Set(seen).size).toBe(seen.length)
    const judged = judgedPaths()
    for (const line of seen) expect(judged).toContain(line.slice(5))
    expect(abused.upstream.seen.slice(from).every(({ body }) => body === 'abc' || body === '')).toBe(true)
  })
})

describe('names and headers that lie', () => {
  test.each([
    'evil.partner.example',
    'rebound.partner.example:80',
    '169.254.169.254',
    'localhost.partner.example',
    '127.0.0.1.partner.example',
    '[::1].partner.example',
    'localhost:1@x',
    '0.0.0.0',
    '127.1',
    '2130706433',
  ])('Host %s, made to point here, is not served', async (host) => {
    const from = abused.upstream.seen.length
    const answer = await abused.ask('/crm/rebound', { headers: { host } })
    expect(answer).toMatchObject({ status: 400, json: { code: 'listen.malformed' } })
    const api = await abused.ask('/.countersign/v1/tasks', { method: 'POST', headers: { host }, body: '{"purpose":"x"}' })
    expect(api.status).toBe(400)
    expect(seenSince(from)).toEqual([])
  })

  test('nothing that the agent claims about itself, its hops or its task goes upstream', async () => {
    const from = abused.upstream.seen.length
    const claims = {
      'x-forwarded-for': '10.0.0.1',
      'x-forwarded-user': 'admin',
      'x-real-ip': '10.0.0.1',
      forwarded: 'for=10.0.0.1',
      'proxy-authorization': 'Basic eDp5',
      'x-api-key': 'stolen',
      'x-goog-api-key': 'stolen',
      cookie: 'session=stolen',
      'countersign-decision': 'allow',
      'countersign-anything': 'x',
      referer: 'http://127.0.0.1/t/t_00000000000000000000000000/crm/',
      te: 'trailers',
      'accept-encoding': 'gzip',
    }
    const { status } = await abused.ask('/crm/claims', { headers: { ...claims, host: '127.0.0.1' } })
    expect(status).toBe(200)
    const [seen] = abused.upstream.seen.slice(from)
    const names = Object.keys(seen?.headers ?? {})
    expect(names.filter((name) => /^(x-forwarded|x-real|forwarded|proxy-|x-api|x-goog|cookie|countersign|referer|te$)/.test(name))).toEqual(
      [],
    )
    expect(seen?.headers.authorization).toMatch(/^Bearer ey/)
    expect(seen?.headers.authorization).not.toContain(abused.token('alice'))
    expect(seen?.headers['accept-encoding']).toBe('identity')
  })

  test('trailers of a request never become headers, least of all a credential', async () => {
    const from = abused.upstream.seen.length
    const trailers = [
      `Authorization: Bearer stolen`,
      'X-Api-Key: stolen',
      'Countersign-Task: t_x',
      'Host: vault',
      'Content-Length: 0',
    ].join(crlf)
    const body = `3${crlf}abc${crlf}0${crlf}${trailers}${crlf}${crlf}`
    const [answer] = await abused.raw(
      request('POST /crm/trailers HTTP/1.1', ['Transfer-Encoding: chunked', 'Trailer: Authorization, X-Api-Key'], body),
    )
    expect([200, 400]).toContain(answer?.status)
    for (const seen of abused.upstream.seen.slice(from)) {
      expect(JSON.stringify(seen)).not.toContain('stolen')
      expect(seen.body).toBe('abc')
    }
  })

  test('an own port of a route serves that route alone, whatever prefix, task or Host is asked for', async () => {
    const from = abused.upstream.seen.length
    const port = abused.port('route.own')
    for (const path of ['/vault/x', '/crm/x', '/.countersign/v1/tasks', '/t/t_00000000000000000000000000/crm/x']) {
      for (const host of ['localhost', 'named.acme.example', 'vault.acme.example']) {
        await ask(port, path, { headers: { host, authorization: `Bearer ${abused.token('alice')}` } })
      }
    }
    for (const line of seenSince(from)) expect(line).toMatch(/^GET \/own\//)
  })
})

describe('addresses inside', () => {
  const inside = ['metadata', 'metadata6', 'mapped', 'number', 'octal', 'unspecified', 'loopback', 'loopback6', 'localhost']

  test.each(inside)('a route to %s is not dialled', async (route) => {
    const from = abused.upstream.seen.length
    expect(await abused.ask(`/${route}/latest/meta-data/`)).toMatchObject({ status: 403, json: { code: 'forward.forbidden-address' } })
    expect(seenSince(from)).toEqual([])
  })

  test('nor is the name of a metadata service, whether it resolves or not', async () => {
    const { status, json } = await abused.ask('/cloud/computeMetadata/v1/')
    expect([403, 502]).toContain(status)
    expect(['forward.forbidden-address', 'forward.unreachable']).toContain(json['code'])
  })
})
