import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTcp, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { OpenAI } from 'openai'
import { afterAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { kubernetesClaims } from '../support/api-server.ts'
import { Command, countersign } from '../support/command-line.ts'
import { TestClock } from '../support/identity-rig.ts'
import { completion, ModelApi } from '../support/model-api.ts'
import { MemoryIssuer } from '../support/oidc-rig.ts'

const scratch = mkdtempSync(join(tmpdir(), 'countersign-init-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const key = 'sk-upstream-5b2e'
/** The rules of the starter are compiled in one set-up; in the others the default policy judges, as without a compiler. */
const withoutCompiler = { OPA: join(scratch, 'no-opa') }

/** A port that is free, with the two that go with it. */
async function freePort(): Promise<string> {
  for (;;) {
    const first = await listening(0)
    const port = (first.address() as AddressInfo).port
    const rest = await Promise.allSettled([listening(port + 1), listening(port + 3)])
    const servers = [first, ...rest.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))]
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    if (servers.length === 3) return String(port)
  }
}

function listening(port: number): Promise<Server> {
  const server = createTcp()
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', () => resolve(server))
  })
}

interface SetUp {
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly args?: readonly string[]
  /** What the agent shows where its SDK puts a key; null: what agent.env says. */
  readonly identity: (() => Promise<string>) | null
}

/** `init`, then `start` on what it wrote, then one call of the SDK with the variables it wrote. */
async function initAndCall({ name, env, args = [], identity }: SetUp): Promise<{ readonly said: string; readonly folder: string }> {
  await using api = await ModelApi.start()
  const folder = join(scratch, name)
  const all = { ...env, OPENAI_API_KEY: key, OPENAI_BASE_URL: `${api.url}/v1` }
  const made = await countersign(['init', folder, '--port', await freePort(), ...args], { env: all })
  expect(made.code, made.stderr).toBe(0)
  await using running = new Command(['start', '--config', join(folder, 'countersign.yaml')], { env: all })
  await running.until(({ stderr }) => stderr.includes('"Countersign is up"'))
  const said = parseEnv(readFileSync(join(folder, 'agent.env'), 'utf8'))
  const { health } = loadConfig(join(folder, 'countersign.yaml'), all).config.listen
  const apiKey = identity === null ? (said['OPENAI_API_KEY'] ?? '') : await identity()
  const openai = new OpenAI({ apiKey, baseURL: said['OPENAI_BASE_URL'] ?? '', maxRetries: 4 })
  const answer = await openai.chat.completions.create({ model: 'quick', messages: [{ role: 'user', content: 'Was it paid?' }] })
  expect(answer.choices[0]?.message.content).toBe(completion)
  expect(api.seen.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${key}`])
  const ready = await fetch(`http://127.0.0.1:${health.at.split(':')[1]}/readyz`)
  expect([ready.status, made.stdout.includes(key), readFileSync(join(folder, 'countersign.yaml'), 'utf8').includes(key)]).toEqual([
    200,
    false,
    false,
  ])
  running.signal('SIGTERM')
  expect(await running.exited).toBe(0)
  return { said: made.stderr, folder }
}

describe('init, then start without an edit', () => {
  test('works on a laptop with nothing but an SDK, and says how little an ambient identity proves', async () => {
    const { said, folder } = await initAndCall({ name: 'laptop', env: {}, args: ['--setup', 'laptop'], identity: null })
    expect(said).toContain('setup: laptop')
    const [segment = ''] = globSync('ledger/*.ndjson', { cwd: folder })
    expect(readFileSync(join(folder, segment), 'utf8')).toContain('"method":"ambient"')
  })

  test('works where a Workload API is present: the agent proves itself by its SVID', async () => {
    const socket = join(scratch, 'workload.sock')
    const ids = ['spiffe://dev.example/agent', 'spiffe://dev.example/countersign'].flatMap((id) => ['--id', id])
    await using workloads = new Command(['dev-identity', '--socket', socket, ...ids])
    await workloads.until(({ stdout }) => stdout.includes('\n'))
    const env = { SPIFFE_ENDPOINT_SOCKET: `unix:${socket}`, ...withoutCompiler }
    const mint = ['dev-identity', 'mint', '--id', 'spiffe://dev.example/agent', '--audience', 'spiffe://dev.example/countersign']
    const { said } = await initAndCall({ name: 'spire', env, identity: async () => (await countersign(mint, { env })).stdout.trim() })
    expect(said).toContain('setup: spire; agent spiffe://dev.example/agent')
  })

  test('works where a pod has the files of its account: the agent proves itself by a projected token', async () => {
    const clock = new TestClock(Math.floor(Date.now() / 1000) * 1000)
    const server = createServer((request, response) => {
      response.end(request.url === '/keys' ? issuer.keys.jwks() : JSON.stringify(issuer.metadata()))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const issuer = new MemoryIssuer({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, clock })
    const account = join(scratch, 'account')
    mkdirSync(account)
    writeFileSync(join(account, 'token'), issuer.mint({ claims: kubernetesClaims({ aud: [issuer.url] }) }))
    const identity = async (): Promise<string> => issuer.mint({ claims: kubernetesClaims() })
    try {
      const args = ['--service-account', account, '--setup', 'kubernetes']
      const { said } = await initAndCall({ name: 'pod', env: withoutCompiler, args, identity })
      expect(said).toContain('setup: kubernetes; agent spiffe://cluster.local/ns/support/sa/refund-agent')
    } finally {
      server.close()
    }
  })
})
