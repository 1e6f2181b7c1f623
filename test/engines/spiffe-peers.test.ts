import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { goPeer, type Line, Peer, pythonPeer, run, WorkloadApiPeer } from '../support/spiffe-peer.ts'

/** The programs that the other suites measure us with, measured with each other first. */

const home = 'spiffe://acme.example/countersign'
const agent = 'spiffe://acme.example/agent'
const clients = [
  ['go-spiffe', goPeer],
  ['the Python client', pythonPeer],
] as const

let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-peers-'))
})

afterAll(() => rmSync(folder, { recursive: true }))

describe.each(clients)('%s and our go-spiffe Workload API', (_, program) => {
  it('agree on certificates, bundles and a token, each judged by its own client', async () => {
    await using api = await WorkloadApiPeer.start({ ids: [`${home},internal`, agent], more: ['--intermediate'] })
    const served = await api.ask({ do: 'state' })
    const said = await run(program('fetch', '--socket', api.socket, '--audience', 'spiffe://acme.example/orders', '--id', agent))
    expect(said).toMatchObject({
      svids: (served['svids'] as readonly Line[]).map(({ id, chain }) => ({ id, chain })),
      x509: served['x509'],
      bundles: served['x509'],
      jwtBundles: { 'acme.example': ['acme.example-1'], 'partner.example': ['partner.example-1'] },
      jwt: { id: agent, audience: ['spiffe://acme.example/orders'], validated: agent, validatedHere: agent },
    })
  })

  it('stop at a refusal, in the words of the code', async () => {
    await using api = await WorkloadApiPeer.start()
    await api.ask({ do: 'refuse', code: 'INVALID_ARGUMENT', times: -1 })
    await expect(run(program('fetch', '--socket', api.socket))).rejects.toThrow(/Invalid\s?Argument|INVALID_ARGUMENT/)
  })

  it('follow rotation, redaction and what is given back', async () => {
    await using api = await WorkloadApiPeer.start({ ids: [home, agent] })
    await using watcher = Peer.start(program('watch', '--socket', api.socket))
    const serials = ({ svids }: Line): readonly unknown[] => (svids as readonly Line[]).map(({ serial }) => serial)
    const first = await watcher.event('x509')
    await api.ask({ do: 'rotate', ids: [agent] })
    const rotated = await watcher.event('x509')
    expect(serials(rotated)[0]).toBe(serials(first)[0])
    expect(serials(rotated)[1]).not.toBe(serials(first)[1])
    await api.ask({ do: 'redact', ids: [agent] })
    expect((await watcher.event('x509'))['svids']).toMatchObject([{ id: home }])
    await api.ask({ do: 'redact' })
    await api.ask({ do: 'restore' })
    expect((await watcher.event('x509'))['svids']).toMatchObject([{ id: home }, { id: agent }])
  })
})

describe('the Workload API of the suites', () => {
  async function called(socket: string, header: string | null): Promise<ServiceError | null> {
    const client = new Client(socket, credentials.createInsecure())
    const metadata = new Metadata()
    if (header !== null) metadata.set('workload.spiffe.io', header)
    const { promise, resolve } = Promise.withResolvers<ServiceError | null>()
    const bytes = (value: Buffer): Buffer => value
    client.makeUnaryRequest('/SpiffeWorkloadAPI/ValidateJWTSVID', bytes, bytes, Buffer.alloc(0), metadata, (error) => resolve(error))
    const error = await promise
    client.close()
    return error
  }

  it('takes no call without the header, or with any other value', async () => {
    await using api = await WorkloadApiPeer.start()
    for (const header of [null, 'True', '', 'false'])
      expect(await called(api.socket, header)).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringContaining('header') })
    expect(await called(api.socket, 'true')).toMatchObject({ details: expect.stringContaining('audience') })
  })

  it('tells watchers how their streams end, and which bundle was emptied', async () => {
    await using api = await WorkloadApiPeer.start()
    await using watcher = Peer.start(goPeer('watch', '--socket', api.socket))
    const all = (line: Line): boolean => Object.keys(line['bundles'] as Line).length === 2
    await watcher.event('jwt-bundles', all)
    await api.ask({ do: 'end', code: 'UNAVAILABLE' })
    expect(await watcher.event('jwt-bundles-error')).toMatchObject({ error: expect.stringContaining('code = Unavailable') })
    await watcher.event('jwt-bundles', all)
    await api.ask({ do: 'bundle', trustDomain: 'partner.example', jwt: 'empty', x509: 'absent' })
    expect(await watcher.event('jwt-bundles')).toMatchObject({ bundles: { 'acme.example': ['acme.example-1'], 'partner.example': [] } })
    await api.ask({ do: 'redact' })
    expect(await watcher.event('jwt-bundles-error')).toMatchObject({ error: expect.stringContaining('code = PermissionDenied') })
  })

  it('also listens on TCP', async () => {
    await using api = await WorkloadApiPeer.start({ tcp: true })
    expect(api.socket).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/)
    expect(await run(goPeer('fetch', '--socket', api.socket))).toMatchObject({ svids: [{ id: home, verifies: true }] })
  })
})

