import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { Faulty } from '../support/faulty.ts'
import { Issuer } from '../support/issuer.ts'
import { agentId, anyTool, ask, freeAgent, routeTo, Running, TestUpstream, type Answered, type RunningOptions } from '../support/running.ts'

const hour = 3_600_000

/** A wall clock that somebody sets. */
class WallClock {
  shift = 0
  readonly now = (): number => Date.now() + this.shift

  set(shift: number): void {
    this.shift = shift
  }
}

interface Rig extends AsyncDisposable {
  readonly running: Running
  readonly upstream: TestUpstream
  readonly clock: WallClock
  /** A token that is good by the clock as it stands. */
  readonly token: (seconds?: number) => string
  readonly call: (path: string, token: string, task?: string) => Promise<Answered>
  readonly act: (token: string, path: string, body?: object) => Promise<Answered>
}

async function rig(more: Partial<RunningOptions> = {}): Promise<Rig> {
  const clock = new WallClock()
  const folder = mkdtempSync(join(tmpdir(), 'countersign-clock-'))
  const issuer = new Issuer({ clock: clock.now })
  const bundle = join(folder, 'bundle.json')
  writeFileSync(bundle, issuer.bundle())
  const upstream = await TestUpstream.start()
  const source = { type: 'jwt-svid', trust_domain: 'acme.example', keys: { file: bundle } }
  const running = await Running.start({
    routes: { api: routeTo(upstream.url, 'api', { credential: 'api' }) },
    providers: { api: { type: 'jwt', audience: 'https://api.acme.example', ttl: '2s' } },
    clock: clock.now,
    ...more,
    settings: { identify: { audience: issuer.audience, sources: [source] }, ...more.settings },
  })
  return {
    running,
    upstream,
    clock,
    token: (seconds = 300) => {
      const iat = Math.floor(clock.now() / 1000)
      return issuer.mint({ claims: { sub: agentId, iat, exp: iat + seconds } })
    },
    call: (path, token, task) =>
      ask(running.port(), path, {
        headers: { authorization: `Bearer ${token}`, ...(task === undefined ? {} : { 'countersign-task': task }) },
      }),
    act: (token, path, body) =>
      ask(running.port(), `/.countersign/v1/tasks${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    [Symbol.asyncDispose]: async () => {
      await running[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Looks again and again, for a few seconds of real time. */
async function until(holds: () => boolean | Promise<boolean>, ms = 8000): Promise<void> {
  for (const end = performance.now() + ms; !(await holds());) {
    if (performance.now() > end) throw new Error('it did not come to that')
    await wait(50)
  }
}

describe('tokens', () => {
  test('a clock put forward ends them, also those that were known; put back, one that is from the future is refused', async () => {
    await using it = await rig()
    const { clock, call } = it
    const early = it.token()
    expect((await call('/api/1', early)).status).toBe(200)
    clock.set(2 * hour)
    expect(await call('/api/2', early)).toMatchObject({ status: 401, json: { code: 'identify.rejected' } })
    const late = it.token()
    expect((await call('/api/3', late)).status).toBe(200)
    clock.set(-2 * hour)
    for (const token of [early, late])
      expect(await call('/api/4', token)).toMatchObject({ status: 401, json: { code: 'identify.rejected' } })
    const now = it.token()
    expect((await call('/api/5', now)).status).toBe(200)
    expect(await it.running.verify()).toMatchObject({ ok: true, open: 0 })
  })

  test('keys from a file serve at once after the clock was put back, and it is ready again by itself', async () => {
    await using it = await rig()
    expect((await it.call('/api/1', it.token())).status).toBe(200)
    it.clock.set(-5 * hour)
    expect((await it.call('/api/2', it.token())).status).toBe(200)
    it.clock.set(-30 * hour)
    await until(() => it.running.sidecar.notReady().length === 0)
    expect((await it.call('/api/3', it.token())).status).toBe(200)
  })
})

describe('tasks', () => {
  test('a clock put forward ends them, with their streams and leases', async () => {
    const upstream = await streaming()
    await using it = await rig({ routes: { api: routeTo(upstream.url, 'api', { credential: 'api' }) } })
    const { json } = await it.act(it.token(), '', { purpose: 'test', ttl: '10m' })
    const task = String(json['id'])
    const ended = stream(it.running.port(), it.token(), task)
    await until(() => upstream.open() === 1)
    it.clock.set(hour)
    await until(() => upstream.open() === 0)
    expect(await ended).toBe('cut')
    expect(await it.call('/api/late', it.token(), task)).toMatchObject({ status: 403, json: { code: 'task.ended' } })
    expect(it.running.sidecar.foundation.state.task(task)?.state).toBe('expired')
    expect(it.running.sidecar.foundation.credential.sizes().out).toBe(0)
    await upstream.close()
  })

  test('put back, they live no longer than they were given, explicit or implicit', async () => {
    await using it = await rig({ agents: [freeAgent({ implicit: { max: '3s' } })] })
    expect((await it.call('/api/implicit', it.token())).status).toBe(200)
    const [implicit] = it.running.sidecar.foundation.state.tasks({ state: 'active' })
    const { json } = await it.act(it.token(), '', { purpose: 'test', ttl: '3s' })
    const task = String(json['id'])
    expect((await it.call('/api/before', it.token(), task)).status).toBe(200)
    it.clock.set(-2 * hour)
    const { state } = it.running.sidecar.foundation
    await until(() => state.task(task)?.state === 'expired')
    await until(() => state.task(implicit?.id ?? '')?.state === 'expired')
    expect(await it.call('/api/after', it.token(), task)).toMatchObject({ status: 403, json: { code: 'task.ended' } })
    expect(it.upstream.seen.map(({ url }) => url)).toEqual(['/implicit', '/before'])
    expect(await it.running.verify()).toMatchObject({ ok: true, open: 0 })
  })

  test('one that was opened under a clock that ran ahead is not kept over a restart', async () => {
    await using it = await rig()
    it.clock.set(2 * hour)
    const { json } = await it.act(it.token(), '', { purpose: 'test', ttl: '10m' })
    const task = String(json['id'])
    expect((await it.call('/api/1', it.token(), task)).status).toBe(200)
    it.clock.set(0)
    await it.running.restart()
    expect(await it.call('/api/2', it.token(), task)).toMatchObject({ status: 403, json: { code: 'task.ended' } })
    expect(it.upstream.seen).toHaveLength(1)
  })

  test('within their life calls go on through small and large steps, and policy still judges them', async () => {
    const tools = [{ ...anyTool('api.personal', { data: ['personal'] }), match: 'GET /people/{id}' }, anyTool('api.any')]
    const out = [anyTool('out.any', { effect: 'send', egress: 'partner', accepts: ['public'] })]
    const upstream = await TestUpstream.start()
    await using it = await rig({
      routes: { api: routeTo(upstream.url, 'api', { tools }), out: routeTo(upstream.url, 'out', { tools: out }) },
    })
    const { json } = await it.act(it.token(), '', { purpose: 'test', ttl: '30m' })
    const task = String(json['id'])
    expect((await it.call('/out/0', it.token(), task)).status).toBe(200)
    expect((await it.call('/api/people/1', it.token(), task)).status).toBe(200)
    for (const shift of [-1000, 60_000, -20_000, -3 * hour, -3 * hour + 60_000, 0]) {
      it.clock.set(shift)
      expect((await it.call(`/api/${shift}`, it.token(), task)).status, `by ${shift} ms`).toBe(200)
      // what was read stays read
      expect(await it.call(`/out/${shift}`, it.token(), task), `by ${shift} ms`).toMatchObject({
        status: 403,
        json: { code: 'decide.denied' },
      })
    }
    expect(new Set(it.running.entries().map(({ id }) => id)).size).toBeGreaterThan(10)
    expect(await it.running.verify()).toMatchObject({ ok: true, open: 0 })
    await upstream[Symbol.asyncDispose]()
  })
})

describe('leases', () => {
  const lent = ({ seen }: TestUpstream): (string | undefined)[] => seen.map(({ headers }) => headers.authorization)

  test('a clock put forward or back never lengthens their use', async () => {
    await using it = await rig()
    const { json } = await it.act(it.token(), '', { purpose: 'test', ttl: '30m' })
    const task = String(json['id'])
    const { credential } = it.running.sidecar.foundation
    const { book } = credential
    await it.call('/api/1', it.token(), task)
    const [first] = book.all()
    it.clock.set(20 * 60_000)
    await it.call('/api/2', it.token(), task)
    expect(lent(it.upstream)[1]).not.toBe(lent(it.upstream)[0])
    await until(() => !book.has(first?.lease.id ?? ''))
    it.clock.set(-2 * hour)
    await it.call('/api/3', it.token(), task)
    const third = book.all().at(-1)?.lease.id ?? ''
    await until(() => !book.has(third))
    await it.call('/api/4', it.token(), task)
    expect(lent(it.upstream)[3]).not.toBe(lent(it.upstream)[2])
    expect(credential.sizes().out).toBe(1)
  })

  test('a revocation that has to be tried again does not wait for the clock that was put back', async () => {
    const good = JSON.stringify({ access_token: 'opaque-and-good', token_type: 'Bearer', expires_in: 60, scope: 'refunds' })
    await using issuer = await Faulty.start(good)
    await using revocation = await Faulty.start('{}', 'error')
    const provider = {
      type: 'oauth',
      issuer: issuer.url,
      endpoints: { token: `${issuer.url}/token`, revocation: `${revocation.url}/revoke` },
      client: { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'CLIENT_SECRET' } },
      scope: ['refunds'],
      ttl: '60s',
    }
    await using it = await rig({ providers: { api: provider }, env: { CLIENT_SECRET: 'a-client-secret-of-a-test' } })
    const { json } = await it.act(it.token(), '', { purpose: 'test', ttl: '30m' })
    const task = String(json['id'])
    expect((await it.call('/api/1', it.token(), task)).status).toBe(200)
    await it.act(it.token(), `/${task}/complete`)
    const { credential } = it.running.sidecar.foundation
    expect(credential.sizes()).toMatchObject({ out: 0, ending: 1 })
    it.clock.set(-5 * hour)
    await revocation.be(null)
    await until(() => credential.sizes().ending === 0)
    expect(revocation.requests.length).toBeGreaterThanOrEqual(2)
    expect(it.running.sidecar.foundation.state.leases({ states: ['revoked'] })).toHaveLength(1)
  })
})

/** An upstream whose answers never end. */
async function streaming() {
  let open = 0
  const server = createServer((_incoming, response) => {
    open++
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
    response.on('close', () => open--)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open: () => open,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Reads a stream; tells how it ended. */
function stream(port: number, token: string, task: string): Promise<'cut' | 'ended'> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${token}`, 'countersign-task': task }
    request({ host: '127.0.0.1', port, path: '/api/stream', agent: false, headers }, (response) => {
      response.on('error', () => resolve('cut'))
      response.on('end', () => resolve('ended'))
      response.resume()
    })
      .on('error', () => resolve('cut'))
      .end()
  })
}
