import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { env } from 'node:process'
import { findEngine } from './spiffe-peer.ts'

/** A real Keycloak on a free loopback port, with its database in memory and what it writes in a folder of its own. */

type Json = Readonly<Record<string, unknown>>

/** A client that authenticates by JWT-SVIDs of one SPIFFE ID, and may exchange tokens. */
export interface SvidClientOptions {
  readonly id: string
  readonly spiffeId: string
  /** Scopes that its tokens have although nobody asks; none unless given. */
  readonly defaults?: readonly string[]
  /** True: it gets no token without a proof (RFC 9449). */
  readonly bound?: boolean
  /** True: as Keycloak makes a client unless told otherwise, its tokens carry whatever roles their subject has. */
  readonly roles?: boolean
}

export interface RealmOptions {
  readonly trustDomain: string
  /** URL of the trust domain's bundle. */
  readonly bundle: string
  /** Resource servers, each with the scopes that are for it. */
  readonly resources: Readonly<Record<string, readonly string[]>>
  readonly clients: readonly SvidClientOptions[]
  /** User names. */
  readonly people: readonly string[]
  /** Seconds. */
  readonly lifetime?: number
}

/** Password of people and secret of clients, alike for all: they live as long as the process. */
const password = randomBytes(18).toString('base64url')
/** The client that people sign in to; its tokens are for `countersign` too. */
const signedInTo = 'console'

/** Groups of processes that run; a test process that is ended early takes them along. */
const running = new Set<number>()
process.on('exit', () => {
  for (const pid of running) process.kill(-pid, 'SIGKILL')
})

export class Keycloak implements AsyncDisposable {
  readonly url: string
  /** As it says of itself. */
  readonly version: string
  readonly #folder: string
  readonly #child: ChildProcess

  private constructor(url: string, version: string, folder: string, child: ChildProcess) {
    this.url = url
    this.version = version
    this.#folder = folder
    this.#child = child
  }

