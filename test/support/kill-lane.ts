import { randomBytes } from 'node:crypto'
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import { openSqlite, type SqliteState } from '../../src/state/sqlite.ts'
import { KillLoad, type LoadCaller } from './kill-load.ts'
import { LedgerHistory } from './ledger-history.ts'
import type { Random } from './random.ts'
import { audience, configText, freeAgent, routeTo } from './running.ts'
import { SidecarProcess } from './sidecar-process.ts'

const ids = ['explicit', 'implicit'].map((name) => `spiffe://acme.example/ns/test/sa/${name}`) as [string, string]
const clients = 8

/** An upstream with a history of its own, in a process that nobody kills. */
export class HistoryUpstream implements AsyncDisposable {
  /** Marker → requests that carried it, from their heads on. */
  readonly seen = new Map<string, number>()
  /** Requests that came without a credential of their own where one is due. */
  readonly bare: string[] = []
  /** Token that was issued → the client it was issued to, and whether it was revoked. This server is an OAuth issuer too. */
  readonly issued = new Map<string, { readonly client: string; revoked: boolean }>()
  readonly #server = createServer((incoming, response) => this.#answer(incoming, response))

  static async start(): Promise<HistoryUpstream> {
    const upstream = new HistoryUpstream()
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(incoming: IncomingMessage, response: ServerResponse): void {
    const url = incoming.url ?? ''
    if (url.startsWith('/oauth/')) return void this.#issue(url, incoming, response)
    const marker = url.slice(url.lastIndexOf('/') + 1)
    this.seen.set(marker, (this.seen.get(marker) ?? 0) + 1)
    const brought = incoming.headers.authorization ?? ''
    if (url.startsWith('/crm/') && !brought.startsWith('Bearer ey')) this.bare.push(marker)
    if (url.startsWith('/pay/') && !this.issued.has(brought.slice(7))) this.bare.push(marker)
    incoming.on('error', () => undefined)
    incoming.resume()
    if (url.includes('/events/')) return void stream(response)
    incoming.on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end(`{"marker":"${marker}"}`))
  }

  async #issue(url: string, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = new URLSearchParams(await text(incoming).catch(() => ''))
    response.setHeader('content-type', 'application/json')
    if (url === '/oauth/token') {
      const token = `token-${randomBytes(12).toString('hex')}`
      this.issued.set(token, { client: userOf(incoming.headers.authorization), revoked: false })
      response.end(JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: 600, scope: 'refunds' }))
      return
    }
    const known = this.issued.get(form.get('token') ?? '')
    if (known) known.revoked = true
    response.end('{}')
  }
}

/** The user of a Basic credential. */
function userOf(authorization = ''): string {
  return atob(authorization.slice(6)).split(':')[0] ?? ''
}

async function stream(response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (let at = 0; at < 5 && !response.destroyed; at++) {
    response.write(`data: ${at}\n\n`)
    await wait(10)
  }
  response.end()
}

/** What stands in a state file, as a copy of it shows. */
export interface StateCopy extends Disposable {
  readonly state: SqliteState
}

/** One ledger folder and the processes that serve it, one after the other. */
export class KillLane implements AsyncDisposable {
  readonly name: string
  readonly folder: string
  readonly load: KillLoad
  readonly history: LedgerHistory
  readonly callers: readonly LoadCaller[]
  readonly startMs: number[] = []
  process: SidecarProcess
  #copies = 0

  private constructor(name: string, folder: string, process: SidecarProcess, callers: readonly LoadCaller[], load: KillLoad) {
    this.name = name
    this.folder = folder
    this.process = process
    this.callers = callers
    this.load = load
    this.history = new LedgerHistory(join(folder, 'ledger'))
  }

