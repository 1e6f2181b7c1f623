import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { JSONWebKeySet } from 'jose'
import { expect, test } from 'vitest'
import { kinds } from '../../src/credential/registry.ts'
import { roleArn, StsStandIn } from '../support/aws-sts.ts'
import { application, EntraId, tenant, vault } from '../support/entra-id.ts'
import { app, appKey, GithubApp, installation } from '../support/github-app.ts'
import { GoogleCloud, pool, serviceAccount } from '../support/google-cloud.ts'
import { LeakFinder } from '../support/leaks.ts'
import { LendingIssuer } from '../support/lending-issuer.ts'
import { agentId, routeTo, Running, TestUpstream, type SeenRequest, type Settings } from '../support/running.ts'
import { rawClient } from '../support/sockets.ts'
import { account, namespace, ownToken, TokenApi } from '../support/token-api.ts'
import { VaultStandIn, vaultSettings } from '../support/vault-api.ts'

/** What an upstream was lent, as it came. */
function lentTo({ headers }: SeenRequest): string {
  const { authorization = '' } = headers
  return String(headers['x-amz-security-token'] ?? headers['x-vault-token'] ?? authorization.slice(authorization.indexOf(' ') + 1))
}

const html = (text: string): string => text.replaceAll(/[^A-Za-z0-9]/g, (char) => `&#${char.charCodeAt(0)};`)

type Way = (response: ServerResponse, secret: string, host: string) => unknown

/** Where an upstream puts what it was lent, whole or a part that is large enough to be of use. */
const ways: Readonly<Record<string, Way>> = {
  header: (response, secret) => response.writeHead(200, { 'x-debug': `got ${secret}`, etag: `"${secret}"` }).end('ok'),
  cookie: (response, secret) => response.writeHead(200, { 'set-cookie': [`a=b`, `session=${secret}; Path=/`] }).end('ok'),
  name: (response, secret) => response.writeHead(200, { [`x-${secret.replaceAll(/[^A-Za-z0-9-]/g, '')}`]: 'yes' }).end('ok'),
  here: (response, secret, host) => response.writeHead(302, { location: `http://${host}/v1/next?t=${encodeURIComponent(secret)}` }).end(),
  relative: (response, secret) => response.writeHead(307, { location: `next/${encodeURIComponent(secret)}` }).end(),
  away: (response, secret) => response.writeHead(302, { location: `http://evil.example/?t=${secret}` }).end(`see ${secret}`),
  port: (response, secret, host) => response.writeHead(308, { location: `http://${host.split(':')[0]}:1/v1/?t=${secret}` }).end(),
  prefix: (response, secret, host) => response.writeHead(302, { location: `http://${host}/v2/?t=${secret}` }).end(),
  created: (response, secret) =>
    response.writeHead(201, { 'content-location': `/v1/${secret}`, link: `</v1/${secret}>; rel="self"` }).end('{}'),
  challenge: (response, secret) => response.writeHead(401, { 'www-authenticate': `Bearer realm="${secret}"` }).end(`{"error":"${secret}"}`),
  hints: (response, secret) => {
    response.writeEarlyHints({ link: `</${secret}>; rel=preload`, 'x-debug': secret })
    response.writeHead(200).end('ok')
  },
  trailers: (response, secret) => {
    response.writeHead(200, { trailer: 'x-token' }).write('ok')
    response.addTrailers({ 'x-token': secret })
    response.end()
  },
  phrase: (response, secret) => response.writeHead(500, secret.slice(0, 60)).end('no'),
  page: (response, secret) => {
    const text = Buffer.from(`user:${secret}`)
    const all = [html(secret), encodeURIComponent(secret), text.toString('base64'), text.toString('hex'), JSON.stringify({ secret })]
    response.writeHead(500, { 'content-type': 'text/html' }).end(`<pre>${all.join('\n')}</pre>`)
  },
  part: (response, secret) => response.writeHead(200).end(`the token ${secret.slice(0, Math.ceil(secret.length * 0.6))}… was rejected`),
  pieces: (response, secret) => {
    const text = Buffer.from(`:${secret}`).toString('base64')
    response.writeHead(200).write(text.slice(0, 11))
    setImmediate(() => response.end(text.slice(11)))
  },
  packed: (response, secret) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(`token: ${secret}`)),
  events: (response, secret) =>
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(`data: ${secret}\n\nid: ${secret}\n\n`),
}

