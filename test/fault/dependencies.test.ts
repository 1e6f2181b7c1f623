import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import { certificateFor } from '../support/certificate.ts'
import { Faulty, type Fault } from '../support/faulty.ts'
import { ask, audience, freeAgent, routeTo, Running, TestUpstream, type Answered, type Settings } from '../support/running.ts'

/** No answer may take longer than the deadline that is set for its dependency, and some room for a busy machine. */
const patience = 4000

interface Timed extends Answered {
  readonly ms: number
}

async function timed(running: Running, path: string, token: string): Promise<Timed> {
  const began = performance.now()
  const answer = await ask(running.port(), path, { headers: { authorization: `Bearer ${token}` } })
  return { ...answer, ms: performance.now() - began }
}

async function ready(running: Running): Promise<number> {
  return (await ask(running.port('health'), '/readyz')).status
}

/** What leaves for an upstream without all proofs is what must not be. */
const nothing: unknown[] = []

describe('keys from a URL', () => {
  const cells: readonly (readonly [name: string, fault: Fault, status: number, code: string])[] = [
    ['refuse', 'refuse', 503, 'identify.unavailable'],
    ['hang', 'hang', 503, 'identify.unavailable'],
    ['reset', 'reset', 503, 'identify.unavailable'],
    ['error', 'error', 503, 'identify.unavailable'],
    ['garbage', 'garbage', 503, 'identify.unavailable'],
    ['truncated', 'truncated', 503, 'identify.unavailable'],
    ['stall', 'stall', 503, 'identify.unavailable'],
    ['html', { body: '<html>sign in</html>' }, 503, 'identify.unavailable'],
    ['redirect', { body: '', head: 'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/' }, 503, 'identify.unavailable'],
    ['empty', { body: '{"keys":[]}' }, 401, 'identify.rejected'],
  ]

  test('while they cannot be had every caller of that trust domain is refused, others are served; then they are read again', async () => {
    await using upstream = await TestUpstream.start()
    let shift = 0
    await using keys = new AsyncDisposableStack()
    const domains = await Promise.all(
      cells.map(async ([name, fault, status, code]) => {
        const issuer = await developmentIssuer(`${name}.acme.example`)
        const server = keys.use(await Faulty.start(issuer.bundle, fault))
        const id = `spiffe://${name}.acme.example/agent`
        return { name, server, status, code, id, token: await issuer.mint(id, audience, 600) }
      }),
    )
    const well = await developmentIssuer('well.acme.example')
    const wellServer = keys.use(await Faulty.start(well.bundle))
    const wellId = 'spiffe://well.acme.example/agent'
    const source = (name: string, url: string): Settings => ({ type: 'jwt-svid', trust_domain: `${name}.acme.example`, keys: { url } })
    const sources = [source('well', wellServer.url), ...domains.map(({ name, server }) => source(name, server.url))]
    await using running = await Running.start({
      routes: { api: routeTo(upstream.url, 'api', { credential: 'api' }) },
      providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
      agents: [wellId, ...domains.map(({ id }) => id)].map((id) => freeAgent({ id })),
      settings: { identify: { audience, sources } },
      clock: () => Date.now() + shift,
    })
    const wellToken = await well.mint(wellId, audience, 600)
    const answers = await Promise.all(domains.map(({ name, token }) => timed(running, `/api/${name}`, token)))
    for (const [at, { status, code, name }] of domains.entries()) {
      expect(answers[at], name).toMatchObject({ status, json: { code } })
      // the reading that a call waits for is given up after five seconds
      expect(answers[at]?.ms, name).toBeLessThan(5000 + patience)
    }
    expect(upstream.seen).toEqual(nothing)
    expect(await timed(running, '/api/well', wellToken)).toMatchObject({ status: 200 })
    expect(await ready(running)).toBe(200)

    await Promise.all(domains.map(({ server }) => server.be(null)))
    shift += 31_000 // a call makes us read again at most every thirty seconds
    const healed = await Promise.all(domains.map(({ name, token }) => timed(running, `/api/${name}`, token)))
    for (const [at, { name }] of domains.entries()) expect(healed[at], name).toMatchObject({ status: 200 })
    expect(await running.verify()).toMatchObject({ ok: true })
  })

  test('without any keys it is not ready; keys that cannot be read again serve until they are too old', async () => {
    await using upstream = await TestUpstream.start()
    const issuer = await developmentIssuer('acme.example')
    await using server = await Faulty.start(issuer.bundle, 'refuse')
    let shift = 0
    const source = { type: 'jwt-svid', trust_domain: 'acme.example', keys: { url: server.url }, max_age: '60s' }
    await using running = await Running.start({
      routes: { api: routeTo(upstream.url, 'api') },
      settings: { identify: { audience, sources: [source] } },
      clock: () => Date.now() + shift,
    })
    const token = await issuer.mint('spiffe://acme.example/ns/test/sa/agent', audience, 600)
    expect(await timed(running, '/api/0', token)).toMatchObject({ status: 503, json: { code: 'identify.unavailable' } })
    expect(await ready(running)).toBe(503)
    await server.be(null)
    shift += 31_000
    expect(await timed(running, '/api/1', token)).toMatchObject({ status: 200 })
    expect(await ready(running)).toBe(200)
    await server.be('garbage')
    shift += 40_000
    expect(await timed(running, '/api/2', token)).toMatchObject({ status: 200 })
    shift += 61_000
    expect(await timed(running, '/api/3', token)).toMatchObject({ status: 503, json: { code: 'identify.unavailable' } })
    expect(await ready(running)).toBe(503)
    await server.be(null)
    shift += 31_000
    expect(await timed(running, '/api/4', token)).toMatchObject({ status: 200 })
    expect(upstream.seen.map(({ url }) => url)).toEqual(['/1', '/2', '/4'])
  })
})

