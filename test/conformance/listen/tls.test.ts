import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls, { type ConnectionOptions } from 'node:tls'
import { afterEach, describe, expect, it, test } from 'vitest'
import type { Call, TlsPeer } from '../../../src/listen/call.ts'
import type { ListenerOptions, ListenOptions } from '../../../src/listen/proxy.ts'
import type { KeyedChain, ServerIdentity } from '../../../src/listen/server-identity.ts'
import { Refusal } from '../../../src/refusal.ts'
import { mintCertificate, type Minted } from '../../support/certificate.ts'
import { answers, echo, listenRig, listenOptions, wideLimits, type ListenRig } from '../../support/listen-rig.ts'
import { heldIdentity, keyedChain, tlsClient, type HeldIdentity, type TlsClient } from '../../support/secure-rig.ts'
import { rawClient, track } from '../../support/sockets.ts'

const loopback = { host: '127.0.0.1', port: 0 } as const
const head = 'Host: localhost\r\n'
const hour = 3_600_000

const rigs: ListenRig[] = []
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig[Symbol.asyncDispose]()
})

function listener(identity: ServerIdentity | null, more: Partial<ListenerOptions> = {}): ListenerOptions {
  return { name: 'shared', at: loopback, route: null, ambient: null, tls: identity, ...more }
}

/** A TLS listener; its clock is the system's unless given. */
async function secureRig(
  identity: ServerIdentity = heldIdentity(keyedChain()),
  more: Partial<ListenOptions> = {},
  behave?: (call: Call) => Promise<void>,
): Promise<ListenRig> {
  const rig = await listenRig({ listeners: [listener(identity)], clock: Date.now, ...more }, behave)
  rigs.push(rig)
  return rig
}

/** One request over a client that stays open; gives its answer. */
async function request(client: TlsClient, target = '/crm/a', more = ''): Promise<ReturnType<typeof answers>[number] | undefined> {
  const before = answers(client.text()).length
  client.socket.write(`GET ${target} HTTP/1.1\r\n${head}${more}\r\n`)
  await client.until((text) => answers(text).length > before)
  return answers(client.text())[before]
}

/** Status of one request over a connection of its own, or the code it fails with. */
async function ask(port: number, options: ConnectionOptions = {}): Promise<string> {
  try {
    const client = await tlsClient(port, options)
    const answer = await request(client, '/crm/a', 'Connection: close\r\n')
    await client.closed
    return String(answer?.status)
  } catch (error) {
    return String((error as { code?: string }).code)
  }
}

/** A call that waits in the handler until it is released. */
function holding(): { readonly behave: (call: Call) => Promise<void>; readonly held: Promise<void>; readonly release: () => void } {
  const held = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const behave = async (call: Call): Promise<void> => {
    if (call.address.target === '/held') {
      held.resolve()
      await gate.promise
    }
    await echo(call)
  }
  return { behave, held: held.promise, release: gate.resolve }
}

/** What handshakes served: the serial number of the certificate. */
async function served(port: number): Promise<string> {
  const client = await tlsClient(port)
  const { serialNumber } = client.socket.getPeerCertificate()
  client.socket.destroy()
  return serialNumber
}

const serialOf = (chain: { readonly leaf: Minted }): string => new X509Certificate(chain.leaf.cert).serialNumber

describe('[RFC 8446 §4.4.2] certificates of the client', () => {
  const root = mintCertificate({ ca: true })
  const first = mintCertificate({ ca: true, issuer: root })
  const second = mintCertificate({ ca: true, issuer: first })
  const leaf = mintCertificate({ uris: ['spiffe://acme.example/agent'], issuer: second })
  const other = mintCertificate({ ca: true })
  const chains: [string, Minted[]][] = [
    ['with every intermediate', [leaf, second, first]],
    ['with the root', [leaf, second, first, root]],
    ['out of order, with one that does not belong', [leaf, other, first, second]],
    ['with a gap', [leaf, first]],
    ['twice', [leaf, leaf, second, second]],
    ['alone', [leaf]],
    ['self-signed', [other]],
    ['none', []],
  ]

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test.each(chains)(`come with the call exactly as they were sent over ${version}: %s`, async (_what, sent) => {
      const peers: (TlsPeer | null)[] = []
      // the listener's own certificate is signed by one of them: nothing of its own may be added
      const identity = heldIdentity(keyedChain({ issuer: second }))
      const rig = await secureRig(identity, {}, async (call) => {
        peers.push(call.tls)
        expect(call.scheme).toBe('https')
        await echo(call)
      })
      const shown = sent.length === 0 ? {} : { key: sent[0]?.key, cert: sent.map(({ cert }) => cert).join('') }
      const client = await tlsClient(rig.port, { ...shown, minVersion: version, maxVersion: version })
      expect((await request(client))?.status).toBe(200)
      expect((await request(client))?.status).toBe(200)
      expect(peers[0]?.chain.map((one) => Buffer.from(one).toString('hex'))).toEqual(
        sent.map(({ der }) => Buffer.from(der).toString('hex')),
      )
      expect(peers[1]).toBe(peers[0])
      client.socket.destroy()
    })
  }
})

