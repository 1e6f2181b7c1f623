import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { examineConfiguration } from '../../../src/doctor/examine.ts'
import type { Check } from '../../../src/doctor/findings.ts'
import { FakeApiServer } from '../../support/api-server.ts'
import { BundleRig, svidIdentity, webIdentity, type Domain } from '../../support/bundle-rig.ts'
import { findingOf, loadedConfig, means, wrongs } from '../../support/doctor-rig.ts'
import { loopbackServer } from '../../support/oidc-rig.ts'
import { WorkloadCompany } from '../../support/workload-company.ts'

const at = 'identify.sources[0]'
const identity = webIdentity()
let rig: BundleRig
let partner: Domain
let ca: { readonly file: string }
beforeEach(() => {
  rig = new BundleRig()
  // what servers say is compared with this clock
  rig.clock.move(Date.now() - rig.clock.now())
  partner = rig.domain('partner.example')
  ca = { file: rig.file(identity.cert) }
})
const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) server.close().closeAllConnections()
  await rig.close()
})

function examine(...sources: object[]): Promise<Check[]> {
  return examineConfiguration(loadedConfig({ sources, agents: ['spiffe://partner.example/agent'] }), null, means())
}

async function served(answer: string | RequestListener, as = identity): Promise<string> {
  const listener: RequestListener = typeof answer === 'string' ? (_, response) => void response.end(answer) : answer
  return `https://localhost:${(await rig.server(as, listener)).port}/bundle`
}

const web = (url: string, over: object = {}): object => ({
  type: 'bundle',
  trust_domain: 'partner.example',
  from: { url, profile: 'https_web', ca, ...over },
})
const spiffe = (url: string, over: object = {}): object => ({
  type: 'bundle',
  trust_domain: 'partner.example',
  from: { url, profile: 'https_spiffe', id: 'spiffe://partner.example/endpoint', bootstrap: { file: rig.file(partner.bundle()) }, ...over },
})