  static async open(name: string, durability: 'written' | 'synced', upstream: string, random: Random): Promise<KillLane> {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-kill-'))
    const issuer = await developmentIssuer('acme.example')
    writeFileSync(join(folder, 'bundle.json'), issuer.bundle)
    writeFileSync(join(folder, 'client.secret'), 'a-client-secret-of-a-test')
    writeFileSync(join(folder, 'countersign.yaml'), configOf(upstream, name, durability))
    const callers = await Promise.all(
      ids.map(async (id, at) => ({ id, token: await issuer.mint(id, audience, 7200), explicit: at === 0, tasks: [] })),
    )
    const process = await SidecarProcess.start(join(folder, 'countersign.yaml'))
    return new KillLane(name, folder, process, callers, new KillLoad(name, callers, random))
  }

  /** Load for `ms`, counted from the first answer or from the first request, then kill -9. */
  async loadAndKill(ms: number, answered: boolean): Promise<void> {
    const stop = new AbortController()
    const running = this.load.run(this.process.port(), clients, stop.signal)
    const { got } = this.load.history
    const before = got.length
    const latest = performance.now() + (answered ? 3000 : 0)
    while (got.length === before && performance.now() < latest) await wait(2)
    await wait(ms)
    const killed = this.process.kill()
    stop.abort()
    await Promise.all([killed, running])
  }

  async restart(): Promise<void> {
    this.process = await SidecarProcess.start(join(this.folder, 'countersign.yaml'))
    this.startMs.push(this.process.startMs)
  }

  /** The state as it is on the disk now; the process that held it must be gone. */
  copyState(): StateCopy {
    const path = join(this.folder, `copy-${++this.#copies}.db`)
    for (const end of ['', '-wal'])
      if (existsSync(join(this.folder, `state.db${end}`))) copyFileSync(join(this.folder, `state.db${end}`), path + end)
    const state = openSqlite({ path, clock: Date.now })
    return {
      state,
      [Symbol.dispose]: () => {
        state.close()
        for (const end of ['', '-wal']) rmSync(path + end, { force: true })
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function configOf(upstream: string, name: string, durability: 'written' | 'synced'): string {
  const tool = { effect: 'read', risk: 'low', egress: 'internal' }
  const tools = [
    { name: 'crm.customer.read', match: 'GET /customers/{id}', ...tool, data: ['personal'], resource: 'customer:{id}' },
    { name: 'crm.customer.delete', match: 'DELETE /customers/{id}', ...tool, effect: 'delete' },
    { name: 'crm.order.create', match: 'POST /orders/{id}', ...tool, effect: 'write', args: 'json', debit: { eur: '/amount' } },
    { name: 'crm.file.write', match: 'PUT /files/{id}', ...tool, effect: 'write' },
    { name: 'crm.events.read', match: 'GET /events/{id}', ...tool },
  ]
  const pay = [{ name: 'pay.refund', match: 'POST /refunds/{id}', ...tool, effect: 'write' }]
  const pub = [{ name: 'pub.read', match: 'GET /public/{id}', ...tool }]
  const intent = {
    tools: ['crm.customer.read', 'crm.order.create', 'crm.file.write', 'crm.events.read', 'pub.read', 'pay.refund'],
    resources: ['*'],
    data: ['public', 'internal', 'personal'],
    egress: ['internal'],
    budget: { calls: 1_000_000, eur: 1_000_000 },
    ttl: '1h',
  }
  const issuer = {
    type: 'oauth',
    issuer: upstream,
    endpoints: { token: `${upstream}/oauth/token`, revocation: `${upstream}/oauth/revoke` },
    client: { id: name, authenticate: 'client_secret_basic', secret: { file: 'client.secret' } },
    scope: ['refunds'],
    ttl: '60s',
  }
  return configText({
    routes: {
      pay: routeTo(`${upstream}/pay`, 'pay', { credential: 'pay', tools: pay }),

      crm: routeTo(`${upstream}/crm`, 'crm', { credential: 'crm', tools }),
      open: routeTo(`${upstream}/open`, 'open', { tools: pub }),
    },
    providers: { crm: { type: 'jwt', audience: 'https://crm.acme.example', ttl: '5s' }, pay: issuer },
    agents: [freeAgent({ id: ids[0], intent, implicit: false }), freeAgent({ id: ids[1], intent, implicit: true })],
    settings: { record: { ledger: { path: 'ledger', key: { file: 'ledger.key' }, segment: '256KiB', durability } } },
  })
}
