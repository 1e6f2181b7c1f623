import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Lease } from '../../../src/credential/credential.ts'
import type { LeaseLife } from '../../../src/forward/leased-lines.ts'
import type { Route } from '../../../src/match/route.ts'
import { Secret } from '../../../src/secret.ts'
import { mintCertificate, type Minted } from '../../support/certificate.ts'
import { CertifiedUpstream } from '../../support/certified-upstream.ts'
import { sketchLease, startRig, type Rig } from '../../support/forward-rig.ts'
import { closeAfterEach, opened } from '../../support/rigs.ts'

closeAfterEach()

/** Leases that a test ends by hand. */
class Leases implements LeaseLife {
  readonly #ended = new Set<string>()
  readonly #listeners = new Set<(id: string) => void>()

  get followers(): number {
    return this.#listeners.size
  }

  stands(id: string): boolean {
    return !this.#ended.has(id)
  }

  onEnd(listener: (id: string) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  end(id: string): void {
    this.#ended.add(id)
    for (const listener of this.#listeners) listener(id)
  }
}

function lease(id: string, { key, cert }: Pick<Minted, 'key' | 'cert'>, more: Partial<Lease> = {}): Lease {
  return sketchLease({ id, placement: { in: 'tls' }, secret: new Secret(key), parts: { certificate: new Secret(cert) }, ...more })
}

function serial({ der }: Minted): string {
  return new X509Certificate(der).serialNumber
}

interface Stand {
  readonly upstream: CertifiedUpstream
  readonly leases: Leases
  readonly rig: Rig
  /** A call with the lease of this id. */
  readonly call: (id: string, path?: string) => Promise<{ readonly status: number; readonly text: string }>
}

async function stand(lent: readonly Lease[], upstream: CertifiedUpstream, route: Partial<Route> = {}): Promise<Stand> {
  const { port } = upstream
  const authority = `localhost:${port}`
  const to = { origin: `https://${authority}`, scheme: 'https', authority, hostname: 'localhost', port, basePath: '' } as const
  const leases = new Leases()
  const rig = await opened(
    startRig(port, {
      route: { to, credential: 'crm', ...route },
      lease: (call) => lent.find(({ id }) => id === call.header('x-lease')) ?? null,
      forward: { leases, lookup: async () => [{ address: '127.0.0.1', family: 4 }], ca: new Map([['crm', [upstream.authority.cert]]]) },
    }),
  )
  const call: Stand['call'] = async (id, path = '/') => {
    const answer = await fetch(rig.url + path, { headers: { 'x-lease': id } })
    return { status: answer.status, text: await answer.text() }
  }
  return { upstream, leases, rig, call }
}

async function certified(): Promise<CertifiedUpstream> {
  const upstream = await CertifiedUpstream.start()
  await opened(Promise.resolve({ close: () => upstream[Symbol.asyncDispose]() }))
  return upstream
}

describe('a client certificate that was lent', () => {
  test('authenticates the connection, which the calls of its lease share', async () => {
    const upstream = await certified()
    const client = upstream.client()
    const { call, rig } = await stand([lease('l_one', client)], upstream)
    for (const turn of [1, 2, 3]) {
      expect(await call('l_one')).toMatchObject({ status: 200 })
      await rig.end(turn - 1)
    }
    expect(upstream.connections).toMatchObject([{ serial: serial(client), requests: 3 }])
    expect(rig.ends[0]).toMatchObject({ proven: 'dns:localhost' })
    expect(upstream.seen.flat().join('\n')).not.toMatch(/authorization|PRIVATE KEY/i)
  })

  test('never authenticates a call with another lease, not even one that holds the same certificate', async () => {
    const upstream = await certified()
    const [one, two] = [upstream.client(), upstream.client()]
    const { call, rig } = await stand([lease('l_one', one), lease('l_two', two), lease('l_same', one)], upstream)
    for (const [turn, id] of ['l_one', 'l_two', 'l_same', 'l_one', 'l_two'].entries()) {
      expect((await call(id)).status).toBe(200)
      await rig.end(turn)
    }
    expect(upstream.connections.map((each) => [each.serial, each.requests])).toEqual([
      [serial(one), 2],
      [serial(two), 2],
      [serial(one), 1],
    ])
  })

  test('is gone with its lease: its connections end, and no call gets another', async () => {
    const upstream = await certified()
    const { call, leases, rig } = await stand([lease('l_one', upstream.client()), lease('l_two', upstream.client())], upstream)
    await call('l_one')
    await call('l_two')
    await rig.end(1)
    expect(leases.followers).toBe(1)
    leases.end('l_one')
    await upstream.connections[0]?.closed
    expect(upstream.connections[1]?.socket.destroyed).toBe(false)
    expect((await call('l_one')).text).toContain('credential.unavailable')
    expect((await call('l_two')).status).toBe(200)
    expect(upstream.connections).toHaveLength(2)
    leases.end('l_two')
    await upstream.connections[1]?.closed
    expect(leases.followers).toBe(0)
  })

  test('ends with its route, and with the stage', async () => {
    const upstream = await certified()
    const { call, leases, rig } = await stand([lease('l_one', upstream.client())], upstream)
    await call('l_one')
    await rig.end(0)
    rig.forward.reconfigure([])
    await upstream.connections[0]?.closed
    await call('l_one')
    await rig.end(1)
    await rig.forward.close()
    await upstream.connections[1]?.closed
    expect(leases.followers).toBe(0)
  })

  test('does not stand in for the proof of the upstream', async () => {
    const upstream = await certified()
    const stranger = await certified()
    const { call, rig } = await stand([lease('l_one', upstream.client())], Object.assign(stranger, { authority: upstream.authority }))
    expect((await call('l_one')).text).toContain('forward.untrusted')
    expect(rig.ends[0]).toMatchObject({ code: 'forward.untrusted' })
    expect(stranger.seen).toEqual([])
  })

  test('that the upstream does not take is a refusal', async () => {
    const upstream = await certified()
    const { call } = await stand([lease('l_one', mintCertificate({}))], upstream)
    expect((await call('l_one')).text).toContain('forward.unreachable')
    expect(upstream.seen).toEqual([])
  })

  test.each<[string, (good: Minted, other: Minted) => Partial<Lease>]>([
    ['no certificate', () => ({ parts: {} })],
    ['the certificate of another key', (_good, other) => ({ parts: { certificate: new Secret(other.cert) } })],
    ['a certificate that is none', () => ({ parts: { certificate: new Secret('canary-certificate') } })],
    ['a key that is none', () => ({ secret: new Secret('canary-key') })],
  ])('with %s is no credential, and says nothing of it', async (_what, broken) => {
    const upstream = await certified()
    const good = upstream.client()
    const { call, rig } = await stand([lease('l_one', good, broken(good, upstream.client()))], upstream)
    const { text } = await call('l_one')
    expect(text).toContain('credential.unavailable')
    const told = `${text}${JSON.stringify(rig.ends)}${String((rig.ends[0] as Error).stack)}`
    expect(told).not.toMatch(/canary|PRIVATE|CERTIFICATE/)
    expect(upstream.connections).toEqual([])
  })

  test('is shown on no plain route', async () => {
    const upstream = await certified()
    const client = upstream.client()
    const to = { origin: `http://localhost:${upstream.port}`, scheme: 'http', authority: `localhost:${upstream.port}` } as const
    const plain = await stand([lease('l_one', client)], upstream, {
      to: { ...to, hostname: 'localhost', port: upstream.port, basePath: '' },
    })
    expect((await plain.call('l_one')).text).toContain('credential.unavailable')
    expect(upstream.connections).toEqual([])
  })
})
