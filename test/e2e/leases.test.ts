import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { admin, events, get, openTask, post } from '../support/kill-rig.ts'
import { anyTool, ask, freeAgent, owners, routeTo, Running, TestUpstream, type Settings } from '../support/running.ts'

/** An issuer whose revocation fails as often as it is told, and somebody's inbox. */
class Outside implements AsyncDisposable {
  failures = 0
  revoked = 0
  readonly alerts: { readonly type: string; readonly data: Readonly<Record<string, unknown>> }[] = []
  readonly #server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => this.#answer(request.url ?? '', body, response))
  })

  static async start(): Promise<Outside> {
    const outside = new Outside()
    await new Promise<void>((resolve) => outside.#server.listen(0, '127.0.0.1', resolve))
    return outside
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(url: string, body: string, response: ServerResponse): void {
    if (url === '/hook') this.alerts.push(JSON.parse(body))
    if (url === '/revoke' && this.failures-- > 0) return void response.writeHead(503).end()
    if (url === '/revoke') this.revoked++
    const token = { access_token: 'a-lent-secret-token', token_type: 'Bearer', expires_in: 60, scope: 'orders:read' }
    response.writeHead(200, { 'content-type': 'application/json' }).end(url === '/token' ? JSON.stringify(token) : '')
  }
}

function start(upstream: string, outside: string, revocation: Settings): Promise<Running> {
  const pay = {
    type: 'oauth',
    issuer: outside,
    endpoints: { token: `${outside}/token`, revocation: `${outside}/revoke` },
    client: { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'CLIENT_SECRET' } },
    scope: ['orders:read'],
    owner: 'payments@acme.example',
  }
  return Running.start({
    routes: { api: routeTo(upstream, 'api', { tools: [anyTool('api.any')], credential: 'pay', owner: 'api@acme.example' }) },
    providers: { pay },
    agents: [freeAgent({ implicit: false })],
    settings: { credential: { revocation }, decide: { notifiers: { pager: { type: 'webhook', url: `${outside}/hook` } } } },
    env: { CLIENT_SECRET: 'a-client-secret' },
  })
}

async function lendAndEnd(running: Running): Promise<string> {
  const task = await openTask(running)
  expect((await get(running, '/api/a', undefined, task)).status).toBe(200)
  expect((await post(running, `/.countersign/v1/tasks/${task}/complete`, {})).status).toBe(200)
  return task
}

test('a credential that its issuer does not take back is told to whoever answers, counted, and taken back when the issuer is well', async () => {
  await using upstream = await TestUpstream.start()
  await using outside = await Outside.start()
  await using running = await start(upstream.url, outside.url, { within: '1s' })
  outside.failures = 2
  const task = await lendAndEnd(running)
  await expect.poll(() => running.sidecar.foundation.credential.sizes().ending, { timeout: 10_000 }).toBe(0)
  expect(outside.revoked).toBe(1)

  const ends = ['lease.revocation-failed', 'lease.revocation-overdue', 'lease.revoked'].map((kind) => events(running, kind))
  expect(ends.map(({ length }) => length)).toEqual([1, 1, 1])
  expect(ends.at(-1)?.[0]).toMatchObject({ provider: 'pay', revocation: 'issuer', cause: 'completed', took: expect.any(Number) })

  await expect.poll(() => outside.alerts.length).toBe(2)
  const answering = { ...owners, route: 'api@acme.example', credential: 'payments@acme.example' }
  for (const { type, data } of outside.alerts) {
    expect(type).toBe('countersign.notification')
    expect(data).toMatchObject({ task, tool: 'api.any', owners: answering })
    expect(data['message']).toMatch(/^credential l_\w+ of provider pay (could not be taken back yet|should have been taken back by now)/)
  }
  const told = running.entries().filter((line) => line['event'] === 'notification')
  expect(told.map(({ by }) => by)).toEqual(['countersign', 'countersign'])

  const { text } = await ask(running.port('health'), '/metrics')
  for (const line of [
    'countersign_lease_events_total{provider="pay",event="revocation-failed"} 1',
    'countersign_lease_events_total{provider="pay",event="revocation-overdue"} 1',
    'countersign_lease_events_total{provider="pay",event="revoked"} 1',
    'countersign_lease_revocation_seconds_count{provider="pay"} 1',
    'countersign_lease_revocations_overdue 0',
  ])
    expect(text).toContain(line)
  expect(JSON.stringify([outside.alerts, running.logged, running.ledgerText(), text])).not.toContain('a-lent-secret')
})

test('while a revocation is overdue the gauge says so, and nobody hears of it but those whom the configuration names', async () => {
  await using upstream = await TestUpstream.start()
  await using outside = await Outside.start()
  await using running = await start(upstream.url, outside.url, { within: '1s', notify: ['ledger'] })
  outside.failures = 1_000_000
  await lendAndEnd(running)
  await expect.poll(() => running.sidecar.foundation.credential.sizes().overdue, { timeout: 10_000 }).toBe(1)
  expect((await ask(running.port('health'), '/metrics')).text).toContain('countersign_lease_revocations_overdue 1')
  expect((await admin(running, '/v1/status')).json).toMatchObject({ leases: { out: 0, ending: 1, overdue: 1 } })
  expect(events(running, 'notification').map(({ to }) => to)).toEqual(['ledger', 'ledger'])
  expect(outside.alerts).toEqual([])
})