describe('a handshake', () => {
  test.each<[string, ConnectionOptions]>([
    ['TLS 1.1', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }],
    ['a cipher without authenticated encryption', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' }],
    ['HTTP/2 alone', { ALPNProtocols: ['h2'] }],
  ])('[RFC 9325 §3.1.1; RFC 9325 §4.1; RFC 7301 §3.2] that offers %s fails, is reported, and disturbs nobody', async (_what, options) => {
    const rig = await secureRig()
    expect(await ask(rig.port, options)).toMatch(/^(ERR_SSL_|ECONNRESET)/)
    expect(await ask(rig.port)).toBe('200')
    expect(rig.malformed).toEqual(['the TLS handshake failed'])
  })

  it('[RFC 7301 §3.2] agrees on HTTP/1.1, with a client that offers it among others and with one that offers nothing', async () => {
    const rig = await secureRig()
    const client = await tlsClient(rig.port, { ALPNProtocols: ['h2', 'http/1.1'] })
    expect(client.socket.alpnProtocol).toBe('http/1.1')
    client.socket.destroy()
    expect(await ask(rig.port)).toBe('200')
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    '[Countersign: whole handshakes] over %s is a whole one each time: no session is resumed',
    async (version) => {
      const rig = await secureRig()
      const sessions: Buffer[] = []
      const first = await tlsClient(rig.port, { minVersion: version, maxVersion: version })
      first.socket.on('session', (session: Buffer) => sessions.push(session))
      await request(first)
      const kept = first.socket.getSession()
      first.socket.destroy()
      for (const session of [...sessions, ...(kept === undefined ? [] : [kept])]) {
        const again = await tlsClient(rig.port, { minVersion: version, maxVersion: version, session })
        expect((await request(again))?.status).toBe(200)
        expect(again.socket.isSessionReused()).toBe(false)
        again.socket.destroy()
      }
    },
  )

  it('[RFC 9325 §3.5] is not done again on a connection that stands', async () => {
    const rig = await secureRig()
    const client = await tlsClient(rig.port, { maxVersion: 'TLSv1.2' })
    client.socket.on('error', () => undefined)
    const refused = Promise.withResolvers<Error | null>()
    client.socket.renegotiate({ rejectUnauthorized: false }, refused.resolve)
    expect(await Promise.race([refused.promise, client.closed.then(() => new Error('closed'))])).toBeInstanceOf(Error)
    expect(rig.seen).toEqual([])
  })

  test.each([
    ['plain HTTP', `GET /crm/a HTTP/1.1\r\n${head}\r\n`, 'plain HTTP came where TLS is spoken'],
    ['anything else', '\x16\x03\x01\x00\x05hello', 'the TLS handshake failed'],
  ])('that is %s ends without an answer', async (_what, bytes, reason) => {
    const rig = await secureRig()
    const client = await rawClient(rig.port)
    client.socket.write(bytes, 'latin1')
    await client.closed
    expect(client.text()).not.toContain('HTTP/1.1')
    expect(rig.malformed).toEqual([reason])
    expect(await ask(rig.port)).toBe('200')
  })

  it('that a client breaks off at once, as probes do, is not reported', async () => {
    const rig = await secureRig()
    const client = await rawClient(rig.port)
    client.socket.destroy()
    await client.closed
    expect(await ask(rig.port)).toBe('200')
    expect(rig.malformed).toEqual([])
  })

  it('has the time of a request head, and no more', async () => {
    const rig = await secureRig(undefined, { limits: { ...wideLimits, headerTime: 100 } })
    const silent = await rawClient(rig.port)
    const half = await rawClient(rig.port)
    half.socket.write('\x16\x03\x01\x02\x00\x01', 'latin1')
    await Promise.all([silent.closed, half.closed])
    expect(rig.malformed).toEqual(['the TLS handshake took too long', 'the TLS handshake took too long'])
  })

  it('that is under way counts as a connection, and the oldest makes room for a new one', async () => {
    const rig = await secureRig(undefined, { limits: { ...wideLimits, connections: 3 } })
    const honest = await tlsClient(rig.port)
    expect((await request(honest))?.status).toBe(200)
    const first = await rawClient(rig.port)
    const second = await rawClient(rig.port)
    await rawClient(rig.port)
    // the oldest without a call is the honest one; it is idle, as it may be
    await honest.closed
    await rawClient(rig.port)
    await first.closed
    expect(second.socket.destroyed).toBe(false)
    expect(await ask(rig.port)).toBe('200')
    await second.closed
  })
})

describe('a request over TLS', () => {
  it('is held to the same grammar', async () => {
    const rig = await secureRig()
    const client = await tlsClient(rig.port)
    client.socket.write(`GET /crm/a HTTP/1.1\r\n${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`)
    await client.closed
    expect(answers(client.text()).map(({ status }) => status)).toEqual([400])
    expect(rig.seen).toEqual([])
  })

  it('[RFC 9112 §3.2.2] may name its target in absolute-form only with the scheme that it came by', async () => {
    const rig = await secureRig()
    const client = await tlsClient(rig.port)
    expect((await request(client, 'https://localhost/crm/a'))?.status).toBe(200)
    expect((await request(client, 'HTTPS://localhost/crm/a'))?.status).toBe(200)
    expect((await request(client, 'http://localhost/crm/a'))?.status).toBe(400)
    const plain = await listenRig()
    rigs.push(plain)
    const [answer] = await plain.exchange(`GET https://localhost/crm/a HTTP/1.1\r\n${head}\r\n`)
    expect(answer?.status).toBe(400)
    expect(plain.refused).toEqual(['listen.malformed: the request target is in no form that is served here'])
  })

  it('comes over a unix socket too', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'countersign-')), 'agent.sock')
    const peers: (TlsPeer | null)[] = []
    const rig = await secureRig(undefined, { listeners: [listener(heldIdentity(keyedChain()), { at: { path } })] }, async (call) => {
      peers.push(call.tls)
      await echo(call)
    })
    const leaf = mintCertificate({ uris: ['spiffe://acme.example/agent'] })
    const socket = tls.connect({ path, rejectUnauthorized: false, key: leaf.key, cert: leaf.cert })
    await once(socket, 'secureConnect')
    const client = { ...track(socket), socket }
    expect((await request(client))?.status).toBe(200)
    expect(peers[0]?.chain).toEqual([leaf.der])
    const half = track(net.connect(path))
    await once(half.socket, 'connect')
    await rig.listening.drain(0)
    await Promise.all([half.closed, client.closed])
    expect(existsSync(path)).toBe(false)
  })
})

