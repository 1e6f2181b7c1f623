import { writeFileSync } from 'node:fs'
import { beforeEach, describe, expect, test } from 'vitest'
import { ask, askPeer, authorityEntry, bundleOf, BundleRig, svidIdentity, webIdentity } from '../../support/bundle-rig.ts'
import type { Domain, OpenedBundle, ServerIdentity } from '../../support/bundle-rig.ts'
import type { Jwk } from '../../support/issuer.ts'
import { makeCa, makeLeaf, uriNames } from '../../support/x509.ts'
import type { Made } from '../../support/x509.ts'

let rig: BundleRig
let partner: Domain
beforeEach(() => {
  rig = new BundleRig()
  partner = rig.domain('partner.example')
  return () => rig.close()
})

const endpointPath = '/spire/server'

/** Settings for an endpoint in the trust domain that it serves. */
function selfServing(port: number, bootstrap: string | null, more: Jwk = {}): Jwk {
  const from = { url: `https://127.0.0.1:${port}/bundle`, profile: 'https_spiffe', id: partner.id(endpointPath), ...more }
  return { trust_domain: partner.name, from: bootstrap === null ? from : { ...from, bootstrap: { file: rig.file(bootstrap) } } }
}

/** A server that serves what `document` gives, as whoever `identity` says. */
async function serving(
  identity: ServerIdentity,
  document: () => string,
): Promise<{ readonly port: number; become(next: ServerIdentity): void; readonly asked: () => number }> {
  let asked = 0
  const { port, server } = await rig.server(identity, (_, response) => {
    asked += 1
    response.end(document())
  })
  return { port, asked: () => asked, become: (next) => server.setSecureContext(next) }
}

/** Whoever answers as `identity` is refused before it hears a byte of the request. */
async function unheard(identity: ServerIdentity, config: (port: number) => Jwk, why: RegExp): Promise<void> {
  const raw = await rig.rawServer(identity)
  const opened = await rig.source(config(raw.port))
  await raw.closed()
  expect(raw.heard).toEqual([])
  expect(opened.source.ready()).toBe(false)
  expect(opened.log.faults).toEqual([expect.stringMatching(why)])
  expect(await askPeer(opened.source, partner.peer('/agent'), rig.clock.now())).toMatchObject({ code: 'identify.unavailable' })
}

const takes = async (opened: OpenedBundle, domain: Domain): Promise<boolean> =>
  (await askPeer(opened.source, domain.peer('/agent'), rig.clock.now())) === null &&
  (await ask(opened.source, domain.issuer.mint())) === null

describe('[Federation §5.2.2.4] the endpoint proves itself by an X.509-SVID of exactly the configured ID', () => {
  test('and needs no name of its host in it', async () => {
    const { port } = await serving(svidIdentity(partner.svid(endpointPath)), () => partner.bundle())
    expect(await takes(await rig.source(selfServing(port, partner.bundle())), partner)).toBe(true)
  })

  test.each(['/spire/other', '/spire/server/', '/spire', '/Spire/server', '/spire/server2'])('%s is another ID', async (path) => {
    await unheard(svidIdentity(partner.svid(path)), (port) => selfServing(port, partner.bundle()), /the endpoint/)
  })

  test('past its end it proves nothing', async () => {
    const identity = svidIdentity(partner.svid(endpointPath, 60))
    rig.clock.move(61_000)
    await unheard(identity, (port) => selfServing(port, partner.bundle()), /expired|past/)
  })

  test('before its start it proves nothing', async () => {
    rig.clock.move(3_600_000)
    const identity = svidIdentity(partner.svid(endpointPath))
    rig.clock.move(-3_600_000)
    await unheard(identity, (port) => selfServing(port, partner.bundle()), /^the certificate of the endpoint: valid \d+ ms from now/)
  })

  test('a certificate for the host by Web PKI proves nothing', async () => {
    await unheard(webIdentity(), (port) => selfServing(port, partner.bundle()), /the endpoint/)
  })

  test('the right ID from roots of the same name, but not the same, proves nothing', async () => {
    await unheard(svidIdentity(partner.again().svid(endpointPath)), (port) => selfServing(port, partner.bundle()), /the endpoint/)
  })

  test('roots swapped between two trust domains prove neither endpoint', async () => {
    const acme = rig.domain('acme.example')
    const forged = acme.authority.issue({ id: partner.id(endpointPath), seconds: 3600 })
    // the authorities of acme are at hand, for acme alone
    const over = { authorities: (name: string) => (name === acme.name ? [acme.authority.certificate] : null) }
    const raw = await rig.rawServer(svidIdentity(forged))
    const opened = await rig.source(selfServing(raw.port, partner.bundle()), over)
    await raw.closed()
    expect([raw.heard, opened.source.ready()]).toEqual([[], false])
    await unheard(
      svidIdentity(partner.authority.issue({ id: acme.id(endpointPath), seconds: 3600 })),
      (port) => selfServing(port, partner.bundle()),
      /./,
    )
  })

  test('a bootstrap bundle that is missing, malformed or empty proves nothing', async () => {
    const identity = svidIdentity(partner.svid(endpointPath))
    for (const bootstrap of ['{"keys":[]}', '{}', bundleOf([], partner.issuer.keys)])
      await unheard(identity, (port) => selfServing(port, bootstrap), /the certificate of the endpoint|no array/)
    await unheard(identity, (port) => selfServing(port, null), /no bundle of partner\.example/)
  })
})

