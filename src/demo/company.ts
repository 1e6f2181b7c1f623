import { randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { developmentIssuer, type DevelopmentIssuer } from './issuer.ts'
import { crm, mail, payments, startUpstream, type Upstream } from './upstreams.ts'

/** A small company on one machine: a trust domain, three APIs that check their credentials, one agent, one configuration. */
export interface Company {
  /** Fresh folder that holds everything the demonstration writes. */
  readonly folder: string
  readonly configFile: string
  readonly issuer: DevelopmentIssuer
  readonly agent: string
  readonly audience: string
  readonly upstreams: { readonly crm: Upstream; readonly mail: Upstream; readonly payments: Upstream }
  /** Writes a fresh SVID of the agent to `agent.jwt` and gives it. */
  svid(): Promise<string>
  close(): Promise<void>
}

export const svidSeconds = 900

/** Sets the company up in a new folder under the system's temporary one. */
export async function foundCompany(): Promise<Company> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-'))
  const issuer = await developmentIssuer('acme.example')
  const agent = 'spiffe://acme.example/ns/support/sa/refund-agent'
  const audience = 'spiffe://acme.example/countersign'
  const secret = randomBytes(24).toString('base64url')
  const ports = await freePorts([7420, 7421, 7423])
  const health = new URL(`http://127.0.0.1:${ports[2]}`)
  const introspection = { url: new URL('/introspect', health), client: 'crm', secret }
  const jwks = new URL('/.well-known/jwks.json', health)
  const upstreams = {
    crm: await startUpstream('crm', crm, () => ({ audience: 'https://crm.acme.example', jwks, introspection })),
    mail: await startUpstream('mail', mail, () => ({ audience: 'https://mail.partner.example', jwks, introspection: null })),
    payments: await startUpstream('payments', payments, () => ({ audience: 'https://payments.acme.example', jwks, introspection: null })),
  }
  writeFileSync(join(folder, 'bundle.json'), issuer.bundle)
  writeFileSync(join(folder, 'crm-introspection.secret'), secret, { mode: 0o600 })
  const configFile = join(folder, 'countersign.yaml')
  writeFileSync(configFile, configuration(agent, audience, ports, upstreams))
  return {
    folder,
    configFile,
    issuer,
    agent,
    audience,
    upstreams,
    svid: async () => {
      const token = await issuer.mint(agent, audience, svidSeconds)
      writeFileSync(join(folder, 'agent.jwt'), token, { mode: 0o600 })
      return token
    },
    close: async () => {
      for (const upstream of Object.values(upstreams)) await upstream.close()
    },
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

function configuration(agent: string, audience: string, ports: readonly number[], upstreams: Company['upstreams']): string {
  return `version: 1
listen:
  agent:
    - { at: "127.0.0.1:${ports[0]}" }
  health: { at: "127.0.0.1:${ports[2]}" }
admin: { at: "127.0.0.1:${ports[1]}", key: { file: admin.key } }

identify:
  audience: ${audience}
  sources:
    - { type: jwt-svid, trust_domain: acme.example, keys: { file: bundle.json } }

task:
  state: { path: state/state.db, key: { file: state/state.key } }
  agents:
    - id: ${agent}
      purpose: answer refund requests up to 200 EUR
      owners: { business: refunds@acme.example, security: appsec@acme.example, incident: oncall@acme.example }
      autonomy: bounded
      intent:
        tools: [crm.customer.read, crm.order.read, payments.refund.create, mail.send]
        resources: ["customer:*", "order:*"]
        data: [public, internal, personal]
        egress: [internal, partner]
        budget: { calls: 200, refunds_eur: 200 }
        ttl: 30m

decide: { environment: demonstration }

credential:
  providers:
    crm: { type: jwt, audience: "https://crm.acme.example", ttl: 60s, introspect: { secret: { file: crm-introspection.secret } } }
    payments: { type: jwt, audience: "https://payments.acme.example", ttl: 60s }
    mail: { type: jwt, audience: "https://mail.partner.example", ttl: 60s }

forward:
  routes:
    crm:
      at: /crm
      to: ${upstreams.crm.url}/api
      reach: private
      owner: crm-team@acme.example
      credential: crm
      tools:
        - { name: crm.customer.read, match: "GET /customers/{id}", effect: read, risk: low, data: [personal], egress: internal, resource: "customer:{id}" }
        - { name: crm.order.read, match: "GET /orders/{id}", effect: read, risk: low, data: [internal], egress: internal, resource: "order:{id}" }
        - { name: crm.customer.delete, match: "DELETE /customers/{id}", effect: delete, risk: high, egress: internal, resource: "customer:{id}" }
    payments:
      at: /payments
      to: ${upstreams.payments.url}
      reach: private
      owner: payments-team@acme.example
      credential: payments
      tools:
        - { name: payments.refund.create, match: "POST /refunds", effect: write, risk: high, data: [internal], egress: internal, args: json, debit: { refunds_eur: /amount } }
    mail:
      at: /mail
      to: ${upstreams.mail.url}
      reach: private
      credential: mail
      tools:
        - { name: mail.send, match: "POST /messages", effect: send, risk: medium, egress: partner, args: json, accepts: [public, internal] }

record:
  ledger: { path: ledger, key: { file: ledger.key } }
`
}
