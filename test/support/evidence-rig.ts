import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ada } from './approval-rig.ts'
import { agentId, ask, freeAgent, routeTo, Running, TestUpstream, type Answered, type RunningOptions, type Settings } from './running.ts'

export const helper = 'spiffe://acme.example/ns/test/sa/order-reader'
export const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

const tools: readonly Settings[] = [
  {
    name: 'crm.order.read',
    match: 'GET /orders/{id}',
    effect: 'read',
    risk: 'low',
    egress: 'internal',
    resource: 'order:{id}',
    data: ['internal'],
  },
  {
    name: 'crm.customer.read',
    match: 'GET /customers/{id}',
    effect: 'read',
    risk: 'low',
    egress: 'internal',
    resource: 'customer:{id}',
    data: ['personal'],
  },
  { name: 'pay.refund', match: 'POST /refunds', effect: 'write', risk: 'high', egress: 'internal', args: 'json' },
  { name: 'mail.send', match: 'POST /messages', effect: 'send', risk: 'low', egress: 'partner', accepts: ['public', 'internal'] },
]

/** An issuer of credentials that takes them back. */
export class Issuer implements AsyncDisposable {
  readonly #server = createServer((request, response) => {
    request.resume()
    const token = { access_token: 'a-lent-secret-token', token_type: 'Bearer', expires_in: 60, scope: 'orders:read' }
    response.writeHead(200, { 'content-type': 'application/json' }).end(request.url === '/token' ? JSON.stringify(token) : '')
  })

  static async start(): Promise<Issuer> {
    const issuer = new Issuer()
    await new Promise<void>((resolve) => issuer.#server.listen(0, '127.0.0.1', resolve))
    return issuer
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/** A sidecar in front of a service with orders, customers, refunds and mail, which lends a credential to each call. */
export class EvidenceRig implements AsyncDisposable {
  readonly running: Running
  readonly upstream: TestUpstream
  readonly issuer: Issuer

  private constructor(running: Running, upstream: TestUpstream, issuer: Issuer) {
    this.running = running
    this.upstream = upstream
    this.issuer = issuer
  }

  static async start(more: Partial<RunningOptions> = {}): Promise<EvidenceRig> {
    const upstream = await TestUpstream.start()
    const issuer = await Issuer.start()
    const crm = {
      type: 'oauth',
      issuer: issuer.url,
      endpoints: { token: `${issuer.url}/token`, revocation: `${issuer.url}/revoke` },
      client: { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'CLIENT_SECRET' } },
      scope: ['orders:read'],
    }
    const running = await Running.start({
      routes: { api: routeTo(upstream.url, 'api', { tools, credential: 'crm', owner: 'crm@acme.example' }) },
      providers: { crm },
      agents: [freeAgent({ implicit: false }), freeAgent({ id: helper, implicit: false })],
      env: { CLIENT_SECRET: 'a-client-secret' },
      ...more,
    })
    return new EvidenceRig(running, upstream, issuer)
  }

  async call(
    path: string,
    { by = agentId, task, headers, body }: { by?: string; task?: string; headers?: Record<string, string>; body?: string } = {},
  ): Promise<Answered> {
    return ask(this.running.port(), `${task === undefined ? '' : `/t/${task}`}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${await this.running.svid(by)}`, ...(body && { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body }),
    })
  }

  async open(asked: Settings = {}, headers: Record<string, string> = {}): Promise<string> {
    const body = JSON.stringify({ purpose: 'refund order 1042', ...asked })
    return String((await this.call('/.countersign/v1/tasks', { body, headers })).json['id'])
  }

  async handOn(task: string, asked: Settings = {}): Promise<string> {
    const body = JSON.stringify({ to: helper, purpose: 'look up order 1042', tools: ['crm.order.read'], ...asked })
    const { json } = await this.call(`/.countersign/v1/tasks/${task}/hand-off`, { body })
    const redeemed = await this.call('/.countersign/v1/tasks', {
      by: helper,
      body: JSON.stringify({ grant: json['id'], token: json['token'] }),
    })
    return String(redeemed.json['id'])
  }

  async complete(task: string): Promise<void> {
    await this.call(`/.countersign/v1/tasks/${task}/complete`, { body: '{}' })
  }

  /** A refund from beginning to end: reads, a hand-off, an answer of a person, a refusal, the end. Gives the task and its child. */
  async refund(): Promise<{ readonly task: string; readonly child: string }> {
    const prompt = `sha256:${'9f'.repeat(32)}`
    const task = await this.open({ prompt }, { traceparent })
    await this.call('/api/orders/1042', { task, headers: { traceparent } })
    const child = await this.handOn(task)
    await this.call('/api/orders/1042', { by: helper, task: child })
    await this.call('/api/customers/7', { by: helper, task: child })
    await this.call('/api/customers/7', { task, headers: { 'countersign-prompt': `sha256:${'ab'.repeat(32)}` } })
    await this.call('/api/messages', { task, body: '{"to":"partner@example.com"}' })
    const asked = await this.call('/api/refunds', { task, body: '{"amount":180}' })
    const { id } = asked.json['approval'] as { id: string }
    await this.running.sidecar.foundation.approvals.answer(id, ada, { verdict: 'approve', reason: 'order 1042 was returned' })
    await this.call('/api/refunds', { task, body: '{"amount":180}' })
    await this.complete(task)
    return { task, child }
  }

  /** Options of a command that asks this sidecar, with its local key. */
  get access(): readonly string[] {
    return ['--addr', `127.0.0.1:${this.running.port('admin')}`, '--key', join(this.running.folder, 'admin.key')]
  }

  get publicKey(): string {
    return join(this.running.ledgerFolder, 'ledger.pub')
  }

  /** Asks the admin port with the local key. */
  admin(path: string): Promise<Response> {
    const authorization = `Bearer ${readFileSync(join(this.running.folder, 'admin.key'), 'utf8').trim()}`
    return fetch(`http://127.0.0.1:${this.running.port('admin')}${path}`, { headers: { authorization } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running[Symbol.asyncDispose]()
    await this.upstream[Symbol.asyncDispose]()
    await this.issuer[Symbol.asyncDispose]()
  }
}