describe('an upstream', () => {
  interface Cell {
    readonly name: string
    readonly fault: Fault | null
    /** Null: the answer had begun and was cut. */
    readonly status: number | null
    readonly code: string | null
    readonly ended: string
  }
  const cells: readonly Cell[] = [
    { name: 'refuse', fault: 'refuse', status: 502, code: 'forward.unreachable', ended: 'refused' },
    { name: 'hang', fault: 'hang', status: 504, code: 'forward.timeout', ended: 'refused' },
    { name: 'reset', fault: 'reset', status: 502, code: 'forward.unreachable', ended: 'refused' },
    { name: 'garbage', fault: 'garbage', status: 502, code: 'forward.response-refused', ended: 'refused' },
    { name: 'truncated', fault: 'truncated', status: null, code: null, ended: 'upstream-gone' },
    { name: 'stall', fault: 'stall', status: null, code: null, ended: 'upstream-gone' },
    { name: 'error', fault: 'error', status: 500, code: null, ended: 'complete' },
    { name: 'plain', fault: null, status: 502, code: 'forward.unreachable', ended: 'refused' },
    { name: 'untrusted', fault: null, status: 502, code: 'forward.untrusted', ended: 'refused' },
  ]
  const good = '{"answer":"as it should be"}'

  test('its failures are refused or cut within their deadlines, asked once, and over when it is well again', async () => {
    await using servers = new AsyncDisposableStack()
    const certificate = certificateFor('crm.acme.example')
    const upstreams = await Promise.all(
      cells.map(async (cell) => ({
        ...cell,
        server: servers.use(await Faulty.start(good, cell.fault, cell.name === 'untrusted' ? certificate : null)),
      })),
    )
    const routes = upstreams.map(({ name, server }): [string, Settings] => {
      const to = name === 'plain' ? server.url.replace('http:', 'https:') : server.url
      return [name, routeTo(to, name, { credential: 'api', timeouts: { connect: '500ms', head: '500ms', idle: '500ms' } })]
    })
    await using running = await Running.start({
      routes: Object.fromEntries(routes),
      providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
    })
    const token = await running.svid()
    const answers = await Promise.all(upstreams.map(({ name }) => settled(timed(running, `/${name}/once`, token))))
    for (const [at, { name, status, code }] of upstreams.entries()) {
      const answer = answers[at]
      if (status === null) expect(answer, name).toBeInstanceOf(Error)
      else expect(answer, name).toMatchObject({ status, ...(code === null ? {} : { json: { code } }) })
      if (answer !== undefined && 'ms' in answer) expect(answer.ms, name).toBeLessThan(500 + patience)
    }
    for (const { name, server } of upstreams) {
      expect(server.requests.length, `${name} is asked once at most`).toBeLessThanOrEqual(1)
      expect(server.bytes, `${name} never gets what proves the agent`).not.toContain(token)
      if (name === 'plain' || name === 'untrusted') expect(server.bytes, name).not.toContain('Bearer')
    }
    const ends = new Map(running.entries().flatMap(({ kind, route, ended }) => (kind === 'outcome' ? [[route, ended]] : [])))
    for (const { name, ended } of upstreams) expect(ends.get(name), name).toBe(ended)

    for (const { name, server, status } of upstreams) {
      await server.be(null)
      if (name === 'plain' || name === 'untrusted') continue
      expect(await timed(running, `/${name}/again`, token), `${name} after ${status}`).toMatchObject({ status: 200, text: good })
    }
    expect(await running.verify()).toMatchObject({ ok: true, open: 0 })
  })

  test('a body that it takes no more of is given up', async () => {
    await using upstream = await Faulty.start(good, 'hang')
    await using running = await Running.start({
      routes: { api: routeTo(upstream.url, 'api', { timeouts: { connect: '500ms', head: '500ms', idle: '500ms' } }) },
    })
    const token = await running.svid()
    const began = performance.now()
    const answer = await ask(running.port(), '/api/upload', {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}` },
      body: 'x'.repeat(6_000_000),
    })
    expect(answer).toMatchObject({ status: 504, json: { code: 'forward.timeout' } })
    expect(performance.now() - began).toBeLessThan(500 + patience)
  })
})

describe('an OAuth issuer', () => {
  const good = { access_token: 'opaque-and-good', token_type: 'Bearer', expires_in: 60, scope: 'refunds' }
  const { expires_in: _, ...endless } = good
  const cells: readonly (readonly [name: string, fault: Fault, code: string])[] = [
    ['refuse', 'refuse', 'credential.unavailable'],
    ['hang', 'hang', 'credential.unavailable'],
    ['reset', 'reset', 'credential.unavailable'],
    ['error', 'error', 'credential.unavailable'],
    ['garbage', 'garbage', 'credential.unavailable'],
    ['truncated', 'truncated', 'credential.unavailable'],
    ['stall', 'stall', 'credential.unavailable'],
    ['html', { body: '<html>sign in</html>' }, 'credential.unavailable'],
    ['redirect', { body: '', head: 'HTTP/1.1 307 Found\r\nLocation: http://127.0.0.1:9/' }, 'credential.unavailable'],
    ['no', { body: '{"error":"invalid_client"}', head: 'HTTP/1.1 401 Unauthorized' }, 'credential.unavailable'],
    ['wider', { body: JSON.stringify({ ...good, scope: 'refunds admin' }) }, 'credential.too-wide'],
    ['endless', { body: JSON.stringify(endless) }, 'credential.too-wide'],
    ['longer', { body: JSON.stringify({ ...good, expires_in: 864_000 }) }, 'credential.too-wide'],
    ['proof', { body: JSON.stringify({ ...good, token_type: 'DPoP' }) }, 'credential.too-wide'],
    ['refresh', { body: JSON.stringify({ ...good, refresh_token: 'r' }) }, 'credential.too-wide'],
    ['empty', { body: '{}' }, 'credential.unavailable'],
  ]

  test.each(['token endpoint', 'discovery'])('without what it should give (%s) nothing leaves for the upstream', async (place) => {
    await using upstream = await TestUpstream.start()
    await using servers = new AsyncDisposableStack()
    const found = place === 'discovery'
    // what is odd in a token response is no metadata at all
    const codeAt = (code: string): string => (found ? 'credential.unavailable' : code)
    const issuers = await Promise.all(
      cells.map(async ([name, fault, code]) => ({
        name,
        code: codeAt(code),
        server: servers.use(await Faulty.start(JSON.stringify(good), fault)),
      })),
    )
    const provider = (url: string): Settings => ({
      type: 'oauth',
      issuer: url,
      ...(found ? {} : { endpoints: { token: `${url}/token` } }),
      client: { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'CLIENT_SECRET' } },
      scope: ['refunds'],
      ttl: '60s',
      timeout: '500ms',
    })
    await using running = await Running.start({
      routes: Object.fromEntries(issuers.map(({ name }) => [name, routeTo(upstream.url, name, { credential: name })])),
      providers: Object.fromEntries(issuers.map(({ name, server }) => [name, provider(server.url)])),
      env: { CLIENT_SECRET: 'a-client-secret-of-a-test' },
    })
    const token = await running.svid()
    const answers = await Promise.all(issuers.map(({ name }) => timed(running, `/${name}/once`, token)))
    for (const [at, { name, code }] of issuers.entries()) {
      expect(answers[at], name).toMatchObject({ status: 502, json: { code } })
      expect(answers[at]?.text, name).not.toContain('opaque-and-good')
      expect(answers[at]?.ms, name).toBeLessThan(1000 + patience)
    }
    expect(upstream.seen).toEqual(nothing)
    expect(running.ledgerText() + running.logged.join('\n')).not.toMatch(/opaque-and-good|a-client-secret/)
    expect(await running.verify()).toMatchObject({ ok: true, open: 0 })
    if (found) return

    for (const { name, server } of issuers) {
      await server.be(null)
      expect(await timed(running, `/${name}/again`, token), name).toMatchObject({ status: 200 })
    }
    expect(new Set(upstream.seen.map(({ headers }) => headers.authorization))).toEqual(new Set(['Bearer opaque-and-good']))
    expect(running.ledgerText() + running.logged.join('\n')).not.toMatch(/opaque-and-good|a-client-secret/)
  })
})

describe('the local disk', () => {
  test('a state that another process holds is not shared', async () => {
    await using upstream = await TestUpstream.start()
    const options = { routes: { api: routeTo(upstream.url, 'api') } }
    await using running = await Running.start(options)
    const task = { state: { path: join(running.folder, 'state.db'), key: { file: 'state.key' } }, agents: [freeAgent()] }
    await expect(Running.start({ ...options, settings: { task } })).rejects.toThrow(/state .* is held by another process/)
    expect(await timed(running, '/api/still', await running.svid())).toMatchObject({ status: 200 })
  })

  test('nor is a ledger; it is free again when the first has ended', async () => {
    await using upstream = await TestUpstream.start()
    const options = { routes: { api: routeTo(upstream.url, 'api') } }
    await using running = await Running.start(options)
    const record = { ledger: { path: running.ledgerFolder, key: { file: join(running.folder, 'ledger.key') } } }
    await expect(Running.start({ ...options, settings: { record } })).rejects.toThrow(/another process writes the ledger/)
    expect(await timed(running, '/api/still', await running.svid())).toMatchObject({ status: 200 })
    expect(await running.verify()).toMatchObject({ ok: true })
    await running.close()
    await using next = await Running.start({ ...options, settings: { record } })
    expect(await timed(next, '/api/next', await next.svid())).toMatchObject({ status: 200 })
  })
})

async function settled(answer: Promise<Timed>): Promise<Timed | Error> {
  try {
    return await answer
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
