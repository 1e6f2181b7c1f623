import type { RequestListener } from 'node:http'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { beforeEach, describe, expect, test } from 'vitest'
import { SourceConfig } from '../../../src/identify/registry.ts'
import { ask, askPeer, BundleRig, webIdentity } from '../../support/bundle-rig.ts'
import type { Domain, OpenedBundle } from '../../support/bundle-rig.ts'
import type { Jwk } from '../../support/issuer.ts'

const identity = webIdentity()
const otherIdentity = webIdentity()

let rig: BundleRig
let partner: Domain
let ca: { readonly file: string }
beforeEach(() => {
  rig = new BundleRig()
  partner = rig.domain('partner.example')
  ca = { file: rig.file(identity.cert) }
  return () => rig.close()
})

interface Served extends OpenedBundle {
  readonly asked: { readonly url: string | undefined; readonly headers: Readonly<Record<string, unknown>> }[]
  readonly url: string
}

/** A server that answers so, and a source that reads from it. */
async function served(answer: RequestListener, from: Jwk = {}): Promise<Served> {
  const asked: Served['asked'] = []
  const { port } = await rig.server(identity, (request, response) => {
    asked.push({ url: request.url, headers: request.headers })
    answer(request, response)
  })
  const url = `https://localhost:${port}/bundle?for=us`
  const opened = await rig.source({ trust_domain: 'partner.example', from: { url, profile: 'https_web', ca, ...from } })
  return { ...opened, asked, url }
}

const text =
  (body: string): RequestListener =>
  (_, response) =>
    void response.end(body)

/** Where a request may go on to: another server with the same identity, serving the bundle. */
async function target(path = '/elsewhere'): Promise<string> {
  const { port } = await rig.server(identity, text(partner.bundle()))
  return `https://localhost:${port}${path}`
}

const redirect =
  (location: string | undefined, status = 307): RequestListener =>
  (_, response) =>
    void response.writeHead(status, location === undefined ? {} : { location }).end()

/** Nothing was taken from the endpoint, and the operator knows why. */
async function refused(opened: OpenedBundle, why: string | RegExp): Promise<void> {
  expect(opened.source.ready()).toBe(false)
  expect(opened.source.generation()).toBe(-1)
  expect(opened.log.faults).toEqual([expect.stringMatching(why)])
  expect(await askPeer(opened.source, partner.peer('/agent'), rig.clock.now())).toMatchObject({ code: 'identify.unavailable' })
  expect(await ask(opened.source, partner.issuer.mint())).toMatchObject({ code: 'identify.unavailable' })
}

describe('[Federation §5.2.1.4] a bundle fetched with Web PKI', () => {
  test('verifies tokens and certificates of its trust domain, and no others', async () => {
    const { source } = await served(text(partner.bundle()))
    const caller = source.verifyPeer?.(partner.peer('/agent'), rig.clock.now())
    expect(caller).toMatchObject({ id: 'spiffe://partner.example/agent', method: 'x509-svid', confirmed: 'mtls' })
    expect(await source.verify({ slot: 'authorization', token: partner.issuer.mint() }, {} as never)).toMatchObject({
      id: 'spiffe://partner.example/agent',
      method: 'jwt-svid',
    })
    const acme = rig.domain('acme.example')
    expect(source.verifyPeer?.(acme.peer('/agent'), rig.clock.now())).toBeNull()
    expect(source.verify({ slot: 'authorization', token: acme.issuer.mint() }, {} as never)).toBeNull()
    expect(source.authorities?.('acme.example')).toBeNull()
    expect(source.authorities?.('partner.example')).toEqual([partner.authority.certificate])
  })

  test('is asked for with GET at the path of the URL', async () => {
    let method: string | undefined
    const { asked } = await served((request, response) => {
      method = request.method
      response.end(partner.bundle())
    })
    expect(method).toBe('GET')
    expect(asked.map(({ url }) => url)).toEqual(['/bundle?for=us'])
  })

  test.each(['text/html', 'application/octet-stream', undefined])('counts under the content type %s', async (type) => {
    const opened = await served((_, response) => {
      if (type !== undefined) response.setHeader('content-type', type)
      response.end(partner.bundle())
    })
    expect(opened.source.ready()).toBe(true)
  })
})

