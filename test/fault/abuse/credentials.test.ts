import type { ServerResponse } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Abused, idOf, unharmed } from '../../support/abused.ts'
import { freeAgent, routeTo, type SeenRequest } from '../../support/running.ts'

/** What an agent can try to get hold of a credential that is lent for its calls. The upstream here helps it: it sends the credential back. */
let abused: Abused

beforeAll(async () => {
  abused = await Abused.start(
    ['alice', 'bob'],
    (url) => ({
      routes: {
        api: routeTo(url, 'api', { credential: 'api' }),
        other: routeTo(url, 'other', { credential: 'other' }),
        bare: routeTo(url, 'bare'),
        query: routeTo(url, 'query', { credential: 'query' }),
        basic: routeTo(url, 'basic', { credential: 'basic' }),
      },
      providers: {
        api: { type: 'jwt', audience: 'https://api.acme.example' },
        other: { type: 'jwt', audience: 'https://other.acme.example' },
        query: { type: 'static', value: { file: 'upstream.secret' }, unsafe_standing: true, apply: { query: 'api_key' } },
        basic: { type: 'static', value: { file: 'upstream.secret' }, unsafe_standing: true, apply: { basic: 'user' } },
      },
      agents: [freeAgent({ id: idOf('alice') }), freeAgent({ id: idOf('bob') })],
    }),
    helpful,
  )
})
afterEach(async () => expect(await abused.condition()).toEqual(unharmed))
afterAll(() => abused[Symbol.asyncDispose]())

/** The credential that a request brought, wherever it was put. */
function broughtBy({ headers, url }: Pick<SeenRequest, 'headers' | 'url'>): string {
  const query = new URL(url, 'http://upstream.invalid').searchParams.get('api_key')
  const [scheme, value = 'none'] = (headers.authorization ?? '').split(' ')
  return query ?? (scheme === 'Basic' ? atob(value).replace('user:', '') : value)
}

const spellings: Readonly<Record<string, (secret: string) => string>> = {
  plain: (secret) => secret,
  quoted: (secret) => `"${secret}"`,
  bearer: (secret) => `Bearer ${secret}`,
  within: (secret) => `before ${secret} after`,
  base64: (secret) => btoa(secret),
  pair: (secret) => btoa(`user:${secret}`),
  hex: (secret) => Buffer.from(secret).toString('hex'),
  base64url: (secret) => Buffer.from(secret).toString('base64url'),
  percent: (secret) => encodeURIComponent(secret),
}

/** Sends back what it got, in the place that the path names. */
function helpful(request: SeenRequest, response: ServerResponse): void {
  const secret = broughtBy(request)
  const { pathname, searchParams } = new URL(request.url, 'http://upstream.invalid')
  const text = spellings[searchParams.get('as') ?? 'plain']?.(secret) ?? secret
  const place = pathname.slice(1)
  const head = (status: number, headers: Record<string, string> = {}): void => void response.writeHead(status, headers).end('{}')
  switch (place) {
    case 'header':
      return head(200, {
        'x-echo': text,
        authorization: text,
        'www-authenticate': `Bearer realm="${text}"`,
        'set-cookie': `s=${text}`,
        etag: `"${text}"`,
      })
    case 'location':
      return head(302, { location: `/next?token=${text}` })
    case 'elsewhere':
      return head(307, { location: `http://127.0.0.1:${searchParams.get('port')}/steal?token=${text}` })
    case 'link':
      return head(200, {
        link: `</next?token=${text}>; rel="next"`,
        'content-location': `/x?${text}`,
        refresh: `0; url=http://127.0.0.1/?${text}`,
      })
    case 'early':
      response.writeEarlyHints({ link: `</x?${text}>; rel=preload` })
      return head(200)
    case 'phrase':
      response.writeHead(200, text.slice(0, 400)).end('{}')
      return
    case 'trailer':
      response.writeHead(200, { trailer: 'x-echo, x-other' })
      response.write('{')
      response.addTrailers({ 'x-echo': text, 'x-other': `a${text}` })
      response.end('}')
      return
    case 'body':
      response.writeHead(200, { 'content-length': text.length * 2 })
      response.write(text + text.slice(0, 20))
      setTimeout(() => response.end(text.slice(20)), 5)
      return
    case 'chunks':
      response.writeHead(200)
      for (const letter of `{"you sent":"${text}"}`) response.write(letter)
      response.end()
      return
    case 'error':
      return head(500, { 'x-error': `invalid token ${text}` })
    case 'challenge':
      return head(401, { 'www-authenticate': `Basic realm="${text}"`, 'authentication-info': text, 'proxy-authenticate': text })
    default:
      return head(200)
  }
}

