import { status } from '@grpc/grpc-js'
import { afterEach, describe, expect, test } from 'vitest'
import { FakeWorkloadApi } from '../../support/fake-workload-api.ts'
import { agent, authority, byId, clientOf, proxy, svidMessage, x509Answer } from '../../support/workload-rig.ts'
import type { X509Source } from '../../../src/identify/workload-api/workload-api.ts'

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0).reverse()) each.close()
})

const acme = authority()
const partner = authority('partner.example')

async function endpoint(clock: () => number = Date.now) {
  const fake = await FakeWorkloadApi.start()
  const api = clientOf(fake.address, { clock })
  open.push(fake, api)
  return { fake, api }
}

/** Resolves at the next change of a source. */
function changed(source: X509Source): Promise<void> {
  return new Promise((resolve) => {
    const end = source.onChange(() => {
      end()
      resolve()
    })
  })
}

describe('the identity that is used', () => {
  test('[Workload API §8] is the first without a choice, and others are had by ID or hint', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, proxy, { hint: 'internal' }), svidMessage(acme, agent, { hint: 'external' })]))
    const source = await api.openX509Source()
    expect(source.svid().id.id).toBe(proxy)
    expect(source.svid({ id: agent }).id.id).toBe(agent)
    expect(source.svid({ hint: 'external' }).id.id).toBe(agent)
    expect(source.svid({ id: proxy, hint: 'internal' }).id.id).toBe(proxy)
    expect(() => source.svid({ id: proxy, hint: 'external' })).toThrow(expect.objectContaining({ code: 'missing' }))
    expect(() => source.svid({ hint: '' })).toThrow(expect.objectContaining({ code: 'missing' }))
  })

  test('[Countersign: own SVIDs end exactly] an SVID serves to the last millisecond before its end, and not at it', async () => {
    let now = Date.now()
    const { fake, api } = await endpoint(() => now)
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent, { seconds: 60 })]))
    const source = await api.openX509Source()
    const { expires } = source.svid()
    now = expires - 1
    expect(source.svid().id.id).toBe(agent)
    now = expires
    expect(() => source.svid()).toThrow(expect.objectContaining({ code: 'expired', message: expect.stringContaining(agent) }))
    // it is still known when it ended, for whoever watches
    expect(source.expires()).toBe(expires)
    now = expires - 1
    expect(source.svid().id.id).toBe(agent)
  })

  test('[Workload API §5.2.1] is not used from the moment it is redacted, and again once it is given again', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    const source = await api.openX509Source()
    const taken = changed(source)
    fake.refuse('FetchX509SVID', status.PERMISSION_DENIED, 'no identity issued')
    await taken
    expect(() => source.svid()).toThrow(expect.objectContaining({ code: 'permission-denied' }))
    expect(() => source.bundle('acme.example')).toThrow(expect.objectContaining({ code: 'permission-denied' }))
    expect([source.context(), source.authorities('acme.example'), source.expires()]).toEqual([null, null, null])
    expect(source.state()).toMatchObject({ kind: 'redacted', updated: null })
    const given = changed(source)
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    await given
    expect(source.svid().id.id).toBe(agent)
  })

  test('[Workload Endpoint §6] is used on while the endpoint is away, until it ends', async () => {
    let now = Date.now()
    const { fake, api } = await endpoint(() => now)
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent, { seconds: 60 })]))
    const source = await api.openX509Source()
    const away = changed(source)
    fake.stop()
    await away
    expect(source.state().kind).toBe('unavailable')
    expect(source.svid().id.id).toBe(agent)
    expect(source.authorities('acme.example')).not.toBeNull()
    now += 120_000
    expect(() => source.svid()).toThrow(expect.objectContaining({ code: 'expired' }))
    const back = changed(source)
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    await fake.restart()
    await back
    while (source.state().kind !== 'current') await changed(source)
    expect(source.svid().id.id).toBe(agent)
  })
})

describe('the bundle that is used', () => {
  test("[Workload API §4.6] is that of the peer's trust domain; there is none for a domain that was not sent", async () => {
    const { fake, api } = await endpoint()
    fake.push(
      'FetchX509SVID',
      x509Answer([svidMessage(acme, agent)], { federatedBundles: byId({ 'partner.example': partner.certificate }) }),
    )
    const source = await api.openX509Source()
    expect(source.bundle('acme.example')).toEqual([new Uint8Array(acme.certificate)])
    expect(source.authorities('partner.example')).toEqual([new Uint8Array(partner.certificate)])
    expect(source.authorities('third.example')).toBeNull()
    expect(() => source.bundle('third.example')).toThrow(expect.objectContaining({ code: 'missing' }))
  })

  test('[Workload API §4.4] is unloaded when a message does not hold it, and the array of one that stays is the same', async () => {
    const { fake, api } = await endpoint()
    fake.push(
      'FetchX509SVID',
      x509Answer([svidMessage(acme, agent)], { federatedBundles: byId({ 'partner.example': partner.certificate }) }),
    )
    const source = await api.openX509Source()
    const before = source.authorities('acme.example')
    const next = changed(source)
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    await next
    expect(source.authorities('partner.example')).toBeNull()
    expect(source.authorities('acme.example')).toBe(before)
  })
})
