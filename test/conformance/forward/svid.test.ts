import { X509Certificate } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { describe, expect, test } from 'vitest'
import type { UpstreamIdentity, UpstreamProof } from '../../../src/forward/svid.ts'
import type { KeyedChain } from '../../../src/listen/server-identity.ts'
import { Refusal } from '../../../src/refusal.ts'
import { mintCertificate, type Minted } from '../../support/certificate.ts'
import { sketchLease, startRig, type Rig, type RigOptions } from '../../support/forward-rig.ts'
import { closeAfterEach, opened } from '../../support/rigs.ts'

closeAfterEach()

const payments = 'spiffe://acme.example/payments'
const ourId = 'spiffe://acme.example/countersign'
const hour = 3_600_000

type OwnSvid = KeyedChain & { readonly id: string }

/** An SVID of ours with a fresh key; its serial tells it from others. */
function ownSvid(id = ourId, expires = Date.now() + hour): OwnSvid & { readonly serial: string } {
  const { key, cert } = mintCertificate({ uris: [id], until: expires })
  return { id, key, cert, expires, serial: new X509Certificate(cert).serialNumber }
}

/** An identity set by hand. The check is a plain function: the first URI name of the leaf, vouched for by `authority` itself. */
class Held implements UpstreamIdentity {
  svid: OwnSvid | null = ownSvid()
  authority: object = {}
  /** How long what upstreams prove holds. */
  lives = hour
  readonly now: () => number
  /** Chains that were checked, as subjects. */
  readonly checked: number[] = []
  readonly #followers = new Set<() => void>()

  constructor(now: () => number = Date.now) {
    this.now = now
  }

  get followers(): number {
    return this.#followers.size
  }

  current(): OwnSvid | null {
    return this.svid
  }

  onChange(listener: () => void): () => void {
    this.#followers.add(listener)
    return () => void this.#followers.delete(listener)
  }

  set(svid: OwnSvid | null): void {
    this.svid = svid
    this.tell()
  }

