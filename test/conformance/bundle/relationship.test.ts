import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { makeIdentify } from '../../../src/identify/identify.ts'
import { KeySource } from '../../../src/identify/keys/key-source.ts'
import type { KeyMemory } from '../../../src/identify/keys/key-source.ts'
import { ask, askPeer, AwaitedLog, bundleOf, BundleRig, svidIdentity, webIdentity } from '../../support/bundle-rig.ts'
import type { Domain, OpenedBundle } from '../../support/bundle-rig.ts'
import { openSource, SourceConfig } from '../../../src/identify/registry.ts'
import { bearer, callWith, identifyServices, settled } from '../../support/identity-rig.ts'
import type { Jwk } from '../../support/issuer.ts'

let rig: BundleRig
let partner: Domain
beforeEach(() => {
  rig = new BundleRig()
  partner = rig.domain('partner.example')
  return () => rig.close()
})

const identity = webIdentity()

/** An endpoint whose answer can be changed, or be no answer at all (null). */
interface Endpoint {
  document: string | null
  readonly from: Jwk
}

async function endpoint(document: string | null, more: Jwk = {}): Promise<Endpoint> {
  const made = { document }
  const { port } = await rig.server(identity, (request, response) => {
    if (made.document === null) request.socket.destroy()
    else response.end(made.document)
  })
  const from = { url: `https://localhost:${port}/`, profile: 'https_web', ca: { file: rig.file(identity.cert) }, ...more }
  return Object.assign(made, { from })
}

const open = ({ from }: Endpoint, more: Jwk = {}): Promise<OpenedBundle> => rig.source({ trust_domain: partner.name, from, ...more })

const code = async (opened: OpenedBundle, domain: Domain): Promise<readonly [string | undefined, string | undefined]> => [
  (await ask(opened.source, domain.issuer.mint()))?.code,
  (await askPeer(opened.source, domain.peer('/agent'), rig.clock.now()))?.code,
]

const taken = [undefined, undefined]
const rejected = ['identify.rejected', 'identify.rejected']
const unavailable = ['identify.unavailable', 'identify.unavailable']

describe('[Trust Domain and Bundle §4.1.3] a bundle that is empty, or has nothing of use, revokes everything at once', () => {
  test.each([
    ['no keys', '{"keys":[],"spiffe_sequence":2}'],
    ['keys without use', '{"keys":[{"kty":"EC"}],"spiffe_sequence":2}'],
    [
      'keys of unknown types',
      '{"keys":[{"kty":"AKP","use":"jwt-svid"},{"kty":"AKP","use":"x509-svid","x5c":["AA=="]}],"spiffe_sequence":2}',
    ],
  ])('%s', async (_, empty) => {
    const served = await endpoint(partner.bundle())
    const opened = await open(served)
    expect(await code(opened, partner)).toEqual(taken)
    served.document = empty
    await opened.poll()
    expect(await code(opened, partner)).toEqual(rejected)
    expect(opened.source.ready()).toBe(true)
    expect(opened.source.authorities?.(partner.name)).toEqual([])
    expect(opened.log.lines.map(({ message }) => message)).toContain('the trust domain has no keys any more: all that it proved is revoked')
  })

  test('callers that were known before are known no more', async () => {
    const served = await endpoint(partner.bundle())
    const opened = await open(served)
    const identify = makeIdentify({ sources: [opened.source], clock: rig.clock.now })
    const token = partner.issuer.mint()
    const peer = partner.peer('/agent')
    expect(await identify(bearer(token))).toMatchObject({ id: partner.id('/agent') })
    expect(opened.source.verifyPeer?.(peer, rig.clock.now())).toMatchObject({ id: partner.id('/agent') })
    served.document = '{"keys":[],"spiffe_sequence":2}'
    await opened.poll()
    await expect(async () => identify(bearer(token))).rejects.toMatchObject({ code: 'identify.rejected' })
    expect(() => opened.source.verifyPeer?.(peer, rig.clock.now())).toThrow(expect.objectContaining({ code: 'identify.rejected' }))
  })
})