  /** Resolves when it listens: a first start on a busy machine takes a minute. */
  static async start(): Promise<Keycloak> {
    const command = findEngine('keycloak')
    if (command === null) throw new Error('Keycloak is not installed: run `npm run engines -- keycloak`')
    const home = dirname(dirname(realpathSync(command)))
    const folder = mkdtempSync(join(tmpdir(), 'keycloak-'))
    // it writes into `data` of its home alone
    for (const name of ['bin', 'conf', 'lib', 'providers', 'themes']) symlinkSync(join(home, name), join(folder, name))
    const settings = ['--cache=local', '--http-enabled=true', '--http-host=127.0.0.1', '--http-port=0', '--hostname-strict=false']
    const child = spawn(join(folder, 'bin/kc.sh'), ['start', '--optimized', ...settings], {
      // a group of its own: the script starts Java as its child
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: env['PATH'],
        ...(env['JAVA_HOME'] === undefined ? {} : { JAVA_HOME: env['JAVA_HOME'] }),
        // a short life: quick to start counts for more than quick to run
        JAVA_OPTS_APPEND: '-XX:TieredStopAtLevel=1',
        KC_BOOTSTRAP_ADMIN_USERNAME: 'admin',
        KC_BOOTSTRAP_ADMIN_PASSWORD: password,
      },
    })
    if (child.pid !== undefined) running.add(child.pid)
    child.once('close', () => void (child.pid !== undefined && running.delete(child.pid)))
    const { version, url } = await listening(child)
    return new Keycloak(url, version, folder, child)
  }

  /** Makes a realm by the admin API. */
  async realm(name: string, { trustDomain, bundle, resources, clients, people, lifetime = 300 }: RealmOptions): Promise<Realm> {
    // the key of the trust domain has another name in older versions
    const config = { issuer: `spiffe://${trustDomain}`, trustDomain: `spiffe://${trustDomain}`, bundleEndpoint: bundle }
    const identityProviders = [{ alias: 'workloads', providerId: 'spiffe', enabled: true, config }]
    await this.#admin('/realms', { realm: name, enabled: true, accessTokenLifespan: lifetime, identityProviders })
    const make = (what: string, body: Json): Promise<void> => this.#admin(`/realms/${name}/${what}`, body)
    for (const [resource, scopes] of Object.entries(resources)) {
      await make('clients', confidential(resource))
      for (const scope of scopes) await make('client-scopes', scopeFor(scope, resource))
    }
    const scopes = Object.values(resources).flat()
    for (const client of clients) await make('clients', svidClient(client, scopes))
    const audiences = clients.map(({ id }) => audienceMapper(id))
    await make('clients', { ...confidential(signedInTo), directAccessGrantsEnabled: true, protocolMappers: audiences })
    for (const username of people) await make('users', person(username))
    return new Realm(`${this.url}/realms/${name}`)
  }

  async #admin(path: string, body: Json): Promise<void> {
    const grant = { grant_type: 'password', client_id: 'admin-cli', username: 'admin', password }
    const { access_token } = await ask(`${this.url}/realms/master/protocol/openid-connect/token`, grant)
    const headers = { authorization: `Bearer ${String(access_token)}`, 'content-type': 'application/json' }
    const response = await fetch(`${this.url}/admin${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`Keycloak answered ${response.status} at ${path}: ${await response.text()}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined) {
      const gone = once(this.#child, 'close')
      process.kill(-this.#child.pid, 'SIGKILL')
      await gone
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

export class Realm {
  readonly issuer: string

  constructor(issuer: string) {
    this.issuer = issuer
  }

  /** The access token that this person gets when they sign in. */
  async signIn(username: string): Promise<string> {
    const grant = { grant_type: 'password', client_id: signedInTo, client_secret: password, username, password }
    const { access_token } = await ask(`${this.issuer}/protocol/openid-connect/token`, grant)
    return String(access_token)
  }

  /** Takes back a token of a person. */
  async signOut(token: string): Promise<void> {
    await ask(`${this.issuer}/protocol/openid-connect/revoke`, { token, client_id: signedInTo, client_secret: password })
  }

  /** What a resource server learns of a token (RFC 7662). */
  introspect(token: string, resource: string): Promise<Json> {
    return ask(`${this.issuer}/protocol/openid-connect/token/introspect`, { token, client_id: resource, client_secret: password })
  }

  /** Its keys as a JWK Set. */
  async keys(): Promise<string> {
    return (await fetch(`${this.issuer}/protocol/openid-connect/certs`)).text()
  }
}

/** Waits for the line that tells where it listens; rejects with what it said when it ends before. */
function listening(child: ChildProcess): Promise<{ readonly version: string; readonly url: string }> {
  return new Promise((resolve, reject) => {
    let said = ''
    const hear = (chunk: Buffer): void => {
      said += chunk.toString()
      const [, version, url] = /Keycloak (\S+) on JVM .* Listening on: (http:\S+)/.exec(said) ?? []
      if (version !== undefined && url !== undefined) resolve({ version, url })
    }
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', hear)
    child.once('error', reject)
    child.once('close', (code) => reject(new Error(`Keycloak ended with ${code}: ${said}`)))
  })
}

async function ask(url: string, form: Readonly<Record<string, string>>): Promise<Json> {
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form) })
  const text = await response.text()
  if (!response.ok) throw new Error(`Keycloak answered ${response.status} at ${url}: ${text}`)
  return text === '' ? {} : (JSON.parse(text) as Json)
}

function confidential(clientId: string): Json {
  return { clientId, enabled: true, publicClient: false, secret: password, standardFlowEnabled: false }
}

function svidClient({ id, spiffeId, defaults = [], bound = false, roles = false }: SvidClientOptions, scopes: readonly string[]): Json {
  return {
    clientId: id,
    enabled: true,
    publicClient: false,
    serviceAccountsEnabled: true,
    standardFlowEnabled: false,
    fullScopeAllowed: roles,
    clientAuthenticatorType: 'federated-jwt',
    defaultClientScopes: roles ? [...defaults, 'roles'] : defaults,
    optionalClientScopes: scopes,
    attributes: {
      'jwt.credential.issuer': 'workloads',
      'jwt.credential.sub': spiffeId,
      'standard.token.exchange.enabled': 'true',
      'dpop.bound.access.tokens': String(bound),
    },
  }
}

function scopeFor(name: string, resource: string): Json {
  const attributes = { 'include.in.token.scope': 'true' }
  return { name, protocol: 'openid-connect', attributes, protocolMappers: [audienceMapper(resource)] }
}

function audienceMapper(client: string): Json {
  const config = { 'included.client.audience': client, 'access.token.claim': 'true', 'introspection.token.claim': 'true' }
  return { name: `for ${client}`, protocol: 'openid-connect', protocolMapper: 'oidc-audience-mapper', config }
}

/** Complete enough that nothing is asked of them before they sign in. */
function person(username: string): Json {
  const credentials = [{ type: 'password', value: password, temporary: false }]
  const names = { firstName: 'A', lastName: 'Person', email: `${username}@acme.example`, emailVerified: true }
  return { username, enabled: true, ...names, credentials }
}
