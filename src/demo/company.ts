import { createPrivateKey, randomBytes } from 'node:crypto'
import { copyFileSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeKeyPair, publicText } from '../cli/key-pair.ts'
import { certificatesPem } from '../identify/x509/pem.ts'
import { developmentIssuer, type DevelopmentIssuer } from './issuer.ts'
import { serveWorkloadApi } from './workload-api.ts'
import { crm, mail, payments, startUpstream, type Upstream } from './upstreams.ts'

/** A small company on one machine: a trust domain with its Workload API, three APIs that check their credentials, two agents, one person, one configuration. */
export interface Company {
  /** Fresh folder that holds everything the demonstration writes. */
  readonly folder: string
  readonly configFile: string
  /** What the configuration takes from the environment. */
  readonly env: Readonly<Record<string, string>>
  readonly issuer: DevelopmentIssuer
  /** Where any SPIFFE SDK gets SVIDs of this company, as `SPIFFE_ENDPOINT_SOCKET` takes it. */
  readonly workloadApi: string
  readonly agent: string
  /** The agent that a part of the task is handed on to. */
  readonly reader: string
  /** Who answers approvals and stops agents: made up, with a key pair of her own. */
  readonly person: { readonly name: string; readonly keyPair: string }
  readonly audience: string
  readonly upstreams: { readonly crm: Upstream; readonly mail: Upstream; readonly payments: Upstream }
  /**
   * Writes fresh SVIDs of the agents and gives them: `agent.jwt`, for mutual TLS `agent.pem` and `agent.key` beside `bundle.pem`, and
   * `reader.jwt`.
   */
  svids(): Promise<AgentSvids>
  close(): Promise<void>
}

/** What the agents prove themselves with. */
export interface AgentSvids {
  readonly token: string
  readonly readerToken: string
  /** PEM, for a TLS client. */
  readonly certificate: { readonly cert: string; readonly key: string; readonly ca: string }
}

export const svidSeconds = 900

/** Sets the company up in a new folder under the system's temporary one. */
export async function foundCompany(): Promise<Company> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-'))
  const issuer = await developmentIssuer('acme.example')
  const agent = 'spiffe://acme.example/ns/support/sa/refund-agent'
  const reader = 'spiffe://acme.example/ns/support/sa/order-reader'
  const audience = 'spiffe://acme.example/countersign'
  const secret = randomBytes(24).toString('base64url')
  const ports = await freePorts([7420, 7421, 7423, 7424])
  const upstreams = await startUpstreams(new URL(`http://127.0.0.1:${ports[2]}`), secret)
  const workloadApi = await serveWorkloadApi({
    issuer,
    socket: join(folder, 'workload-api.sock'),
    ids: [agent, audience, reader],
    seconds: svidSeconds,
    dns: ['localhost'],
  })
  writeFileSync(join(folder, 'crm-introspection.secret'), secret, { mode: 0o600 })
  const person = { name: 'ada', keyPair: join(folder, 'ada.key') }
  const personKey = publicText(makeKeyPair(person.keyPair, 'ed25519'))
  const configFile = join(folder, 'countersign.yaml')
  copyFileSync(new URL('../../examples/demonstration/countersign.yaml', import.meta.url), configFile)
  return {
    folder,
    configFile,
    env: { ...addresses(ports, upstreams), SPIFFE_ENDPOINT_SOCKET: workloadApi.address, PERSON: person.name, PERSON_KEY: personKey },
    issuer,
    workloadApi: workloadApi.address,
    agent,
    reader,
    person,
    audience,
    upstreams,
    svids: () => writeSvids(issuer, folder, { agent, reader, audience }),
    close: async () => {
      for (const upstream of Object.values(upstreams)) await upstream.close()
      await workloadApi.close()
    },
  }
}

async function writeSvids(
  issuer: DevelopmentIssuer,
  folder: string,
  { agent, reader, audience }: Pick<Company, 'agent' | 'reader' | 'audience'>,
): Promise<AgentSvids> {
  const readerToken = await issuer.mint(reader, audience, svidSeconds)
  const token = await issuer.mint(agent, audience, svidSeconds)
  const { chain, key } = issuer.issue({ id: agent, seconds: svidSeconds })
  const pem = createPrivateKey({ key: Buffer.from(key ?? []), format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' })
  const certificate = { cert: certificatesPem(chain), key: pem, ca: certificatesPem(issuer.authorities) }
  const files = {
    'agent.jwt': token,
    'reader.jwt': readerToken,
    'agent.pem': certificate.cert,
    'agent.key': pem,
    'bundle.pem': certificate.ca,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 })
  return { token, readerToken, certificate }
}

/** Three APIs that check their credentials; the CRM also asks Countersign whether they were taken back. */
async function startUpstreams(health: URL, secret: string): Promise<Company['upstreams']> {
  const introspection = { url: new URL('/introspect', health), client: 'crm', secret }
  const jwks = new URL('/.well-known/jwks.json', health)
  return {
    crm: await startUpstream('crm', crm, () => ({ audience: 'https://crm.acme.example', jwks, introspection })),
    mail: await startUpstream('mail', mail, () => ({ audience: 'https://mail.partner.example', jwks, introspection: null })),
    payments: await startUpstream('payments', payments, () => ({ audience: 'https://payments.acme.example', jwks, introspection: null })),
  }
}

function addresses(ports: readonly number[], { crm: customers, mail: post, payments: money }: Company['upstreams']): Company['env'] {
  const [agent, admin, health, tls] = ports.map(String)
  return {
    AGENT_PORT: agent ?? '',
    ADMIN_PORT: admin ?? '',
    HEALTH_PORT: health ?? '',
    TLS_PORT: tls ?? '',
    CRM_URL: customers.url,
    MAIL_URL: post.url,
    PAYMENTS_URL: money.url,
  }
}

/** Gives each wanted loopback port if it is free, else a free one. */
async function freePorts(wanted: readonly number[]): Promise<number[]> {
  const taken: number[] = []
  for (const port of wanted) taken.push((await tryPort(port)) ?? (await tryPort(0)) ?? 0)
  return taken
}

function tryPort(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(null))
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(address !== null && typeof address === 'object' ? address.port : null))
    })
  })
}