describe('[Trust Domain and Bundle §4.1.1; Federation §4.2] a lower sequence, or none after one, is an old bundle played again', () => {
  test.each([
    ['lower', { spiffe_sequence: 4 }],
    ['gone', { spiffe_sequence: undefined }],
  ])('%s: what was revoked stays revoked', async (_, extra) => {
    const rotated = partner.again()
    const served = await endpoint(rotated.bundle({ spiffe_sequence: 5 }))
    const opened = await open(served)
    served.document = partner.bundle(extra)
    await opened.poll()
    expect(opened.log.faults).toEqual([expect.stringContaining('spiffe_sequence went from 5')])
    expect(await code(opened, partner)).toEqual(rejected)
    expect(await code(opened, rotated)).toEqual(taken)
  })

  test.each(['{"keys":[]}', '{"keys":[],"spiffe_sequence":1}'])(
    'but %s revokes everything whatever its sequence, and opens no way back for older bundles',
    async (empty) => {
      const served = await endpoint(partner.bundle({ spiffe_sequence: 5 }))
      const opened = await open(served)
      served.document = empty
      await opened.poll()
      expect(await code(opened, partner)).toEqual(rejected)
      served.document = partner.bundle({ spiffe_sequence: 4 })
      await opened.poll()
      expect(await code(opened, partner)).toEqual(rejected)
      served.document = partner.bundle({ spiffe_sequence: 6 })
      await opened.poll()
      expect(await code(opened, partner)).toEqual(taken)
    },
  )

  test('without sequences the bundle read last is the newest', async () => {
    const rotated = partner.again()
    const served = await endpoint(partner.bundle({ spiffe_sequence: undefined }))
    const opened = await open(served)
    served.document = rotated.bundle({ spiffe_sequence: undefined })
    await opened.poll()
    expect(await code(opened, rotated)).toEqual(taken)
    expect(await code(opened, partner)).toEqual(rejected)
  })
})

describe('[Federation §4.1; Federation §6.2] the endpoint is asked again', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => void vi.useRealTimers())

  const minute = 60_000
  const opened: KeySource[] = []
  afterEach(() => opened.splice(0).forEach((source) => source.close()))

  /** Counts readings of a document that is `answer()`, which may throw. */
  async function reading(
    answer: () => string,
    memory: { readonly memory?: KeyMemory } = {},
  ): Promise<{ readonly asked: () => number; readonly pass: (ms: number) => Promise<void> }> {
    let asked = 0
    const read = async (): Promise<string> => {
      asked += 1
      return answer()
    }
    const document = { place: 'here', readNow: () => null, read }
    const options = { document, format: 'bundle', maxAge: 3_600_000, interval: null, clock: rig.clock.now } as const
    opened.push(new KeySource({ ...options, ...memory, log: new AwaitedLog(), trustDomain: partner.name }))
    await settled()
    return {
      asked: () => asked,
      pass: async (ms) => {
        await vi.advanceTimersByTimeAsync(ms)
        await settled()
      },
    }
  }

  test('as often as its refresh hint says', async () => {
    const { asked, pass } = await reading(() => partner.bundle({ spiffe_refresh_hint: 60 }))
    await pass(minute - 1)
    expect(asked()).toBe(1)
    await pass(1)
    expect(asked()).toBe(2)
  })

  test('[Trust Domain and Bundle §6.1] every five minutes without a hint', async () => {
    const { asked, pass } = await reading(() => partner.bundle({ spiffe_refresh_hint: undefined }))
    await pass(5 * minute - 1)
    expect(asked()).toBe(1)
    await pass(1)
    expect(asked()).toBe(2)
  })

  test('[Trust Domain and Bundle §4.1.2] never sooner than after a second, and several times while what it said may serve', async () => {
    const often = await reading(() => partner.bundle({ spiffe_refresh_hint: 0 }))
    await often.pass(999)
    expect(often.asked()).toBe(1)
    await often.pass(1)
    expect(often.asked()).toBe(2)
    const seldom = await reading(() => partner.bundle({ spiffe_refresh_hint: 2_419_200 }))
    await seldom.pass(15 * minute)
    expect(seldom.asked()).toBe(2)
  })

  test('after a failure at the next turn and no sooner', async () => {
    let down = false
    const { asked, pass } = await reading(() => {
      if (down) throw new Error('down')
      return partner.bundle({ spiffe_refresh_hint: 60 })
    })
    down = true
    await pass(minute)
    await pass(minute - 1)
    expect(asked()).toBe(2)
    await pass(1)
    expect(asked()).toBe(3)
  })

  test.each<[string, { readonly memory?: KeyMemory }]>([
    ['', {}],
    [
      ' though there is a cache',
      { memory: { place: 'cache', recall: () => ({ text: '{"keys":[]}', readAt: rig.clock.now() }), keep: async () => undefined } },
    ],
  ])('before it ever answered, after 2 s, then every 4 s%s', async (_, memory) => {
    const { asked, pass } = await reading(() => {
      throw new Error('not there yet')
    }, memory)
    for (const wait of [2000, 4000, 4000, 4000]) {
      const before = asked()
      await pass(wait - 1)
      expect(asked()).toBe(before)
      await pass(1)
      expect(asked()).toBe(before + 1)
    }
  })
})

