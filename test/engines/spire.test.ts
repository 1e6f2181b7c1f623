import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openSource, SourceConfig } from '../../src/identify/registry.ts'
import { openWorkloadApi, type WorkloadApi, type X509Source } from '../../src/identify/workload-api/workload-api.ts'
import { verifyX509Svid } from '../../src/identify/x509/svid.ts'
import { ask, AwaitedLog } from '../support/bundle-rig.ts'
import { identifyServices } from '../support/identity-rig.ts'
import { Issuer, part, signingKey } from '../support/issuer.ts'
import { goPeer, pythonPeer, run } from '../support/spiffe-peer.ts'
import { findSpire, Spire } from '../support/spire.ts'
import { until } from '../support/until.ts'

/** A real SPIRE, server and agent, where it is installed: `npm run engines -- spire-server spire-agent`, or on the PATH. */

const absent = findSpire() === null
const title = absent ? 'SPIRE (left out: spire-server and spire-agent are neither in .engines/bin nor on the PATH)' : 'SPIRE'
if (absent) console.log('test/engines/spire.test.ts is left out: there is no spire-server and spire-agent')

const home = 'spiffe://acme.example/countersign'
const agent = 'spiffe://acme.example/agent'
const audience = 'spiffe://acme.example/orders'

describe.skipIf(absent)(title, () => {
  let spire: Spire
  let api: WorkloadApi

  beforeAll(async () => {
    spire = await Spire.start('acme.example')
    api = openWorkloadApi({ address: spire.socket, maxBackoff: 200 })
  })

  afterAll(async () => {
    api.close()
    await spire[Symbol.asyncDispose]()
  })

  it('gives us SVIDs once there is an entry, renews them in time, and takes them back with the entries', async () => {
    await expect(api.fetchX509Context()).rejects.toMatchObject({ code: 'permission-denied' })
    const waiting = api.openX509Source()
    // SPIRE renews at about half of a life
    await using first = await spire.create({ id: home, ttl: 20, hint: 'internal' })
    const source = await waiting
    const svid = source.svid()
    expect(svid).toMatchObject({ id: { id: home }, hint: 'internal' })
    // with several entries SPIRE has no order of its own
    const verify = (): string => verifyX509Svid(source.svid({ id: home }).chain, source.authorities('acme.example') ?? [], Date.now()).id.id
    expect(verify()).toBe(home)
    let expired = 0
    source.onChange(() => {
      if (source.context()?.svids.some(({ expires }) => expires < Date.now()) === true) expired++
    })
    await using second = await spire.create({ id: agent, ttl: 60 })
    await until(source, () => has(source, agent))
    await until(source, () => source.svid({ id: home }).serial !== svid.serial)
    expect(Date.now()).toBeLessThan(svid.expires)
    expect(verify()).toBe(home)
    await first.delete()
    await until(source, () => !has(source, home))
    expect(source.svid().id.id).toBe(agent)
    await second.delete()
    await until(source, () => source.context() === null)
    expect(() => source.svid()).toThrow(expect.objectContaining({ code: 'permission-denied' }))
    expect(expired).toBe(0)
    source.close()
  })

  it('and we agree on tokens, good and hostile; so do the other clients on what SPIRE gives', async () => {
    await using entry = await spire.create({ id: home })
    expect(entry.id).not.toBe('')
    const keys = await api.openJwtSource()
    const svid = await keys.fetch(audience, { id: home })
    const token = svid.token.reveal()
    const file = join(spire.folder, 'jwks.json')
    writeFileSync(file, keys.bundle('acme.example'))
    const settings = { type: 'jwt-svid', trust_domain: 'acme.example', keys: { file } }
    const source = openSource(SourceConfig.parse(settings), identifyServices({ audience, log: new AwaitedLog() }))
    const [header = '', claims = '', signature = ''] = token.split('.')
    const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString())
    const foreign = new Issuer({ audience, keys: [signingKey('ES256', kid)] })
    const otherAudience = (await api.fetchJwtSvids('spiffe://acme.example/other'))[0]?.token.reveal() ?? ''
    const hostile: readonly string[] = [
      otherAudience,
      foreign.mint({ claims: { sub: home } }),
      foreign.mint({ header: { kid: 'nobody' } }),
      foreign.mint({ claims: { exp: 1 } }),
      `${header}.${part(Buffer.from(claims, 'base64url').toString().replace('/countersign', '/admin'))}.${signature}`,
      `${header}.${claims}.${part(Buffer.from(signature, 'base64url').map((byte) => byte ^ 1))}`,
      `${part({ alg: 'none', kid })}.${claims}.`,
      `${part({ alg: 'HS256', kid, typ: 'JWT' })}.${claims}.${signature}`,
      `${part({ alg: 'ES384', kid, typ: 'JWT' })}.${claims}.${signature}`,
      `${header}.${claims}`,
      `${token}.${signature}`,
      'no token',
    ]
    const theirs = (one: string): Promise<boolean> => api.validateJwtSvid(one, audience).then(() => true, invalid)
    const ours = async (one: string): Promise<boolean> => {
      const presented = { slot: 'authorization', token: one } as const
      return Promise.try(() => source.verify(presented, {} as never)).then(
        (caller) => caller !== null,
        () => false,
      )
    }
    expect([await ours(token), await theirs(token)]).toEqual([true, true])
    expect((await api.validateJwtSvid(token, audience)).id.id).toBe(home)
    expect(await ask(source, token)).toBeNull()
    for (const one of hostile) expect([await ours(one), await theirs(one)], one).toEqual([false, false])
    for (const program of [goPeer, pythonPeer])
      expect(await run(program('fetch', '--socket', spire.socket, '--audience', audience))).toMatchObject({
        svids: [{ id: home }],
        jwt: { validated: home, validatedHere: home },
      })
    source.close()
    keys.close()
  })

  it('serves its bundle to our source, which holds it to the SPIFFE ID of the server', async () => {
    const bootstrap = join(spire.folder, 'bootstrap.json')
    writeFileSync(bootstrap, await spire.ask('bundle', 'show', '-format', 'spiffe'))
    const opened = async (id: string): Promise<{ readonly log: AwaitedLog; readonly ready: boolean }> => {
      const log = new AwaitedLog()
      const from = { url: spire.bundleUrl, profile: 'https_spiffe', id, bootstrap: { file: bootstrap } }
      const source = openSource(SourceConfig.parse({ type: 'bundle', trust_domain: 'acme.example', from }), identifyServices({ log }))
      await log.until(() => log.lines.length > 0)
      const ready = source.ready()
      source.close()
      return { log, ready }
    }
    const right = await opened('spiffe://acme.example/spire/server')
    expect(right.ready).toBe(true)
    expect(right.log.lines).toMatchObject([{ message: 'trust domain keys read', members: { keys: 1, authorities: 1, format: 'bundle' } }])
    const wrong = await opened(home)
    expect(wrong.ready).toBe(false)
    expect(wrong.log.faults).toEqual([`the endpoint is spiffe://acme.example/spire/server, not ${home}`])
  })
})

function has(source: X509Source, id: string): boolean {
  return source.context()?.svids.some((svid) => svid.id.id === id) === true
}

function invalid(error: unknown): boolean {
  expect(error).toMatchObject({ code: 'invalid-token' })
  return false
}