/** Every issuer that stands in here, with settings for every kind of provider. */
class Issuers implements AsyncDisposable {
  readonly oauth: LendingIssuer
  readonly sts: StsStandIn
  readonly github = new GithubApp()
  readonly kube = new TokenApi()
  readonly google = new GoogleCloud()
  readonly entra = new EntraId()
  readonly vault: VaultStandIn
  /** Where Countersign publishes its keys, once it runs. */
  readonly published: { at: string }

  private constructor(oauth: LendingIssuer, sts: StsStandIn, openbao: VaultStandIn, published: { at: string }) {
    this.oauth = oauth
    this.vault = openbao
    this.sts = sts
    this.published = published
    this.entra.trusted = ownToken
    this.google.trusts = (token) => token === ownToken
  }

  static async start(): Promise<Issuers> {
    const published = { at: '' }
    const keys = async (): Promise<JSONWebKeySet> => (await (await fetch(published.at)).json()) as JSONWebKeySet
    const sts = await StsStandIn.start({ issuer: 'https://countersign.acme.example', keys })
    const issuers = new Issuers(await LendingIssuer.start(), sts, await VaultStandIn.start(), published)
    await Promise.all(issuers.#servers.map((server) => server.listen()))
    return issuers
  }

  get #servers() {
    return [this.github, this.kube, this.google, this.entra].map(({ server }) => server)
  }

  settings(folder: string): Readonly<Record<string, Settings>> {
    const identity = { token_file: join(folder, 'own.token') }
    const region = 'eu-central-1'
    const plugin = `console.log(JSON.stringify({ apiVersion: 'countersign/v1', kind: 'Credential', status: { secret: 'of-the-plug-in/' + process.pid + '+a-long-secret', expires: new Date(Date.now() + 4000).toISOString() } }))`
    const scope = ['https://www.googleapis.com/auth/devstorage.read_only']
    return {
      jwt: { audience: 'https://crm.acme.example' },
      oauth: this.oauth.provider(),
      github: { app, key: { env: 'APP' }, installation, permissions: ['contents:read'], api: this.github.server.url },
      kubernetes: { server: this.kube.server.url, identity, namespace, service_account: account, audiences: ['https://crm.acme.example'] },
      aws: {
        role: roleArn,
        region,
        endpoint: this.sts.url,
        identity: 'signed',
        scope: ['s3:GetObject'],
        apply: { sigv4: { service: 's3', region } },
      },
      gcp: { provider: pool, service_account: serviceAccount, scope, identity, sts: this.google.server.url, iam: this.google.server.url },
      azure: { tenant, client: application, resource: vault, identity, surplus_ttl: '90m', authority: this.entra.server.url },
      exec: { command: process.execPath, args: ['-e', plugin] },
      vault: vaultSettings(this.vault.url).token,
      static: { value: { env: 'FIXED' }, unsafe_standing: true },
    }
  }

