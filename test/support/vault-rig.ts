import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import { FaultyProxy } from './faulty-proxy.ts'
import { OpenBao } from './openbao.ts'
import { freePort } from './people-rig.ts'
import { Postgres } from './postgres.ts'
import { agentId, ask, audience, configText, freeAgent, routeTo, TestUpstream, type Answered, type Settings } from './running.ts'
import { SidecarProcess } from './sidecar-process.ts'

const json = { 'content-type': 'application/json' }

/**
 * OpenBao, a PostgreSQL that it makes roles in, an upstream that logs in there with the Basic pair that it gets, and Countersign between agent and
 * upstream, in a process of its own. All that Countersign asks of OpenBao goes through a proxy of the test.
 */
export class VaultRig implements AsyncDisposable {
  readonly folder: string
  readonly postgres: Postgres
  readonly bao: OpenBao
  readonly proxy: FaultyProxy
  readonly upstream: TestUpstream
  sidecar: SidecarProcess
  readonly #token: string
  readonly #write: (decide: Settings) => void

  private constructor(parts: Parts, sidecar: SidecarProcess, token: string, folder: string, write: (decide: Settings) => void) {
    this.folder = folder
    this.postgres = parts.postgres
    this.bao = parts.bao
    this.proxy = parts.proxy
    this.upstream = parts.upstream
    this.sidecar = sidecar
    this.#token = token
    this.#write = write
  }

  /** `ttl`: longest life of a lease. */
  static async start(provider: Settings = {}): Promise<VaultRig> {
    const [postgres, bao] = await Promise.all([Postgres.start(), OpenBao.start()])
    const proxy = await FaultyProxy.start(bao.url)
    const upstream = await database(postgres)
    const folder = mkdtempSync(join(tmpdir(), 'cs-vault-'))
    const issuer = await developmentIssuer('acme.example')
    writeFileSync(join(folder, 'bundle.json'), issuer.bundle)
    const countersign = `http://127.0.0.1:${await freePort()}`
    const write = (decide: Settings): void =>
      writeFileSync(
        join(folder, 'countersign.yaml'),
        configuration({ upstream: upstream.url, vault: proxy.url, countersign, provider, decide }),
      )
    write({})
    const sidecar = await SidecarProcess.start(join(folder, 'countersign.yaml'))
    await bao.setUp(countersign, postgres)
    return new VaultRig({ postgres, bao, proxy, upstream }, sidecar, await issuer.mint(agentId, audience, 7200), folder, write)
  }

  /** Opens a task of the agent; gives its id. */
  async open(ttl = '10m'): Promise<string> {
    const body = JSON.stringify({ purpose: 'read orders', tools: ['db.any'], ttl })
    const answer = await this.#ask('/.countersign/v1/tasks', { method: 'POST', body, headers: json })
    if (answer.status !== 201) throw new Error(answer.text)
    return String(answer.json['id'])
  }

  /** One call to the upstream under a task. */
  call(task: string): Promise<Answered> {
    return this.#ask('/db/orders', { headers: { 'countersign-task': task } })
  }

  complete(task: string): Promise<Answered> {
    return this.#ask(`/.countersign/v1/tasks/${task}/complete`, { method: 'POST' })
  }

  /** A person stops a task. */
  async kill(task: string): Promise<Answered> {
    const authorization = `Bearer ${readFileSync(join(this.folder, 'admin.key'), 'utf8').trim()}`
    const body = JSON.stringify({ scope: 'task', name: task, reason: 'test', by: 'oncall' })
    return ask(this.sidecar.port('admin'), '/v1/kills', { method: 'POST', headers: { authorization, ...json }, body })
  }

  /** Puts another policy in force; gives the moment at which it was. */
  async policy(bundle: Uint8Array): Promise<number> {
    writeFileSync(join(this.folder, 'next.tar.gz'), bundle)
    this.#write({ bundle: { path: 'next.tar.gz', unsafe_unsigned: true } })
    process.kill(this.sidecar.pid, 'SIGHUP')
    await this.until(() => this.sidecar.logged.some((line) => line.includes('a policy is in force') && line.includes('r-ends')))
    return performance.now()
  }

  async restart(): Promise<void> {
    this.sidecar = await SidecarProcess.start(join(this.folder, 'countersign.yaml'))
  }

  /** Resolves when it is so. */
  async until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await isSo())) await soon()
  }

  /** Events of one kind, as they stand in the ledger. */
  events(kind: string): readonly Settings[] {
    const lines = this.ledger().trim().split('\n')
    const all = lines.flatMap((line) => (line === '' ? [] : [JSON.parse(line).custom.countersign as Settings]))
    return all.filter((line) => line['event'] === kind).map((line) => line['detail'] as Settings)
  }

  ledger(): string {
    const folder = join(this.folder, 'ledger')
    const files = readdirSync(folder).filter((name) => name.endsWith('.ndjson'))
    return files
      .toSorted()
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('')
  }

  /** Ms from now until PostgreSQL has no role of a task any more. */
  async rolesGone(from = performance.now()): Promise<number> {
    await this.until(async () => (await this.postgres.roles()).length === 0)
    return Math.round(performance.now() - from)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sidecar[Symbol.asyncDispose]()
    await this.upstream[Symbol.asyncDispose]()
    await this.proxy[Symbol.asyncDispose]()
    await this.bao[Symbol.asyncDispose]()
    await this.postgres[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }

  #ask(path: string, options: Parameters<typeof ask>[2] = {}): Promise<Answered> {
    return ask(this.sidecar.port(), path, { ...options, headers: { authorization: `Bearer ${this.#token}`, ...options.headers } })
  }
}

function soon(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5))
}

interface Parts {
  readonly postgres: Postgres
  readonly bao: OpenBao
  readonly proxy: FaultyProxy
  readonly upstream: TestUpstream
}

/** Logs in to the database with the Basic pair of each request, and answers who it is there. */
function database(postgres: Postgres): Promise<TestUpstream> {
  return TestUpstream.start((seen, response) => {
    const [user = '', ...rest] = Buffer.from(String(seen.headers.authorization).replace(/^Basic /, ''), 'base64')
      .toString()
      .split(':')
    void postgres.session(user, rest.join(':')).then(({ ok, text }) => {
      response.writeHead(ok ? 200 : 401, json).end(JSON.stringify(ok ? { user: text } : { error: text.slice(0, 80) }))
    })
  })
}

interface Wiring {
  readonly upstream: string
  readonly vault: string
  readonly countersign: string
  readonly provider: Settings
  readonly decide: Settings
}

function configuration({ upstream, vault, countersign, provider, decide }: Wiring): string {
  const lender = {
    type: 'vault',
    address: vault,
    auth: { role: 'countersign', identity: 'signed', audience: 'vault' },
    token_role: 'countersign',
    policies: ['orders-read'],
    base_policies: ['countersign-lease'],
    secret: { database: { role: 'orders-reader' } },
    ...provider,
  }
  return configText({
    routes: { db: routeTo(upstream, 'db', { credential: 'orders' }) },
    providers: { orders: lender },
    agents: [freeAgent({ implicit: false })],
    settings: {
      credential: { issuer: countersign, key: { file: 'token.key' } },
      listen: { health: { at: new URL(countersign).host } },
      decide,
    },
  })
}
