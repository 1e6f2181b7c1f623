import { rmSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { verifyX509Svid } from '../../src/identify/x509/svid.ts'
import {
  openWorkloadApi,
  type WatchEvent,
  type WorkloadApi,
  type WorkloadApiOptions,
  type X509Source,
} from '../../src/identify/workload-api/workload-api.ts'
import { type Line, type ServeOptions, WorkloadApiPeer } from '../support/spiffe-peer.ts'
import { until } from '../support/until.ts'

/** Our Workload API client against a server made from go-spiffe's own stubs. */

const home = 'spiffe://acme.example/countersign'
const agent = 'spiffe://acme.example/agent'
const audience = 'spiffe://acme.example/orders'

/** A server and our client to it; both end with the test. */
class Pair implements AsyncDisposable {
  readonly api: WorkloadApiPeer
  readonly client: WorkloadApi

  private constructor(api: WorkloadApiPeer, client: WorkloadApi) {
    this.api = api
    this.client = client
  }

  static async start(serving: ServeOptions = {}, options: WorkloadApiOptions = {}): Promise<Pair> {
    const api = await WorkloadApiPeer.start(serving)
    return new Pair(api, openWorkloadApi({ address: api.socket, maxBackoff: 100, ...options }))
  }

  async calls(rpc: string): Promise<number> {
    const { calls } = await this.api.ask({ do: 'state' })
    return Number((calls as Line)[rpc] ?? 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close()
    await this.api[Symbol.asyncDispose]()
  }
}

/** Everything that a watch tells, one after the other. */
class Told<Value> {
  readonly #events: WatchEvent<Value>[] = []
  #waiting: (() => void) | null = null

  readonly hear = (event: WatchEvent<Value>): void => {
    this.#events.push(event)
    this.#waiting?.()
  }

  async next(): Promise<WatchEvent<Value>> {
    for (;;) {
      const event = this.#events.shift()
      if (event !== undefined) return event
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
  }
}

const base64 = (der: Uint8Array): string => Buffer.from(der).toString('base64')
const serialOf = (source: X509Source, id: string): string | null =>
  source.context()?.svids.find((svid) => svid.id.id === id)?.serial ?? null

describe('X.509-SVIDs', () => {
  it('come as the server has them, and our verifier accepts each with the bundle that came along', async () => {
    await using pair = await Pair.start({ ids: [`${home},internal`, `${agent},internal`], more: ['--intermediate'] })
    const served = await pair.api.ask({ do: 'state' })
    const source = await pair.client.openX509Source()
    const [first] = source.context()?.svids ?? []
    expect(first?.id.id).toBe(home)
    // Workload API §5.2: of two SVIDs with one hint the first counts
    expect(source.context()?.svids).toHaveLength(1)
    expect(first?.chain.map(base64)).toEqual((served['svids'] as readonly Line[])[0]?.['chain'])
    expect(first?.chain).toHaveLength(2)
    for (const [trustDomain, roots] of Object.entries(served['x509'] as Readonly<Record<string, readonly string[]>>))
      expect(source.authorities(trustDomain)?.map(base64)).toEqual(roots)
    const verified = verifyX509Svid(first?.chain ?? [], source.authorities('acme.example') ?? [], Date.now())
    expect(verified).toMatchObject({ id: { id: home }, expires: first?.expires })
    expect(() => verifyX509Svid(first?.chain ?? [], source.authorities('partner.example') ?? [], Date.now())).toThrow()
  })

  it('are renewed one by one, and the set of authorities stays the same object until it changes', async () => {
    await using pair = await Pair.start({ ids: [home, agent] })
    const source = await pair.client.openX509Source()
    const before = { home: serialOf(source, home), agent: serialOf(source, agent), authorities: source.authorities('acme.example') }
    await pair.api.ask({ do: 'rotate', ids: [agent] })
    await until(source, () => serialOf(source, agent) !== before.agent)
    expect(serialOf(source, home)).toBe(before.home)
    expect(source.authorities('acme.example')).toBe(before.authorities)
    await pair.api.ask({ do: 'rotate-authorities', keep: true })
    await until(source, () => source.authorities('acme.example') !== before.authorities)
    expect(source.authorities('acme.example')).toHaveLength(2)
    const { chain } = source.svid()
    expect(verifyX509Svid(chain, source.authorities('acme.example') ?? [], Date.now()).id.id).toBe(home)
  })

  it('follow a hundred renewals to the last one, without a moment in which there is none', async () => {
    await using pair = await Pair.start()
    const source = await pair.client.openX509Source()
    let missing = 0
    source.onChange(() => {
      if (source.context() === null) missing++
    })
    for (let n = 0; n < 100; n++) await pair.api.ask({ do: 'rotate' })
    const { svids } = await pair.api.ask({ do: 'state' })
    const last = (svids as readonly Line[]).map(({ chain }) => chain)
    const held = (): unknown => source.context()?.svids.map(({ chain }) => chain.map(base64))
    await until(source, () => JSON.stringify(held()) === JSON.stringify(last))
    expect(missing).toBe(0)
    expect(await pair.calls('FetchX509SVID')).toBe(1)
  })

  it('are gone when they are redacted, one or all, and come back without being asked for', async () => {
    await using pair = await Pair.start({ ids: [home, agent] })
    const source = await pair.client.openX509Source()
    await pair.api.ask({ do: 'redact', ids: [home] })
    await until(source, () => serialOf(source, home) === null)
    expect(source.svid().id.id).toBe(agent)
    expect(() => source.svid({ id: home })).toThrow(expect.objectContaining({ code: 'missing' }))
    await pair.api.ask({ do: 'redact' })
    await until(source, () => source.context() === null)
    expect(() => source.svid()).toThrow(expect.objectContaining({ code: 'permission-denied' }))
    expect(source.authorities('acme.example')).toBeNull()
    expect(source.state().kind).toBe('redacted')
    await pair.api.ask({ do: 'restore' })
    await until(source, () => source.context() !== null)
    expect(source.svid().id.id).toBe(home)
  })

  it('outlive a server that ends or dies, and a new one on the same socket is taken at its word', async () => {
    await using pair = await Pair.start()
    const source = await pair.client.openX509Source()
    const first = source.svid()
    await pair.api.ask({ do: 'end', code: 'UNAVAILABLE' })
    await until(source, () => source.state().kind === 'unavailable')
    expect(source.svid()).toBe(first)
    await until(source, () => source.state().kind === 'current')
    await pair.api.kill()
    await until(source, () => source.state().kind === 'unavailable')
    expect(source.svid().serial).toBe(first.serial)
    rmSync(pair.api.path)
    await using next = await WorkloadApiPeer.start({ path: pair.api.path })
    await until(source, () => source.state().kind === 'current')
    expect(source.svid().serial).not.toBe(first.serial)
    expect(source.authorities('acme.example')?.map(base64)).toEqual(((await next.ask({ do: 'state' }))['x509'] as Line)['acme.example'])
  })

  it('of a bundle that was emptied there are no authorities left, but the domain is still known', async () => {
    await using pair = await Pair.start()
    const source = await pair.client.openX509Source()
    await pair.api.ask({ do: 'bundle', trustDomain: 'partner.example', x509: 'empty' })
    await until(source, () => source.authorities('partner.example')?.length === 0)
    await pair.api.ask({ do: 'bundle', trustDomain: 'partner.example', x509: 'absent' })
    await until(source, () => source.authorities('partner.example') === null)
    await pair.api.ask({ do: 'bundle', trustDomain: 'partner.example', x509: 'full' })
    await until(source, () => source.authorities('partner.example')?.length === 1)
  })
})

describe('what the server answers with', () => {
  it('decides whether it is asked again: Workload Endpoint §6', async () => {
    await using pair = await Pair.start()
    const told = new Told()
    const watch = pair.client.watchX509Bundles(told.hear)
    expect(await told.next()).toMatchObject({ kind: 'update' })
    await pair.api.ask({ do: 'end', code: 'UNAVAILABLE' })
    expect(await told.next()).toMatchObject({ kind: 'unavailable', why: expect.stringContaining('ended as told') })
    expect(await told.next()).toMatchObject({ kind: 'update' })
    await pair.api.ask({ do: 'end', code: 'PERMISSION_DENIED' })
    expect(await told.next()).toMatchObject({ kind: 'redacted' })
    expect(await told.next()).toMatchObject({ kind: 'update' })
    // a stream that just ends is opened again, and nobody need know
    await pair.api.ask({ do: 'end' })
    expect(await told.next()).toMatchObject({ kind: 'update' })
    const asked = await pair.calls('FetchX509Bundles')
    await pair.api.ask({ do: 'end', code: 'INVALID_ARGUMENT' })
    expect(await told.next()).toMatchObject({ kind: 'ended', fault: { code: 'invalid-argument' } })
    // an answer to a later question is proof that the stream was not asked for again before it
    await pair.client.fetchJwtBundles()
    expect(await pair.calls('FetchX509Bundles')).toBe(asked)
    watch.close()
  })

  it('is waited for when it refuses at first', async () => {
    await using pair = await Pair.start()
    await pair.api.ask({ do: 'refuse', code: 'PERMISSION_DENIED', times: 3 })
    const source = await pair.client.openX509Source()
    expect(source.svid().id.id).toBe(home)
    expect(await pair.calls('FetchX509SVID')).toBe(4)
  })

  it('is discarded when a mandatory field is empty, and what was there stays: Workload API §4.5', async () => {
    await using pair = await Pair.start()
    const discarded = Promise.withResolvers<string>()
    const source = await pair.client.openX509Source({ onDiscard: discarded.resolve })
    const { serial } = source.svid()
    await pair.api.ask({ do: 'bundle', x509: 'empty' })
    expect(await discarded.promise).toContain('bundle')
    expect(source.svid().serial).toBe(serial)
  })

  it('about WIT-SVIDs is that it has none, once', async () => {
    await using pair = await Pair.start()
    const told = new Told()
    pair.client.watchWitSvids(told.hear)
    expect(await told.next()).toMatchObject({ kind: 'ended', fault: { code: 'unimplemented' } })
  })

  it('also over TCP', async () => {
    await using pair = await Pair.start({ tcp: true })
    expect((await pair.client.fetchX509Context()).svids.map(({ id }) => id.id)).toEqual([home])
  })
})

describe('JWT-SVIDs', () => {
  it('are fetched by audience and ID, validated there, and their keys streamed', async () => {
    await using pair = await Pair.start({ ids: [home, agent] })
    const source = await pair.client.openJwtSource()
    const svid = await source.fetch(audience, { id: agent })
    expect(svid).toMatchObject({ id: { id: agent }, audience: [audience] })
    const token = svid.token.reveal()
    const validated = await pair.client.validateJwtSvid(token, audience)
    expect(validated).toMatchObject({ id: { id: agent }, claims: { sub: agent, aud: [audience] } })
    await expect(pair.client.validateJwtSvid(token, 'spiffe://acme.example/other')).rejects.toMatchObject({ code: 'invalid-token' })
    await expect(source.fetch(audience, { id: 'spiffe://acme.example/other' })).rejects.toMatchObject({ code: 'permission-denied' })
    expect(await pair.client.fetchJwtSvids(audience)).toHaveLength(2)
    const { jwt } = await pair.api.ask({ do: 'state' })
    expect(Object.fromEntries(source.bundles())).toEqual(jwt)
  })

  it('are kept until half of their life, and forgotten when the identity is taken back', async () => {
    let ahead = 0
    await using pair = await Pair.start({ more: ['--jwt-ttl', '100s'] }, { clock: () => Date.now() + ahead })
    const source = await pair.client.openJwtSource()
    const tokenOf = async (): Promise<string> => (await source.fetch(audience)).token.reveal()
    const first = await tokenOf()
    expect(await tokenOf()).toBe(first)
    expect(await pair.calls('FetchJWTSVID')).toBe(1)
    ahead = 51_000
    await tokenOf()
    expect(await pair.calls('FetchJWTSVID')).toBe(2)
    await pair.api.ask({ do: 'redact' })
    await until(source, () => source.state().kind === 'redacted')
    await expect(tokenOf()).rejects.toMatchObject({ code: 'permission-denied' })
  })

  it('of a trust domain whose keys were emptied or withdrawn are nobody: the bundle says so', async () => {
    await using pair = await Pair.start()
    const source = await pair.client.openJwtSource()
    await pair.api.ask({ do: 'bundle', trustDomain: 'partner.example', jwt: 'empty' })
    await until(source, () => source.bundle('partner.example') === '{"keys":[]}')
    await pair.api.ask({ do: 'bundle', trustDomain: 'partner.example', jwt: 'absent' })
    await until(source, () => !source.bundles().has('partner.example'))
    expect(() => source.bundle('partner.example')).toThrow(expect.objectContaining({ code: 'missing' }))
  })
})