describe('[Countersign: how long a bundle serves] when the endpoint is down, the last bundle serves until its max age', () => {
  test('then nobody is verified, until it is read again', async () => {
    const served = await endpoint(partner.bundle())
    const opened = await open(served, { max_age: '10m' })
    served.document = null
    rig.clock.move(599_999)
    expect(await code(opened, partner)).toEqual(taken)
    rig.clock.move(1)
    expect(await code(opened, partner)).toEqual(unavailable)
    expect([opened.source.ready(), opened.source.generation(), opened.source.authorities?.(partner.name)]).toEqual([false, -1, []])
    served.document = partner.bundle()
    await opened.poll()
    expect(await code(opened, partner)).toEqual(taken)
  })

  test('it is asked again at the moment that its bundle is too old, and then every 4 s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    let asked = 0
    let down = false
    const read = async (): Promise<string> => {
      asked += 1
      if (down) throw new Error('down')
      return partner.bundle({ spiffe_refresh_hint: 840 })
    }
    const document = { place: 'here', readNow: () => null, read }
    const options = { document, format: 'bundle', maxAge: 3_600_000, interval: null, clock: rig.clock.now } as const
    const source = new KeySource({ ...options, log: new AwaitedLog(), trustDomain: partner.name })
    const pass = async (ms: number): Promise<void> => {
      rig.clock.move(ms)
      await vi.advanceTimersByTimeAsync(ms)
      await settled()
    }
    await settled()
    down = true
    for (let turn = 0; turn < 4; turn++) await pass(840_000)
    expect([asked, source.ready()]).toEqual([5, true])
    await pass(240_000 - 1)
    expect([asked, source.ready()]).toEqual([5, true])
    await pass(1)
    expect([asked, source.ready()]).toEqual([6, false])
    for (let turn = 1; turn <= 3; turn++) {
      await pass(4000)
      expect(asked).toBe(6 + turn)
    }
    down = false
    await pass(4000)
    expect(source.ready()).toBe(true)
    source.close()
  })
})

