import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { developmentIssuer, type DevelopmentIssuer } from '../../../src/demo/issuer.ts'
import type { UpstreamIdentity } from '../../../src/forward/svid.ts'
import { claimedId, verifyX509Svid } from '../../../src/identify/x509/svid.ts'
import { makeSigner } from '../../support/bundle-signer.ts'
import { BundleServer, edition } from '../../support/bundle-server.ts'
import { mintCertificate } from '../../support/certificate.ts'
import { FeedRig } from '../../support/feed-rig.ts'
import { keyedChain } from '../../support/svid-client.ts'

const hour = 3_600_000

async function withServer(number: number, work: (rig: FeedRig, server: BundleServer) => Promise<void>): Promise<void> {
  await using rig = new FeedRig()
  await using server = await BundleServer.start(edition({ number, signer: rig.signer }))
  await work(rig, server)
}

describe('what proves us to the server', () => {
  test('[OPA bundles §bearer] a token is read anew for each request, and is not said when it cannot be sent', () =>
    withServer(1, async (rig, server) => {
      rig.file('token', 'first\n')
      await rig.start({ url: server.url, auth: { bearer: { file: 'token' } } })
      rig.file('token', 'second\n')
      await rig.look()
      expect(server.asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer first', 'Bearer second'])
      rig.file('token', 'thi\nrd')
      await rig.look()
      expect(server.asked).toHaveLength(2)
      expect(rig.faults[0]?.message).toBe('the server cannot be asked: the bearer token is empty, or holds what no header can')
    }))

  test('[OPA bundles §client TLS] a client certificate is read anew for each request, and the server is proven by its authority', async () => {
    await using rig = new FeedRig()
    const authority = mintCertificate({ names: ['authority'], ca: true })
    const served = mintCertificate({ names: ['localhost'], issuer: authority })
    const tls = { cert: served.cert, key: served.key, ca: authority.cert, requestCert: true, rejectUnauthorized: true }
    await using server = await BundleServer.start(edition({ number: 1, signer: rig.signer }), tls)
    const show = (name: string): void => {
      const client = mintCertificate({ names: [name], issuer: authority })
      rig.file('client.crt', client.cert)
      rig.file('client.key', client.key)
    }
    show('one')
    rig.file('authority.pem', authority.cert)
    const url = server.url.replace('127.0.0.1', 'localhost')
    await rig.start({ url, auth: { cert: { file: 'client.crt' }, key: { file: 'client.key' } }, ca: { file: 'authority.pem' } })
    expect(rig.judge()).toBe('r1')
    show('two')
    await rig.look()
    expect(server.asked.map(({ shown }) => shown)).toEqual(['DNS:one', 'DNS:two'])
    rig.file('authority.pem', mintCertificate({ names: ['another'], ca: true }).cert)
    await rig.look()
    expect(server.asked).toHaveLength(2)
    expect(rig.faults[0]).toMatchObject({ reason: 'unreachable', message: expect.stringContaining('cannot be asked') })
  })

  test('[Countersign: bundle server identity] both sides prove a SPIFFE ID, and a server of another is asked nothing', async () => {
    await using rig = new FeedRig()
    const issuer = await developmentIssuer('acme.example')
    const tls = {
      ...keyedChain(issuer.issue({ id: 'spiffe://acme.example/bundle-server', seconds: 300 })),
      requestCert: true,
      rejectUnauthorized: false,
    }
    await using server = await BundleServer.start(edition({ number: 1, signer: rig.signer }), tls)
    rig.now = Date.now()
    rig.identity = identityFrom(issuer, () => rig.now)
    await rig.start({ url: server.url, auth: { tls: 'svid', id: 'spiffe://acme.example/bundle-server' } })
    expect(rig.judge()).toBe('r1')
    expect(server.asked.map(({ shown }) => shown)).toEqual(['URI:spiffe://acme.example/countersign'])
    await rig.end()
    await rig.start({ url: server.url, auth: { tls: 'svid', id: 'spiffe://acme.example/other' }, persist: 'elsewhere' })
    expect(server.asked).toHaveLength(1)
    expect(rig.faults[0]?.message).toContain('the upstream is spiffe://acme.example/bundle-server, which the route does not name')
    rig.identity = null
    await rig.look()
    expect(rig.faults.at(-1)?.message).toContain('there is no SVID to show the server')
  })
})

/** As `upstreamIdentity` makes it, over one issuer. */
function identityFrom(issuer: DevelopmentIssuer, clock: () => number): UpstreamIdentity {
  const own = {
    ...keyedChain(issuer.issue({ id: 'spiffe://acme.example/countersign', seconds: 300 })),
    id: 'spiffe://acme.example/countersign',
    expires: clock() + 300_000,
  }
  return {
    current: () => own,
    onChange: () => () => undefined,
    check: (chain, ids) => {
      const claimed = chain[0] === undefined ? null : claimedId(chain[0])
      if (claimed === null || !ids.includes(claimed.id)) throw new Error(`the upstream is ${claimed?.id}, which the route does not name`)
      const { id, expires } = verifyX509Svid(chain, issuer.authorities, clock())
      return { id: id.id, expires, stands: () => true }
    },
  }
}

describe('max_age', () => {
  test('[Countersign: bundle max age] past it nothing judges, and it goes on by itself when the server answers', () =>
    withServer(1, async (rig, server) => {
      await rig.start({ url: server.url, max_age: '2h' })
      await server.away()
      rig.now += hour
      await rig.look()
      expect(rig.judge()).toBe('r1')
      rig.now += hour + 1
      expect(() => rig.judge()).toThrow('max_age')
      expect(() => rig.judge()).toThrow('max_age')
      expect(rig.told.filter(({ kind }) => kind === 'stale')).toHaveLength(1)
      expect(rig.inForce.status().lapsed).toContain('max_age')
      await server.back()
      await rig.look()
      expect(rig.judge()).toBe('r1')
      expect(rig.inForce.status()).toMatchObject({ lapsed: null, fault: null, age: expect.any(Number) })
    }))

  test('[Countersign: bundle max age] a 304 confirms, an error does not', () =>
    withServer(1, async (rig, server) => {
      await rig.start({ url: server.url, max_age: '2h' })
      rig.now += 1.5 * hour
      await rig.look()
      rig.now += 1.5 * hour
      expect(rig.judge()).toBe('r1')
      server.instead = (_, response) => void response.writeHead(500).end()
      await rig.look()
      rig.now += hour
      expect(() => rig.judge()).toThrow('max_age')
    }))

  test('[Countersign: bundle max age] a bundle that is refused confirms nothing', () =>
    withServer(1, async (rig, server) => {
      await rig.start({ url: server.url, max_age: '2h' })
      server.put(edition({ number: 2, signer: null }))
      rig.now += 1.5 * hour
      await rig.look()
      rig.now += hour
      expect(() => rig.judge()).toThrow('max_age')
    }))

  test('[Countersign: bundle max age] a restart does not begin it anew', () =>
    withServer(1, async (rig, server) => {
      await rig.start({ url: server.url, max_age: '2h' })
      await server.away()
      rig.now += 1.5 * hour
      await rig.end()
      await rig.start({ url: server.url, max_age: '2h' })
      expect(rig.judge()).toBe('r1')
      rig.now += hour
      expect(() => rig.judge()).toThrow('max_age')
      await rig.end()
      await rig.start({ url: server.url, max_age: '2h' })
      expect(() => rig.judge()).toThrow('max_age')
    }))

  test('[Countersign: bundle max age] a clock that is put back makes it no longer, running or across a restart', () =>
    withServer(1, async (rig, server) => {
      await rig.start({ url: server.url, max_age: '2h' })
      await server.away()
      rig.now += 1.5 * hour
      expect(rig.judge()).toBe('r1')
      rig.now -= hour
      expect(rig.judge()).toBe('r1')
      rig.now += 0.4 * hour
      expect(rig.judge()).toBe('r1')
      await rig.end()
      rig.now -= 0.8 * hour
      await rig.start({ url: server.url, max_age: '2h' })
      expect(rig.judge()).toBe('r1')
      rig.now += 0.2 * hour
      expect(() => rig.judge()).toThrow('max_age')
    }))

  test('[Countersign: bundle max age] what was confirmed in the future has an age that nobody knows', () =>
    withServer(1, async (rig, server) => {
      await rig.start({ url: server.url, max_age: '2h' })
      await rig.end()
      await server.away()
      rig.now -= 10_000
      await rig.start({ url: server.url, max_age: '2h' })
      expect(() => rig.judge()).toThrow('max_age')
    }))
})

describe('signed_within', () => {
  test('[Countersign: bundle signed_within] holds when a bundle is activated and while it is in force', async () => {
    await using rig = new FeedRig()
    const issued = Math.floor(rig.now / 1000)
    const at = (number: number, seconds: number): Uint8Array => edition({ number, signer: rig.signer, issued: issued + seconds })
    await using server = await BundleServer.start(at(1, -3599))
    await rig.start({ url: server.url, signed_within: '1h' })
    expect(rig.judge()).toBe('r1')
    rig.now += 2000
    expect(() => rig.judge()).toThrow('signed_within')
    rig.now -= 3000
    expect(() => rig.judge()).toThrow('signed_within')
    rig.now += 3000
    await rig.look()
    expect(() => rig.judge()).toThrow('signed_within')
    const refused: readonly (readonly [Uint8Array, RegExp])[] = [
      [at(2, -3600), /older than signed_within/],
      [at(3, 3600), /in the future/],
      [edition({ number: 4, signer: rig.signer }), /does not say when/],
    ]
    for (const [bytes, why] of refused) {
      server.put(bytes)
      await rig.look()
      expect(rig.faults.at(-1)).toMatchObject({ reason: 'age', message: expect.stringMatching(why) })
    }
    server.put(at(5, 0))
    await rig.look()
    expect(rig.judge()).toBe('r5')
  })
})

describe('what is kept', () => {
  test('[OPA bundles §persistence] judges at once at the next start, before the server was asked, which then gets its ETag', () =>
    withServer(1, async (rig, server) => {
      await rig.start({ url: server.url })
      await rig.end()
      expect(rig.kept()).toHaveLength(2)
      for (const name of rig.kept()) expect(statSync(join(rig.folder, 'policy', name)).mode & 0o777).toBe(0o600)
      await server.away()
      await rig.start({ url: server.url })
      expect(rig.judge()).toBe('r1')
      expect(rig.inForce.status().policy).toMatchObject({ kept: true, signedBy: 'policy.pub', order: { kind: 'serial', value: 1 } })
      await server.back()
      await rig.look()
      expect(server.asked.at(-1)?.headers['if-none-match']).toBe(server.etag)
    }))

  test('[OPA bundles §persistence] one bundle is kept, the last', () =>
    withServer(1, async (rig, server) => {
      await rig.start({ url: server.url })
      for (const number of [2, 3]) {
        server.put(edition({ number, signer: rig.signer }))
        await rig.look()
      }
      await rig.end()
      expect(rig.kept().filter((name) => name.endsWith('.tar.gz'))).toHaveLength(1)
      await server.away()
      await rig.start({ url: server.url })
      expect(rig.judge()).toBe('r3')
    }))

  const tampering: readonly (readonly [string, (folder: string, rig: FeedRig) => void])[] = [
    ['a bundle with another byte', (folder) => change(folder, '.tar.gz', (bytes) => bytes.with(100, (bytes[100] ?? 0) ^ 1))],
    ['a bundle cut short', (folder) => change(folder, '.tar.gz', (bytes) => bytes.subarray(0, -1))],
    ['a bundle of the same key, older', (folder, rig) => change(folder, '.tar.gz', () => edition({ number: 0, signer: rig.signer }))],
    ['a memory that is cut short', (folder) => change(folder, '.json', (bytes) => bytes.subarray(0, 40))],
    ['a memory of another form', (folder) => change(folder, '.json', () => Buffer.from('{"v":1,"seen":{"order":7}}'))],
  ]

  test.each(tampering)('[Countersign: bundle kept] %s is refused', (_, tamper) =>
    withServer(1, async (rig, server) => {
      await rig.start({ url: server.url })
      await rig.end()
      await server.away()
      tamper(join(rig.folder, 'policy'), rig)
      await rig.start({ url: server.url })
      expect(() => rig.judge()).toThrow('no policy has been activated yet')
      await server.back()
      await rig.look()
      expect(rig.judge()).toBe('r1')
    }),
  )

  test('[Countersign: bundle kept] is verified with the keys of today', () =>
    withServer(1, async (rig, server) => {
      await rig.start({ url: server.url })
      await rig.end()
      const next = makeSigner('ES256')
      rig.file('policy.pub', next.text)
      await server.away()
      await rig.start({ url: server.url })
      expect(() => rig.judge()).toThrow('no policy has been activated yet')
      expect(rig.faults[0]?.message).toContain('does not verify')
    }))

  test('[Countersign: bundle kept] is of one source alone, and one scope', () =>
    withServer(1, async (rig, server) => {
      await rig.start({ url: server.url })
      await rig.end()
      await server.away()
      for (const other of [{ url: `${server.url}?another` }, { url: server.url, scope: 'other' }, { path: 'policy.tar.gz' }]) {
        await rig.start(other).catch(() => undefined)
        expect(() => rig.judge()).toThrow('no policy has been activated yet')
        await rig.end()
      }
      await rig.start({ url: server.url })
      expect(rig.judge()).toBe('r1')
    }))

  test('[Countersign: bundle kept] remembers what came before, so that a restart brings no old bundle back', () =>
    withServer(5, async (rig, server) => {
      await rig.start({ url: server.url })
      server.put(edition({ number: 6, signer: rig.signer }))
      await rig.look()
      await rig.end()
      server.put(edition({ number: 5, signer: rig.signer }))
      await rig.start({ url: server.url })
      await rig.look()
      expect(rig.judge()).toBe('r6')
      expect(rig.faults.at(-1)).toMatchObject({ reason: 'backwards', revision: 'r5' })
    }))
})

function change(folder: string, ending: string, to: (bytes: Buffer) => Uint8Array): void {
  const name = readdirSync(folder).find((one) => one.endsWith(ending)) ?? ''
  writeFileSync(join(folder, name), to(readFileSync(join(folder, name))))
}
