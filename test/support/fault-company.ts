import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { developmentIssuer, type DevelopmentIssuer } from '../../src/demo/issuer.ts'
import { serveWorkloadApi } from '../../src/demo/workload-api.ts'
import { makeSigner } from './bundle-signer.ts'
import { BundleServer, edition } from './bundle-server.ts'
import { certificateFor } from './certificate.ts'
import { FaultLine, lineFaults, type LineFault, type LineOptions } from './fault-line.ts'
import { LogReceiver } from './log-receiver.ts'
import { ask, audience, freeAgent, routeTo, Running, TestUpstream, type Settings } from './running.ts'
import { VaultStandIn, vaultSettings } from './vault-api.ts'

/** Dependencies that a line leads to; the disk is the ninth. */
export const dependencies = ['spire', 'jwks', 'bundle', 'issuer', 'openbao', 'approval', 'sink', 'upstream'] as const
export type Dependency = (typeof dependencies)[number]

/** What was said to one call. */
export interface Said {
  /** Status and, of a refusal, code; `cut`: the answer did not come whole. */
  readonly said: string
  readonly ms: number
  /** The approval that a refusal holds. */
  readonly approval: string | null
}

/** One way to one dependency, with a fault of its own. */
export interface Lane {
  readonly dependency: Dependency
  readonly fault: LineFault
  /** Of the lane, in paths and settings. */
  readonly name: string
  readonly line: FaultLine
}

/** As much as waits for a dependency of its own may last here, ms. */
const wait = '500ms'
/** How long policy judges after it was last confirmed, ms. */
export const policyAge = 600_000
const token = { token_type: 'Bearer', expires_in: 60, scope: 'refunds' }

/** The servers of a company, all of them well. */
class Servers extends AsyncDisposableStack {
  readonly folder = mkdtempSync(join(tmpdir(), 'countersign-faults-'))
  readonly domains = new Map<string, DevelopmentIssuer>()
  readonly signer = makeSigner('ES256')
  readonly receiver = new LogReceiver()
  upstream!: TestUpstream
  tokens!: TestUpstream
  keys!: TestUpstream
  hooks!: TestUpstream
  vault!: VaultStandIn
  bundles!: BundleServer
  /** Tokens that the issuer has given. */
  readonly issued = new Set<string>()

  async start(): Promise<void> {
    this.defer(() => rmSync(this.folder, { recursive: true, force: true }))
    for (const name of ['spire', 'jwks'].flatMap((kind) => lineFaults.map((fault) => nameOf(kind, fault))))
      this.domains.set(name, await developmentIssuer(`${name}.acme.example`))
    this.upstream = this.use(await TestUpstream.start())
    this.tokens = this.use(
      await TestUpstream.start((_, response) => {
        const access = `issued-${this.issued.size}-${crypto.randomUUID()}`
        this.issued.add(access)
        response.setHeader('content-type', 'application/json').end(JSON.stringify({ ...token, access_token: access }))
      }),
    )
    this.keys = this.use(await TestUpstream.start(({ url }, response) => void response.end(this.domains.get(url.slice(1))?.bundle)))
    this.hooks = this.use(await TestUpstream.start((_, response) => void response.writeHead(204).end()))
    this.use(await this.receiver.listen())
    this.vault = this.use(await VaultStandIn.start())
    this.bundles = this.use(await BundleServer.start(edition({ number: 1, signer: this.signer })))
    const issuers = [...this.domains].flatMap(([name, issuer]) => (name.startsWith('spire') ? [issuer] : []))
    const own = await developmentIssuer('own.acme.example')
    const ids = ['spiffe://own.acme.example/countersign']
    const api = await serveWorkloadApi({ issuer: own, socket: this.socket, ids, seconds: 3600, federated: issuers })
    this.defer(() => api.close())
  }

  get socket(): string {
    return join(this.folder, 'api.sock')
  }

