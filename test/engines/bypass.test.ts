import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { execPath } from 'node:process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import { certificateFor } from '../support/certificate.ts'
import { networksHindrance, Node } from '../support/networks.ts'
import { agentId, anyTool, audience, freeAgent } from '../support/running.ts'

/**
 * Can an agent go around? docs/bypass.md answers it layout by layout, and this holds the answers: pods are network namespaces of Linux, what
 * a NetworkPolicy lets through is let through by the node between them, and the agent has everything an agent has: a token for Countersign,
 * the upstream's address, and a network stack.
 */
const root = resolve(import.meta.dirname, '../..')
const hindrance = networksHindrance(join(root, 'src/main.ts'))
const title = hindrance === null ? 'an agent that ignores the proxy' : `an agent that ignores the proxy (left out: ${hindrance})`
if (hindrance !== null) console.log(`test/engines/bypass.test.ts is left out: ${hindrance}`)

const sidecarUser = 65_532
const agentUser = 10_001
const secret = 'upstream-credential-8d2f41c7'
const upstreamPort = 8080
const host = 'gateway.acme.example'

/** An API that tells those who have its credential from those who have not. */
const api = `require('node:http').createServer((request, response) => {
  const credentialed = request.headers.authorization === 'Bearer ${secret}'
  response.writeHead(credentialed ? 200 : 401).end(JSON.stringify({ credentialed, path: request.url }))
}).listen(${upstreamPort}, '0.0.0.0', () => console.log('up'))`