  /** What came of them besides what the upstream is sent, and what Countersign proves itself with. */
  secrets(): string[] {
    const keys = [...this.sts.sessions.values()].flatMap(({ secret, token }) => [secret, token ?? secret])
    const pem = appKey.split('\n')[1] ?? ''
    return [...this.oauth.given.keys(), ...this.google.tokens.keys(), ...keys, pem]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of [this.oauth, this.sts, this.vault, ...this.#servers]) await one[Symbol.asyncDispose]()
  }
}

/** Everything that Countersign says or writes, but for what it answers agents. */
async function told(running: Running): Promise<Map<string, string>> {
  const places = new Map([['operator log', running.logged.join('\n')]])
  const key = readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()
  const look = async (place: string, url: string, headers = {}): Promise<void> =>
    void places.set(`${place} ${url.replace(/.*:\d+/, '')}`, await (await fetch(url, { headers })).text())
  for (const path of ['/metrics', '/readyz', '/.well-known/jwks.json', '/nothing'])
    await look('health', `http://127.0.0.1:${running.port('health')}${path}`)
  for (const path of ['/v1/status', '/v1/tasks', '/v1/logs?last=100000&follow=false'])
    await look('admin', `http://127.0.0.1:${running.port('admin')}${path}`, { authorization: `Bearer ${key}` })
  await look('agent API', running.url('/.countersign/v1/tasks'))
  for (const entry of readdirSync(running.folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile() && !/\.(key|pem|token)$/.test(entry.name))
      places.set(entry.name, readFileSync(join(entry.parentPath, entry.name), 'latin1'))
  return places
}

test('what any kind of provider lends or holds is found in no answer, however the upstream sends it back, and nowhere that Countersign writes', async () => {
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'countersign-leaks-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'own.token'), ownToken)
  const issuers = stack.use(await Issuers.start())
  const upstream = stack.use(
    await TestUpstream.start((seen, response) => {
      const way = ways[seen.url.replace('/v1/', '')]
      way?.(response, lentTo(seen), String(seen.headers.host))
    }),
  )
  const env = { CLIENT_SECRET: 'the-client-secret-of-a-test', APP: appKey, FIXED: 'a-standing-secret/of+the=crm' }
  const settings = issuers.settings(folder)
  expect(Object.keys(settings).toSorted()).toEqual(kinds.map(({ type }) => type).toSorted())
  const running = stack.use(
    await Running.start({
      routes: Object.fromEntries(Object.keys(settings).map((name) => [name, routeTo(`${upstream.url}/v1`, name, { credential: name })])),
      providers: Object.fromEntries(Object.entries(settings).map(([type, more]) => [type, { type, ...more }])),
      env,
      settings: {
        credential: { issuer: 'https://countersign.acme.example' },
        listen: { agent: [{ at: '127.0.0.1:0', ambient: agentId }], health: { at: '127.0.0.1:0' }, drain: '2s' },
      },
    }),
  )
  issuers.published.at = `http://127.0.0.1:${running.port('health')}/.well-known/jwks.json`

  const answers = new Map<string, string>()
  for (const kind of Object.keys(settings)) {
    for (const way of Object.keys(ways)) {
      const client = await rawClient(running.port())
      client.socket.write(`GET /${kind}/${way} HTTP/1.1\r\nHost: 127.0.0.1:${running.port()}\r\nConnection: close\r\n\r\n`)
      await client.closed
      answers.set(`${kind} ${way}`, client.text())
    }
    expect(upstream.seen.length, `${kind}: ${answers.get(`${kind} header`) ?? ''}`).toBe(answers.size)
  }
  const lent = new Set(upstream.seen.map((seen) => lentTo(seen)))
  expect(lent.size).toBeGreaterThanOrEqual(kinds.length)
  const secrets = [...lent, ...issuers.secrets(), ownToken, env.CLIENT_SECRET].filter((secret) => secret.length >= 14)
  const finder = new LeakFinder([...new Set(secrets)])
  const found = [...answers, ...(await told(running))].flatMap(([place, text]) =>
    (finder.find(text) ?? finder.find(unchunked(text))) ? [place] : [],
  )
  expect(found).toEqual([])
  for (const kind of Object.keys(settings))
    for (const way of ['page', 'part', 'pieces', 'events', 'challenge']) expect(answers.get(`${kind} ${way}`)).toContain('****')
  // the search would find it: the upstream has it
  for (const { rawHeaders } of upstream.seen) expect(finder.find(rawHeaders.join('\n'))).not.toBeNull()
})

/** Without the lines between chunks, so that nothing hides behind one. */
function unchunked(text: string): string {
  return text.replaceAll(/\r\n[0-9a-f]+\r\n/g, '')
}