  /** Where lines to a dependency lead. */
  place(dependency: Dependency): Pick<LineOptions, 'to' | 'speaks'> {
    const port = ({ url }: { readonly url: string }): Pick<LineOptions, 'to'> => ({ to: Number(new URL(url).port) })
    switch (dependency) {
      case 'spire':
        return { to: this.socket, speaks: 'h2' }
      case 'jwks':
        return port(this.keys)
      case 'bundle':
        return port(this.bundles)
      case 'issuer':
        return port(this.tokens)
      case 'openbao':
        return port(this.vault)
      case 'approval':
        return port(this.hooks)
      case 'sink':
        return port(this.receiver)
      case 'upstream':
        return port(this.upstream)
    }
  }
}

function nameOf(dependency: string, fault: LineFault): string {
  return `${dependency}-${fault.toLowerCase().replaceAll(' ', '-')}`
}

/** A Countersign in this process with a line to each dependency for each fault; policy has one line, for there is one policy. */
export class FaultCompany implements AsyncDisposable {
  readonly lanes: readonly Lane[]
  readonly servers: Servers
  readonly running: Running
  readonly #stack: AsyncDisposableStack
  readonly #clock: { shift: number }
  #calls = 0

  private constructor(servers: Servers, lanes: readonly Lane[], running: Running, stack: AsyncDisposableStack, clock: { shift: number }) {
    this.servers = servers
    this.lanes = lanes
    this.running = running
    this.#stack = stack
    this.#clock = clock
  }

  /** Starts it; every line but that of the bundle server fails from the beginning. */
  static async start(): Promise<FaultCompany> {
    const stack = new AsyncDisposableStack()
    const servers = stack.use(new Servers())
    await servers.start()
    const tls = { right: certificateFor('localhost'), wrong: certificateFor('localhost') }
    const before = getCACertificates('default')
    setDefaultCACertificates([...before, tls.right.cert])
    stack.defer(() => setDefaultCACertificates(before))
    const lanes: Lane[] = []
    for (const dependency of dependencies)
      for (const fault of dependency === 'bundle' ? lineFaults.slice(0, 1) : lineFaults) {
        if (dependency === 'spire' && fault === 'TLS wrong') continue
        const name = nameOf(dependency, fault)
        const way = dependency === 'spire' ? { at: join(servers.folder, `${name}.sock`) } : { tls }
        const line = stack.use(await FaultLine.start({ ...servers.place(dependency), ...way }))
        if (dependency !== 'bundle') await line.be(fault)
        lanes.push({ dependency, fault, name, line })
      }
    const clock = { shift: 0 }
    writeFileSync(join(servers.folder, 'policy.pub'), servers.signer.text)
    const running = await Running.start({ ...configOf(servers, lanes), clock: () => Date.now() + clock.shift })
    stack.use(running)
    return new FaultCompany(servers, lanes, running, stack, clock)
  }

  lanesTo(dependency: Dependency): readonly Lane[] {
    return this.lanes.filter((lane) => lane.dependency === dependency)
  }

  /** Moves the clock on, ms. */
  pass(ms: number): void {
    this.#clock.shift += ms
  }

