import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { urlSource, type Ask } from '../../../src/decide/source/http.ts'
import { makeSigner } from '../../support/bundle-signer.ts'
import { bundleType, BundleServer, edition } from '../../support/bundle-server.ts'
import { FeedRig } from '../../support/feed-rig.ts'

const nothing = new AbortController().signal

async function rigOf(number = 1): Promise<{ rig: FeedRig; server: BundleServer } & AsyncDisposable> {
  const rig = new FeedRig()
  const server = await BundleServer.start(edition({ number, signer: rig.signer }))
  return {
    rig,
    server,
    async [Symbol.asyncDispose]() {
      await rig[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

test('[OPA bundles §service request] a bundle is asked for as a snapshot, without a condition at first', async () => {
  await using one = await rigOf()
  await one.rig.start({ url: one.server.url })
  expect(one.rig.judge()).toBe('r1')
  const [asked] = one.server.asked
  expect(asked?.url).toBe('/bundles/countersign.tar.gz')
  expect(asked?.headers).toMatchObject({ prefer: 'modes=snapshot', 'accept-encoding': 'identity' })
  expect(asked?.headers).not.toHaveProperty('if-none-match')
  expect(asked?.headers).not.toHaveProperty('authorization')
})

test('[OPA bundles §ETag] the ETag of the bundle in force goes along, and 304 changes nothing', async () => {
  await using one = await rigOf()
  const { rig, server } = one
  await rig.start({ url: server.url })
  await rig.look()
  expect(server.asked[1]?.headers['if-none-match']).toBe(server.etag)
  expect(rig.revisions).toEqual(['r1'])
  server.put(edition({ number: 2, signer: rig.signer }))
  await rig.look()
  expect(rig.judge()).toBe('r2')
  await rig.look()
  expect(server.asked[3]?.headers['if-none-match']).toBe(server.etag)
  expect(rig.revisions).toEqual(['r1', 'r2'])
})

test('[OPA bundles §ETag after activation] a bundle that was refused is asked for again with the ETag of the one before', async () => {
  await using one = await rigOf()
  const { rig, server } = one
  await rig.start({ url: server.url })
  const before = server.etag
  server.put(edition({ number: 2, signer: makeSigner('ES256') }))
  await rig.look()
  await rig.look()
  expect(server.asked.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, before, before])
  expect(rig.judge()).toBe('r1')
  expect(rig.told.filter(({ kind }) => kind === 'failed').map((told) => 'first' in told && told.first)).toEqual([true, false])
  expect(rig.faults[0]).toMatchObject({ reason: 'bundle', message: expect.stringContaining('does not verify') })
})

test('[OPA bundles §ETag of 304] an ETag that comes with a 304 goes along from then on', async () => {
  await using one = await rigOf()
  const { rig, server } = one
  await rig.start({ url: server.url })
  server.instead = (_, response) => void response.writeHead(304, { etag: 'W/"renamed"' }).end()
  await rig.look()
  await rig.look()
  expect(server.asked[2]?.headers['if-none-match']).toBe('W/"renamed"')
  expect(rig.faults).toEqual([])
})

test('[Countersign: bundle server] what a query holds is not said', async () => {
  await using one = await rigOf()
  await one.rig.start({ url: `${one.server.url}?signature=secret` })
  expect(one.server.asked[0]?.url).toContain('?signature=secret')
  one.server.put(Buffer.from('no bundle'))
  await one.rig.look()
  const { policy, fault } = one.rig.inForce.status()
  expect([policy?.source, fault?.source]).toEqual([`${one.server.url}?…`, `${one.server.url}?…`])
})

test('[OPA bundles §ETag] a server without ETags sends the same bundle again, which confirms it and changes nothing', async () => {
  await using one = await rigOf()
  const { rig, server } = one
  const bytes = edition({ number: 1, signer: rig.signer })
  server.instead = (_, response) => void response.writeHead(200).end(bytes)
  await rig.start({ url: server.url, max_age: '2h' })
  const engine = rig.inForce.engine()
  rig.now += 5_400_000
  await rig.look()
  rig.now += 5_400_000
  expect(rig.inForce.engine()).toBe(engine)
  expect(server.asked[1]?.headers).not.toHaveProperty('if-none-match')
  expect(rig.revisions).toEqual(['r1'])
})

describe('[OPA bundles §polling] the next request', () => {
  test('comes at a time between the minimum and the maximum', () => {
    for (const random of [0, 0.5, 0.999]) {
      const source = urlSource({
        url: 'https://a.example/b',
        ask: never,
        poll: { min: 60_000, max: 120_000 },
        longPoll: null,
        random: () => random,
      })
      expect(source.wait(0)).toBeCloseTo(60_000 + 60_000 * random)
    }
  })

  test('comes by itself', async () => {
    await using one = await rigOf()
    await one.rig.start({ url: one.server.url, poll: { min: '100ms', max: '100ms' } })
    await one.server.requests(4)
    expect(one.rig.judge()).toBe('r1')
  })
})

test('[OPA bundles §back-off] waits double from 100 ms to the maximum, a little shorter by chance', () => {
  const at = (random: number, failures: number): number =>
    urlSource({ url: 'https://a.example/b', ask: never, poll: { min: 1000, max: 30_000 }, longPoll: 60_000, random: () => random }).wait(
      failures,
    ) ?? 0
  expect([1, 2, 3, 4, 9, 10, 1000].map((failures) => at(1, failures))).toEqual([100, 200, 400, 800, 25_600, 30_000, 30_000])
  expect(at(0, 1)).toBeCloseTo(90)
})

describe('[OPA bundles §long polling] a server that can hold an answer', () => {
  test('is asked to, and a new bundle is in force as soon as it is there', async () => {
    await using one = await rigOf()
    const { rig, server } = one
    server.type = bundleType
    await rig.start({ url: server.url, long_poll: '30s', poll: { min: '1h', max: '1h' } })
    await server.requests(2)
    expect(server.asked[1]?.headers).toMatchObject({ prefer: 'modes=snapshot;wait=30', 'if-none-match': server.etag })
    server.put(edition({ number: 2, signer: rig.signer }))
    await server.requests(3)
    expect(rig.judge()).toBe('r2')
  })

  test('is not asked to any more when a bundle comes with another type', async () => {
    await using one = await rigOf()
    const { rig, server } = one
    await rig.start({ url: server.url, long_poll: '30s' })
    expect(server.asked[0]?.headers['prefer']).toBe('modes=snapshot;wait=30')
    await rig.look()
    expect(server.asked[1]?.headers['prefer']).toBe('modes=snapshot')
  })

  test('does not hold up the end', async () => {
    await using one = await rigOf()
    one.server.type = bundleType
    await one.rig.start({ url: one.server.url, long_poll: '1h' })
    await one.server.requests(2)
    await one.rig.end()
  })
})

describe('a server', () => {
  type Instead = NonNullable<BundleServer['instead']>
  const big = Buffer.alloc(1024 * 1024)
  const cases: readonly (readonly [string, RegExp, Instead])[] = [
    ['an error', /answered 503/, (_, response) => void response.writeHead(503).end('no')],
    ['401', /answered 401/, (_, response) => void response.writeHead(401).end()],
    ['404', /answered 404/, (_, response) => void response.writeHead(404).end()],
    ['an empty answer', /nothing in it/, (_, response) => void response.writeHead(200).end()],
    ['206', /answered 206/, (_, response) => void response.writeHead(206).end('a')],
    [
      'a redirect to another origin',
      /another origin, http:\/\/localhost/,
      (_, response) => void response.writeHead(302, { location: 'http://localhost:1/' }).end(),
    ],
    ['a redirect to nowhere', /where to/, (_, response) => void response.writeHead(307).end()],
    [
      'a redirect without end',
      /more than 3 times/,
      (request, response) => void response.writeHead(302, { location: `${request.url}/a` }).end(),
    ],
    [
      'a length beyond 16 MiB',
      /more than 16 MiB/,
      (_, response) => void response.writeHead(200, { 'content-length': 17 * 1024 * 1024 }).write('a'),
    ],
    [
      'more than 16 MiB without a length',
      /more than 16 MiB/,
      (_, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(big));
        }
        response.on('drain', more).on('error', () => undefined)
        response.writeHead(200)
        more()
      },
    ],
    [
      'an answer cut short',
      /cannot be asked/,
      (_, response) => {
        response.writeHead(200, { 'content-length': 100 })
        response.write('a', () => response.destroy())
      },
    ],
    [
      'a coding that nobody asked for',
      /codes its answer as br/,
      (_, response) => void response.writeHead(200, { 'content-encoding': 'br' }).end('a'),
    ],
    [
      'a coding that is none',
      /gzip, and it is not/,
      (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('a'),
    ],
    ['bytes that are no HTTP', /cannot be asked/, (request) => void request.socket.end('SSH-2.0-no\r\n')],
    ['a page to sign in', /cannot be unpacked/, (_, response) => void response.writeHead(200).end('<html>')],
  ]

  test.each(cases)('[Countersign: bundle server] %s is no bundle, and the one before judges on', async (_, message, instead) => {
    await using one = await rigOf()
    const { rig, server } = one
    await rig.start({ url: server.url })
    server.instead = instead
    await rig.look()
    expect(rig.faults.map((fault) => fault.message)).toEqual([expect.stringMatching(message)])
    expect(rig.judge()).toBe('r1')
    server.instead = null
    server.put(edition({ number: 2, signer: rig.signer }))
    await rig.look()
    expect(rig.judge()).toBe('r2')
    expect(rig.inForce.status().fault).toBeNull()
  })

  test('[Countersign: bundle server] a 304 to a question without a condition is no answer', async () => {
    await using one = await rigOf()
    one.server.instead = (_, response) => void response.writeHead(304).end()
    await one.rig.start({ url: one.server.url })
    expect(one.rig.faults[0]?.message).toContain('304')
    expect(() => one.rig.judge()).toThrow('no policy has been activated yet')
  })

  test('[Countersign: bundle server] a redirect within the origin is followed, the token with it', async () => {
    await using one = await rigOf()
    const { rig, server } = one
    rig.env = { TOKEN: 'bundle-token' }
    server.instead = (request, response) => {
      if (request.url !== '/moved') response.writeHead(302, { location: '/moved' }).end()
      else response.writeHead(200).end(edition({ number: 3, signer: rig.signer }))
    }
    await rig.start({ url: server.url, auth: { bearer: { env: 'TOKEN' } } })
    expect(rig.judge()).toBe('r3')
    expect(server.asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer bundle-token', 'Bearer bundle-token'])
  })

  test.each([
    ['once', (bytes: Uint8Array) => bytes],
    ['twice', (bytes: Uint8Array) => gzipSync(bytes)],
  ])('[Countersign: bundle server] a bundle that comes packed %s with a coding of gzip is the bundle', async (_, pack) => {
    await using one = await rigOf()
    const bytes = pack(edition({ number: 4, signer: one.rig.signer }))
    one.server.instead = (_request, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(bytes)
    await one.rig.start({ url: one.server.url })
    expect(one.rig.judge()).toBe('r4')
  })

  test('[Countersign: bundle server] a server that takes its time is given up', async () => {
    const slow: Ask = (_, __, signal) =>
      new Promise((___, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      })
    const source = urlSource({ url: 'https://a.example/b', ask: slow, poll: { min: 1, max: 1 }, longPoll: null, time: 20 })
    await expect(source.look({ adopted: null, refused: null }, nothing)).rejects.toThrow('the server took too long')
  })

  test('[Countersign: bundle server] that cannot be had at the first start leaves Countersign without a policy until it can', async () => {
    await using one = await rigOf()
    const { rig, server } = one
    await server.away()
    await rig.start({ url: server.url })
    expect(rig.inForce.status()).toMatchObject({
      policy: null,
      fault: { reason: 'unreachable' },
      lapsed: 'no policy has been activated yet',
    })
    expect(() => rig.judge()).toThrow('no policy has been activated yet')
    await server.back()
    await rig.look()
    expect(rig.judge()).toBe('r1')
  })
})

const never: Ask = () => Promise.reject(new Error('not asked'))