describe('[Countersign: live rotation] a certificate that is rotated', () => {
  it('serves new handshakes, while connections and calls in flight go on', async () => {
    const [before, after] = [keyedChain(), keyedChain()]
    const identity = heldIdentity(before)
    const { behave, held, release } = holding()
    const rig = await secureRig(identity, {}, behave)
    const kept = await tlsClient(rig.port)
    const busy = await tlsClient(rig.port)
    const slow = request(busy, '/crm/held')
    await held
    identity.set(after)
    expect(await served(rig.port)).toBe(serialOf(after))
    const answer = await request(kept)
    expect(answer?.status).toBe(200)
    expect(answer?.head).not.toContain('Connection: close')
    expect(kept.socket.getPeerCertificate().serialNumber).toBe(serialOf(before))
    release()
    expect((await slow)?.status).toBe(200)
    expect((await request(busy))?.status).toBe(200)
  })

  it('is found without being told', async () => {
    const after = keyedChain()
    let current: KeyedChain = keyedChain()
    const rig = await secureRig({ current: () => current, onChange: () => () => undefined })
    await served(rig.port)
    current = after
    expect(await served(rig.port)).toBe(serialOf(after))
  })

  it('that cannot be used is none', async () => {
    const identity = heldIdentity(keyedChain())
    const rig = await secureRig(identity)
    identity.set({ ...keyedChain(), key: keyedChain().key })
    expect(await ask(rig.port)).toBe('ECONNRESET')
    expect(rig.listening.lapsed).toEqual(['shared'])
    identity.set(keyedChain())
    expect(await ask(rig.port)).toBe('200')
  })

  it('lets go of the identity when the listener closes', async () => {
    const identity = heldIdentity(keyedChain())
    const rig = await secureRig(identity)
    expect(identity.followers).toBe(1)
    await rig.listening.drain(0)
    expect(identity.followers).toBe(0)
  })
})

