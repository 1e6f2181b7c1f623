import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { readSigningKey } from '../../src/credential/keys.ts'
import { Secret } from '../../src/secret.ts'
import { clientSecret, startAuthorizationServer, type AuthorizationServer } from '../support/authorization-server.ts'
import { Canaries } from '../support/canaries.ts'
import { countersign } from '../support/command-line.ts'
import { EchoUpstream } from '../support/echo-upstream.ts'
import { Issuer } from '../support/issuer.ts'
import { agentId, audience, configText, freeAgent, routeTo, Running, type RunningOptions, type Settings } from '../support/running.ts'
import { rawClient } from '../support/sockets.ts'

/** A secret that is found again wherever it went: letters and digits, which no encoding changes. */
function secret(name: string): string {
  return `canary${name}${randomBytes(18).toString('hex')}`
}

/** Token endpoints that go wrong in the ways issuers do, with the client's secret and their own tokens in what they say. */
class HostileIssuer implements AsyncDisposable {
  readonly wideToken = secret('wideToken')
  readonly brokenToken = `${secret('brokenToken')}\r\nx-split: yes`
  readonly typedToken = secret('typedToken')
  readonly seen: string[] = []
  readonly #server = createServer((request, response) => {
    this.seen.push(request.rawHeaders.join('\n'))
    request.resume()
    this.#answer(request.url ?? '', request.headers.authorization ?? '', response)
  })

  static async start(): Promise<HostileIssuer> {
    const issuer = new HostileIssuer()
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

  #answer(path: string, authorization: string, response: ServerResponse): void {
    const said = Buffer.from(authorization.slice(6), 'base64').toString()
    const json = (status: number, body: object): void =>
      void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    const token = (access_token: string, more: object = {}): object => ({
      access_token,
      token_type: 'Bearer',
      expires_in: 60,
      scope: 'a',
      ...more,
    })
    if (path === '/wide') return json(200, token(this.wideToken, { scope: 'a b' }))
    if (path === '/broken') return json(200, token(this.brokenToken))
    if (path === '/typed') return json(200, token(this.typedToken, { token_type: this.typedToken }))
    if (path === '/garbage') return void response.writeHead(200, { 'content-type': 'application/json' }).end(`{"access_token":"${said}`)
    if (path === '/moved') return void response.writeHead(302, { location: `${this.url}/wide?client=${encodeURIComponent(said)}` }).end()
    if (path === '/silent') return void response.destroy()
    return json(401, { error: 'invalid_client', error_description: `${said} is not known`, error_uri: `https://issuer.example/?${said}` })
  }
}

interface World {
  readonly canaries: Canaries
  readonly running: Running
  readonly keys: string
  readonly upstreams: Readonly<Record<string, EchoUpstream>>
  readonly hostile: HostileIssuer
  readonly svid: string
  readonly subjectToken: string
}

/** Sends bytes as they are and keeps all that comes back. */
async function speak({ running, canaries }: World, text: string, port = running.port()): Promise<string> {
  const client = await rawClient(port)
  client.socket.write(text)
  await client.closed
  canaries.at('answers', client.text())
  return client.text()
}

function get(world: World, path: string, headers: Readonly<Record<string, string>> = {}, body = '', method = 'GET'): Promise<string> {
  const all = {
    host: `127.0.0.1:${world.running.port()}`,
    connection: 'close',
    authorization: `Bearer ${world.svid}`,
    ...(body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)), 'content-type': 'application/json' }),
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return speak(world, `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`)
}

const post = (world: World, path: string, body: string): Promise<string> => get(world, path, {}, body, 'POST')

const taskOf = (answer: string): string => /"id":"(t_[0-9A-Z]+)"/.exec(answer)?.[1] ?? 'none'

