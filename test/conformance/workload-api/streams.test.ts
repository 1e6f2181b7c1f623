import { status } from '@grpc/grpc-js'
import { afterEach, describe, expect, test } from 'vitest'
import type { JwtBundles, X509Bundles, X509Context } from '../../../src/identify/workload-api/workload-api.ts'
import { FakeWorkloadApi } from '../../support/fake-workload-api.ts'
import {
  agent,
  authority,
  byId,
  clientOf,
  jwtBundlesAnswer,
  proxy,
  svidMessage,
  Told,
  x509Answer,
  x509BundlesAnswer,
} from '../../support/workload-rig.ts'

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0).reverse()) each.close()
})

function kept<Item extends { close(): void }>(item: Item): Item {
  open.push(item)
  return item
}

const acme = authority()
const partner = authority('partner.example')
const third = authority('third.example')

async function watched() {
  const fake = kept(await FakeWorkloadApi.start())
  const api = kept(clientOf(fake.address))
  const told = new Told<X509Context>()
  api.watchX509Context(told.listener)
  return { fake, api, told }
}

describe('the connection', () => {
  test('[Workload API §4.2] one stream stays open for all messages', async () => {
    const { fake, told } = await watched()
    for (let index = 0; index < 5; index++) {
      fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
      await told.update(index)
      if (index === 0) expect(fake.open('FetchX509SVID')).toBe(1)
    }
    expect(fake.seen).toHaveLength(1)
  })

  test('[Workload API §4.2] a stream that the server ends is opened again, and nothing was lost meanwhile', async () => {
    const { fake, told } = await watched()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    await told.update(0)
    fake.end('FetchX509SVID')
    await fake.calls('FetchX509SVID', 2)
    await told.update(1)
    expect(told.kinds).toEqual(['update', 'update'])
  })

  test('[Workload API §4.2] an endpoint that dies and comes back is found again', async () => {
    const { fake, told } = await watched()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    await told.update(0)
    fake.stop()
    expect((await told.nth(1)).kind).toBe('unavailable')
    await fake.restart()
    while (told.kinds.at(-1) !== 'update') await told.nth(told.events.length)
  })
})

describe('each message is the whole state', () => {
  test('[Workload API §4.3; Workload API §5.2.1] an SVID that a message does not hold is gone', async () => {
    const { fake, told } = await watched()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent), svidMessage(acme, proxy)]))
    expect((await told.update(0)).svids.map(({ id }) => id.id)).toEqual([agent, proxy])
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, proxy)]))
    expect((await told.update(1)).svids.map(({ id }) => id.id)).toEqual([proxy])
  })

  test('[Workload API §4.4] federated bundles and revocation lists that are left out are gone', async () => {
    const { fake, told } = await watched()
    const more = {
      crl: [Buffer.from([0x30, 0])],
      federatedBundles: byId({ 'partner.example': partner.certificate, 'third.example': third.certificate }),
    }
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)], more))
    const first = await told.update(0)
    expect([...first.bundles.keys()]).toEqual(['acme.example', 'partner.example', 'third.example'])
    expect(first.crl).toHaveLength(1)
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)], { federatedBundles: byId({ 'third.example': third.certificate }) }))
    const second = await told.update(1)
    expect([...second.bundles.keys()]).toEqual(['acme.example', 'third.example'])
    expect(second.crl).toHaveLength(0)
  })

  test('[Workload API §4.4] a federated bundle that is emptied has no authority left', async () => {
    const { fake, told } = await watched()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)], { federatedBundles: byId({ 'partner.example': Buffer.alloc(0) }) }))
    expect((await told.update(0)).bundles.get('partner.example')).toEqual([])
  })

  test('[Workload API §4.4; Workload API §6.2.2] a JWT bundle that a message does not hold is gone', async () => {
    const fake = kept(await FakeWorkloadApi.start())
    const told = new Told<JwtBundles>()
    kept(clientOf(fake.address)).watchJwtBundles(told.listener)
    fake.push('FetchJWTBundles', jwtBundlesAnswer({ 'acme.example': '{"keys":[]}', 'partner.example': '{"keys":[]}' }))
    expect([...(await told.update(0)).keys()]).toEqual(['acme.example', 'partner.example'])
    fake.push('FetchJWTBundles', jwtBundlesAnswer({ 'acme.example': '{"keys":[]}' }))
    expect([...(await told.update(1)).keys()]).toEqual(['acme.example'])
  })

  test('[Workload API §4.4; Workload API §5.2.2] an X.509 bundle that a message does not hold is gone', async () => {
    const fake = kept(await FakeWorkloadApi.start())
    const told = new Told<X509Bundles>()
    kept(clientOf(fake.address)).watchX509Bundles(told.listener)
    fake.push('FetchX509Bundles', x509BundlesAnswer({ 'acme.example': acme.certificate, 'partner.example': partner.certificate }))
    const first = await told.update(0)
    expect(first.bundles.get('partner.example')).toEqual([new Uint8Array(partner.certificate)])
    fake.push('FetchX509Bundles', x509BundlesAnswer({ 'acme.example': acme.certificate }))
    const second = await told.update(1)
    expect([...second.bundles.keys()]).toEqual(['acme.example'])
    // the set that did not change is the same object
    expect(second.bundles.get('acme.example')).toBe(first.bundles.get('acme.example'))
  })
})