/** Takes a certificate away in two ways: it is redacted, or its time has passed. */
const ends: [string, (identity: HeldIdentity, pass: () => void) => void][] = [
  ['that was redacted', (identity) => identity.set(null)],
  ['whose time has passed', (_identity, pass) => pass()],
]

describe.each(ends)('a certificate %s', (_what, end) => {
  it('ends new connections before their handshake, closes idle ones, and lets calls in flight finish', async () => {
    const clock = { now: Date.now() }
    const identity = heldIdentity(keyedChain({}, clock.now + hour))
    const { behave, held, release } = holding()
    const rig = await secureRig(identity, { clock: () => clock.now, limits: { ...wideLimits, headerTime: 2000 } }, behave)
    const idle = await tlsClient(rig.port)
    const shaking = await rawClient(rig.port)
    const busy = await tlsClient(rig.port)
    const slow = request(busy, '/crm/held')
    await held
    end(identity, () => (clock.now += hour))
    await Promise.all([idle.closed, shaking.closed])
    const late = await rawClient(rig.port)
    await late.closed
    expect(late.bytes()).toBe(0)
    expect(rig.malformed.at(-1)).toBe('there is no certificate to serve with')
    expect(rig.listening.lapsed).toEqual(['shared'])
    release()
    const answer = await slow
    expect(answer?.status).toBe(200)
    expect(answer?.head).toContain('Connection: close')
    await busy.closed
    identity.set(keyedChain({}, clock.now + hour))
    expect(await ask(rig.port)).toBe('200')
    expect(rig.listening.lapsed).toEqual([])
  })

  it('refuses, with a record, what still comes on a kept connection', async () => {
    const clock = { now: Date.now() }
    const identity = heldIdentity(keyedChain({}, clock.now + hour))
    const { behave, held, release } = holding()
    const late = Promise.withResolvers<Refusal>()
    const handle = async (call: Call): Promise<void> => {
      try {
        call.admit()
        await behave(call)
      } catch (error) {
        call.refuse(Refusal.from(error))
        late.resolve(Refusal.from(error))
      }
    }
    const rig = await secureRig(identity, { clock: () => clock.now, handle })
    const client = await tlsClient(rig.port)
    client.socket.write(`GET /crm/held HTTP/1.1\r\n${head}\r\n`)
    await held
    end(identity, () => (clock.now += hour))
    client.socket.write(`GET /crm/late HTTP/1.1\r\n${head}\r\n`)
    expect(await late.promise).toMatchObject({ code: 'identify.unavailable', reasons: ['this listener has no certificate at present'] })
    release()
    await client.closed
    expect(answers(client.text())[0]?.status).toBe(200)
  })
})

describe('a connection', () => {
  it('[Countersign: live rotation; RFC 9112 §9.6] says in time that an answer is the last one its certificate lives for, and takes nothing after it', async () => {
    const clock = { now: 1_790_000_000_000 }
    const identity = heldIdentity(keyedChain({}, clock.now + hour))
    const rig = await secureRig(identity, { clock: () => clock.now })
    const client = await tlsClient(rig.port)
    clock.now += hour / 2
    identity.set(keyedChain({}, clock.now + hour))
    expect((await request(client))?.head).not.toContain('Connection: close')
    clock.now += (hour * 4) / 10
    client.socket.write(`GET /crm/last HTTP/1.1\r\n${head}\r\nGET /crm/after HTTP/1.1\r\n${head}\r\n`)
    await client.closed
    const [, last, more] = answers(client.text())
    expect(last).toMatchObject({ status: 200, head: expect.stringContaining('Connection: close') as string })
    expect(more).toBeUndefined()
    expect(rig.seen.map(({ target }) => target)).toEqual(['/a', '/last'])
    expect(await ask(rig.port)).toBe('200')
  })

  it('[Countersign: live rotation] that is idle does not outlive the certificate it was served with', async () => {
    const clock = { now: 1_790_000_000_000 }
    const identity = heldIdentity(keyedChain({}, clock.now + hour))
    const rig = await secureRig(identity, { clock: () => clock.now, limits: { ...wideLimits, headerTime: 2000 } })
    const old = await tlsClient(rig.port)
    identity.set(keyedChain({}, clock.now + 3 * hour))
    const young = await tlsClient(rig.port)
    clock.now += hour
    await old.closed
    expect((await request(young))?.status).toBe(200)
  })
})