/** Every provider's credential goes to its upstream and is said back in every way. Gives the task it was for. */
async function succeedAndEcho(world: World): Promise<string> {
  const task = taskOf(
    await post(world, '/.countersign/v1/tasks', JSON.stringify({ purpose: 'canary', on_behalf_of: world.subjectToken, ttl: '10m' })),
  )
  for (const name of Object.keys(world.upstreams)) {
    expect(await get(world, `/t/${task}/${name}/ok`)).toContain('HTTP/1.1 200 OK')
    for (const way of EchoUpstream.ways) expect(await get(world, `/t/${task}/${name}${way}`)).toMatch(/^HTTP\/1\.1 /)
  }
  const listed = await get(world, `/.countersign/v1/tasks/${task}`)
  expect(listed).toContain('"subject":"person-1"')
  await post(world, `/.countersign/v1/tasks/${task}/pause`, '{"reason":"lunch"}')
  await get(world, `/t/${task}/fixed/paused`)
  await post(world, `/.countersign/v1/tasks/${task}/resume`, '')
  return task
}

/** Refusals of every stage, and requests that are none, with the SVID wherever an agent might put it by mistake. */
async function refuse(world: World, task: string): Promise<void> {
  const { running, canaries, svid } = world
  const bad: Readonly<Record<string, string>> = {
    'SVID for another audience': await running.svid(agentId, 300, 'spiffe://acme.example/other'),
    'SVID that expired': await running.svid(agentId, -60),
    'SVID of nobody': await running.svid('spiffe://acme.example/ns/test/sa/nobody'),
    'SVID of another trust domain': new Issuer({ trustDomain: 'partner.example', audience }).mint(),
    'SVID with a bad signature': `${svid.slice(0, -12)}${randomBytes(9).toString('base64url')}`,
  }
  for (const [name, token] of Object.entries(bad)) {
    canaries.addJwt(name, token)
    for (const header of ['authorization', 'proxy-authorization', 'x-api-key', 'x-goog-api-key', 'cookie', 'countersign-task'])
      expect(
        await get(world, '/fixed/ok', { authorization: 'none', [header]: header.endsWith('authorization') ? `Bearer ${token}` : token }),
      ).not.toContain('200 OK')
  }
  for (const authorization of [`DPoP ${svid}`, svid, `Bearer  ${svid}x`, `Basic ${Buffer.from(svid).toString('base64')}`])
    expect(await get(world, '/fixed/ok', { authorization })).toMatch(/^HTTP\/1\.1 40[13]/)
  expect(await get(world, `/t/${task}/nowhere`)).toContain(' 404 ')
  expect(await get(world, `/t/${task}/strict/x`, {}, `{"token":"${svid}","token":1}`, 'POST')).toContain('match.body')
  expect(await get(world, `/t/${task}/strict/x`, {}, '{"amount":1}', 'POST')).toContain('approve.required')
  expect(await post(world, '/.countersign/v1/tasks', `{"purpose":"x","tools":["${svid}"]}`)).toContain(' 403 ')
  expect(await post(world, '/.countersign/v1/tasks', `{"purpose":"x","on_behalf_of":"${svid}"}`)).toContain(' 403 ')
  const host = `Host: 127.0.0.1:${running.port()}\r\n`
  for (const odd of [
    `GET /fixed/ok HTTP/1.1\r\n${host}Authorization: Bearer ${svid}\r\nAuthorization: Bearer ${svid}\r\n\r\n`,
    `GET /fixed/ok HTTP/1.1\r\n${host}Authorization: Bearer ${svid}\r\nX_Key: ${svid}\r\nConnection: close\r\n\r\n`,
    `GET /fixed/ok HTTP/1.1\r\n${host}Authorization : Bearer ${svid}\r\n\r\n`,
    `GET /fixed/ok HTTP/1.0\r\n${host}Authorization: Bearer ${svid}\r\n\r\n`,
    `POST /fixed/ok HTTP/1.1\r\n${host}Authorization: Bearer ${svid}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `POST /fixed/ok HTTP/1.1\r\n${host}Authorization: Bearer ${svid}\r\nContent-Length: ${svid}\r\n\r\n`,
    `GET /fixed/ok HTTP/1.1\r\n${host}Expect: ${svid}\r\nAuthorization: Bearer ${svid}\r\n\r\n`,
    `${svid} /fixed/ok HTTP/1.1\r\n${host}\r\n`,
    `CONNECT ${svid}:443 HTTP/1.1\r\n${host}Proxy-Authorization: Bearer ${svid}\r\n\r\n`,
  ])
    expect(await speak(world, odd)).toMatch(/^HTTP\/1\.1 4\d\d /)
}

async function failProviders(world: World, task: string): Promise<void> {
  for (const way of ['wide', 'broken', 'typed', 'garbage', 'moved', 'silent', 'error', 'dead'])
    expect(await get(world, `/t/${task}/hostile-${way}/ok`), way).toMatch(/^HTTP\/1\.1 502 .*credential\./s)
}

/** A changed file that cannot be used, and one that can. */
async function reload(world: World, options: RunningOptions): Promise<void> {
  const { canaries, running, keys } = world
  const literal = canaries.add('literal secret in a file', secret('literal'))
  const text = configText({
    ...options,
    providers: { ...options.providers, fixed: { type: 'static', value: literal, unsafe_standing: true } },
  })
  for (const one of [text, text.replace('version: 1', `version: ${literal}`), `${text}\n  : ${literal}`]) {
    try {
      parseConfig(one, running.file, options.env ?? {})
      expect.unreachable()
    } catch (error) {
      // the place of the finding quotes the file only where a YAML error is
      canaries.at('findings', String(error))
      canaries.at('findings', JSON.stringify(error))
    }
  }
  writeFileSync(join(keys, 'introspection.secret'), '')
  await expect(running.reload(options)).rejects.toThrow('empty')
  await running.reload(options).catch((error: unknown) => canaries.at('operator log', String(error)))
}

/** What people and machines see of it. */
async function look(world: World): Promise<void> {
  const { canaries, running, keys, svid } = world
  const health = `http://127.0.0.1:${running.port('health')}`
  for (const path of ['/livez', '/readyz', '/metrics', '/.well-known/jwks.json', '/ledger.pub', '/nothing'])
    canaries.at('health port', await (await fetch(health + path)).text())
  const client = Buffer.from(`minted:${readFileSync(join(keys, 'introspection.secret'), 'utf8')}`).toString('base64')
  for (const [authorization, token] of [
    [`Basic ${client}`, world.upstreams['minted']?.credentials.at(-1) ?? ''],
    [`Basic ${client}x`, svid],
    [`Bearer ${svid}`, svid],
  ] as const) {
    const body = new URLSearchParams({ token })
    const answer = await fetch(`${health}/introspect`, { method: 'POST', body, headers: { authorization } })
    canaries.at('health port', `${JSON.stringify([...answer.headers])}${await answer.text()}`)
  }
  const admin = `http://127.0.0.1:${running.port('admin')}`
  const authorization = `Bearer ${readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()}`
  for (const path of ['/v1/status', '/v1/tasks', '/v1/tasks?state=nonsense', '/v1/logs?last=100000&follow=false', '/v1/nothing'])
    for (const key of [authorization, `${authorization}x`, ''])
      canaries.at('admin port', await (await fetch(admin + path, { headers: { authorization: key } })).text())
  const at = ['--addr', `127.0.0.1:${running.port('admin')}`, '--key', join(running.folder, 'admin.key')]
  const task = running.entries().find((line) => line['event'] === 'task.opened')?.['task']
  const asked = [
    ['logs', '-n', '100000', '-o', 'json', ...at],
    ['logs', '--file', running.ledgerFolder, '-o', 'wide'],
    ['task', 'show', String(task), '-o', 'json', ...at],
    ['task', 'ls', '--addr', at[1] ?? '', '--key', running.file],
    ['check', '--effective', running.file],
    ['check', join(running.folder, 'admin.key')],
  ].map(async (args) => {
    const { stdout, stderr } = await countersign(args, { env: environment })
    canaries.at(`countersign ${args[0] ?? ''}`, stdout + stderr)
  })
  await Promise.all(asked)
}

/** Every file in the folder that is not itself the place of a key. */
function readFolder({ canaries, running }: World): void {
  for (const entry of readdirSync(running.folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || /\.(key|pem)$/.test(entry.name)) continue
    const ledger = entry.parentPath.startsWith(running.ledgerFolder)
    canaries.at(ledger ? 'ledger' : entry.name, readFileSync(join(entry.parentPath, entry.name)))
  }
}

/** The private halves and sealing keys that lie in files. */
function addKeys({ canaries, running, keys }: World): void {
  const key = (name: string): string => readFileSync(join(running.folder, name), 'utf8').trim()
  canaries.add('admin key', key('admin.key'))
  canaries.add('state key', key('state.key'))
  canaries.addBytes('state key, its bytes', Buffer.from(key('state.key'), 'base64'))
  for (const [name, path] of [
    ['ledger key', join(running.folder, 'ledger.key')],
    ['token key', join(keys, 'token.pem')],
  ] as const) {
    const pem = readFileSync(path, 'utf8')
    canaries.add(`${name}, its first line`, pem.split('\n')[1] ?? '')
    canaries.addBytes(`${name}, its number`, Buffer.from(createPrivateKey(pem).export({ format: 'jwk' }).d ?? '', 'base64url'))
  }
}

const environment = {
  FIXED: secret('fixed'),
  QUERY: secret('query'),
  BASIC: `${secret('basic')}&?/`,
  CLIENT: clientSecret,
  HOSTILE: secret('hostileClient'),
}

function optionsFor(keys: string, upstreams: World['upstreams'], issuer: AuthorizationServer, hostile: HostileIssuer): RunningOptions {
  const oauth = (more: Settings): Settings => ({
    type: 'oauth',
    issuer: issuer.issuer,
    client: { id: 'basic', authenticate: 'client_secret_basic', secret: { env: 'CLIENT' } },
    scope: ['refunds:read'],
    ...more,
  })
  const bad = (path: string): Settings => ({
    ...oauth({ issuer: hostile.url, endpoints: { token: `${hostile.url}/${path}` }, scope: ['a'], timeout: '2s' }),
    client: { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'HOSTILE' } },
  })
  const ways = ['wide', 'broken', 'typed', 'garbage', 'moved', 'silent', 'error']
  const dead = { ...bad('dead'), issuer: 'http://127.0.0.1:1', endpoints: { token: 'http://127.0.0.1:1/token' } }
  const providers: Record<string, Settings> = {
    fixed: { type: 'static', value: { env: 'FIXED' }, unsafe_standing: true, apply: { header: 'x-token' } },
    query: { type: 'static', value: { env: 'QUERY' }, unsafe_standing: true, apply: { query: 'key' } },
    basic: { type: 'static', value: { env: 'BASIC' }, unsafe_standing: true, apply: { basic: 'agent' } },
    minted: { type: 'jwt', audience: 'https://api.acme.example', introspect: { secret: { file: join(keys, 'introspection.secret') } } },
    issued: oauth({}),
    exchanged: oauth({ grant: 'token-exchange' }),
    signed: oauth({ client: { id: 'signed', authenticate: 'private_key_jwt' } }),
    ...Object.fromEntries(ways.map((way) => [`hostile-${way}`, bad(way)])),
    'hostile-dead': dead,
  }
  const routes = Object.fromEntries(
    Object.keys(providers).map((name) => [name, routeTo((upstreams[name] ?? upstreams['fixed'])?.url ?? '', name, { credential: name })]),
  )
  const strict = [{ name: 'strict.write', match: 'POST /x', effect: 'write', risk: 'high', egress: 'internal', args: 'json' }]
  return {
    routes: { ...routes, strict: routeTo(upstreams['fixed']?.url ?? '', 'strict', { tools: strict }) },
    providers,
    agents: [freeAgent()],
    env: environment,
    settings: {
      credential: { key: { file: join(keys, 'token.pem') } },
      task: { subjects: [{ issuer: 'https://login.acme.example', audience: 'countersign', keys: { file: join(keys, 'subjects.json') } }] },
    },
  }
}

test('no credential is found anywhere but at the upstream it is for', async () => {
  await using stack = new AsyncDisposableStack()
  const canaries = new Canaries()
  const keys = mkdtempSync(join(tmpdir(), 'countersign-canary-'))
  stack.defer(() => rmSync(keys, { recursive: true, force: true }))
  const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'pkcs8' })
  writeFileSync(join(keys, 'token.pem'), pem)
  writeFileSync(join(keys, 'introspection.secret'), canaries.add('introspection secret', secret('introspection')))
  const people = new Issuer()
  writeFileSync(join(keys, 'subjects.json'), people.jwks())
  const subjectToken = canaries.addJwt(
    'subject token',
    people.mint({ claims: { iss: 'https://login.acme.example', sub: 'person-1', aud: 'countersign' } }),
  )
  const issuer = await startAuthorizationServer({
    keys: { keys: [...(await readSigningKey(new Secret(pem))).publicKeys().keys] },
    subjects: { [subjectToken]: 'person-1' },
  })
  stack.defer(() => issuer.close())
  const hostile = stack.use(await HostileIssuer.start())
  const upstreams: Record<string, EchoUpstream> = {}
  for (const name of ['fixed', 'query', 'basic', 'minted', 'issued', 'exchanged', 'signed'])
    upstreams[name] = stack.use(await EchoUpstream.start())
  const options = optionsFor(keys, upstreams, issuer, hostile)
  const running = stack.use(await Running.start(options))
  const svid = canaries.addJwt('SVID', await running.svid())
  const world: World = { canaries, running, keys, upstreams, hostile, svid, subjectToken }
  addKeys(world)

  const task = await succeedAndEcho(world)
  await refuse(world, task)
  await failProviders(world, task)
  await look(world)
  readFolder(world) // while tasks and leases are live: the log of the database holds what is sealed
  await reload(world, options)
  await running.close()
  readFolder(world)

  canaries.add('static secret in a header', environment.FIXED, 'upstream fixed')
  canaries.add('static secret in the query', environment.QUERY, 'upstream query')
  canaries.add('static secret as a password', environment.BASIC, 'upstream basic')
  canaries.add('client secret', environment.CLIENT)
  canaries.add('client secret told to a hostile issuer', environment.HOSTILE, 'hostile issuer')
  canaries.add('token that was too wide', hostile.wideToken)
  canaries.add('token that no header can carry', hostile.brokenToken.split('\r\n')[0] ?? '')
  canaries.add('token of another type', hostile.typedToken)
  for (const name of ['minted', 'issued', 'exchanged', 'signed'])
    for (const [at, token] of [...new Set(upstreams[name]?.credentials)].entries())
      canaries.add(`${name} token ${at}`, token, `upstream ${name}`)
  for (const [name, upstream] of Object.entries(upstreams)) canaries.at(`upstream ${name}`, upstream.seen.join('\n'))
  canaries.at('hostile issuer', hostile.seen.join('\n'))
  canaries.at('operator log', running.logged.join('\n'))

  expect(canaries.strays()).toEqual([])
  expect(canaries.unseen()).toEqual([])
  const sizes = canaries.sizes()
  for (const place of [
    'answers',
    'ledger',
    'state.db',
    'state.db-wal',
    'operator log',
    'health port',
    'admin port',
    'countersign logs',
    'countersign task',
    'findings',
  ])
    expect(sizes[place] ?? 0, place).toBeGreaterThan(100)
  expect(canaries.names.length).toBeGreaterThan(25)
})