  /** One call that needs what is at the end of the lane, and nothing else that fails. */
  async call({ dependency, name }: Lane): Promise<Said> {
    const marker = `${name}/${++this.#calls}`
    const issuer = this.servers.domains.get(name)
    const seconds = 86_400
    const bearer = issuer
      ? await issuer.mint(`spiffe://${name}.acme.example/agent`, audience, seconds)
      : await this.running.svid(`spiffe://acme.example/ns/test/sa/${name}`, seconds)
    const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }
    const body = { method: 'POST', body: JSON.stringify({ marker }), headers }
    const route = ['issuer', 'openbao', 'upstream'].includes(dependency) ? name : 'plain'
    const began = performance.now()
    const over = (): number => performance.now() - began
    try {
      const port = this.running.port()
      const answer = dependency === 'approval' ? await ask(port, '/asked/refunds', body) : await ask(port, `/${route}/${marker}`, { headers })
      const { status, json } = answer
      const { id } = (json['approval'] ?? {}) as { readonly id?: string }
      return { said: [status, json['code']].filter(Boolean).join(' '), ms: over(), approval: id ?? null }
    } catch {
      return { said: 'cut', ms: over(), approval: null }
    }
  }

  /** What reached an upstream through calls of a lane: the credentials that came with it. */
  reached({ name }: Lane): readonly string[] {
    return this.servers.upstream.seen
      .filter(({ url, body }) => url.includes(`/${name}/`) || body.includes(`"${name}/`))
      .map(({ headers }) => String(headers['x-vault-token'] ?? headers.authorization ?? 'none'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

/** Every route lends a credential, so that none may reach an upstream without all proofs. */
function configOf(servers: Servers, lanes: readonly Lane[]): Pick<Parameters<typeof Running.start>[0], 'routes' | 'providers' | 'agents' | 'settings' | 'env'> {
  const to = (dependency: Dependency): readonly Lane[] => lanes.filter((lane) => lane.dependency === dependency)
  const each = (dependency: Dependency, make: (lane: Lane) => Settings): Record<string, Settings> =>
    Object.fromEntries(to(dependency).map((lane) => [lane.name, make(lane)]))
  const { url } = servers.upstream
  const lent = ({ name }: Lane): Settings => routeTo(url, name, { credential: name })
  const asked = { name: 'asked.any', match: 'POST /{+path}', effect: 'write', risk: 'high', egress: 'internal', args: 'json' }
  const timeouts = { connect: wait, head: wait, idle: wait }
  const domain = ({ name }: Lane): string => `${name}.acme.example`
  const [bundle] = to('bundle')
  return {
    routes: {
      plain: routeTo(url, 'plain', { credential: 'own' }),
      asked: routeTo(url, 'asked', { credential: 'own', tools: [asked] }),
      ...each('issuer', lent),
      ...each('openbao', lent),
      ...each('upstream', ({ name, line }) => routeTo(line.url, name, { credential: 'own', timeouts })),
    },
    providers: {
      own: { type: 'jwt', audience: 'https://api.acme.example' },
      ...each('issuer', ({ line }) => ({
        type: 'oauth',
        issuer: line.url,
        endpoints: { token: `${line.url}/token` },
        client: { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'CLIENT_SECRET' } },
        scope: ['refunds'],
        ttl: '60s',
        timeout: wait,
      })),
      ...each('openbao', ({ line }) => ({ ...vaultSettings(line.url).token, timeout: wait })),
    },
    agents: ['acme.example/ns/test/sa', ...[...to('spire'), ...to('jwks')].map(domain)].map((under) => freeAgent({ id: `spiffe://${under}/*` })),
    env: { CLIENT_SECRET: 'a-client-secret-of-a-test' },
    settings: {
      identify: {
        audience,
        sources: [
          { type: 'jwt-svid', trust_domain: 'acme.example', keys: { file: 'bundle.json' }, max_age: '7d' },
          ...to('spire').map((lane) => ({ type: 'spiffe', socket: `unix:${lane.line.place}`, trust_domains: [domain(lane)] })),
          ...to('jwks').map((lane) => ({ type: 'jwt-svid', trust_domain: domain(lane), keys: { url: `${lane.line.url}/${lane.name}` } })),
        ],
      },
      decide: {
        bundle: {
          url: `${bundle?.line.url}/countersign.tar.gz`,
          key: { file: join(servers.folder, 'policy.pub') },
          poll: { min: '100ms', max: '100ms' },
          max_age: '10m',
        },
        evaluation: { stall: '20s' },
      },
      credential: { issuer: 'https://countersign.acme.example' },
      approve: { channels: to('approval').map(({ name, line }) => ({ type: 'webhook', name, url: `${line.url}/${name}` })) },
      record: {
        ledger: { path: 'ledger', key: { file: 'ledger.key' } },
        sinks: to('sink').map(({ name, line }) => ({ type: 'opa', name, url: `${line.url}/${name}`, timeout: wait, every: '10ms' })),
      },
    },
  }
}