describe('a bundle endpoint', () => {
  test('that serves is read by its profile, and its clock is heard', async () => {
    const byWeb = await examine(web(await served(partner.bundle())))
    const bySvid = await examine(spiffe(await served(partner.bundle(), svidIdentity(partner.svid('/endpoint')))))
    for (const checks of [byWeb, bySvid]) {
      expect(wrongs(checks)).toEqual([])
      expect(checks[0]?.seen).toMatch(/was read: 1 JWT key, 1 authority, sequence 1, asked again every 5 min$/)
      expect(checks.at(-1)).toMatchObject({ subject: 'clock', severity: 'ok' })
    }
  })

  test('whose clock is another is told, whatever else it says', async () => {
    const late: RequestListener = (_, response) =>
      void response.writeHead(404, { date: new Date(Date.now() - 3_600_000).toUTCString() }).end()
    expect(wrongs(await examine(web(await served(late))))).toEqual([`error CS2507 ${at}`, 'error CS2202 clock'])
  })

  test('whose certificate nobody here vouches for is not trusted', async () => {
    expect(wrongs(await examine(web(await served(partner.bundle()), { ca: undefined })))).toEqual([`error CS2504 ${at}`])
  })

  test('that is another workload, or of another authority, is not who it must be', async () => {
    const other = await examine(spiffe(await served(partner.bundle(), svidIdentity(partner.svid('/other')))))
    expect(wrongs(other)).toEqual([`error CS2505 ${at}`])
    expect(findingOf(other, 'CS2505').seen).toContain('the endpoint is spiffe://partner.example/other')
    const impostor = svidIdentity(partner.again().svid('/endpoint'))
    expect(wrongs(await examine(spiffe(await served(partner.bundle(), impostor))))).toEqual([`error CS2505 ${at}`])
  })

  test('of another trust domain is proven with the bundle of the source that has it, wherever that stands', async () => {
    const host = rig.domain('host.example')
    const url = await served(partner.bundle(), svidIdentity(host.svid('/endpoint')))
    const guest = spiffe(url, { id: 'spiffe://host.example/endpoint', bootstrap: undefined })
    const hosting = { type: 'bundle', trust_domain: 'host.example', from: { file: rig.file(host.bundle()) } }
    expect(wrongs(await examine(guest, hosting))).toEqual([])
  })

  test('cannot be proven without a bundle of its trust domain', async () => {
    await using company = await WorkloadCompany.found()
    const url = await served(partner.bundle(), svidIdentity(partner.svid('/endpoint')))
    const guest = spiffe(url, { id: 'spiffe://host.example/endpoint', bootstrap: undefined })
    const checks = await examine({ type: 'spiffe', socket: company.socket }, guest)
    expect(findingOf(checks, 'CS2511').subject).toBe('identify.sources[1]')
  })

  test.each([
    ['that is not there', 404, {}, 'CS2507'],
    ['that leads to plain HTTP', 302, { location: 'http://localhost/' }, 'CS2506'],
    ['that leads around in circles', 302, { location: '/bundle' }, 'CS2506'],
  ])('%s is told', async (_, code, headers, finding) => {
    const url = await served((_request, response) => void response.writeHead(code, headers).end())
    expect(wrongs(await examine(web(url)))).toEqual([`error ${finding} ${at}`])
  })

  test.each(['<html>', '{"keys":1}', `{"keys":[]}${' '.repeat(1024 * 1024)}`, '{"keys":[],"keys":[]}'])(
    'that serves what is no bundle is told: %.20s',
    async (text) => {
      expect(wrongs(await examine(web(await served(text))))).toEqual([`error CS2508 ${at}`])
    },
  )

  test('with an empty bundle revokes all; without a sequence, or with one kind of keys, there is a note', async () => {
    expect(wrongs(await examine(web(await served(partner.bundle({ keys: [] })))))).toEqual([`error CS2402 ${at}`])
    expect(wrongs(await examine(web(await served(partner.bundle({ spiffe_sequence: undefined })))))).toEqual([`note CS2510 ${at}`])
    const keys = JSON.parse(partner.bundle()).keys.filter(({ use }: { readonly use: string }) => use === 'x509-svid')
    expect(wrongs(await examine(web(await served(partner.bundle({ keys })))))).toEqual([`note CS2405 ${at}`])
  })

  test('with an entry that must not be used is good for the others', async () => {
    const keys = [...JSON.parse(partner.bundle()).keys, { kty: 'oct', kid: 'weak', use: 'jwt-svid', k: 'AA' }]
    expect(wrongs(await examine(web(await served(partner.bundle({ keys })))))).toEqual([`warning CS2404 ${at}`])
  })

  test('that cannot be reached is told', async () => {
    const { port, server } = await rig.server(identity, () => undefined)
    server.close()
    expect(wrongs(await examine(web(`https://localhost:${port}/bundle`)))).toEqual([`error CS2503 ${at}`])
    expect(wrongs(await examine(web('https://nowhere.invalid/bundle')))).toEqual([`error CS2503 ${at}`])
  })
})

describe('what is kept of a bundle', () => {
  const kept = (over: object): string =>
    JSON.stringify({
      trust_domain: 'partner.example',
      read_at: Date.now() - 60_000,
      document: partner.bundle({ spiffe_sequence: 5 }),
      ...over,
    })

  test('is never written by an examination', async () => {
    const file = join(rig.folder(), 'cache.json')
    expect(wrongs(await examine(web(await served(partner.bundle()), { cache: { file } })))).toEqual([])
    expect(existsSync(file)).toBe(false)
    writeFileSync(file, kept({}))
    const before = readFileSync(file, 'utf8')
    expect(wrongs(await examine(web(await served(partner.bundle({ spiffe_sequence: 6 })), { cache: { file } })))).toEqual([])
    expect(readFileSync(file, 'utf8')).toBe(before)
  })

  test('makes an old bundle known, and serves meanwhile', async () => {
    const file = join(rig.folder(), 'cache.json')
    writeFileSync(file, kept({}))
    const checks = await examine(web(await served(partner.bundle({ spiffe_sequence: 4 })), { cache: { file } }))
    expect(wrongs(checks)).toEqual([`warning CS2509 ${at}`])
    expect(findingOf(checks, 'CS2509').seen).toMatch(/went from 5 to 4; what was read 1 min ago serves for another \d+ min/)
  })

  test('for another trust domain is not used', async () => {
    const file = join(rig.folder(), 'cache.json')
    writeFileSync(file, kept({ trust_domain: 'other.example' }))
    expect(wrongs(await examine(web(await served(partner.bundle()), { cache: { file } })))).toEqual([`warning CS2512 ${at}`])
  })
})