describe('[Federation §5.2.2.2; Federation §5.2.2.4] an endpoint in the trust domain that it serves', () => {
  test('is known by the configured bundle at first and by the newest one from then on', async () => {
    const rotated = partner.again()
    const both = bundleOf([partner.authority, rotated.authority], partner.issuer.keys, { spiffe_sequence: 2 })
    const only = bundleOf([rotated.authority], rotated.issuer.keys, { spiffe_sequence: 3 })
    let document = both
    const server = await serving(svidIdentity(partner.svid(endpointPath)), () => document)
    const opened = await rig.source(selfServing(server.port, partner.bundle()))
    expect(opened.source.authorities?.(partner.name)).toHaveLength(2)

    server.become(svidIdentity(rotated.svid(endpointPath)))
    document = only
    await opened.poll()
    expect(await takes(opened, rotated)).toBe(true)
    expect(await askPeer(opened.source, partner.peer('/agent'), rig.clock.now())).toMatchObject({ code: 'identify.rejected' })

    // the bootstrap bundle still has the old root, which no longer opens the door
    server.become(svidIdentity(partner.svid(endpointPath)))
    document = bundleOf([partner.authority], partner.issuer.keys, { spiffe_sequence: 4 })
    const asked = server.asked()
    await opened.poll()
    expect(server.asked()).toBe(asked)
    expect(opened.log.faults).toHaveLength(1)
    expect(await takes(opened, rotated)).toBe(true)
  })

  test('is still known by the newest bundle when that is too old to verify callers with', async () => {
    const rotated = partner.again()
    let document = bundleOf([rotated.authority], rotated.issuer.keys)
    const server = await serving(svidIdentity(partner.svid(endpointPath)), () => document)
    const opened = await rig.source({ ...selfServing(server.port, partner.bundle()), max_age: '10m' })
    rig.clock.move(600_000)
    expect(opened.source.generation()).toBe(-1)
    server.become(svidIdentity(rotated.svid(endpointPath)))
    document = bundleOf([rotated.authority], rotated.issuer.keys, { spiffe_sequence: 2 })
    await opened.poll()
    expect(await takes(opened, rotated)).toBe(true)
  })

  test('that emptied its bundle is not believed again: nobody is left to prove it', async () => {
    let document = partner.bundle()
    const server = await serving(svidIdentity(partner.svid(endpointPath)), () => document)
    const opened = await rig.source(selfServing(server.port, partner.bundle()))
    document = '{"keys":[],"spiffe_sequence":2}'
    await opened.poll()
    document = partner.bundle({ spiffe_sequence: 3 })
    await opened.poll()
    expect(await askPeer(opened.source, partner.peer('/agent'), rig.clock.now())).toMatchObject({ code: 'identify.rejected' })
    expect(server.asked()).toBe(2)
  })

  test('the bootstrap bundle opens the door and verifies no caller', async () => {
    const rotated = partner.again()
    const { port } = await serving(svidIdentity(partner.svid(endpointPath)), () => rotated.bundle())
    const opened = await rig.source(selfServing(port, partner.bundle()))
    expect(await takes(opened, rotated)).toBe(true)
    expect(await ask(opened.source, partner.issuer.mint())).toMatchObject({ code: 'identify.rejected' })
  })
})