describe('[Federation §4.2; Federation §7.3] the bundles of two trust domains are never one', () => {
  test('each verifies what is in its own, though both are at hand', async () => {
    const acme = rig.domain('acme.example')
    const [one, two] = await Promise.all([
      rig.source({ trust_domain: acme.name, from: { file: rig.file(acme.bundle()) } }),
      rig.source({ trust_domain: partner.name, from: { file: rig.file(partner.bundle()) } }),
    ])
    const forged = { chain: acme.authority.issue({ id: partner.id('/agent'), seconds: 600 }).chain }
    expect(one.source.verifyPeer?.(forged, rig.clock.now())).toBeNull()
    expect(await askPeer(two.source, forged, rig.clock.now())).toMatchObject({ code: 'identify.rejected' })
    const [key] = acme.issuer.keys
    if (key === undefined) throw new Error('no key')
    const identify = makeIdentify({ sources: [one.source, two.source], clock: rig.clock.now })
    await expect(async () => identify(bearer(partner.issuer.mint({ key })))).rejects.toMatchObject({ code: 'identify.rejected' })
    expect(await identify(bearer(acme.issuer.mint()))).toMatchObject({ trustDomain: 'acme.example' })
  })

  test('a certificate without a SPIFFE ID, and no certificate, are nobody’s', async () => {
    const { source } = await rig.source({ trust_domain: partner.name, from: { file: rig.file(partner.bundle()) } })
    const plain = Buffer.from(identity.cert.replaceAll(/-----[A-Z ]+-----|\n/g, ''), 'base64')
    expect(source.verifyPeer?.({ chain: [plain] }, rig.clock.now())).toBeNull()
    expect(source.verifyPeer?.({ chain: [] }, rig.clock.now())).toBeNull()
    expect(source.verify({ slot: 'authorization', token: 'x' }, callWith({}))).toBeNull()
  })
})

describe('[Countersign: one array of authorities] it stays the same object while its certificates do', () => {
  test('through new sequences, JWT keys and another order; a change makes another', async () => {
    const rotated = partner.again()
    const served = await endpoint(bundleOf([partner.authority, rotated.authority], partner.issuer.keys))
    const opened = await open(served)
    const { source } = opened
    const [first, generation] = [source.authorities?.(partner.name), source.generation()]
    served.document = bundleOf([rotated.authority, partner.authority], rotated.issuer.keys, { spiffe_sequence: 2 })
    await opened.poll()
    expect(source.authorities?.(partner.name)).toBe(first)
    expect(source.generation()).not.toBe(generation)
    served.document = bundleOf([rotated.authority], rotated.issuer.keys, { spiffe_sequence: 3 })
    await opened.poll()
    expect(source.authorities?.(partner.name)).not.toBe(first)
    expect(source.authorities?.(partner.name)).toEqual([rotated.authority.certificate])
  })
})