describe('mutual TLS between the programs', () => {
  it('lets in the one that was named, and says who it was', async () => {
    await using api = await WorkloadApiPeer.start({ ids: [home] })
    await using other = await WorkloadApiPeer.start({ ids: [home] })
    await using server = Peer.start(goPeer('serve-tls', '--socket', api.socket, '--client-id', home))
    const { url } = await server.event('listening')
    const call = (socket: string, serverId: string): Promise<Line> =>
      run(goPeer('call-mtls', '--socket', socket, '--server-id', serverId, '--url', `${String(url)}/x`, '--header', 'x-a=b'))
    const said = await call(api.socket, home)
    expect(said).toMatchObject({ status: 200, server: home })
    expect(JSON.parse(String(said['body']))).toMatchObject({ client: home, url: '/x', headers: { 'x-a': 'b' } })
    await expect(call(api.socket, agent)).rejects.toThrow(/unexpected ID/)
    // the same names under other roots
    await expect(call(other.socket, home)).rejects.toThrow(/unknown authority/)
  })
})

describe('bundle endpoints between the programs', () => {
  it.each(['https_web', 'https_spiffe'])('%s: a bundle, its sequence, and nothing left', async (profile) => {
    await using api = await WorkloadApiPeer.start({ ids: [home] })
    await using endpoint = Peer.start(goPeer('bundle-endpoint', '--socket', api.socket, '--profile', profile, '--hint', '7s'))
    const said = await endpoint.event('listening')
    const { x509 } = await api.ask({ do: 'state' })
    const files = { ca: join(folder, `${profile}.pem`), bundle: join(folder, `${profile}.json`) }
    writeFileSync(files.ca, String(said['ca']))
    writeFileSync(files.bundle, x509Document((x509 as Readonly<Record<string, readonly string[]>>)['acme.example'] ?? []))
    const args = ['--url', String(said['url']), '--td', 'acme.example', '--profile', profile, '--ca', files.ca, '--bundle', files.bundle]
    const federate = (id = home): Promise<Line> => run(goPeer('federate', ...args, '--id', id))
    expect(await federate()).toMatchObject({
      trustDomain: 'acme.example',
      x509: (x509 as Line)['acme.example'],
      jwt: ['acme.example-1'],
      sequence: '1',
      hint: 7,
    })
    expect(await federate()).toMatchObject({ sequence: '1' })
    await endpoint.ask({ do: 'empty' })
    expect(await federate()).toMatchObject({ x509: [], jwt: [], sequence: '2' })
    if (profile === 'https_spiffe') await expect(federate(agent)).rejects.toThrow(/unexpected ID/)
  })
})

describe('the judges of the suites', () => {
  it('accept what the authority minted, and nothing of another', async () => {
    await using api = await WorkloadApiPeer.start()
    const { x509, jwt } = await api.ask({ do: 'state' })
    const file = join(folder, 'keys.json')
    writeFileSync(file, String((jwt as Line)['acme.example']))
    const good = await api.ask({ do: 'mint-jwt', spiffeId: agent, audience: ['a'] })
    const foreign = await api.ask({ do: 'mint-jwt', spiffeId: agent, audience: ['a'], trustDomain: 'partner.example' })
    for (const [program, more] of [
      [goPeer, ['--jwks']],
      [pythonPeer, []],
    ] as const) {
      await using judge = Peer.start(program('validate', '--audience', 'a', '--bundle', `acme.example=${file}`, ...more))
      const judged = async ({ token }: Line): Promise<Line> => judge.ask({ token })
      expect(await judged(good)).toMatchObject({ accepted: true, spiffeId: agent })
      expect(await judged(foreign)).toMatchObject({ accepted: false })
    }
    await using judge = Peer.start(goPeer('verify-x509'))
    const { chain } = await api.ask({ do: 'mint-x509', spiffeId: agent })
    const swapped = await api.ask({ do: 'mint-x509', spiffeId: agent, trustDomain: 'partner.example' })
    expect(await judge.ask({ chain, authorities: x509 })).toMatchObject({ accepted: true, spiffeId: agent })
    expect(await judge.ask({ chain: swapped['chain'], authorities: x509 })).toMatchObject({ accepted: false })
  })
})

/** A SPIFFE bundle document with nothing but X.509 authorities. */
function x509Document(certificates: readonly string[]): string {
  const publicKey = (der: string): object => new X509Certificate(Buffer.from(der, 'base64')).publicKey.export({ format: 'jwk' })
  return JSON.stringify({ keys: certificates.map((der) => ({ use: 'x509-svid', ...publicKey(der), x5c: [der] })) })
}