describe('[Federation §5.2.2.2; Federation §7.6] an endpoint in another trust domain', () => {
  /** Acme serves the bundle of partner. */
  const elsewhere = (acme: Domain, port: number, bootstrap: string | null = null): Jwk =>
    selfServing(port, bootstrap, { id: acme.id(endpointPath) })

  test('is known by the newest bundle of that trust domain, from whichever source has it', async () => {
    const acme = rig.domain('acme.example')
    const rotated = acme.again()
    let trusted = [acme.authority.certificate]
    const over = { authorities: (name: string) => (name === acme.name ? trusted : null) }
    const server = await serving(svidIdentity(acme.svid(endpointPath)), () => partner.bundle())
    const opened = await rig.source(elsewhere(acme, server.port), over)
    expect(await takes(opened, partner)).toBe(true)

    server.become(svidIdentity(rotated.svid(endpointPath)))
    await opened.poll()
    expect(opened.log.faults).toHaveLength(1)
    trusted = [rotated.authority.certificate]
    await opened.poll()
    expect(server.asked()).toBe(2)
  })

  test('is not known by the bundle that it serves, nor by a bootstrap bundle when a source knows better', async () => {
    const acme = rig.domain('acme.example')
    const server = await serving(svidIdentity(acme.svid(endpointPath)), () => partner.bundle())
    const revoked = await rig.source(elsewhere(acme, server.port, acme.bundle()), { authorities: () => [] })
    expect(revoked.source.ready()).toBe(false)
    const swapped = await rig.source(elsewhere(acme, server.port), { authorities: () => [partner.authority.certificate] })
    expect(swapped.source.ready()).toBe(false)
    expect(server.asked()).toBe(0)
  })

  test('is known by its bootstrap bundle when no source has that trust domain, and that one does not change', async () => {
    const acme = rig.domain('acme.example')
    const server = await serving(svidIdentity(acme.svid(endpointPath)), () => partner.bundle())
    const opened = await rig.source(elsewhere(acme, server.port, acme.bundle()))
    expect(await takes(opened, partner)).toBe(true)
    await opened.poll()
    expect(server.asked()).toBe(2)
    expect((await rig.source(elsewhere(acme, server.port))).log.faults).toEqual([
      'no bundle of acme.example to authenticate the endpoint with',
    ])
  })

  test('a chain of two: one source proves the endpoint of the other once it has read its own bundle', async () => {
    const acme = rig.domain('acme.example')
    const [own, foreign] = await Promise.all([
      serving(svidIdentity(acme.svid(endpointPath)), () => acme.bundle()),
      serving(svidIdentity(acme.svid(endpointPath)), () => partner.bundle()),
    ])
    const first = await rig.source({
      trust_domain: acme.name,
      from: {
        url: `https://localhost:${own.port}`,
        profile: 'https_spiffe',
        id: acme.id(endpointPath),
        bootstrap: { file: rig.file(acme.bundle()) },
      },
    })
    const second = await rig.source(elsewhere(acme, foreign.port), { authorities: (name) => first.source.authorities?.(name) ?? null })
    expect(await takes(second, partner)).toBe(true)
  })
})

test('[Federation §5.2.2.3] no client certificate goes along, even when the server asks for one', async () => {
  const identity = svidIdentity(partner.svid(endpointPath))
  const { port } = await rig.server(
    { ...identity, requestCert: true, rejectUnauthorized: false },
    (_, response) => void response.end(partner.bundle()),
  )
  expect(await takes(await rig.source(selfServing(port, partner.bundle())), partner)).toBe(true)
})

