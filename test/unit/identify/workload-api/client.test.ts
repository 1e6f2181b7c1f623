import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { status } from '@grpc/grpc-js'
import { afterEach, describe, expect, test } from 'vitest'
import { openWorkloadApi } from '../../../../src/identify/workload-api/workload-api.ts'
import type { X509Context } from '../../../../src/identify/workload-api/workload-api.ts'
import { FakeWorkloadApi } from '../../../support/fake-workload-api.ts'
import {
  agent,
  authority,
  clientOf,
  jwtBundlesAnswer,
  svidMessage,
  tokenOf,
  Told,
  x509Answer,
  x509BundlesAnswer,
} from '../../../support/workload-rig.ts'

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0).reverse()) each.close()
})

const acme = authority()

async function endpoint(options: Parameters<typeof clientOf>[1] = {}) {
  const fake = await FakeWorkloadApi.start()
  const api = clientOf(fake.address, options)
  open.push(fake, api)
  return { fake, api }
}

describe('the address', () => {
  test('comes from the environment that is handed in, and from no other', async () => {
    const { fake } = await endpoint()
    const api = openWorkloadApi({ env: { SPIFFE_ENDPOINT_SOCKET: fake.address } })
    expect(api.address).toBe(fake.address)
    expect(() => openWorkloadApi()).toThrow(expect.objectContaining({ code: 'address' }))
  })

  test('is not looked for in the proxy settings of the process', async () => {
    const fake = await FakeWorkloadApi.startTcp()
    open.push(fake)
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    const before = process.env['grpc_proxy']
    process.env['grpc_proxy'] = 'http://127.0.0.1:9'
    try {
      const api = clientOf(fake.address)
      open.push(api)
      expect((await api.fetchX509Context()).svids).toHaveLength(1)
    } finally {
      if (before === undefined) delete process.env['grpc_proxy']
      else process.env['grpc_proxy'] = before
    }
  })
})

describe('a look', () => {
  test('gives the first message of a stream and ends the stream', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    fake.push('FetchX509Bundles', x509BundlesAnswer({ 'acme.example': acme.certificate }))
    fake.push('FetchJWTBundles', jwtBundlesAnswer({ 'acme.example': '{}' }))
    expect((await api.fetchX509Context()).svids).toHaveLength(1)
    expect([...(await api.fetchX509Bundles()).bundles.keys()]).toEqual(['acme.example'])
    expect([...(await api.fetchJwtBundles()).keys()]).toEqual(['acme.example'])
    await fake.closed('FetchX509SVID')
    await fake.closed('FetchX509Bundles')
    await fake.closed('FetchJWTBundles')
  })

  test('is not tried again, and fails with the code there was', async () => {
    const { fake, api } = await endpoint()
    fake.refuse('FetchX509SVID', status.PERMISSION_DENIED, 'no identity issued')
    await expect(api.fetchX509Context()).rejects.toMatchObject({ code: 'permission-denied' })
    fake.push('FetchX509SVID', Buffer.from('not a message'))
    await expect(api.fetchX509Context()).rejects.toMatchObject({ code: 'malformed' })
    expect(fake.seen).toHaveLength(2)
    fake.stop()
    await expect(api.fetchX509Context()).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('waits no longer than it was told to', async () => {
    const { api } = await endpoint({ timeout: 30 })
    await expect(api.fetchX509Context()).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('ends with its signal, before and while it waits', async () => {
    const { fake, api } = await endpoint()
    await expect(api.fetchX509Context({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' })
    const giveUp = new AbortController()
    const look = api.fetchX509Context({ signal: giveUp.signal })
    await fake.calls('FetchX509SVID', 1)
    giveUp.abort()
    await expect(look).rejects.toMatchObject({ code: 'aborted' })
  })
})

describe('a single call', () => {
  test('waits no longer than it was told to, and ends with its signal', async () => {
    const { fake, api } = await endpoint({ timeout: 30 })
    fake.answer('ValidateJWTSVID', () => new Promise<Buffer>(() => undefined))
    await expect(api.validateJwtSvid(tokenOf({}), 'x')).rejects.toMatchObject({ code: 'unavailable' })
    const giveUp = new AbortController()
    const call = openAndKeep(fake.address).validateJwtSvid(tokenOf({}), 'x', { signal: giveUp.signal })
    await fake.calls('ValidateJWTSVID', 2)
    giveUp.abort()
    await expect(call).rejects.toMatchObject({ code: 'aborted' })
    await expect(api.validateJwtSvid(tokenOf({}), 'x', { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' })
  })

  test('finds an endpoint that came back a moment ago: no wait of gRPC stands in between', async () => {
    const { fake, api } = await endpoint()
    fake.answer('ValidateJWTSVID', () => ({ code: status.INVALID_ARGUMENT, details: 'no' }))
    fake.stop()
    for (let times = 0; times < 5; times++)
      await expect(api.validateJwtSvid(tokenOf({}), 'x')).rejects.toMatchObject({ code: 'unavailable' })
    await fake.restart()
    await expect(api.validateJwtSvid(tokenOf({}), 'x')).rejects.toMatchObject({ code: 'invalid-token' })
  })

  test('fails when something else listens there', async () => {
    const other = createServer((socket) => socket.end('220 mail.acme.example\r\n'))
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    open.push(other)
    const api = openAndKeep(`tcp://127.0.0.1:${(other.address() as AddressInfo).port}`)
    await expect(api.validateJwtSvid(tokenOf({}), 'x')).rejects.toMatchObject({ code: 'unavailable' })
  })
})

test('every try of a watch really dials, with waits no longer than was asked for', async () => {
  // gRPC's own waits, and those without a bound, would not get this far within the time a test has
  const tries = Promise.withResolvers<void>()
  let dialled = 0
  const other = createServer((socket) => {
    socket.destroy()
    if (++dialled === 20) tries.resolve()
  })
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  open.push(other)
  const told = new Told<X509Context>()
  openAndKeep(`tcp://127.0.0.1:${(other.address() as AddressInfo).port}`).watchX509Context(told.listener)
  await tries.promise
  expect(new Set(told.kinds)).toEqual(new Set(['unavailable']))
})

describe('closing the client', () => {
  test('tells every watch, ends every stream and leaves nothing that could be asked', async () => {
    const { fake, api } = await endpoint()
    const told = new Told<X509Context>()
    const own = new Told<X509Context>()
    api.watchX509Context(told.listener)
    const watch = api.watchX509Context(own.listener)
    await fake.calls('FetchX509SVID', 2)
    watch.close()
    const look = api.fetchX509Bundles()
    const call = api.fetchJwtSvids('x')
    api.close()
    await expect(look).rejects.toMatchObject({ code: 'closed' })
    await expect(call).rejects.toMatchObject({ code: 'closed' })
    expect(told.events).toMatchObject([{ kind: 'ended', fault: { code: 'closed' } }])
    expect(own.events).toEqual([])
    expect(() => api.watchX509Context(told.listener)).toThrow(expect.objectContaining({ code: 'closed' }))
    await expect(api.fetchJwtSvids('x')).rejects.toMatchObject({ code: 'closed' })
    await fake.closed('FetchX509SVID')
    api.close()
  })

  test('ends a watch that waits for its next try', async () => {
    const { fake, api } = await endpoint()
    fake.stop()
    const told = new Told<X509Context>()
    api.watchX509Context(told.listener)
    await told.nth(0)
    api.close()
    expect(told.kinds).toEqual(['unavailable', 'ended'])
  })
})

function openAndKeep(address: string) {
  const api = clientOf(address)
  open.push(api)
  return api
}
