import { readFileSync, writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { bearer, refusalOf } from '../../support/identity-rig.ts'
import { certificateFor } from '../../support/certificate.ts'
import { Issuer, signingKey } from '../../support/issuer.ts'
import type { Jwk } from '../../support/issuer.ts'
import { audience, issuerUrl, loopbackServer, MemoryIssuer, Opened, openedOidc } from '../../support/oidc-rig.ts'
import type { OpenedOidc } from '../../support/oidc-rig.ts'

const opened = new Opened()
afterEach(() => opened.close())

const metadataUrl = `${issuerUrl}/.well-known/openid-configuration`

async function openedWith(metadata: Jwk | string, config: Jwk = {}, issuer = new MemoryIssuer()): Promise<OpenedOidc> {
  const text = typeof metadata === 'string' ? metadata : JSON.stringify(issuer.metadata(metadata))
  issuer.answers.set(`${issuer.url}/.well-known/openid-configuration`, () => new Response(text))
  const rig = await openedOidc(config, { issuer })
  opened.keep(rig.source)
  return rig
}

const fault = ({ log }: OpenedOidc): unknown => Object(log.lines[0]?.members).fault

describe('metadata', () => {
  test.each([
    [issuerUrl, `${issuerUrl}/.well-known/openid-configuration`],
    [`${issuerUrl}/`, `${issuerUrl}/.well-known/openid-configuration`],
    [`${issuerUrl}/id/EXAMPLE`, `${issuerUrl}/id/EXAMPLE/.well-known/openid-configuration`],
    [`${issuerUrl}/tenant/`, `${issuerUrl}/tenant/.well-known/openid-configuration`],
  ])('[OIDC Discovery §4] of %s is looked for at %s', async (url, place) => {
    const rig = await openedOidc({ issuer: url })
    opened.keep(rig.source)
    expect(rig.issuer.asked.map((one) => one.url)[0]).toBe(place)
    expect(await rig.caller()).toMatchObject({ issuer: url })
  })

  test.each([
    ['another', { issuer: 'https://partner.example' }],
    ['the same with a slash', { issuer: `${issuerUrl}/` }],
    ['the same in upper case', { issuer: 'https://ISSUER.acme.example' }],
    ['none', { issuer: undefined }],
    ['a list', { issuer: [issuerUrl] }],
  ])('[OIDC Discovery §4.3] that names another issuer gives no keys: %s', async (_, change) => {
    const rig = await openedWith(change)
    expect(rig.source.ready()).toBe(false)
    expect(fault(rig)).toBe('the metadata is of another issuer')
    expect(rig.issuer.asked).toHaveLength(1)
    expect(await refusalOf(() => rig.caller())).toMatchObject({ code: 'identify.unavailable', detail: expect.stringContaining(issuerUrl) })
  })

  test.each([
    ['none', undefined],
    ['plain HTTP', 'http://issuer.acme.example/keys'],
    ['a user', 'https://user@issuer.acme.example/keys'],
    ['a file', 'file:///etc/keys'],
    ['data', 'data:application/json,{"keys":[]}'],
    ['a relative one', '/keys'],
    ['a list', ['https://issuer.acme.example/keys']],
  ])('[OIDC Discovery §3] jwks_uri is an https URL: %s is refused', async (_, url) => {
    const rig = await openedWith({ jwks_uri: url })
    expect(fault(rig)).toBe('the metadata names no https URL for keys')
    expect(rig.issuer.asked).toHaveLength(1)
  })

  test.each([
    'http://127.0.0.1:7421/',
    'https://localhost/keys',
    'http://[::1]:8080/',
    'https://127.1/',
    'https://localhost./',
    'https://keys.localhost/',
    'https://0.0.0.0/',
    'https://[::]/',
    'https://[::ffff:127.0.0.1]/',
  ])('[Countersign: an issuer elsewhere cannot point at this machine] jwks_uri %s is not read', async (url) => {
    const rig = await openedWith({ jwks_uri: url })
    expect(fault(rig)).toBe('the metadata puts the keys on this machine')
    expect(rig.issuer.asked).toHaveLength(1)
  })

  test.each([
    ['twice the issuer', `{"issuer":"https://partner.example","issuer":"${issuerUrl}","jwks_uri":"${issuerUrl}/keys"}`],
    ['a list', '[]'],
    ['nothing', ''],
    ['a page', '<html></html>'],
  ])('[OIDC Discovery §4.2] that is not one JSON object is refused: %s', async (_, text) => {
    const rig = await openedWith(text)
    expect(fault(rig)).toMatch(/^the metadata is not strict JSON/)
  })

  test('[OIDC Discovery §4.2] any status but 200 is an error', async () => {
    const issuer = new MemoryIssuer()
    issuer.answers.set(metadataUrl, () => new Response(JSON.stringify(issuer.metadata()), { status: 203 }))
    const rig = await openedOidc({}, { issuer })
    opened.keep(rig.source)
    expect(fault(rig)).toBe(`${metadataUrl} answered 203`)
  })
})

describe('keys', () => {
  test('[OIDC Discovery §3; OIDC Core §10.1.1] a kid not seen before makes the metadata and the keys be read again, seldom', async () => {
    const rig = await openedOidc()
    opened.keep(rig.source)
    const next = signingKey('ES256', 'key-2')
    rig.issuer.keys = new Issuer({ clock: rig.clock.now, audience, keys: [next] })
    expect(await rig.caller()).toMatchObject({ id: 'spiffe://acme.example/w/agent-7' })
    expect(rig.issuer.asked).toHaveLength(4)
    for (const kid of ['x', 'y', 'z']) await refusalOf(() => rig.caller({}, { header: { kid } }))
    expect(rig.issuer.asked).toHaveLength(4)
  })

  test('[Countersign: only a token that would pass makes keys be read] a hopeless one does not', async () => {
    const rig = await openedOidc({ require: { team: 'refunds' } })
    opened.keep(rig.source)
    const hopeless = [{ aud: 'other' }, { exp: 1 }, { team: 'other' }, { team: 'refunds', sub: 'a/b' }, { team: 'refunds', cnf: {} }]
    for (const claims of hopeless) expect(await refusalOf(() => rig.caller(claims, { header: { kid: 'unseen' } }))).not.toBeNull()
    expect(rig.issuer.asked).toHaveLength(2)
    await refusalOf(() => rig.caller({ team: 'refunds' }, { header: { kid: 'unseen' } }))
    expect(rig.issuer.asked).toHaveLength(4)
  })

  test('[Countersign: keys serve until their max age] an issuer that is gone is ridden out, then nothing verifies', async () => {
    const rig = await openedOidc({ max_age: '10m', max_lifetime: '1d' })
    opened.keep(rig.source)
    const token = rig.issuer.mint({ claims: { exp: rig.clock.now() / 1000 + 3600 } })
    for (const place of rig.issuer.answers.keys()) rig.issuer.answers.set(place, () => Promise.reject(new Error('gone')))
    rig.clock.move(599_999)
    expect(await rig.identify(bearer(token))).toMatchObject({ method: 'oidc' })
    rig.clock.move(1)
    expect(await refusalOf(() => rig.identify(bearer(token)))).toMatchObject({ code: 'identify.unavailable' })
  })

  test('[RFC 8725 §3.10] keys come from where the configuration says, and from nowhere else: a URL', async () => {
    const issuer = new MemoryIssuer()
    issuer.answers.set('https://keys.acme.example/jwks', () => new Response(issuer.keys.jwks()))
    const rig = await openedOidc({ keys: { url: 'https://keys.acme.example/jwks' } }, { issuer })
    opened.keep(rig.source)
    expect(await rig.caller()).toMatchObject({ method: 'oidc' })
    expect(issuer.asked.map(({ url }) => url)).toEqual(['https://keys.acme.example/jwks'])
  })

  test('[RFC 8725 §3.10] keys come from where the configuration says, and from nowhere else: a file', async () => {
    const issuer = new MemoryIssuer()
    const path = join(opened.folder(), 'keys.json')
    writeFileSync(path, issuer.keys.jwks())
    const rig = await openedOidc({ keys: { file: path } }, { issuer })
    opened.keep(rig.source)
    expect(await rig.caller()).toMatchObject({ method: 'oidc' })
    expect(issuer.asked).toEqual([])
  })
})

describe('over real HTTPS', () => {
  /** An issuer at a loopback server with its own CA. `answer` may take over. */
  async function served(answer: (...args: [...Parameters<RequestListener>, MemoryIssuer]) => boolean = () => false, config: Jwk = {}) {
    const folder = opened.folder()
    const asked: { readonly path: string; readonly authorization: string | undefined }[] = []
    const server = opened.keep(
      await loopbackServer((request, response) => {
        asked.push({ path: request.url ?? '', authorization: request.headers.authorization })
        if (answer(request, response, issuer)) return
        response.end(request.url === '/keys' ? issuer.keys.jwks() : JSON.stringify(issuer.metadata()))
      }, folder),
    )
    const issuer = new MemoryIssuer({ url: server.url })
    const rig = await openedOidc({ ca: { file: server.ca }, ...config }, { issuer, services: { fetch } })
    opened.keep(rig.source)
    return { rig, asked, server, folder }
  }

  test('[OIDC Discovery §7.1] the CA of the configuration vouches for the issuer; the first call waits for its keys', async () => {
    const { rig } = await served()
    expect(await rig.caller()).toMatchObject({ id: 'spiffe://acme.example/w/agent-7' })
  })

  test('[OIDC Discovery §7.1] a server that another CA vouches for is not believed', async () => {
    const { server } = await served()
    const other = join(opened.folder(), 'other.pem')
    writeFileSync(other, certificateFor('localhost').cert)
    for (const config of [{ ca: { file: other } }, {}]) {
      const rig = await openedOidc({ ...config }, { issuer: new MemoryIssuer({ url: server.url }), services: { fetch } })
      opened.keep(rig.source)
      expect(await refusalOf(() => rig.caller())).toMatchObject({ code: 'identify.unavailable' })
      expect(fault(rig)).toMatch(/self-signed|certificate/i)
    }
  })

  test('[Countersign: files of platforms are read again] the token for the issuer is renewed, and goes to both endpoints', async () => {
    const token = join(opened.folder(), 'token')
    writeFileSync(token, 'first\n')
    const { rig, asked } = await served(() => false, { bearer: { file: token } })
    await rig.caller()
    writeFileSync(token, 'second')
    await refusalOf(() => rig.caller({}, { header: { kid: 'unseen' } }))
    expect(asked.map(({ authorization }) => authorization)).toEqual(['Bearer first', 'Bearer first', 'Bearer second', 'Bearer second'])
  })

  test('[Countersign: files of platforms are read again] a renewed CA counts from the next reading on', async () => {
    const { rig, server } = await served()
    await rig.caller()
    const good = readFileSync(server.ca, 'utf8')
    writeFileSync(server.ca, certificateFor('localhost').cert)
    await refusalOf(() => rig.caller({}, { header: { kid: 'unseen' } }))
    expect(Object(rig.log.lines.at(-1)?.members).fault).toMatch(/self-signed|certificate/i)
    writeFileSync(server.ca, good)
    rig.clock.move(30_000)
    rig.issuer.keys = new Issuer({ clock: rig.clock.now, audience, keys: [signingKey('ES256', 'key-2')] })
    expect(await rig.caller()).toMatchObject({ method: 'oidc' })
  })

  test.each([301, 302, 303, 307, 308])('[Countersign: redirects are not followed] a %d from the metadata leads nowhere', async (status) => {
    const { rig, asked } = await served((request, response) => {
      if (request.url !== '/.well-known/openid-configuration') return false
      response.writeHead(status, { location: '/elsewhere' }).end()
      return true
    })
    expect(await refusalOf(() => rig.caller())).toMatchObject({ code: 'identify.unavailable' })
    expect(asked.map(({ path }) => path)).toEqual(['/.well-known/openid-configuration'])
  })

  test.each(['/.well-known/openid-configuration', '/keys'])('[Countersign: 1 MiB at most] %s is cut off', async (path) => {
    const { rig } = await served((request, response) => {
      if (request.url !== path) return false
      const piece = Buffer.alloc(65_536, 0x20)
      const more = (): void => void (response.writable && response.write(piece, () => setImmediate(more)))
      more()
      return true
    })
    expect(await refusalOf(() => rig.caller())).toMatchObject({ code: 'identify.unavailable' })
    expect(fault(rig)).toBe('larger than 1 MiB')
  })

  test('[Countersign: an issuer has 5 s] a slow one is given up, and no call waits longer', async () => {
    const { rig } = await served((request) => request.url === '/keys')
    const start = performance.now()
    expect(await refusalOf(() => rig.caller())).toMatchObject({ code: 'identify.unavailable' })
    expect(performance.now() - start).toBeLessThan(8000)
  })

  test('[Countersign: nothing hangs on close] a reading under way is given up', async () => {
    const asked = Promise.withResolvers<void>()
    const { rig } = await served(() => {
      asked.resolve()
      return true
    })
    const refusal = refusalOf(() => rig.caller())
    await asked.promise
    rig.source.close()
    expect(await refusal).toMatchObject({ code: 'identify.unavailable' })
  })
})

describe('a token of ours for the issuer', () => {
  async function sentTo(keysUrl: string): Promise<(string | undefined)[]> {
    const issuer = new MemoryIssuer()
    const token = join(opened.folder(), 'token')
    writeFileSync(token, 'ours')
    issuer.answers.set(metadataUrl, () => new Response(JSON.stringify(issuer.metadata({ jwks_uri: keysUrl }))))
    issuer.answers.set(keysUrl, () => new Response(issuer.keys.jwks()))
    const rig = await openedOidc({ bearer: { file: token } }, { issuer })
    opened.keep(rig.source)
    await rig.caller()
    return issuer.asked.map(({ headers }) => headers['authorization'])
  }

  test('[Countersign: our token goes to the issuer alone] keys at another origin are fetched without it', async () => {
    expect(await sentTo(`${issuerUrl}/keys`)).toEqual(['Bearer ours', 'Bearer ours'])
    expect(await sentTo('https://keys.acme.example/keys')).toEqual(['Bearer ours', undefined])
  })

  test('[Countersign: our token goes to the issuer alone] with a CA of its own, servers that it vouches for are the issuer too', async () => {
    const folder = opened.folder()
    const certificate = certificateFor('localhost')
    const asked: (string | undefined)[] = []
    const keys = opened.keep(
      await loopbackServer(
        (request, response) => {
          asked.push(request.headers.authorization)
          response.end(issuer.keys.jwks())
        },
        folder,
        certificate,
      ),
    )
    const server = opened.keep(
      await loopbackServer(
        (request, response) => {
          asked.push(request.headers.authorization)
          response.end(JSON.stringify(issuer.metadata({ jwks_uri: `${keys.url}/openid/v1/jwks` })))
        },
        folder,
        certificate,
      ),
    )
    const issuer = new MemoryIssuer({ url: server.url })
    writeFileSync(join(folder, 'token'), 'ours')
    const rig = await openedOidc({ ca: { file: server.ca }, bearer: { file: join(folder, 'token') } }, { issuer })
    opened.keep(rig.source)
    expect(await rig.caller()).toMatchObject({ issuer: server.url })
    expect(asked).toEqual(['Bearer ours', 'Bearer ours'])
  })

  test.each(['', ' \n', 'two tokens', 'a\r\nx-evil: 1', 'ünlaut'])(
    '[Countersign: our token goes to the issuer alone] a file that holds no token sends nothing: %j',
    async (text) => {
      const token = join(opened.folder(), 'token')
      writeFileSync(token, text)
      const issuer = new MemoryIssuer()
      const rig = await openedOidc({ bearer: { file: token } }, { issuer })
      opened.keep(rig.source)
      expect(await refusalOf(() => rig.caller())).toMatchObject({ code: 'identify.unavailable' })
      expect(issuer.asked).toEqual([])
      expect(fault(rig)).toBe(`${token} does not hold one token`)
    },
  )
})