describe('a source of JWT keys', () => {
  const keys = (where: object): object => ({ type: 'jwt-svid', trust_domain: 'partner.example', keys: where })
  const plain = async (answer: RequestListener): Promise<string> => {
    const server = createServer(answer)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    servers.push(server)
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
  }

  test('is read from its URL or file', async () => {
    const url = await plain((_, response) => void response.end(partner.issuer.jwks()))
    expect(wrongs(await examine(keys({ url })))).toEqual([])
    expect(wrongs(await examine(keys({ file: rig.file(partner.bundle()) })))).toEqual([])
  })

  test('must not lead elsewhere', async () => {
    const url = await plain((_, response) => void response.writeHead(302, { location: '/other' }).end())
    expect(wrongs(await examine(keys({ url })))).toEqual([`error CS2506 ${at}`])
  })

  test('from a file that is not there, or a port that no client asks, is told', async () => {
    expect(wrongs(await examine(keys({ file: 'none.json' })))).toEqual([`error CS2502 ${at}`])
    expect(wrongs(await examine(keys({ url: 'http://127.0.0.1:1/keys' })))).toEqual([`error CS2513 ${at}`])
  })
})

describe('an OpenID Connect issuer', () => {
  const issuer = (url: string, over: object = {}): object => ({
    type: 'oidc',
    issuer: url,
    audience: 'countersign',
    id: 'spiffe://partner.example/{sub}',
    ca,
    ...over,
  })

  test('is found by discovery', async () => {
    const paths: string[] = []
    const url = await served((request, response) => {
      paths.push(request.url ?? '')
      const metadata = JSON.stringify({ issuer: `https://${request.headers.host}`, jwks_uri: `https://${request.headers.host}/keys` })
      response.end(request.url === '/keys' ? partner.issuer.jwks() : metadata)
    })
    const checks = await examine(issuer(new URL(url).origin))
    expect(wrongs(checks)).toEqual([])
    expect(paths).toEqual(['/.well-known/openid-configuration', '/keys'])
    expect(checks.at(-1)).toMatchObject({ subject: 'clock', severity: 'ok' })
  })

  test('whose metadata is of another issuer is not that issuer', async () => {
    const url = await served(JSON.stringify({ issuer: 'https://other.example', jwks_uri: 'https://other.example/keys' }))
    expect(findingOf(await examine(issuer(new URL(url).origin)), 'CS2508').seen).toContain('of another issuer')
  })

  test('with TokenReview needs an API server that reviews for us', async () => {
    const server = new FakeApiServer()
    const listening = await server.listen(rig.folder())
    const source = issuer('https://issuer.acme.example', {
      ca: undefined,
      keys: { file: rig.file(partner.issuer.jwks()) },
      review: { url: listening.url, ca: { file: listening.ca }, token: { file: rig.file('reviewer-token') } },
    })
    try {
      expect(wrongs(await examine(source))).toEqual([])
      expect(server.reviews).toBe(1)
      server.reviewers.clear()
      const checks = await examine(source)
      expect(wrongs(checks)).toEqual([`error CS2514 ${at}`])
      expect(findingOf(checks, 'CS2514')).toMatchObject({
        seen: expect.stringContaining('403'),
        fix: expect.stringContaining('system:auth-delegator'),
      })
      expect(JSON.stringify(checks)).not.toContain('reviewer-token')
    } finally {
      await listening.close()
    }
  })

  test('outside of a cluster has no API server to find', async () => {
    const source = issuer('https://issuer.acme.example', { ca: undefined, keys: { file: rig.file(partner.issuer.jwks()) }, review: {} })
    expect(findingOf(await examine(source), 'CS2501').seen).toContain('review.url')
  })
})

test('several sources are read at the same time, and told in their order', async () => {
  const silent = await loopbackServer(() => undefined, rig.folder())
  const slow = { type: 'jwt-svid', trust_domain: 'slow.example', keys: { url: `${silent.url}/keys` } }
  const checks = await examine(slow, web(await served(partner.bundle())))
  expect(checks.map(({ subject }) => subject).slice(0, 2)).toEqual([at, 'identify.sources[1]'])
  await silent.close()
})
