import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt } from 'jose'
import { mintCertificate, type Minting } from './certificate.ts'

type Body = Readonly<Record<string, unknown>>
interface Token {
  readonly id: string
  readonly policies: readonly string[]
  readonly parent: Token | null
  readonly meta: Body
  expires: number
  readonly explicit: number
  readonly renewable: boolean
  readonly orphan: boolean
  readonly type: string
  uses: number
}
interface LeaseOf {
  readonly id: string
  readonly token: Token
  expires: number
}
interface Answer {
  readonly status: number
  readonly body?: object
}

/** What the stand-in does otherwise than it should: a role or an entity that an operator set up badly. */
export interface Quirks {
  /** Policies that an entity adds. */
  entity?: readonly string[]
  /** Members of `lookup-self` of a task's token. */
  token?: Body
  /** Members of the answer to a login. */
  login?: Body
  /** Members of the answer to the read of a secret; `data` replaces its data. */
  secret?: Body
  /** Changes what a certificate is made of. */
  leaf?: Minting
  /** Policies without rights, by name. */
  powerless?: readonly string[]
}

const authority = mintCertificate({ names: ['authority'], ca: true })
const no = (status: number, ...errors: readonly string[]): Answer => ({ status, body: { errors } })
const dead = no(403, 'permission denied')
/** A policy's no has another form than that of a token that is none, as measured at OpenBao 2.7.2. */
const forbidden = no(403, '1 error occurred:\n\t* permission denied\n\n')
const fields: Readonly<Record<string, readonly string[]>> = {
  login: ['role', 'jwt'],
  create: ['policies', 'no_default_policy', 'type', 'ttl', 'explicit_max_ttl', 'renewable', 'display_name', 'meta'],
  renew: ['increment'],
  'lease-renew': ['lease_id', 'increment'],
  'lease-revoke': ['lease_id', 'sync'],
  issue: ['common_name', 'alt_names', 'uri_sans', 'ttl', 'format'],
  none: [],
}

/**
 * A stand-in of the HTTP API of Vault and OpenBao: logins, tokens that hang from each other, leases that hang from tokens, the engines that are lent from.
 * Refuses what the real one refuses, in its words, and besides every member and header that it does not know.
 */
export class VaultStandIn implements AsyncDisposable {
  readonly #server: ReturnType<typeof createServer>
  readonly tokens = new Map<string, Token>()
  readonly leases = new Map<string, LeaseOf>()
  quirks: Quirks = {}
  /** Bodies that came, by path. */
  readonly asked: { readonly path: string; readonly body: Body; readonly token: string | undefined }[] = []
  role = {
    audience: 'vault',
    policies: ['countersign'],
    ttl: 60,
    max: 3600,
    allowed: ['lease', 'orders-read', 'orders-write', 'kv-read', 'pki-issue'],
  }
  leaseTtl = 3600
  pkiLease = true
  sealed = false
  namespace: string | undefined = undefined

