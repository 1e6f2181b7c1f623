import { networkInterfaces } from 'node:os'
import { status } from '@grpc/grpc-js'
import { afterEach, describe, expect, test } from 'vitest'
import { workloadApiService } from '../../../src/identify/workload-api/service.ts'
import type { WorkloadApiMethod } from '../../../src/identify/workload-api/service.ts'
import type { WorkloadApi, X509Context } from '../../../src/identify/workload-api/workload-api.ts'
import { FakeWorkloadApi } from '../../support/fake-workload-api.ts'
import { agent, authority, clientOf, svidMessage, tokenOf, Told, x509Answer } from '../../support/workload-rig.ts'

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0).reverse()) each.close()
})

function kept<Item extends { close(): void }>(item: Item): Item {
  open.push(item)
  return item
}

const acme = authority()
const ignore = (): void => undefined
const hasIpv6 = Object.values(networkInterfaces()).some((each) => each?.some(({ address }) => address === '::1'))

/** Each call once. */
const everyCall: readonly [WorkloadApiMethod, (api: WorkloadApi) => unknown][] = [
  ['FetchX509SVID', (api) => api.watchX509Context(ignore)],
  ['FetchX509Bundles', (api) => api.watchX509Bundles(ignore)],
  ['FetchJWTSVID', (api) => api.fetchJwtSvids('x').catch(ignore)],
  ['FetchJWTBundles', (api) => api.watchJwtBundles(ignore)],
  ['ValidateJWTSVID', (api) => api.validateJwtSvid(tokenOf({}), 'x').catch(ignore)],
  ['FetchWITSVID', (api) => api.watchWitSvids(ignore)],
  ['FetchWITBundles', (api) => api.watchWitBundles(ignore)],
]

describe('the transport', () => {
  test.each(everyCall)('[Workload Endpoint §3] %s carries the security header, exactly', async (method, call) => {
    const fake = kept(await FakeWorkloadApi.start())
    const api = kept(clientOf(fake.address))
    call(api)
    await fake.calls(method, 1)
    expect(fake.seen).toHaveLength(1)
    expect(fake.seen[0]?.header).toEqual(['true'])
  })

  test.each([
    ['a unix socket', () => FakeWorkloadApi.start()],
    ['TCP over IPv4', () => FakeWorkloadApi.startTcp()],
    ['TCP over IPv6', () => FakeWorkloadApi.startTcp('[::1]')],
  ])('[Workload Endpoint §3; Workload Endpoint §3.1] over %s, without TLS', async (way, start) => {
    if (way === 'TCP over IPv6' && !hasIpv6) return console.log('not over IPv6: this machine has none')
    const fake = kept(await start())
    const api = kept(clientOf(fake.address))
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    expect((await api.fetchX509Context()).svids[0]?.id.id).toBe(agent)
    expect(api.address).toBe(fake.address)
  })

  test('[Workload Endpoint §5] a call carries nothing that authenticates', async () => {
    const fake = kept(await FakeWorkloadApi.start())
    kept(clientOf(fake.address)).watchX509Context(ignore)
    await fake.calls('FetchX509SVID', 1)
    expect(Object.keys(fake.seen[0]?.metadata ?? {}).sort()).toEqual(['user-agent', 'workload.spiffe.io'])
  })

  test('[Workload API §3] the service has no package, and these calls', () => {
    expect(Object.values(workloadApiService).map(({ path }) => path)).toEqual(everyCall.map(([name]) => `/SpiffeWorkloadAPI/${name}`))
    expect(
      Object.entries(workloadApiService)
        .filter(([, { responseStream }]) => !responseStream)
        .map(([name]) => name),
    ).toEqual(['FetchJWTSVID', 'ValidateJWTSVID'])
  })
})

describe('the status codes', () => {
  test.each([
    ['InvalidArgument', status.INVALID_ARGUMENT, 'invalid-argument'],
    ['Unimplemented', status.UNIMPLEMENTED, 'unimplemented'],
  ])('[Workload Endpoint §6] %s is reported and ends the watch', async (_, code, fault) => {
    const fake = kept(await FakeWorkloadApi.start())
    fake.refuse('FetchX509SVID', code, 'not you')
    const told = new Told<X509Context>()
    const api = kept(clientOf(fake.address))
    api.watchX509Context(told.listener)
    expect(await told.nth(0)).toMatchObject({ kind: 'ended', fault: { code: fault }, why: expect.stringContaining('not you') })
    // another call goes out, so a second try of the first would have been seen
    await api.fetchJwtSvids('x').catch(ignore)
    expect(fake.seen.map(({ method }) => method)).toEqual(['FetchX509SVID', 'FetchJWTSVID'])
  })

  test('[Workload Endpoint §6] Unavailable is tried again until it is over', async () => {
    const fake = kept(await FakeWorkloadApi.start())
    fake.refuse('FetchX509SVID', status.UNAVAILABLE, 'starting')
    const told = new Told<X509Context>()
    kept(clientOf(fake.address)).watchX509Context(told.listener)
    await fake.calls('FetchX509SVID', 3)
    expect(told.kinds).toEqual(['unavailable'])
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    await told.update(1)
  })

  test('[Workload Endpoint §6] an endpoint that cannot be reached is tried again until it is there', async () => {
    const fake = kept(FakeWorkloadApi.absent())
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    const told = new Told<X509Context>()
    kept(clientOf(fake.address)).watchX509Context(told.listener)
    expect(await told.nth(0)).toMatchObject({ kind: 'unavailable' })
    await fake.restart()
    await told.update(1)
  })

  test('[Workload Endpoint §6] PermissionDenied is tried again: the identity may be on its way', async () => {
    const fake = kept(await FakeWorkloadApi.start())
    fake.refuse('FetchX509SVID', status.PERMISSION_DENIED, 'no identity issued')
    const told = new Told<X509Context>()
    kept(clientOf(fake.address)).watchX509Context(told.listener)
    expect(await told.nth(0)).toMatchObject({ kind: 'redacted' })
    await fake.calls('FetchX509SVID', 3)
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    await told.update(1)
  })

  test('[Workload Endpoint §6] a single call is not tried again, and says which code it was', async () => {
    const fake = kept(await FakeWorkloadApi.start())
    const api = kept(clientOf(fake.address))
    const codes: readonly [number, string][] = [
      [status.INVALID_ARGUMENT, 'invalid-argument'],
      [status.PERMISSION_DENIED, 'permission-denied'],
      [status.UNAVAILABLE, 'unavailable'],
      [status.UNIMPLEMENTED, 'unimplemented'],
      [status.INTERNAL, 'unavailable'],
    ]
    for (const [code, name] of codes) {
      fake.answer('FetchJWTSVID', () => ({ code, details: 'because' }))
      await expect(api.fetchJwtSvids('x')).rejects.toMatchObject({ name: 'WorkloadApiFault', code: name })
    }
    expect(fake.seen).toHaveLength(codes.length)
    fake.stop()
    await expect(api.fetchJwtSvids('x')).rejects.toMatchObject({ code: 'unavailable' })
  })
})
