import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createTcp, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import { verifyLedger } from '../../src/record/verify.ts'
import { Command } from '../support/command-line.ts'
import { LiveUpstream } from '../support/live-upstream.ts'
import {
  agentId,
  anyTool,
  ask,
  audience,
  configText,
  freeAgent,
  routeTo,
  Running,
  TestUpstream,
  type Answered,
  type RunningOptions,
  type Settings,
} from '../support/running.ts'

async function get(running: Running, path: string): Promise<Answered> {
  return ask(running.port(), path, { headers: { authorization: `Bearer ${await running.svid()}` } })
}

async function openTask(running: Running): Promise<string> {
  const headers = { authorization: `Bearer ${await running.svid()}` }
  const opened = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body: '{"purpose":"test"}' })
  return String(opened.json['id'])
}

async function isActive(running: Running, client: string, token: string): Promise<unknown> {
  const headers = { authorization: `Basic ${Buffer.from(`${client}:introspection-secret`).toString('base64')}` }
  const url = `http://127.0.0.1:${running.port('health')}/introspect`
  return ((await (await fetch(url, { method: 'POST', body: new URLSearchParams({ token }), headers })).json()) as Settings)['active']
}

describe('a reload', () => {
  test('brings routes and takes routes away', async () => {
    await using upstream = await TestUpstream.start()
    const one = { one: routeTo(upstream.url, 'one') }
    const two = { two: routeTo(upstream.url, 'two') }
    await using running = await Running.start({ routes: one })
    expect((await get(running, '/two/a')).json).toMatchObject({ code: 'match.unroutable' })
    await running.reload({ routes: { ...one, ...two } })
    expect((await get(running, '/one/a')).status).toBe(200)
    expect((await get(running, '/two/a')).status).toBe(200)
    await running.reload({ routes: two })
    expect((await get(running, '/one/a')).json).toMatchObject({ code: 'match.unroutable' })
    expect((await get(running, '/two/a')).status).toBe(200)
    expect(running.entries().filter((line) => line['event'] === 'config.reloaded')).toHaveLength(2)
  })

  test('opens and closes the own port of a route', async () => {
    await using upstream = await TestUpstream.start()
    const options: RunningOptions = { routes: { api: routeTo(upstream.url, 'api') } }
    await using running = await Running.start(options)
    const { at: _prefix, ...own } = { ...routeTo(upstream.url, 'own'), port: 0 } as Settings
    await running.reload({ routes: { ...options.routes, own } })
    const headers = { authorization: `Bearer ${await running.svid()}` }
    const port = running.port('route.own')
    expect((await ask(port, '/a', { headers })).status).toBe(200)
    await running.reload(options)
    await expect(ask(port, '/a', { headers })).rejects.toThrow('ECONNREFUSED')
  })

  test('lets calls in flight end as they began where it takes nothing from them', async () => {
    const arrived = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    await using upstream = await LiveUpstream.start((_request, response) => {
      response.writeHead(200).write('before')
      arrived.resolve()
      void release.promise.then(() => response.end('after'))
    })
    await using other = await TestUpstream.start()
    const one = { one: routeTo(upstream.url, 'one') }
    await using running = await Running.start({ routes: one })
    const call = get(running, '/one/a')
    await arrived.promise
    await running.reload({ routes: { ...one, two: routeTo(other.url, 'two') } })
    expect((await get(running, '/two/b')).status).toBe(200)
    release.resolve()
    expect(await call).toMatchObject({ status: 200, text: 'beforeafter' })
  })

  test('refuses an agent that it suspends, from the next call on, also within a task', async () => {
    await using upstream = await TestUpstream.start()
    const routes = { api: routeTo(upstream.url, 'api') }
    await using running = await Running.start({ routes })
    const task = await openTask(running)
    expect((await get(running, `/t/${task}/api/a`)).status).toBe(200)
    await running.reload({ routes, agents: [freeAgent({ lifecycle: 'suspended' })] })
    expect((await get(running, `/t/${task}/api/b`)).json).toMatchObject({ code: 'task.agent-not-live' })
    await running.reload({ routes })
    expect((await get(running, `/t/${task}/api/c`)).status).toBe(200)
    expect(upstream.seen.map(({ url }) => url)).toEqual(['/a', '/c'])
  })

  test('ends a task that its agent would no longer be given', async () => {
    await using upstream = await TestUpstream.start()
    const routes = { api: routeTo(upstream.url, 'api') }
    await using running = await Running.start({ routes })
    const task = await openTask(running)
    const intent = { ...(freeAgent()['intent'] as Settings), egress: ['internal'] }
    await running.reload({ routes, agents: [freeAgent({ intent })] })
    expect((await get(running, `/t/${task}/api/a`)).json).toMatchObject({ code: 'task.ended', reasons: ['the task was revoked'] })
    expect(running.entries()).toContainEqual(expect.objectContaining({ event: 'task.revoked', task, by: 'rule:task.within-agent' }))
  })

  test('refuses tokens of a trust domain whose source it takes away', async () => {
    await using upstream = await TestUpstream.start()
    const routes = { api: routeTo(upstream.url, 'api') }
    await using running = await Running.start({ routes })
    const headers = { authorization: `Bearer ${await running.svid()}` }
    expect((await ask(running.port(), '/api/a', { headers })).status).toBe(200)
    const sources = [{ type: 'jwt-svid', trust_domain: 'partner.example', keys: { file: 'bundle.json' } }]
    await running.reload({ routes, settings: { identify: { sources } } })
    expect((await ask(running.port(), '/api/a', { headers })).json).toMatchObject({ code: 'identify.rejected' })
  })

  test('takes back the leases of a provider that it changed, and keeps those of one that it did not', async () => {
    await using upstream = await TestUpstream.start()
    const introspect = { secret: { env: 'INTROSPECTION' } }
    const options = (ttl: string): RunningOptions => ({
      routes: {
        changed: routeTo(upstream.url, 'changed', { credential: 'changed' }),
        kept: routeTo(upstream.url, 'kept', { credential: 'kept' }),
      },
      providers: {
        changed: { type: 'jwt', audience: 'https://changed.acme.example', introspect, ttl },
        kept: { type: 'jwt', audience: 'https://kept.acme.example', introspect },
      },
      env: { INTROSPECTION: 'introspection-secret' },
    })
    await using running = await Running.start(options('60s'))
    await get(running, '/changed/a')
    await get(running, '/kept/a')
    const [changed = '', kept = ''] = upstream.seen.map(({ headers }) => String(headers.authorization).slice(7))
    expect([await isActive(running, 'changed', changed), await isActive(running, 'kept', kept)]).toEqual([true, true])
    await running.reload(options('30s'))
    expect([await isActive(running, 'changed', changed), await isActive(running, 'kept', kept)]).toEqual([false, true])
    const taken = running.entries().filter((line) => line['event'] === 'lease.revoked')
    expect(taken.map((line) => line['detail'])).toEqual([expect.objectContaining({ provider: 'changed', cause: 'provider-changed' })])
    await get(running, '/changed/b')
    await get(running, '/kept/b')
    const [, , renewed = '', again] = upstream.seen.map(({ headers }) => String(headers.authorization).slice(7))
    expect(renewed).not.toBe(changed)
    expect(again).toBe(kept)
    expect(await isActive(running, 'changed', renewed)).toBe(true)
  })

  test('keeps what is open of a caller counted, and applies new limits', async () => {
    await using upstream = await TestUpstream.start()
    const routes = { api: routeTo(upstream.url, 'api') }
    await using running = await Running.start({ routes })
    const post = async (): Promise<Answered> =>
      ask(running.port(), '/api/a', {
        method: 'POST',
        body: 'a'.repeat(2000),
        headers: { authorization: `Bearer ${await running.svid()}` },
      })
    expect((await post()).status).toBe(200)
    await running.reload({ routes, settings: { listen: { limits: { body: '1KiB' } } } })
    expect((await post()).json).toMatchObject({ code: 'listen.too-large' })
  })

  describe('that cannot be used keeps the configuration before:', () => {
    const cases: readonly (readonly [string, RegExp, (base: RunningOptions) => Promise<RunningOptions>])[] = [
      ['a key that is not known', /CS1204/, async (base) => ({ ...base, settings: { listen: { agnet: [] } } })],
      [
        'a policy that is not there',
        /ENOENT/,
        async (base) => ({ ...base, settings: { decide: { bundle: { path: 'not-there.tar.gz', unsafe_unsigned: true } } } }),
      ],
      [
        'a secret that is not there',
        /NOT_SET/,
        async (base) => ({
          routes: { api: { ...base.routes['api'], credential: 'api' } },
          providers: { api: { type: 'static', value: { env: 'NOT_SET' }, unsafe_standing: true } },
        }),
      ],
      [
        'a tool whose template means nothing',
        /api/,
        async (base) => ({ routes: { api: { ...base.routes['api'], tools: [anyTool('api.any', { match: 'GET /{a}{b}' })] } } }),
      ],
      ['another ledger', /record/, async (base) => ({ ...base, settings: { record: { ledger: { path: 'other' } } } })],
    ]

    test.each(cases)('%s', async (_what, why, change) => {
      await using upstream = await TestUpstream.start()
      const base: RunningOptions = { routes: { api: routeTo(upstream.url, 'api') } }
      await using running = await Running.start(base)
      const changed = await change(base)
      await expect(running.reload({ ...changed, routes: { ...changed.routes, extra: routeTo(upstream.url, 'extra') } })).rejects.toThrow(
        why,
      )
      expect((await get(running, '/api/a')).status).toBe(200)
      expect((await get(running, '/extra/a')).json).toMatchObject({ code: 'match.unroutable' })
      await running.reload({ routes: { ...base.routes, extra: routeTo(upstream.url, 'extra') } })
      expect((await get(running, '/extra/a')).status).toBe(200)
    })

    test('a port that is taken', async () => {
      await using upstream = await TestUpstream.start()
      const base: RunningOptions = { routes: { api: routeTo(upstream.url, 'api') } }
      await using running = await Running.start(base)
      const taken = createTcp()
      await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
      const { at: _prefix, ...own } = { ...routeTo(upstream.url, 'own'), port: (taken.address() as AddressInfo).port } as Settings
      await expect(running.reload({ routes: { own } })).rejects.toThrow('EADDRINUSE')
      expect((await get(running, '/api/a')).status).toBe(200)
      taken.close()
    })
  })
})

