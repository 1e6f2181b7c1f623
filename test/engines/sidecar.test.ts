import { describe, expect, it } from 'vitest'
import { goPeer, type Line, Peer, run, WorkloadApiPeer } from '../support/spiffe-peer.ts'
import { agentId, audience, routeTo, Running, TestUpstream } from '../support/running.ts'

/** A whole Countersign between workloads that are made from go-spiffe: its identity, its callers and its upstreams come from one Workload API. */

const payments = 'spiffe://acme.example/payments'
const stranger = 'spiffe://acme.example/stranger'

/** One Workload API for everybody, an upstream that lets in Countersign alone, and Countersign between. */
class Company implements AsyncDisposable {
  readonly api: WorkloadApiPeer
  readonly upstream: Peer
  readonly running: Running

  private constructor(api: WorkloadApiPeer, upstream: Peer, running: Running) {
    this.api = api
    this.upstream = upstream
    this.running = running
  }

  static async found(options: { readonly clientId?: string; readonly upstreamId?: string } = {}): Promise<Company> {
    const api = await WorkloadApiPeer.start({ ids: [audience, agentId, payments, stranger], more: ['--intermediate'] })
    const { clientId = audience, upstreamId = payments } = options
    const upstream = Peer.start(goPeer('serve-tls', '--socket', api.socket, '--id', upstreamId, '--client-id', clientId))
    const { url } = await upstream.event('listening')
    const running = await Running.start({
      routes: { payments: routeTo(String(url), 'payments', { tls: 'svid', id: payments }) },
      settings: {
        listen: { agent: [{ at: '127.0.0.1:0', tls: 'svid' }, { at: '127.0.0.1:0' }] },
        identify: { sources: [{ type: 'spiffe', socket: api.socket }] },
      },
    })
    while (running.sidecar.notReady().length > 0) await new Promise((resolve) => setImmediate(resolve))
    return new Company(api, upstream, running)
  }

  url(path: string): string {
    return `https://127.0.0.1:${this.running.port()}${path}`
  }

  /** One call of an agent made from go-spiffe, over mutual TLS. */
  async call(
    path: string,
    { id = agentId, serverId = audience }: { readonly id?: string; readonly serverId?: string } = {},
  ): Promise<Line> {
    return run(goPeer('call-mtls', '--socket', this.api.socket, '--id', id, '--server-id', serverId, '--url', this.url(path)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running[Symbol.asyncDispose]()
    await this.upstream.kill()
    await this.api[Symbol.asyncDispose]()
  }
}

describe('an agent made from go-spiffe', () => {
  it('calls over mutual TLS, and the upstream made from go-spiffe sees Countersign', async () => {
    await using company = await Company.found()
    const said = await company.call('/payments/1?x=y')
    expect(said).toMatchObject({ status: 200, server: audience })
    expect(JSON.parse(String(said['body']))).toMatchObject({ method: 'GET', url: '/1?x=y', client: audience })
    const [decision, outcome] = company.running.entries().filter(({ kind }) => kind === 'decision' || kind === 'outcome')
    expect(JSON.stringify(decision)).toContain(agentId)
    expect(outcome).toMatchObject({ kind: 'outcome', downstream_proven: payments })
    expect(company.running.ledgerText()).toContain('"method":"x509-svid"')
  })

  it('calls with a JWT-SVID as bearer token', async () => {
    await using company = await Company.found()
    const plain = `http://127.0.0.1:${company.running.port('agent.1')}/payments/2`
    const call = (forAudience: string): Promise<Line> =>
      run(goPeer('call-jwt', '--socket', company.api.socket, '--id', agentId, '--audience', forAudience, '--url', plain))
    const said = await call(audience)
    expect(said).toMatchObject({ status: 200 })
    expect(JSON.parse(String(said['body']))).toMatchObject({ url: '/2', client: audience })
    expect(JSON.parse(String(said['body']))['headers']).not.toHaveProperty('authorization')
    expect(await call('spiffe://acme.example/other')).toMatchObject({ status: 401 })
  })

  it('is nobody when it is not registered, and turns away from a Countersign of another name', async () => {
    await using company = await Company.found()
    const refused = await company.call('/payments/3', { id: stranger })
    expect(refused['status']).toBe(403)
    await expect(company.call('/payments/3', { serverId: stranger })).rejects.toThrow(/unexpected ID/)
  })

  it('of another authority is refused, whatever its certificate says', async () => {
    await using company = await Company.found()
    await using forger = await WorkloadApiPeer.start({ ids: [agentId] })
    const { x509 } = await forger.ask({ do: 'state' })
    expect(x509).toHaveProperty('acme.example')
    await expect(
      run(goPeer('call-mtls', '--socket', forger.socket, '--server-id', audience, '--url', company.url('/payments/4'))),
    ).rejects.toThrow(/unknown authority/)
  })
})

describe('an upstream made from go-spiffe', () => {
  it('that is not the one that the route names is not called', async () => {
    await using company = await Company.found({ upstreamId: stranger })
    const said = await company.call('/payments/1')
    expect(said['status']).toBe(502)
    expect(String(said['body'])).toContain('forward.untrusted')
  })

  it('that lets in somebody else refuses us, and the agent is told so', async () => {
    await using company = await Company.found({ clientId: stranger })
    const said = await company.call('/payments/1')
    expect(said['status']).toBe(502)
    expect(await company.upstream.event('refused')).toMatchObject({ why: expect.stringContaining('unexpected ID') })
  })
})

describe('rotation', () => {
  it('of certificates and authorities under load fails no call on either side', async () => {
    await using company = await Company.found()
    await using agent = Peer.start(goPeer('call-mtls', '--socket', company.api.socket, '--id', agentId, '--server-id', audience, '--lines'))
    await agent.event('ready')
    const seen = { ours: new Set<unknown>(), theirs: new Set<unknown>() }
    const call = async (n: number): Promise<void> => {
      const said = await agent.ask({ url: company.url(`/payments/${n}`), fresh: n % 3 === 0 })
      expect(said, String(said['body'])).toMatchObject({ status: 200, server: audience })
      seen.ours.add(said['serial'])
      seen.theirs.add(JSON.parse(String(said['body']))['serial'])
    }
    for (let round = 0; round < 60; round++) {
      // every tenth time the authority changes too: published some time before, as authorities do
      if (round % 10 === 3) await company.api.ask({ do: 'prepare-authorities' })
      else if (round % 10 === 9) await company.api.ask({ do: 'rotate-authorities', keep: true })
      else await company.api.ask({ do: 'rotate' })
      await Promise.all([call(3 * round), call(3 * round + 1), call(3 * round + 2)])
    }
    expect(seen.ours.size).toBeGreaterThan(5)
    expect(seen.theirs.size).toBeGreaterThan(1)
    expect(await company.running.verify()).toMatchObject({ ok: true })
  })
})

describe('a plain upstream', () => {
  it('is reached for an agent that proved itself by certificate, without anything of that going along', async () => {
    await using company = await Company.found()
    await using upstream = await TestUpstream.start()
    await company.running.reload({
      routes: { api: routeTo(upstream.url, 'api') },
      settings: {
        listen: { agent: [{ at: '127.0.0.1:0', tls: 'svid' }, { at: '127.0.0.1:0' }] },
        identify: { sources: [{ type: 'spiffe', socket: company.api.socket }] },
      },
    })
    expect(await company.call('/api/x')).toMatchObject({ status: 200, body: '{"ok":true}' })
    expect(JSON.stringify(upstream.seen)).not.toContain('spiffe://')
  })
})