test('[Federation §5.2.1.3] no credential and no client certificate goes along', async () => {
  const { asked } = await served((request, response) => {
    expect((request.socket as TLSSocket).getPeerCertificate()).toEqual({})
    response.end(partner.bundle())
  })
  expect(Object.keys(asked[0]?.headers ?? {}).toSorted()).toEqual(['accept', 'connection', 'host'])
})

describe('[Federation §5.2.1.4; RFC 6125] the certificate of the endpoint is from a known authority and for the host', () => {
  test('of an unknown authority: not a byte of the request is sent', async () => {
    const raw = await rig.rawServer(otherIdentity)
    const opened = await rig.source({
      trust_domain: 'partner.example',
      from: { url: `https://localhost:${raw.port}/`, profile: 'https_web', ca },
    })
    await refused(opened, /self.signed|unable to verify|signature/i)
    expect(raw.heard).toEqual([])
  })

  test('for another host', async () => {
    const raw = await rig.rawServer(identity)
    const opened = await rig.source({
      trust_domain: 'partner.example',
      from: { url: `https://127.0.0.1:${raw.port}/`, profile: 'https_web', ca },
    })
    await refused(opened, /altnames|IP/)
    expect(raw.heard).toEqual([])
  })

  test('without authorities of its own, those of this machine alone', async () => {
    const opened = await served(text(partner.bundle()), { ca: undefined })
    await refused(opened, /self.signed/)
    expect(opened.asked).toEqual([])
  })

  test('an X.509-SVID of the trust domain is no such certificate', async () => {
    const { port } = await rig.server({ ...identity }, text(partner.bundle()))
    const opened = await rig.source({
      trust_domain: 'partner.example',
      from: { url: `https://localhost:${port}/`, profile: 'https_web', ca: { file: rig.file(otherIdentity.cert) } },
    })
    await refused(opened, /self.signed|signature/)
  })

  test('the file of authorities is read every time', async () => {
    const opened = await served(text(partner.bundle()), { ca: { file: rig.file(otherIdentity.cert) } })
    await refused(opened, /self.signed|signature/)
    const missing = join(rig.folder(), 'ca.pem')
    const later = await served(text(partner.bundle()), { ca: { file: missing } })
    await refused(later, 'ENOENT')
    writeFileSync(missing, identity.cert)
    await later.poll()
    expect(later.source.ready()).toBe(true)
  })
})

describe('[Federation §5.2.1.4; Federation §7.5.1] a redirect', () => {
  test.each([301, 302, 303, 307, 308])('%d to another such URL is followed, and forgotten', async (status) => {
    const to = await target()
    const opened = await served(redirect(to, status))
    expect(opened.source.ready()).toBe(true)
    await opened.poll()
    // asked at the configured URL again, even after a permanent one
    expect(opened.asked).toHaveLength(2)
  })

  test('may be relative', async () => {
    const opened = await served((request, response) =>
      request.url === '/two' ? response.end(partner.bundle()) : response.writeHead(302, { location: '/two' }).end(),
    )
    expect(opened.asked.map(({ url }) => url)).toEqual(['/bundle?for=us', '/two'])
  })

  test.each([
    ['to plain http', 'http://localhost:1/bundle'],
    ['to a user', 'https://user@localhost:1/bundle'],
    ['to a password', 'https://:secret@localhost:1/bundle'],
    ['to a file', 'file:///etc/passwd'],
    ['to data', 'data:application/json,{"keys":[]}'],
    ['to nowhere', undefined],
    ['to what is no URL', 'https://'],
  ])('%s is not followed', async (_, location) => {
    await refused(await served(redirect(location)), 'redirected to what is not an https URL')
  })

  test('back to itself ends after three', async () => {
    const opened = await served(redirect('/bundle?for=us'))
    expect(opened.asked).toHaveLength(4)
    await refused(opened, 'redirected more than 3 times')
  })

  test('three in a row are followed', async () => {
    const opened = await served((request, response) => {
      const at = Number(/\d$/.exec(request.url ?? '')?.[0] ?? 0)
      if (at === 3) response.end(partner.bundle())
      else response.writeHead(302, { location: `/${at + 1}` }).end()
    })
    expect(opened.source.ready()).toBe(true)
  })

  test('to a server that does not prove itself in the same way is not followed', async () => {
    const { port } = await rig.server(otherIdentity, text(partner.bundle()))
    await refused(await served(redirect(`https://localhost:${port}/`)), /self.signed|signature/)
  })
})