/** The real process on a configuration, and what is needed to call it. */
class RealProcess implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'countersign-process-'))
  readonly file = join(this.folder, 'countersign.yaml')
  readonly #issuer
  #command: Command | null = null

  private constructor(issuer: Awaited<ReturnType<typeof developmentIssuer>>) {
    this.#issuer = issuer
  }

  static async start(options: RunningOptions): Promise<RealProcess> {
    const issuer = await developmentIssuer('acme.example')
    const real = new RealProcess(issuer)
    writeFileSync(join(real.folder, 'bundle.json'), issuer.bundle)
    real.write(configText(options))
    real.#command = new Command(['start', '--config', real.file])
    await real.command.until(({ stderr }) => stderr.includes('Countersign is up'))
    return real
  }

  get command(): Command {
    if (this.#command === null) throw new Error('not started')
    return this.#command
  }

  write(text: string): void {
    writeFileSync(this.file, text)
  }

  /** Lines of its log, parsed. */
  log(): Readonly<Record<string, unknown>>[] {
    return this.command.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  }

  port(name: string): number {
    const up = this.log().find(({ msg }) => msg === 'Countersign is up') ?? {}
    return (up['ports'] as Readonly<Record<string, number>>)[name] ?? 0
  }

  async get(path: string): Promise<Answered> {
    const authorization = `Bearer ${await this.#issuer.mint(agentId, audience, 300)}`
    return ask(this.port('agent.0'), path, { headers: { authorization } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.command[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

describe('the real process', () => {
  test('takes a good file on SIGHUP, reports a bad one and goes on, and drains on SIGTERM', async () => {
    const arrived = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    await using upstream = await LiveUpstream.start((request, response) => {
      response.write(request.url === '/slow' ? 'before' : 'fast')
      if (request.url === '/slow') arrived.resolve()
      void (request.url === '/slow' ? release.promise : Promise.resolve()).then(() => response.end(request.url === '/slow' ? 'after' : ''))
    })
    const one = { one: routeTo(upstream.url, 'one', { credential: 'api' }) }
    const providers = { api: { type: 'jwt', audience: 'https://api.acme.example' } }
    await using real = await RealProcess.start({ routes: one, providers })
    const { command } = real
    expect((await real.get('/one/a')).text).toBe('fast')
    expect((await real.get('/two/a')).status).toBe(404)

    const good = { routes: { ...one, two: routeTo(upstream.url, 'two') }, providers }
    real.write(configText(good))
    command.signal('SIGHUP')
    await command.until(({ stderr }) => stderr.includes('was swapped in'))
    expect((await real.get('/two/a')).text).toBe('fast')

    real.write(configText(good).replace('routes:', 'ruotes:'))
    command.signal('SIGHUP')
    await command.until(({ stderr }) => stderr.includes('was not taken'))
    const complaint = real.log().find(({ msg }) => String(msg).includes('was not taken'))
    expect(complaint?.['why']).toContain('did you mean "routes"?')
    expect((await real.get('/two/a')).text).toBe('fast')
    const metrics = await (await fetch(`http://127.0.0.1:${real.port('health')}/metrics`)).text()
    expect(metrics).toMatch(/countersign_reloads_total\{result="swapped"\} [1-9]/)
    expect(metrics).toMatch(/countersign_reloads_total\{result="kept-old"\} [1-9]/)

    const slow = real.get('/one/slow')
    await arrived.promise
    command.signal('SIGTERM')
    await command.until(({ stderr }) => stderr.includes('draining'))
    await expect(real.get('/one/late')).rejects.toThrow(/ECONNREFUSED|ECONNRESET|hang up/)
    release.resolve()
    expect((await slow).text).toBe('beforeafter')
    expect(await command.exited).toBe(0)
    const folder = join(real.folder, 'ledger')
    const report = await verifyLedger(folder, readFileSync(join(folder, 'ledger.pub'), 'utf8').trim())
    expect(report).toMatchObject({ ok: true, open: 0, uncovered: 0 })
    expect(real.log().at(-1)).toMatchObject({ msg: 'Countersign has ended' })
    expect(command.stdout).toBe('')
  })

  test('sees a changed file without being told', async () => {
    await using upstream = await TestUpstream.start()
    const one = { one: routeTo(upstream.url, 'one') }
    await using real = await RealProcess.start({ routes: one })
    real.write(configText({ routes: { ...one, two: routeTo(upstream.url, 'two') } }))
    await real.command.until(({ stderr }) => stderr.includes('was swapped in'))
    expect((await real.get('/two/a')).status).toBe(200)
  })

  test('cuts what is not done when the time to drain is over, and still ends well', async () => {
    const arrived = Promise.withResolvers<void>()
    await using upstream = await LiveUpstream.start((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
      arrived.resolve()
    })
    const settings = { listen: { agent: [{ at: '127.0.0.1:0' }], health: { at: '127.0.0.1:0' }, drain: '200ms' } }
    await using real = await RealProcess.start({ routes: { one: routeTo(upstream.url, 'one') }, settings })
    const stream = real.get('/one/events')
    const failed = expect(stream).rejects.toThrow(/aborted|reset|hang up/)
    await arrived.promise
    real.command.signal('SIGTERM')
    await failed
    expect(await real.command.exited).toBe(0)
    const folder = join(real.folder, 'ledger')
    const report = await verifyLedger(folder, readFileSync(join(folder, 'ledger.pub'), 'utf8').trim())
    expect(report).toMatchObject({ ok: true, open: 0, uncovered: 0 })
  })

  test('does not start on a configuration that cannot be used, and says why', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-process-'))
    const file = join(folder, 'countersign.yaml')
    writeFileSync(file, 'version: 1\nlisten: { agnet: [] }\n')
    await using command = new Command(['start', '--config', file])
    expect(await command.exited).toBe(78)
    expect(command.stderr).toContain(`${file}:2:11  CS1204  unknown key "agnet", did you mean "agent"?`)
    expect(() => loadConfig(file, {})).toThrow('CS1204')
    rmSync(folder, { recursive: true, force: true })
  })
})
