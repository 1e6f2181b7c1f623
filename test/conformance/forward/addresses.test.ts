import { describe, expect, test } from 'vitest'
import type { ResolvedAddress } from '../../../src/forward/dial.ts'
import type { Route } from '../../../src/match/route.ts'
import { sketchLease, startRig, type Rig, type RigOptions } from '../../support/forward-rig.ts'
import { closeAfterEach, opened } from '../../support/rigs.ts'
import { answering, rawServer, type RawServer } from '../../support/sockets.ts'

closeAfterEach()

const v4 = (address: string): ResolvedAddress => ({ address, family: 4 })
const v6 = (address: string): ResolvedAddress => ({ address, family: 6 })

function named(port: number, hostname: string): Pick<Route, 'to'> {
  const authority = `${hostname}:${port}`
  return { to: { origin: `http://${authority}`, scheme: 'http', authority, hostname, port, basePath: '' } }
}

async function pair(
  route: (port: number) => Partial<Route>,
  forward: RigOptions['forward'] = {},
): Promise<{ upstream: RawServer; rig: Rig }> {
  const upstream = await opened(rawServer(answering('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok')))
  const rig = await opened(
    startRig(upstream.port, { route: { credential: 'crm', ...route(upstream.port) }, lease: sketchLease(), forward }),
  )
  return { upstream, rig }
}

describe('the address guard', () => {
  test.each<[string, ResolvedAddress[], 'public' | 'private']>([
    ['loopback on a public route', [v4('127.0.0.1')], 'public'],
    ['IPv6 loopback on a public route', [v6('::1')], 'public'],
    ['mapped loopback on a public route', [v6('::ffff:127.0.0.1')], 'public'],
    ['a private range on a public route', [v4('10.1.2.3')], 'public'],
    ['a unique local address on a public route', [v6('fd12::1')], 'public'],
    ['metadata on a private route', [v4('169.254.169.254')], 'private'],
    ['mapped metadata on a private route', [v6('::ffff:169.254.169.254')], 'private'],
    ['NAT64 metadata on a private route', [v6('64:ff9b::a9fe:a9fe')], 'private'],
    ['6to4 metadata on a private route', [v6('2002:a9fe:a9fe::1')], 'private'],
    ['IPv6 metadata on a private route', [v6('fd00:ec2::254')], 'private'],
    ['link-local on a private route', [v6('fe80::1')], 'private'],
    ['this host on a private route', [v4('0.0.0.0')], 'private'],
    ['one bad address among good ones', [v4('127.0.0.1'), v4('169.254.169.254')], 'private'],
    ['one bad address after a public one', [v4('1.1.1.1'), v6('::1')], 'public'],
  ])('refuses %s before a byte is sent', async (_what, addresses, reach) => {
    const { upstream, rig } = await pair((port) => ({ reach, ...named(port, 'crm.acme.example') }), { lookup: async () => addresses })
    const answer = await fetch(rig.url)
    expect(answer.status).toBe(403)
    expect(await answer.json()).toEqual({ code: 'forward.forbidden-address', status: 403, reasons: [] })
    expect(upstream.connections).toHaveLength(0)
  })

  test.each(['127.0.0.1', '169.254.169.254', '[::ffff:127.0.0.1]', '[::1]', '0.0.0.0'])(
    'refuses the literal %s on a public route',
    async (hostname) => {
      const { upstream, rig } = await pair((port) => ({ reach: 'public', ...named(port, hostname) }))
      expect((await fetch(rig.url)).status).toBe(403)
      expect(upstream.connections).toHaveLength(0)
    },
  )

  test('a private route dials loopback by name and tells the upstream its own name', async () => {
    const { upstream, rig } = await pair((port) => ({ reach: 'private', ...named(port, 'crm.acme.example') }), {
      lookup: async () => [v4('127.0.0.1')],
    })
    expect(await (await fetch(rig.url)).text()).toBe('ok')
    expect((await upstream.connection(0)).text()).toContain(`\r\nhost: crm.acme.example:${upstream.port}\r\n`)
    expect(rig.ends[0]).toMatchObject({ dialled: `127.0.0.1:${upstream.port}` })
  })

  test('a name is resolved once per connection: what was judged is what is dialled, however the name flips', async () => {
    let asked = 0
    const flips = async (): Promise<ResolvedAddress[]> => [v4(asked++ % 2 === 0 ? '127.0.0.1' : '169.254.169.254')]
    const { upstream, rig } = await pair((port) => ({ reach: 'private', ...named(port, 'crm.acme.example') }), { lookup: flips })
    const statuses: number[] = []
    for (let turn = 1; turn <= 6; turn++) {
      statuses.push((await fetch(rig.url)).status)
      expect(asked).toBe(turn)
    }
    expect(statuses).toEqual([200, 403, 200, 403, 200, 403])
    expect(upstream.connections).toHaveLength(3)
  })

  test('tries the other address when one does not answer', async () => {
    const { rig } = await pair((port) => ({ reach: 'private', ...named(port, 'crm.acme.example') }), {
      lookup: async () => [v6('::1'), v4('127.0.0.1')],
    })
    expect((await fetch(rig.url)).status).toBe(200)
  })

  test.each<[string, () => Promise<ResolvedAddress[]>]>([
    ['does not resolve', () => Promise.reject(new Error('ENOTFOUND'))],
    ['has no address', async () => []],
  ])('a name that %s is unreachable', async (_what, lookup) => {
    const { rig } = await pair((port) => named(port, 'crm.acme.example'), { lookup })
    const answer = await fetch(rig.url)
    expect(await answer.json()).toMatchObject({ code: 'forward.unreachable' })
  })

  test('a port that nobody listens on is unreachable', async () => {
    const { upstream, rig } = await pair(() => ({}))
    await upstream.close()
    const answer = await fetch(rig.url)
    expect(answer.status).toBe(502)
    expect(await answer.json()).toMatchObject({ code: 'forward.unreachable' })
  })
})