describe.skipIf(hindrance !== null)(title, () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bypass-'))
  const tls = certificateFor(host)
  let node: Node
  let token: string

  beforeAll(async () => {
    chmodSync(folder, 0o711)
    node = new Node('upstream', 'elsewhere', 'pod', 'gateway', 'agent')
    const issuer = await developmentIssuer('acme.example')
    token = await issuer.mint(agentId, audience, 600)
    writeFileSync(join(folder, 'ca.pem'), tls.cert)
    for (const pod of ['upstream', 'elsewhere']) await node.start(pod, agentUser, [execPath, '-e', api], /^up$/)
    await serve('pod', [{ at: '127.0.0.1:7420' }], issuer.bundle)
    const pair = { cert: { file: 'tls.crt' }, key: { file: 'tls.key' } }
    await serve('gateway', [{ at: '0.0.0.0:7420', tls: pair, client_certificates: false }], issuer.bundle)
  })

  afterAll(async () => {
    await node[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  /** A Countersign of a pod, run as its image runs it: by its own user, its files its own. */
  async function serve(pod: string, listeners: readonly object[], bundle: string): Promise<void> {
    const place = join(folder, pod)
    mkdirSync(place, { mode: 0o700 })
    const config = {
      version: 1,
      listen: { agent: listeners, hosts: [host], health: { at: '127.0.0.1:7423' } },
      admin: { at: '127.0.0.1:7421' },
      identify: { audience, sources: [{ type: 'jwt-svid', trust_domain: 'acme.example', keys: { file: 'bundle.json' } }] },
      task: { state: { path: 'state.db' }, agents: [freeAgent()] },
      credential: { providers: { crm: { type: 'static', value: { file: 'secret' }, unsafe_standing: true } } },
      forward: {
        routes: {
          crm: {
            at: '/crm',
            to: `http://${node.address('upstream')}:${upstreamPort}`,
            reach: 'private',
            credential: 'crm',
            tools: [anyTool('crm')],
          },
        },
      },
      record: { ledger: { path: 'ledger' } },
    }
    const files = { 'countersign.yaml': stringify(config), 'bundle.json': bundle, secret, 'tls.crt': tls.cert, 'tls.key': tls.key }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(place, name), text, { mode: 0o600 })
    for (const name of ['.', ...readdirSync(place)]) chownSync(join(place, name), sidecarUser, sidecarUser)
    const main = join(root, 'src/main.ts')
    const words = [execPath, '--disable-warning=ExperimentalWarning', main, 'start', '--config', join(place, 'countersign.yaml')]
    await node.start(pod, sidecarUser, words, /"Countersign is up"/)
  }

  /** What an agent's client gets: the status and what the API said of it; null when nobody answered. */
  function get(pod: string, url: string, ...more: readonly string[]): { readonly status: number; readonly credentialed: unknown } | null {
    const words = [
      'curl',
      '-q',
      '-s',
      '--noproxy',
      '*',
      '--max-time',
      '2',
      '-H',
      `Authorization: Bearer ${token}`,
      '-w',
      '\n%{http_code}',
      ...more,
      url,
    ]
    const { code, stdout } = node.run(pod, agentUser, words)
    if (code !== 0) return null
    const [body = '', status] = stdout.split('\n')
    return { status: Number(status), credentialed: JSON.parse(body)['credentialed'] }
  }

  const direct = (pod: string, to: string): ReturnType<typeof get> => get(pod, `http://${node.address(to)}:${upstreamPort}/orders/1`)
  const bySidecar = (): ReturnType<typeof get> => get('pod', 'http://127.0.0.1:7420/crm/orders/1')
  const byGateway = (pod: string): ReturnType<typeof get> =>
    get(
      pod,
      `https://${host}:7420/crm/orders/1`,
      '--resolve',
      `${host}:7420:${node.address('gateway')}`,
      '--cacert',
      join(folder, 'ca.pem'),
    )

  const credentialed = { status: 200, credentialed: true }
  const uncredentialed = { status: 401, credentialed: false }
  const podOut = ['upstream', 'elsewhere'].map((to) => ({ from: 'pod', to, port: upstreamPort }))

  test('beside a sidecar without a network policy reaches everything, and gets no answer that takes a credential', () => {
    node.let(podOut)
    expect(bySidecar()).toEqual(credentialed)
    expect(direct('pod', 'upstream')).toEqual(uncredentialed)
    expect(direct('pod', 'elsewhere')).toEqual(uncredentialed)
  })

  test('beside a sidecar with one reaches what the sidecar may reach, without a credential, and nothing else', () => {
    node.let(podOut.filter(({ to }) => to === 'upstream'))
    expect(bySidecar()).toEqual(credentialed)
    expect(direct('pod', 'upstream')).toEqual(uncredentialed)
    expect(direct('pod', 'elsewhere')).toBeNull()
  })

  test('beside a sidecar cannot take the credential: its file, its process and its admin port are closed to another user', () => {
    const read = node.run('pod', agentUser, [
      'cat',
      join(folder, 'pod/secret'),
      join(folder, 'pod/admin.key'),
      join(folder, 'pod/state.db'),
    ])
    expect([read.code, read.stdout]).toEqual([1, ''])
    const processes = node.run('pod', sidecarUser, ['pgrep', '-u', String(sidecarUser), '-f', join(folder, 'pod/countersign.yaml')])
    const [found = ''] = processes.stdout.trim().split('\n')
    expect(found).toMatch(/^\d+$/)
    for (const file of ['environ', 'mem', 'maps']) expect(node.run('pod', agentUser, ['cat', `/proc/${found}/${file}`]).stdout).toBe('')
    const admin = node.run('pod', agentUser, [
      'curl',
      '-q',
      '-s',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      'http://127.0.0.1:7421/v1/status',
    ])
    expect(admin.stdout).toBe('401')
  })

  test('beside a sidecar with rules by user gets no answer at all: only the sidecar opens connections', () => {
    node.let(podOut)
    node.rules('pod', readFileSync(join(root, 'deploy/kubernetes/uid-rules/egress.nft'), 'utf8'))
    expect(bySidecar()).toEqual(credentialed)
    expect(direct('pod', 'upstream')).toBeNull()
    expect(direct('pod', 'elsewhere')).toBeNull()
    const undone = node.run('pod', agentUser, ['nft', 'flush', 'ruleset'])
    expect(undone.code).not.toBe(0)
  })

  test.each([
    ['behind an egress gateway', ['pod', 'agent']],
    ['in a pair of pods', ['agent']],
  ])('%s gets no answer at all: the gateway is the one way out', (_layout, agents) => {
    node.let([{ from: 'gateway', to: 'upstream', port: upstreamPort }, ...agents.map((from) => ({ from, to: 'gateway', port: 7420 }))])
    expect(byGateway('agent')).toEqual(credentialed)
    expect(direct('agent', 'upstream')).toBeNull()
    expect(direct('agent', 'elsewhere')).toBeNull()
    // nor by the ports that are not for agents
    expect(get('agent', `http://${node.address('gateway')}:7421/v1/status`)).toBeNull()
  })

  test('in a pair of pods is the only one that reaches its gateway', () => {
    node.let([
      { from: 'gateway', to: 'upstream', port: upstreamPort },
      { from: 'agent', to: 'gateway', port: 7420 },
    ])
    expect(byGateway('elsewhere')).toBeNull()
  })

  test('that shows the gateway no token is refused there too', () => {
    node.let([
      { from: 'gateway', to: 'upstream', port: upstreamPort },
      { from: 'agent', to: 'gateway', port: 7420 },
    ])
    const quietly = ['curl', '-q', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', join(folder, 'ca.pem')]
    const named = ['--resolve', `${host}:7420:${node.address('gateway')}`, `https://${host}:7420/crm/orders/1`]
    const stranger = node.run('agent', agentUser, [...quietly, ...named])
    expect(stranger.stdout).toBe('401')
  })
})