describe('a credential that the upstream sends back', () => {
  const places = ['header', 'location', 'link', 'early', 'phrase', 'trailer', 'error', 'challenge', 'body', 'chunks']
  const routes = ['api', 'query', 'basic']

  test.each(routes)('reaches the agent in no header, phrase, link, hint, trailer or body (%s)', async (route) => {
    for (const place of places) {
      for (const as of Object.keys(spellings)) {
        const from = abused.upstream.seen.length
        const client = await abused.client()
        const head = `GET /${route}/${place}?as=${as} HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: close, TE\r\n`
        client.socket.write(`${head}Authorization: Bearer ${abused.token('alice')}\r\n\r\n`)
        await client.closed
        const [seen] = abused.upstream.seen.slice(from)
        expect(seen, `${place} ${as}`).toBeDefined()
        const secret = broughtBy(seen ?? { headers: {}, url: '/' })
        expect(secret).not.toBe('none')
        expect(client.text()).toMatch(/^HTTP\/1\.1 \d{3} /)
        for (const [name, spell] of Object.entries(spellings)) {
          expect(client.text().includes(spell(secret)), `${place} as ${as} holds it ${name}`).toBe(false)
        }
      }
    }
  })
})

describe('the way of a credential', () => {
  test('is not turned by a redirect to a server of the agent', async () => {
    const thief: string[] = []
    const { createServer } = await import('node:http')
    const server = createServer((incoming, response) => {
      thief.push(`${incoming.url} ${JSON.stringify(incoming.headers)}`)
      response.end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const answer = await abused.ask(`/api/elsewhere?port=${port}`)
    expect(answer).toMatchObject({ status: 502, json: { code: 'forward.redirect' } })
    expect(answer.headers.location).toBeUndefined()
    expect(thief).toEqual([])
    await new Promise((resolve) => server.close(resolve))
  })

  test('is not shown by TRACE, nor by asking for what one sends oneself', async () => {
    const from = abused.upstream.seen.length
    for (const method of ['TRACE', 'TRACK', 'trace', 'DEBUG']) {
      const [answer] = await abused.raw(
        `${method} /api/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${abused.token('alice')}\r\nMax-Forwards: 0\r\n\r\n`,
      )
      expect([400, 405, 501, 200]).toContain(answer?.status)
    }
    expect(abused.upstream.seen.slice(from).filter(({ method }) => method === 'TRACE')).toEqual([])
  })

  test('leads to its own upstream alone: none to a route without one, none of another route, agent or task', async () => {
    const from = abused.upstream.seen.length
    await abused.ask('/bare/x')
    expect(abused.upstream.seen.at(-1)?.headers.authorization).toBeUndefined()
    await abused.ask('/api/x')
    await abused.ask('/other/x')
    await abused.ask('/api/x', { as: 'bob' })
    const lent = abused.upstream.seen.slice(from + 1).map((one) => broughtBy(one))
    expect(new Set(lent).size).toBe(3)
    const claims = lent.map((token) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()))
    expect(claims.map(({ aud, sub }) => [aud, sub])).toEqual([
      ['https://api.acme.example', idOf('alice')],
      ['https://other.acme.example', idOf('alice')],
      ['https://api.acme.example', idOf('bob')],
    ])
    // a lease is no identity: whoever has seen one cannot call with it
    for (const token of lent) {
      expect((await abused.ask('/api/x', { headers: { authorization: `Bearer ${token}` } })).status).toBe(401)
    }
  })

  test('is not steered by what the agent sends in its place', async () => {
    const own = `Bearer ${abused.token('alice')}`
    const from = abused.upstream.seen.length
    await abused.ask('/api/x', { headers: { authorization: own, 'x-api-key': 'mine', cookie: 'authorization=mine' } })
    expect(
      abused.upstream.seen.slice(from).map(({ rawHeaders }) => rawHeaders.filter((name) => name.toLowerCase() === 'authorization')),
    ).toEqual([['authorization']])
    for (const query of ['api_key=mine', 'API_KEY=mine', 'api%5Fkey=mine', 'a=1;api_key=mine', 'x=1&api_key=']) {
      const before = abused.upstream.seen.length
      const { status } = await abused.ask(`/query/x?${query}`)
      expect(status, query).not.toBe(200)
      expect(abused.upstream.seen, query).toHaveLength(before)
    }
  })
})