describe('[Countersign: what a bundle endpoint may answer] status 200 with at most 1 MiB of UTF-8', () => {
  test.each([204, 304, 400, 404, 500, 300, 201])('status %d is no bundle', async (status) => {
    await refused(await served((_, response) => void response.writeHead(status).end(partner.bundle())), `answered ${status}`)
  })

  test.each<[string, RequestListener, RegExp]>([
    ['2 MiB', text(' '.repeat(2 * 1024 * 1024)), /1 MiB/],
    ['2 MiB of a bundle', (_, response) => void response.end(`${partner.bundle()}${' '.repeat(2 * 1024 * 1024)}`), /1 MiB/],
    ['no UTF-8', (_, response) => void response.end(Buffer.from([0x7b, 0xff, 0x7d])), /encod|UTF/i],
    ['rubbish', text('<html>'), /strict JSON/],
    ['nothing', text(''), /strict JSON/],
    ['a JWKS without keys', text('{"trust_domain":"partner.example"}'), /no array "keys"/],
    [
      'half a bundle',
      (_, response) => void (response.writeHead(200, { 'content-length': 9999 }), response.write('{"keys"'), response.destroy()),
      /./,
    ],
    [
      'a bundle in gzip',
      (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(Buffer.from([0x1f, 0x8b, 8, 0])),
      /./,
    ],
  ])('%s is refused', async (_, answer, why) => {
    await refused(await served(answer), why)
  })

  test.each(['SSH-2.0-OpenSSH_9.6\r\n', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n', '\0\0\0', 'HTTP/1.1 200 OK\r\n'])(
    'what is no HTTP is refused: %j',
    async (words) => {
      const { port } = await rig.rawServer(identity, words)
      const from = { url: `https://localhost:${port}/`, profile: 'https_web', ca }
      await refused(await rig.source({ trust_domain: 'partner.example', from }), /./)
    },
  )
})

describe('[Federation §5.1; Federation §5.2.1.2] the three parameters of an endpoint are configured, none is inferred', () => {
  const from = { url: 'https://spire.partner.example/bundle', profile: 'https_web' }
  const usual = { type: 'bundle', trust_domain: 'partner.example', from }

  test('all three make a source', () => {
    expect(SourceConfig.safeParse(usual).success).toBe(true)
  })

  test.each<[string, Jwk]>([
    ['no trust domain', { ...usual, trust_domain: undefined }],
    ['no profile', { ...usual, from: { ...from, profile: undefined } }],
    ['an unknown profile', { ...usual, from: { ...from, profile: 'https' } }],
    ['no URL', { ...usual, from: { ...from, url: undefined } }],
    ['nothing', { ...usual, from: {} }],
    ['a file and a URL', { ...usual, from: { ...from, file: 'b.json' } }],
    ['an ID for Web PKI', { ...usual, from: { ...from, id: 'spiffe://partner.example/spire' } }],
    ['a CA for SPIFFE', { ...usual, from: { ...from, profile: 'https_spiffe', id: 'spiffe://partner.example/spire', ca: { file: 'x' } } }],
    ['SPIFFE without an ID', { ...usual, from: { ...from, profile: 'https_spiffe' } }],
    ['SPIFFE with the ID of a trust domain', { ...usual, from: { ...from, profile: 'https_spiffe', id: 'spiffe://partner.example' } }],
    ['SPIFFE with an ID that is none', { ...usual, from: { ...from, profile: 'https_spiffe', id: 'https://partner.example/spire' } }],
  ])('%s does not', (_, config) => {
    expect(SourceConfig.safeParse(config).success).toBe(false)
  })
})

describe('[Federation §5.2.1.1; Federation §5.2.2.1] the URL is https and names no user', () => {
  const takes = (url: string, more: Jwk): boolean =>
    SourceConfig.safeParse({ type: 'bundle', trust_domain: 'partner.example', from: { url, ...more } }).success

  test.each<[Jwk]>([[{ profile: 'https_web' }], [{ profile: 'https_spiffe', id: 'spiffe://partner.example/spire' }]])('with %j', (more) => {
    for (const url of ['https://a.example', 'https://a.example:8443/x/y?z=1', 'https://[::1]:8443/', 'https://10.0.0.1/b#part'])
      expect(takes(url, more), url).toBe(true)
    for (const url of [
      'http://a.example',
      'http://localhost/',
      'https://u@a.example',
      'https://:p@a.example',
      'a.example',
      'ftp://a.example',
      '',
    ])
      expect(takes(url, more), url).toBe(false)
  })
})
