import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { developmentIssuer, type DevelopmentIssuer } from '../../src/demo/issuer.ts'
import { type DevelopmentWorkloadApi, serveWorkloadApi } from '../../src/demo/workload-api.ts'
import { Command } from '../support/command-line.ts'
import { goPeer, type Line, Peer, pythonPeer, run } from '../support/spiffe-peer.ts'

/** The development issuer serves any SPIFFE SDK: go-spiffe's and the Python one, each by its own rules. */

const agent = 'spiffe://acme.example/agent'
const home = 'spiffe://acme.example/countersign'
const audience = 'spiffe://acme.example/orders'
const clients = [
  ['go-spiffe', goPeer],
  ['the Python client', pythonPeer],
] as const

/** One key or more: an authority publishes the next one before it signs with it. */
const some = expect.arrayContaining([expect.any(String)])

let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-dev-'))
})

afterAll(() => rmSync(folder, { recursive: true }))

describe.each(clients)('%s and countersign dev-identity', (which, program) => {
  it('agree on certificates, bundles and a token, which it validates there and by itself', async () => {
    const path = join(folder, `${which.replaceAll(' ', '-')}.sock`)
    await using command = new Command(['dev-identity', '--socket', `unix:${path}`, '--id', agent, '--id', home])
    await command.until(({ stdout }) => stdout.includes('\n'))
    const [, socket = ''] = /^SPIFFE_ENDPOINT_SOCKET=(\S+)$/m.exec(command.stdout) ?? []
    const said = await run(program('fetch', '--socket', socket, '--audience', audience, '--id', home))
    const svids = said['svids'] as readonly Line[]
    expect(svids.map(({ id }) => id)).toEqual([agent, home])
    expect(said).toMatchObject({
      x509: { 'acme.example': some },
      bundles: { 'acme.example': some },
      jwtBundles: { 'acme.example': some },
      jwt: { id: home, audience: [audience], validated: home, validatedHere: home },
    })
    if (program === goPeer) expect(svids.map(({ verifies, why }) => ({ verifies, why }))).toEqual([{ verifies: true }, { verifies: true }])
    command.signal('SIGTERM')
    expect(await command.exited).toBe(0)
  })
})

describe.each(clients)('%s watching the development issuer', (which, program) => {
  async function serving(options: { readonly federated?: readonly DevelopmentIssuer[] } = {}): Promise<Served> {
    const issuer = await developmentIssuer('acme.example')
    const socket = join(folder, `watched-${which.replaceAll(' ', '-')}.sock`)
    return new Served(issuer, await serveWorkloadApi({ issuer, socket, ids: [agent, home], seconds: 300, ...options }))
  }

  it('sees renewal, new keys, and identities that are taken back', async () => {
    await using served = await serving()
    await using watcher = Peer.start(program('watch', '--socket', served.api.address))
    const first = await watcher.event('x509')
    served.api.rotate()
    const second = await watcher.event('x509')
    expect(serials(second)).not.toEqual(serials(first))
    await served.issuer.renewKeys()
    served.api.rotate()
    const renewed = await watcher.event('x509')
    expect(authorities(renewed)).not.toEqual(authorities(first))
    expect(authorities(renewed)).toEqual(expect.arrayContaining(authorities(first)))
    served.api.entitle([home])
    expect((await watcher.event('x509'))['svids']).toMatchObject([{ id: home }])
    served.api.entitle([])
    served.api.entitle([agent])
    expect((await watcher.event('x509'))['svids']).toMatchObject([{ id: agent }])
  })

  it('gets the bundles of federated trust domains', async () => {
    await using served = await serving({ federated: [await developmentIssuer('partner.example')] })
    const said = await run(program('fetch', '--socket', served.api.address))
    const both = { 'acme.example': some, 'partner.example': some }
    expect(said).toMatchObject({ x509: both, bundles: both, jwtBundles: both })
  })
})

describe('go-spiffe between workloads of the development issuer', () => {
  it('speaks mutual TLS with its certificates, and only with those', async () => {
    const issuer = await developmentIssuer('acme.example')
    const at = (name: string, id: string): Promise<DevelopmentWorkloadApi> =>
      serveWorkloadApi({ issuer, socket: join(folder, name), ids: [id], seconds: 300 })
    await using server = new Served(issuer, await at('server.sock', home))
    await using client = new Served(issuer, await at('client.sock', agent))
    await using listening = Peer.start(goPeer('serve-tls', '--socket', server.api.address, '--client-id', agent))
    const { url } = await listening.event('listening')
    const call = (socket: string): Promise<Line> => run(goPeer('call-mtls', '--socket', socket, '--server-id', home, '--url', String(url)))
    const said = await call(client.api.address)
    expect(said).toMatchObject({ status: 200, server: home })
    expect(JSON.parse(String(said['body']))).toMatchObject({ client: agent })
    await expect(call(server.api.address)).rejects.toThrow()
    expect(await listening.event('refused')).toMatchObject({ why: expect.stringContaining('unexpected ID') })
  })
})

class Served implements AsyncDisposable {
  readonly issuer: DevelopmentIssuer
  readonly api: DevelopmentWorkloadApi

  constructor(issuer: DevelopmentIssuer, api: DevelopmentWorkloadApi) {
    this.issuer = issuer
    this.api = api
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api.close()
  }
}

function serials({ svids }: Line): readonly unknown[] {
  return (svids as readonly Line[]).map(({ serial }) => serial)
}

function authorities(update: Line): unknown[] {
  return (update['x509'] as Readonly<Record<string, unknown[]>>)['acme.example'] ?? []
}