describe('a listener that changes', () => {
  const over = (listeners: readonly ListenerOptions[], rig: { handle: ListenOptions['handle'] }): ListenOptions =>
    listenOptions({ listeners, handle: rig.handle, clock: Date.now })
  const handle: ListenOptions['handle'] = async (call) => {
    try {
      call.admit()
      await echo(call)
    } catch (error) {
      call.refuse(Refusal.from(error))
    }
  }

  it('from plain HTTP to TLS and back keeps its port, and takes nothing more on kept connections', async () => {
    const rig = await secureRig(undefined, { listeners: [listener(null)], handle })
    const plain = await rawClient(rig.port)
    plain.socket.write(`GET /crm/a HTTP/1.1\r\n${head}\r\n`)
    await plain.until((text) => answers(text).length === 1)
    const identity = heldIdentity(keyedChain())
    await rig.listening.reconfigure(over([listener(identity)], { handle }))
    expect(rig.listening.ports.get('shared')).toBe(rig.port)
    await plain.closed
    expect(await ask(rig.port)).toBe('200')
    await rig.listening.reconfigure(over([listener(null)], { handle }))
    expect(rig.listening.ports.get('shared')).toBe(rig.port)
    expect(await rig.exchange(`GET /crm/a HTTP/1.1\r\n${head}Connection: close\r\n\r\n`)).toMatchObject([{ status: 200 }])
    expect(identity.followers).toBe(0)
  })

  it('to tokens alone asks for no certificate and takes none, and asks again when it is changed back', async () => {
    const chains: number[] = []
    const counting: ListenOptions['handle'] = async (call) => {
      chains.push(call.tls?.chain.length ?? -1)
      await handle(call)
    }
    const identity = heldIdentity(keyedChain())
    const { key, cert } = mintCertificate({ uris: ['spiffe://acme.example/agent'] })
    const tokens = { ...listener(identity), asks: false }
    const rig = await secureRig(undefined, { listeners: [tokens], handle: counting })
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) expect(await ask(rig.port, { key, cert, maxVersion })).toBe('200')
    expect(chains).toEqual([0, 0])
    await rig.listening.reconfigure(over([listener(identity)], { handle: counting }))
    expect(rig.listening.ports.get('shared')).toBe(rig.port)
    expect(await ask(rig.port, { key, cert })).toBe('200')
    await rig.listening.reconfigure(over([tokens], { handle: counting }))
    expect(await ask(rig.port, { key, cert })).toBe('200')
    expect(chains).toEqual([0, 0, 1, 0])
  })

  it('to another certificate goes on with its connections', async () => {
    const [before, after] = [keyedChain(), keyedChain()]
    const old = heldIdentity(before)
    const rig = await secureRig(old, { handle })
    const kept = await tlsClient(rig.port)
    await rig.listening.reconfigure(over([listener(heldIdentity(after))], { handle }))
    expect(old.followers).toBe(0)
    expect(await served(rig.port)).toBe(serialOf(after))
    expect((await request(kept))?.status).toBe(200)
  })

  it('and is given up ends handshakes that are under way', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'countersign-')), 'agent.sock')
    const rig = await secureRig(undefined, { handle, limits: { ...wideLimits, headerTime: 60_000 } })
    const shaking = await rawClient(rig.port)
    await rig.listening.reconfigure(over([listener(null, { name: 'other', at: { path } })], { handle }))
    await shaking.closed
    expect(rig.listening.ports.size).toBe(0)
  })

  it('together with one that cannot be opened does not change', async () => {
    const rig = await secureRig(undefined, { listeners: [listener(null)], handle })
    const bad = listener(null, { name: 'bad', at: { path: '/nonexistent/agent.sock' } })
    await expect(rig.listening.reconfigure(over([listener(heldIdentity(keyedChain())), bad], { handle }))).rejects.toThrow('/nonexistent')
    expect(await rig.exchange(`GET /crm/a HTTP/1.1\r\n${head}Connection: close\r\n\r\n`)).toMatchObject([{ status: 200 }])
  })
})