describe('[Federation §5.2.2.4; Federation §7.5.1] a redirect', () => {
  async function redirected(identity: ServerIdentity, status = 302): Promise<{ opened: OpenedBundle; readonly asked: () => number }> {
    const target = await serving(identity, () => partner.bundle())
    const { port } = await rig.server(
      svidIdentity(partner.svid(endpointPath)),
      (_, response) => void response.writeHead(status, { location: `https://localhost:${target.port}/` }).end(),
    )
    return { opened: await rig.source(selfServing(port, partner.bundle())), asked: target.asked }
  }

  test('leads to a server with the same SPIFFE ID', async () => {
    const { opened } = await redirected(svidIdentity(partner.svid(endpointPath)), 308)
    expect(await takes(opened, partner)).toBe(true)
  })

  test('to another SPIFFE ID of the same trust domain is not followed', async () => {
    const { opened, asked } = await redirected(svidIdentity(partner.svid('/spire/other')))
    expect([opened.source.ready(), asked()]).toEqual([false, 0])
    expect(opened.log.faults).toEqual(['the endpoint is spiffe://partner.example/spire/other, not spiffe://partner.example/spire/server'])
  })

  test('to a server with a certificate by Web PKI is not followed', async () => {
    const { opened, asked } = await redirected(webIdentity())
    expect([opened.source.ready(), asked()]).toEqual([false, 0])
  })

  test('to plain http is not followed', async () => {
    const { port } = await rig.server(
      svidIdentity(partner.svid(endpointPath)),
      (_, response) => void response.writeHead(302, { location: 'http://localhost:1/' }).end(),
    )
    const opened = await rig.source(selfServing(port, partner.bundle()))
    expect(opened.log.faults).toEqual(['redirected to what is not an https URL without user'])
  })
})

describe('[Federation §5.2.2.4] the chain of an endpoint is verified as it was presented', () => {
  const hour = 3_600_000
  const life = { notBefore: 0, notAfter: 0 }
  const issued = (): { readonly root: Made; readonly middle: Made; readonly leaf: Made } => {
    Object.assign(life, { notBefore: rig.clock.now() - hour, notAfter: rig.clock.now() + hour })
    const names = uriNames(partner.id(''))
    const root = makeCa({ ...life, names })
    const middle = makeCa({ ...life, names }, root)
    return { root, middle, leaf: makeLeaf({ ...life, names: uriNames(partner.id(endpointPath)) }, middle) }
  }
  const shown = (leaf: Made, ...rest: readonly Made[]): ServerIdentity =>
    svidIdentity({
      id: partner.id(endpointPath),
      chain: [leaf, ...rest].map(({ der }) => der),
      key: leaf.keys.privateKey.export({ format: 'der', type: 'pkcs8' }),
      expires: life.notAfter,
    })

  test('with an intermediate, in whatever order', async () => {
    const { root, middle, leaf } = issued()
    const bootstrap = JSON.stringify({ keys: [authorityEntry(root.der)] })
    for (const identity of [shown(leaf, middle), shown(leaf, middle, root), shown(leaf, root, middle)]) {
      const { port } = await serving(identity, () => partner.bundle())
      expect((await rig.source(selfServing(port, bootstrap))).source.ready()).toBe(true)
    }
  })

  test('without its intermediate it proves nothing, and neither does one that hangs on a root it brings along', async () => {
    const { root, middle, leaf } = issued()
    const bootstrap = JSON.stringify({ keys: [authorityEntry(root.der)] })
    await unheard(shown(leaf), (port) => selfServing(port, bootstrap), /the certificate of the endpoint/)
    await unheard(shown(leaf, middle, root), (port) => selfServing(port, partner.bundle()), /the certificate of the endpoint/)
  })
})

test('[Federation §5.2.2.2] the bootstrap bundle is read when it is needed', async () => {
  const bootstrap = rig.file('{"keys":[]}')
  const server = await serving(svidIdentity(partner.svid(endpointPath)), () => partner.bundle())
  const opened = await rig.source(selfServing(server.port, null, { bootstrap: { file: bootstrap } }))
  expect(opened.source.ready()).toBe(false)
  writeFileSync(bootstrap, partner.bundle())
  await opened.poll()
  expect(opened.source.ready()).toBe(true)
})
