import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { developmentIssuer, type DevelopmentIssuer } from '../../src/demo/issuer.ts'
import { serveWorkloadApi } from '../../src/demo/workload-api.ts'
import { makeSigner } from './bundle-signer.ts'
import { BundleServer, edition } from './bundle-server.ts'
import { FaultLine, lineFaults, type LineFault, type LineOptions } from './fault-line.ts'
import { LogReceiver } from './log-receiver.ts'
import { audience, freeAgent, routeTo, TestUpstream, type RunningOptions, type Settings } from './running.ts'
import { VaultStandIn, vaultSettings } from './vault-api.ts'

/** Dependencies that a line leads to; the disk is the ninth. */
export const dependencies = ['spire', 'jwks', 'bundle', 'issuer', 'openbao', 'approval', 'sink', 'upstream'] as const
export type Dependency = (typeof dependencies)[number]

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
export class Servers extends AsyncDisposableStack {
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
    writeFileSync(this.file('client.secret'), 'a-client-secret-of-a-test')
    writeFileSync(this.file('policy.pub'), this.signer.text)
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
    return this.file('api.sock')
  }

  file(name: string): string {
    return join(this.folder, name)
  }

  /** Opens a line to a dependency, with no fault yet; without `tls` it speaks plainly. */
  async lane(dependency: Dependency, fault: LineFault, tls?: LineOptions['tls']): Promise<Lane> {
    const name = nameOf(dependency, fault)
    const way = dependency === 'spire' ? { at: this.file(`${name}.sock`) } : tls === undefined ? {} : { tls }
    return { dependency, fault, name, line: this.use(await FaultLine.start({ ...this.#place(dependency), ...way })) }
  }

  /** Where lines to a dependency lead. */
  #place(dependency: Dependency): Pick<LineOptions, 'to' | 'speaks'> {
    if (dependency === 'spire') return { to: this.socket, speaks: 'h2' }
    const { keys, bundles, tokens, vault, hooks, receiver, upstream } = this
    const { url } = { jwks: keys, bundle: bundles, issuer: tokens, openbao: vault, approval: hooks, sink: receiver, upstream }[dependency]
    return { to: Number(new URL(url).port) }
  }
}

function nameOf(dependency: string, fault: LineFault): string {
  return `${dependency}-${fault.toLowerCase().replaceAll(' ', '-')}`
}

/** Every route lends a credential, so that none may reach an upstream without all proofs. */
export function configOf(servers: Servers, lanes: readonly Lane[]): RunningOptions {
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
        client: { id: 'countersign', authenticate: 'client_secret_basic', secret: { file: servers.file('client.secret') } },
        scope: ['refunds'],
        ttl: '60s',
        timeout: wait,
      })),
      ...each('openbao', ({ line }) => ({ ...vaultSettings(line.url).token, timeout: wait })),
    },
    agents: ['acme.example/ns/test/sa', ...[...to('spire'), ...to('jwks')].map(domain)].map((under) =>
      freeAgent({ id: `spiffe://${under}/*` }),
    ),
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
          key: { file: servers.file('policy.pub') },
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