  private constructor() {
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = []
      request.on('data', (part: Buffer) => parts.push(part))
      request.on('end', () => {
        const { status, body } = this.#answer(request, Buffer.concat(parts).toString())
        response.writeHead(status, { 'content-type': 'application/json' }).end(body === undefined ? '' : JSON.stringify(body))
      })
    })
  }

  static async start(): Promise<VaultStandIn> {
    const standIn = new VaultStandIn()
    await new Promise<void>((resolve) => standIn.#server.listen(0, '127.0.0.1', resolve))
    return standIn
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** Tokens that are alive now: logins, and those of tasks. */
  alive(): { readonly parents: readonly Token[]; readonly children: readonly Token[]; readonly leases: number } {
    this.#expire()
    const all = [...this.tokens.values()]
    return {
      parents: all.filter(({ parent }) => parent === null),
      children: all.filter(({ parent }) => parent !== null),
      leases: this.leases.size,
    }
  }

  /** Ends a token with all that hangs from it. */
  kill(token: Token): void {
    this.tokens.delete(token.id)
    for (const lease of this.leases.values()) if (lease.token === token) this.leases.delete(lease.id)
    for (const child of this.tokens.values()) if (child.parent === token && !child.orphan) this.kill(child)
  }

  #expire(): void {
    for (const token of this.tokens.values()) if (token.expires <= Date.now()) this.kill(token)
    for (const lease of this.leases.values()) if (lease.expires <= Date.now()) this.leases.delete(lease.id)
  }

  #answer({ method = '', url = '', headers }: IncomingMessage, text: string): Answer {
    this.#expire()
    const path = url.slice('/v1/'.length)
    if (!url.startsWith('/v1/') || headers['x-vault-request'] !== 'true' || headers['x-vault-namespace'] !== this.namespace)
      return no(400, 'missing or wrong header')
    if (this.sealed) return no(503, 'Vault is sealed')
    const body = text === '' ? {} : (JSON.parse(text) as Body)
    const given = headers['x-vault-token']
    this.asked.push({ path, body, token: typeof given === 'string' ? given : undefined })
    if (path === 'auth/jwt/login') return given === undefined ? this.#login(method, body) : no(400, 'a login carries no token')
    const token = this.tokens.get(String(given))
    if (token === undefined) return dead
    if (token.uses > 0 && --token.uses === 0) this.kill(token)
    return this.#authorized(method, path, body, token)
  }

  #authorized(method: string, path: string, body: Body, token: Token): Answer {
    const route = `${method} ${path}`
    const may = (policy: string): boolean =>
      token.policies.includes(policy) && !(this.quirks.powerless ?? []).some((name) => name === policy || name === path)
    const own = may('lease') || may('countersign')
    switch (route) {
      case 'GET auth/token/lookup-self':
        return own ? { status: 200, body: { data: this.#lookup(token) } } : forbidden
      case 'POST auth/token/renew-self':
        return own ? this.#renewSelf(token, body) : forbidden
      case 'POST auth/token/revoke-self':
        if (unknown(body, 'none')) return no(400, 'unknown field')
        if (!own) return forbidden
        this.kill(token)
        return { status: 204 }
      case 'POST auth/token/create/countersign':
        return may('countersign') ? this.#create(token, body) : forbidden
      case 'PUT sys/leases/renew':
        return may('lease') ? this.#renewLease(body) : forbidden
      case 'PUT sys/leases/revoke':
        if (!may('lease')) return forbidden
        if (unknown(body, 'lease-revoke') || body['sync'] !== true) return no(400, 'unknown field')
        this.leases.delete(String(body['lease_id']))
        return { status: 204 }
      case 'GET database/creds/reader':
        return may('orders-read') ? this.#database(token) : forbidden
      case 'GET kv/data/team/crm':
        return may('kv-read') ? this.#read({ data: { data: { key: 'a-kv-secret', number: 7 }, metadata: { version: 1 } } }) : forbidden
      case 'GET kv1/crm':
        return may('kv-read') ? this.#read({ data: { key: 'a-kv-secret' }, lease_duration: 2_764_800 }) : forbidden
      case 'POST pki/issue/agent':
        return may('pki-issue') ? this.#issue(token, body) : forbidden
      default:
        return no(404, `no handler for route "${path}". route entry not found.`)
    }
  }

  #login(method: string, body: Body): Answer {
    if (method !== 'POST' || unknown(body, 'login')) return no(400, 'unknown field')
    if (body['role'] !== 'countersign') return no(400, `role "${String(body['role'])}" could not be found`)
    const { aud } = decodeJwt(String(body['jwt']))
    if (aud !== this.role.audience) return no(400, 'error validating token: invalid audience (aud) claim')
    const token = this.#mint({ policies: this.role.policies, parent: null, ttl: this.role.ttl, explicit: 0, renewable: true, meta: {} })
    return { status: 200, body: { auth: { ...this.#auth(token), ...this.quirks.login } } }
  }

  #create(parent: Token, body: Body): Answer {
    const { policies, ttl, explicit_max_ttl: explicit, meta, renewable, type, no_default_policy: bare } = body
    if (unknown(body, 'create')) return no(400, 'unknown field')
    const named = Array.isArray(policies) ? (policies as string[]) : []
    const allowed = named.every((name) => this.role.allowed.includes(name))
    if (!allowed) return no(400, `token policies (${JSON.stringify(named)}) must be subset of the role's allowed policies`)
    if (type !== 'service' || typeof meta !== 'object' || meta === null) return no(400, 'type and meta are needed here')
    const asked = named.length === 0 ? this.role.allowed : named
    const token = this.#mint({
      policies: bare === true ? asked : [...asked, 'default'],
      parent,
      ttl: secondsOf(ttl),
      explicit: secondsOf(explicit),
      renewable: renewable === true,
      meta: meta as Body,
    })
    return { status: 200, body: { auth: this.#auth(token) } }
  }

  #mint(of: Pick<Token, 'policies' | 'parent' | 'explicit' | 'renewable' | 'meta'> & { readonly ttl: number }): Token {
    const { ttl, ...rest } = of
    const id = `s.${randomBytes(18).toString('base64url')}`
    const token = { ...rest, id, expires: Date.now() + ttl * 1000, orphan: of.parent === null, type: 'service', uses: 0 }
    this.tokens.set(id, token)
    return token
  }

  #auth({ id, policies, expires, renewable, orphan, type, uses, meta }: Token): Body {
    const lease_duration = Math.round((expires - Date.now()) / 1000)
    return {
      client_token: id,
      policies,
      token_policies: policies,
      lease_duration,
      renewable,
      orphan,
      token_type: type,
      num_uses: uses,
      metadata: meta,
    }
  }

  #lookup({ id, policies, expires, explicit, renewable, orphan, type, uses, meta, parent }: Token): Body {
    const ttl = Math.max(0, Math.round((expires - Date.now()) / 1000))
    const facts = { id, policies, ttl, explicit_max_ttl: explicit, renewable, orphan, type, num_uses: uses, meta }
    if (parent === null) return facts
    return { ...facts, ...(this.quirks.entity === undefined ? {} : { identity_policies: this.quirks.entity }), ...this.quirks.token }
  }

  #renewSelf(token: Token, body: Body): Answer {
    if (unknown(body, 'renew')) return no(400, 'unknown field')
    if (!token.renewable) return no(400, 'lease is not renewable')
    // a token role forgets `explicit_max_ttl` of the token itself, as measured at OpenBao 2.7.2
    token.expires = Date.now() + Math.min(secondsOf(body['increment']), this.role.max) * 1000
    return { status: 200, body: { auth: this.#auth(token) } }
  }

  #renewLease(body: Body): Answer {
    const lease = this.leases.get(String(body['lease_id']))
    if (unknown(body, 'lease-renew') || typeof body['increment'] !== 'number') return no(400, 'unknown field')
    if (lease === undefined) return no(400, 'lease not found')
    const lease_duration = Math.min(body['increment'], this.leaseTtl)
    lease.expires = Date.now() + lease_duration * 1000
    return { status: 200, body: { lease_id: lease.id, lease_duration, renewable: true } }
  }

  #database(token: Token): Answer {
    const lease = this.#lease('database/creds/reader', token, this.leaseTtl)
    const data = { username: `v-token-co-${randomBytes(6).toString('hex')}`, password: randomBytes(12).toString('base64url') }
    return this.#read({ lease_id: lease.id, lease_duration: this.leaseTtl, renewable: true, data })
  }

  #issue(token: Token, body: Body): Answer {
    if (unknown(body, 'issue') || body['format'] !== 'pem') return no(400, 'unknown field')
    const name = String(body['common_name'])
    if (!name.endsWith('.acme.example')) return no(400, `common name ${name} not allowed by this role`)
    const list = (value: unknown): string[] =>
      String(value)
        .split(',')
        .filter((one) => one !== '')
    const ttl = secondsOf(body['ttl'])
    const until = Date.now() + ttl * 1000
    const leaf = mintCertificate({
      names: [name, ...list(body['alt_names'])],
      uris: list(body['uri_sans']),
      until,
      issuer: authority,
      ...this.quirks.leaf,
    })
    const data = { certificate: leaf.cert, private_key: leaf.key, ca_chain: [authority.cert], issuing_ca: authority.cert }
    return this.#read({
      lease_id: this.pkiLease ? this.#lease('pki/issue/agent', token, ttl).id : '',
      lease_duration: this.pkiLease ? ttl : 0,
      data,
    })
  }

  #lease(under: string, token: Token, ttl: number): LeaseOf {
    const lease = { id: `${under}/${randomBytes(12).toString('base64url')}`, token, expires: Date.now() + ttl * 1000 }
    this.leases.set(lease.id, lease)
    return lease
  }

  #read(body: Body): Answer {
    return { status: 200, body: { lease_id: '', lease_duration: 0, renewable: false, ...body, ...this.quirks.secret } }
  }
}

function unknown(body: Body, kind: string): boolean {
  return Object.keys(body).some((name) => !fields[kind]?.includes(name))
}

function secondsOf(value: unknown): number {
  const digits = /^(\d+)s$/.exec(String(value))?.[1]
  return digits === undefined ? 2_764_800 : Number(digits)
}

/** Working settings for each kind of secret that the stand-in gives. */
export function vaultSettings(address: string) {
  const auth = { role: 'countersign', identity: 'signed', audience: 'vault' }
  const base = { type: 'vault', address, auth, token_role: 'countersign', base_policies: ['lease'] }
  const kv = { mount: 'kv', path: 'team/crm', field: 'key' }
  return {
    database: { ...base, policies: ['orders-write', 'orders-read'], secret: { database: { role: 'reader' } } },
    kv: { ...base, policies: ['kv-read'], secret: { kv }, unsafe_standing: true },
    pki: { ...base, policies: ['pki-issue'], secret: { pki: { role: 'agent', common_name: 'agent.acme.example' } } },
    token: { ...base, policies: ['orders-read'], secret: { token: {} } },
  } as const
}