  tell(): void {
    for (const follower of this.#followers) follower()
  }

  check(chain: readonly Uint8Array[], ids: readonly string[]): UpstreamProof {
    this.checked.push(chain.length)
    const [leaf] = chain
    const id = leaf === undefined ? '' : (new X509Certificate(leaf).subjectAltName ?? '').replace('URI:', '')
    if (!ids.includes(id)) throw new Error(`the upstream is ${id}`)
    const { authority } = this
    return { id, expires: this.now() + this.lives, stands: () => this.authority === authority }
  }
}

interface Upstream {
  readonly rig: Rig
  /** What each request was, and the serial of our certificate on its connection. */
  readonly requests: string[]
  readonly sockets: TLSSocket[]
  /** Whether each handshake resumed a session. */
  readonly resumed: boolean[]
  /** Answers those held at `/held`. */
  readonly release: () => void
}

interface UpstreamOptions {
  readonly chain?: readonly Minted[]
  readonly ids?: readonly string[]
  readonly rig?: RigOptions
}

/** An upstream that calls itself `payments.acme.example` and asks for a client certificate. */
async function upstream(held: UpstreamIdentity | null, options: UpstreamOptions = {}): Promise<Upstream> {
  const chain = options.chain ?? [mintCertificate({ uris: [payments] })]
  const requests: string[] = []
  const sockets: TLSSocket[] = []
  const resumed: boolean[] = []
  const gate = Promise.withResolvers<void>()
  const server = https.createServer(
    // it keeps idle connections longer than a test lasts: whoever ends one is us
    {
      key: chain[0]!.key,
      cert: chain.map(({ cert }) => cert).join(''),
      requestCert: true,
      rejectUnauthorized: false,
      keepAliveTimeout: 60_000,
    },
    (request, response) => {
      const { serialNumber } = (request.socket as TLSSocket).getPeerCertificate()
      requests.push(`${request.url} ${request.headers.host?.replace(/:\d+$/, '')} ${serialNumber}`)
      if (request.url === '/held') void gate.promise.then(() => response.end('ok'))
      else response.end('ok')
    },
  )
  server.on('secureConnection', (socket: TLSSocket) => {
    sockets.push(socket)
    resumed.push(socket.isSessionReused())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await opened(
    Promise.resolve({
      close: async () => {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      },
    }),
  )
  const rig = await rigTo(port, held, options)
  return { rig, requests, sockets, resumed, release: gate.resolve }
}

function rigTo(port: number, held: UpstreamIdentity | null, { ids = [payments], rig = {} }: UpstreamOptions): Promise<Rig> {
  const authority = `payments.acme.example:${port}`
  const to = { origin: `https://${authority}`, scheme: 'https', authority, hostname: 'payments.acme.example', port, basePath: '' } as const
  return opened(
    startRig(port, {
      ...rig,
      route: { to, tls: { ids }, ...rig.route },
      forward: { lookup: async () => [{ address: '127.0.0.1', family: 4 }], svid: held, ...rig.forward },
    }),
  )
}

async function get(rig: Rig, path = '/'): Promise<string> {
  const response = await fetch(rig.url + path)
  const text = await response.text()
  return response.ok ? text : (JSON.parse(text) as { code: string }).code
}

/** The detail of the nth end, which is a refusal. */
function detailOf(rig: Rig, at: number): string | null {
  const end = rig.ends[at]
  return end instanceof Refusal ? end.detail : null
}

describe('an upstream of a route with tls: svid', () => {
  test('[Countersign: proof before bytes] is shown our SVID and may be of any name, if it proves the SPIFFE ID of the route', async () => {
    const held = new Held()
    const { rig, requests, sockets } = await upstream(held)
    expect(await get(rig)).toBe('ok')
    expect(await get(rig)).toBe('ok')
    const serial = new X509Certificate(held.svid?.cert ?? '').serialNumber
    expect(requests).toEqual([`/ payments.acme.example ${serial}`, `/ payments.acme.example ${serial}`])
    expect(sockets).toHaveLength(1)
    expect(sockets[0]?.servername).toBe('payments.acme.example')
    expect(rig.ends[0]).toMatchObject({ proven: payments, dialled: expect.stringMatching(/^127\.0\.0\.1:/) as string })
  })

  test('[RFC 8446 §4.4.2] is judged by the certificates that it sent, in their order', async () => {
    const root = mintCertificate({ ca: true })
    const middle = mintCertificate({ ca: true, issuer: root })
    const leaf = mintCertificate({ uris: [payments], issuer: middle })
    const seen: string[][] = []
    const held = new Held()
    const check = held.check.bind(held)
    held.check = (chain, ids) => {
      seen.push(chain.map((one) => Buffer.from(one).toString('hex')))
      return check(chain, ids)
    }
    const { rig } = await upstream(held, { chain: [leaf, root, middle] })
    expect(await get(rig)).toBe('ok')
    expect(seen).toEqual([[leaf, root, middle].map(({ der }) => Buffer.from(der).toString('hex'))])
  })

  test('[Countersign: proof before bytes] that proves another identity sees no byte of HTTP', async () => {
    const wrong = mintCertificate({ uris: ['spiffe://acme.example/other'] })
    const plain: Buffer[] = []
    const closed = Promise.withResolvers<void>()
    const server = createServer({ key: wrong.key, cert: wrong.cert }, (socket) => {
      socket.on('data', (bytes: Buffer) => plain.push(bytes))
      socket.on('error', () => undefined)
    })
    server.on('connection', (socket) => socket.once('close', () => closed.resolve()))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const rig = await rigTo((server.address() as AddressInfo).port, new Held(), {
      rig: { route: { credential: 'crm' }, lease: sketchLease() },
    })
    const response = await fetch(rig.url, { method: 'POST', body: 'secret body' })
    expect(response.status).toBe(502)
    expect(await response.json()).toMatchObject({ code: 'forward.untrusted' })
    await closed.promise
    expect(Buffer.concat(plain).toString()).toBe('')
    expect(rig.ends[0]).toMatchObject({
      code: 'forward.untrusted',
      detail: 'the upstream is spiffe://acme.example/other',
      effect: null,
      retry: 'later',
    })
    server.close()
  })

  test('may prove any of several identities', async () => {
    const { rig } = await upstream(new Held(), { ids: ['spiffe://acme.example/other', payments] })
    expect(await get(rig)).toBe('ok')
    expect(rig.ends[0]).toMatchObject({ proven: payments })
  })

  test('never gets there without an SVID of ours, and does once there is one', async () => {
    const held = new Held()
    const first = held.svid
    held.svid = null
    const { rig, sockets } = await upstream(held)
    expect(await get(rig)).toBe('forward.unreachable')
    expect(rig.ends[0]).toMatchObject({ retry: 'later', detail: 'there is no SVID to show the upstream at present' })
    expect(sockets).toHaveLength(0)
    held.set(first)
    expect(await get(rig)).toBe('ok')
    const none = await upstream(null)
    expect(await get(none.rig)).toBe('forward.unreachable')
    expect(detailOf(none.rig, 0)).toBe('no source gives an SVID of our own')
  })

  test('is not dialled with an SVID that cannot be used, or whose time has passed', async () => {
    const clock = { now: Date.now() }
    const held = new Held(() => clock.now)
    const { rig, sockets } = await upstream(held, { rig: { forward: { clock: () => clock.now } } })
    held.svid = { ...ownSvid(), key: ownSvid().key }
    expect(await get(rig)).toBe('forward.unreachable')
    expect(detailOf(rig, 0)).not.toContain('BEGIN')
    held.svid = ownSvid(ourId, clock.now + 1000)
    clock.now += 1000
    expect(await get(rig)).toBe('forward.unreachable')
    expect(sockets).toHaveLength(0)
  })
})

describe('a connection to such an upstream', () => {
  test('[Countersign: live rotation] made with an SVID that was rotated is used on while that lives, and no longer', async () => {
    const clock = { now: Date.now() }
    const held = new Held(() => clock.now)
    held.lives = 10 * hour
    held.svid = ownSvid(ourId, clock.now + hour)
    const { rig, sockets, requests } = await upstream(held, { rig: { forward: { clock: () => clock.now } } })
    expect(await get(rig)).toBe('ok')
    const next = ownSvid(ourId, clock.now + 3 * hour)
    held.set(next)
    expect(await get(rig)).toBe('ok')
    expect(sockets).toHaveLength(1)
    clock.now += hour
    expect(await get(rig)).toBe('ok')
    expect(sockets).toHaveLength(2)
    expect(requests.at(-1)).toContain(next.serial)
  })

  test('[Countersign: live rotation] is not used past the expiry of what the upstream proved', async () => {
    const clock = { now: Date.now() }
    const held = new Held(() => clock.now)
    held.svid = ownSvid(ourId, clock.now + 10 * hour)
    const { rig, sockets } = await upstream(held, { rig: { forward: { clock: () => clock.now } } })
    expect(await get(rig)).toBe('ok')
    clock.now += hour - 1
    expect(await get(rig)).toBe('ok')
    expect(sockets).toHaveLength(1)
    clock.now += 1
    expect(await get(rig)).toBe('ok')
    expect(sockets).toHaveLength(2)
  })

  test.each<[string, (held: Held) => void]>([
    ['our SVID is redacted', (held) => held.set(null)],
    ['our SVID becomes that of another workload', (held) => held.set(ownSvid('spiffe://acme.example/other'))],
    [
      'the authorities of the upstream change',
      (held) => {
        held.authority = {}
        held.tell()
      },
    ],
  ])('[Countersign: live rotation] that is idle ends at once when %s', async (_what, change) => {
    const held = new Held()
    const { rig, sockets } = await upstream(held)
    expect(await get(rig)).toBe('ok')
    const [socket] = sockets
    const closed = new Promise((resolve) => socket?.once('close', resolve))
    change(held)
    await closed
  })

  test('[Countersign: live rotation] that is in use when our SVID is redacted finishes its call, and carries no other', async () => {
    const held = new Held()
    const { rig, sockets, requests, release } = await upstream(held)
    const slow = get(rig, '/held')
    while (requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const [socket] = sockets
    const closed = new Promise((resolve) => socket?.once('close', resolve))
    held.set(null)
    release()
    expect(await slow).toBe('ok')
    await closed
    expect(await get(rig)).toBe('forward.unreachable')
    held.set(ownSvid())
    expect(await get(rig)).toBe('ok')
    expect(sockets).toHaveLength(2)
  })

  test('[Countersign: whole handshakes] resumes no session', async () => {
    const held = new Held()
    const { rig, sockets, resumed } = await upstream(held)
    for (const turn of [1, 2, 3]) {
      expect(await get(rig)).toBe('ok')
      sockets.at(-1)?.destroy()
      await new Promise((resolve) => sockets.at(-1)?.once('close', resolve))
      expect(resumed).toEqual(Array.from({ length: turn }, () => false))
    }
  })

  test('lets go of the identity with its routes', async () => {
    const held = new Held()
    const { rig } = await upstream(held)
    expect(held.followers).toBe(0)
    await get(rig)
    await get(rig)
    expect(held.followers).toBe(1)
    rig.forward.reconfigure([])
    expect(held.followers).toBe(0)
  })
})

describe('what an upstream was proven to be', () => {
  test('by an ordinary certificate is the name it was verified for', async () => {
    const certificate = mintCertificate({ names: ['payments.acme.example'], ca: true })
    const ca = new Map([['crm', [certificate.cert]]])
    const { rig } = await upstream(null, { chain: [certificate], rig: { route: { tls: null }, forward: { ca } } })
    expect(await get(rig)).toBe('ok')
    expect(rig.ends[0]).toMatchObject({ proven: 'dns:payments.acme.example' })
  })

  test('over plain HTTP is nothing', async () => {
    const server = http.createServer((_request, response) => response.end('ok'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const rig = await opened(startRig((server.address() as AddressInfo).port))
    expect(await get(rig)).toBe('ok')
    expect(rig.ends[0]).toMatchObject({ proven: null })
    server.closeAllConnections()
    server.close()
  })
})