describe('mandatory fields', () => {
  const good = svidMessage(acme, agent)
  const none = Buffer.alloc(0)

  test.each([
    ['svids', () => x509Answer([])],
    ['spiffe_id', () => x509Answer([{ ...svidMessage(acme, agent), spiffeId: '' }])],
    ['x509_svid', () => x509Answer([{ ...svidMessage(acme, agent), x509Svid: none }])],
    ['x509_svid_key', () => x509Answer([{ ...svidMessage(acme, agent), x509SvidKey: none }])],
    ['bundle', () => x509Answer([{ ...svidMessage(acme, agent), bundle: none }])],
    ['bundle', () => x509Answer([svidMessage(acme, proxy), { ...svidMessage(acme, agent), bundle: none }])],
  ])(
    '[Workload API §4.5; Workload API §5.2.1] a message with an empty %s is reported, discarded, and the one after it counts',
    async (field, message) => {
      const { fake, told } = await watched()
      fake.push('FetchX509SVID', x509Answer([{ ...good, x509SvidKey: Buffer.from(good.x509SvidKey) }]))
      await told.update(0)
      fake.push('FetchX509SVID', message())
      expect(await told.nth(1)).toEqual({ kind: 'discarded', why: `the mandatory field ${field} is empty` })
      fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
      await told.update(2)
      expect(fake.seen).toHaveLength(1)
    },
  )

  test('[Workload API §4.5] bytes that are no message at all are reported and discarded, and the stream goes on', async () => {
    const { fake, told } = await watched()
    fake.push('FetchX509SVID', Buffer.from('not a message'))
    expect((await told.nth(0)).kind).toBe('discarded')
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    await told.update(1)
    expect(fake.seen).toHaveLength(1)
  })

  test('[Workload API §4.5] a response without bundles is reported and discarded, for each kind of bundle', async () => {
    const fake = kept(await FakeWorkloadApi.start())
    const api = kept(clientOf(fake.address))
    const told = new Told<unknown>()
    fake.push('FetchX509Bundles', Buffer.alloc(0))
    fake.push('FetchJWTBundles', Buffer.alloc(0))
    fake.push('FetchWITBundles', Buffer.alloc(0))
    api.watchX509Bundles(told.listener)
    api.watchJwtBundles(told.listener)
    api.watchWitBundles(told.listener)
    await told.nth(2)
    expect(told.events).toEqual(Array.from({ length: 3 }, () => ({ kind: 'discarded', why: 'the mandatory field bundles is empty' })))
  })
})

describe('a redaction of everything', () => {
  test('[Workload API §5.2.1] is told at once when the stream ends with PermissionDenied, and nothing of before comes back', async () => {
    const { fake, told } = await watched()
    const before = svidMessage(acme, agent)
    fake.push('FetchX509SVID', x509Answer([before]))
    await told.update(0)
    fake.refuse('FetchX509SVID', status.PERMISSION_DENIED, 'no identity issued')
    expect(await told.nth(1)).toEqual({ kind: 'redacted', why: 'the Workload API answered PERMISSION_DENIED: no identity issued' })
    await fake.calls('FetchX509SVID', 3)
    expect(told.kinds).toEqual(['update', 'redacted'])
  })
})