describe('[Federation §4.2] with a cache the newest bundle outlives the process', () => {
  const cacheOf = (): string => join(rig.folder(), 'partner.json')

  /** Reads once, then the process ends and the endpoint is gone. */
  async function left(file: string, document = partner.bundle()): Promise<Endpoint> {
    const served = await endpoint(document, { cache: { file } })
    const opened = await open(served)
    expect(opened.source.ready()).toBe(true)
    await written(file)
    opened.source.close()
    served.document = null
    return served
  }

  /** The file comes into being as a whole. */
  async function written(file: string): Promise<void> {
    while (!existsSync(file)) await settled()
  }

  test('and verifies from the start, although the endpoint is down', async () => {
    const served = await left(cacheOf())
    const opened = await open(served)
    expect(await code(opened, partner)).toEqual(taken)
  })

  test('as long as it would have served without the restart', async () => {
    const served = await left(cacheOf())
    rig.clock.move(599_999)
    const opened = await open(served, { max_age: '10m' })
    expect(await code(opened, partner)).toEqual(taken)
    rig.clock.move(1)
    expect(await code(opened, partner)).toEqual(unavailable)
  })

  test('and with it the sequence that nothing may fall behind, however old it is', async () => {
    const served = await left(cacheOf(), partner.bundle({ spiffe_sequence: 9 }))
    rig.clock.move(86_400_000)
    served.document = partner.bundle({ spiffe_sequence: 8 })
    const opened = await open(served)
    await opened.log.until(() => opened.log.faults.length > 0)
    expect(opened.log.faults).toEqual(['spiffe_sequence went from 9 to 8'])
    expect(opened.source.ready()).toBe(false)
  })

  test('in a file that its owner alone may read', async () => {
    const file = cacheOf()
    await left(file)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      trust_domain: 'partner.example',
      read_at: rig.clock.now(),
      document: partner.bundle(),
    })
  })

  test.each<[string, (text: string) => string, string]>([
    ['of another trust domain', (text) => text.replace('"partner.example"', '"acme.example"'), 'kept for another trust domain'],
    ['cut off', (text) => text.slice(0, 100), 'JSON'],
    ['with its time gone', (text) => text.replace('"read_at"', '"at"'), 'not what was kept'],
    ['with a bundle that is none', (text) => text.replace(/"document":"[^\\]*/, '"document":"x'), 'strict JSON'],
    ['emptied', () => '', 'JSON'],
  ])('%s it counts for nothing, and the endpoint is asked', async (_, change, why) => {
    const file = cacheOf()
    const served = await left(file)
    writeFileSync(file, change(readFileSync(file, 'utf8')))
    served.document = partner.bundle()
    const opened = await open(served)
    expect(opened.log.faults[0]).toContain(why)
    await opened.log.until(() => opened.log.lines.some(({ message }) => message === 'trust domain keys read'))
    await settled()
    expect(await code(opened, partner)).toEqual(taken)
  })

  test('from a time that is yet to come it verifies nobody', async () => {
    const file = cacheOf()
    const served = await left(file)
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"read_at":\d+/, `"read_at":${rig.clock.now() + 3_600_000}`))
    expect(await code(await open(served), partner)).toEqual(unavailable)
  })

  test('that cannot be written is said, and the bundle serves', async () => {
    const served = await endpoint(partner.bundle(), { cache: { file: join(rig.folder(), 'no', 'such', 'folder.json') } })
    const opened = await open(served)
    await opened.log.until(() => opened.log.faults.length > 0)
    expect(opened.log.lines.at(-1)).toMatchObject({ level: 'warn', message: 'trust domain keys could not be kept for the next start' })
    expect(await code(opened, partner)).toEqual(taken)
  })

  test('proves an https_spiffe endpoint that rotated its roots before the restart', async () => {
    const rotated = partner.again()
    const both = bundleOf([partner.authority, rotated.authority], partner.issuer.keys)
    const { port, server } = await rig.server(svidIdentity(partner.svid('/spire')), (_, response) => void response.end(both))
    const from = {
      url: `https://localhost:${port}/`,
      profile: 'https_spiffe',
      id: partner.id('/spire'),
      bootstrap: { file: rig.file(partner.bundle()) },
    }
    const cache = { file: cacheOf() }
    const first = await rig.source({ trust_domain: partner.name, from: { ...from, cache } })
    await written(cache.file)
    first.source.close()
    server.setSecureContext(svidIdentity(rotated.svid('/spire')))
    const second = await rig.source({ trust_domain: partner.name, from: { ...from, cache } })
    await second.poll()
    expect(second.log.faults).toEqual([])
    const without = await rig.source({ trust_domain: partner.name, from })
    expect(without.log.faults).toEqual(['the certificate of the endpoint: no authority of its trust domain signed it'])
  })
})

describe('[Federation §6.3] a source that is closed ends the relationship', () => {
  test('a reading under way is given up, adopts nothing and says nothing', async () => {
    const [asked, gone] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const { port } = await rig.server(identity, (request) => {
      request.socket.on('close', () => gone.resolve())
      asked.resolve()
    })
    const log = new AwaitedLog()
    const from = { url: `https://localhost:${port}/`, profile: 'https_web', ca: { file: rig.file(identity.cert) } }
    const source = openSource(SourceConfig.parse({ type: 'bundle', trust_domain: partner.name, from }), identifyServices({ log }))
    await asked.promise
    source.close()
    await gone.promise
    await settled()
    expect([source.ready(), log.lines]).toEqual([false, []])
  })

  test('a call that waits for its keys does not hang', async () => {
    const asked = Promise.withResolvers<void>()
    const { port } = await rig.server(identity, () => asked.resolve())
    const from = { url: `https://localhost:${port}/`, profile: 'https_web', ca: { file: rig.file(identity.cert) } }
    const source = openSource(
      SourceConfig.parse({ type: 'bundle', trust_domain: partner.name, from }),
      identifyServices({ clock: rig.clock.now }),
    )
    const waiting = ask(source, partner.issuer.mint())
    await asked.promise
    source.close()
    expect(await waiting).toMatchObject({ code: 'identify.unavailable' })
  })
})
