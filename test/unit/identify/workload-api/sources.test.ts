import { status } from '@grpc/grpc-js'
import { afterEach, describe, expect, test } from 'vitest'
import type { JwtSource, X509Source } from '../../../../src/identify/workload-api/workload-api.ts'
import { FakeWorkloadApi } from '../../../support/fake-workload-api.ts'
import {
  agent,
  authority,
  byId,
  clientOf,
  jwtAnswer,
  jwtBundlesAnswer,
  proxy,
  svidMessage,
  tokenOf,
  x509Answer,
} from '../../../support/workload-rig.ts'

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0).reverse()) each.close()
})

const acme = authority()
const bundles = jwtBundlesAnswer({ 'acme.example': '{"keys":[]}' })

async function endpoint(clock: () => number = Date.now) {
  const fake = await FakeWorkloadApi.start()
  const api = clientOf(fake.address, { clock })
  open.push(fake, api)
  return { fake, api }
}

/** Resolves as soon as it is so, looked at after every change. */
function once(source: X509Source | JwtSource, isSo: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!isSo()) return
      end()
      resolve()
    }
    const end = source.onChange(look)
    look()
  })
}

describe('opening a source', () => {
  test('waits through PermissionDenied and an endpoint that is not there, until the first update', async () => {
    const fake = FakeWorkloadApi.absent()
    const api = clientOf(fake.address)
    open.push(fake, api)
    const source = api.openX509Source()
    fake.refuse('FetchX509SVID', status.PERMISSION_DENIED, 'no identity issued')
    await fake.restart()
    await fake.calls('FetchX509SVID', 2)
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    expect((await source).svid().id.id).toBe(agent)
  })

  test.each([
    ['InvalidArgument', status.INVALID_ARGUMENT, 'invalid-argument'],
    ['Unimplemented', status.UNIMPLEMENTED, 'unimplemented'],
  ])('rejects on %s, which will not pass', async (_, code, fault) => {
    const { fake, api } = await endpoint()
    fake.refuse('FetchX509SVID', code)
    fake.refuse('FetchJWTBundles', code)
    await expect(api.openX509Source()).rejects.toMatchObject({ name: 'WorkloadApiFault', code: fault })
    await expect(api.openJwtSource()).rejects.toMatchObject({ name: 'WorkloadApiFault', code: fault })
  })

  test('rejects when the signal that was handed in ends the wait, and leaves no stream behind', async () => {
    const { fake, api } = await endpoint()
    const giveUp = new AbortController()
    const source = api.openX509Source({ signal: giveUp.signal })
    await fake.calls('FetchX509SVID', 1)
    giveUp.abort()
    await expect(source).rejects.toMatchObject({ code: 'aborted' })
    await expect(api.openX509Source({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' })
    await fake.closed('FetchX509SVID')
  })

  test('is not undone by the signal once it is open', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    const giveUp = new AbortController()
    const source = await api.openX509Source({ signal: giveUp.signal })
    giveUp.abort()
    expect(source.svid().id.id).toBe(agent)
  })

  test('rejects when the client is closed meanwhile', async () => {
    const { fake, api } = await endpoint()
    const source = api.openX509Source()
    await fake.calls('FetchX509SVID', 1)
    api.close()
    await expect(source).rejects.toMatchObject({ code: 'closed' })
    await expect(api.openX509Source()).rejects.toMatchObject({ code: 'closed' })
  })

  test('goes on waiting after a message that was discarded, and says why it was', async () => {
    const { fake, api } = await endpoint()
    const why: string[] = []
    const source = api.openX509Source({ onDiscard: (each) => why.push(each) })
    fake.push('FetchX509SVID', Buffer.alloc(0))
    await fake.calls('FetchX509SVID', 1)
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    await source
    expect(why).toEqual(['the mandatory field svids is empty'])
  })
})

describe('a source that is open', () => {
  test('tells of a change once, and not of the same said again', async () => {
    const { fake, api } = await endpoint()
    const svid = svidMessage(acme, agent)
    const message = (): Buffer => x509Answer([{ ...svid, x509SvidKey: Buffer.from(svid.x509SvidKey) }])
    fake.push('FetchX509SVID', message())
    const source = await api.openX509Source()
    let changes = 0
    source.onChange(() => changes++)
    fake.push('FetchX509SVID', message())
    fake.push('FetchX509SVID', message())
    const other = svidMessage(acme, proxy)
    fake.push('FetchX509SVID', x509Answer([other]))
    await once(source, () => source.svid().id.id === proxy)
    expect(changes).toBe(1)
  })

  test('follows a hundred rotations, and never has none in between', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    const source = await api.openX509Source()
    const serials = new Set([source.svid().serial])
    source.onChange(() => serials.add(source.context()?.svids[0]?.serial ?? 'none'))
    for (let index = 0; index < 100; index++) {
      fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
      await once(source, () => serials.size === index + 2)
    }
    expect(serials).not.toContain('none')
    expect(fake.seen).toHaveLength(1)
  })

  test('after it was closed has nothing and tells nothing', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    const source = await api.openX509Source()
    let changes = 0
    source.onChange(() => changes++)
    source.close()
    expect(() => source.svid()).toThrow(expect.objectContaining({ code: 'closed' }))
    expect(source.state().kind).toBe('closed')
    await fake.closed('FetchX509SVID')
    expect(changes).toBe(0)
  })

  test('has nothing from the moment its client is closed, and says that it changed', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    const source = await api.openX509Source()
    const kinds: string[] = []
    source.onChange(() => kinds.push(source.state().kind))
    api.close()
    expect(kinds).toEqual(['closed'])
    expect(() => source.svid()).toThrow(expect.objectContaining({ code: 'closed' }))
  })

  test('keeps what it has when the endpoint refuses it for good, until that expires', async () => {
    let now = Date.now()
    const { fake, api } = await endpoint(() => now)
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)], { federatedBundles: byId({ 'partner.example': acme.certificate }) }))
    const source = await api.openX509Source()
    fake.refuse('FetchX509SVID', status.UNIMPLEMENTED, 'switched off')
    await once(source, () => source.state().kind === 'ended')
    expect(source.svid().id.id).toBe(agent)
    now = source.svid().expires
    expect(() => source.svid()).toThrow('switched off')
  })

  test('a listener that ended is told nothing', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, agent)]))
    const source = await api.openX509Source()
    let changes = 0
    const end = source.onChange(() => changes++)
    end()
    fake.push('FetchX509SVID', x509Answer([svidMessage(acme, proxy)]))
    await once(source, () => source.svid().id.id === proxy)
    expect(changes).toBe(0)
  })
})

describe('a source of JWT-SVIDs', () => {
  test('loses its tokens with its bundles, also one that was asked for before', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchJWTBundles', bundles)
    const source = await api.openJwtSource()
    const token = tokenOf({ sub: agent, aud: 'x', exp: 4e9, iat: 1 })
    fake.answer('FetchJWTSVID', () => jwtAnswer({ id: agent, token }))
    await source.fetch('x')
    const late = Promise.withResolvers<Buffer>()
    fake.answer('FetchJWTSVID', () => late.promise)
    const waiting = source.fetch('y')
    await fake.calls('FetchJWTSVID', 2)
    fake.refuse('FetchJWTBundles', status.PERMISSION_DENIED, 'no identity issued')
    await once(source, () => source.state().kind === 'redacted')
    late.resolve(jwtAnswer({ id: agent, token: tokenOf({ sub: agent, aud: 'y', exp: 4e9 }) }))
    await expect(waiting).rejects.toMatchObject({ code: 'permission-denied' })
    expect(() => source.bundles()).toThrow(expect.objectContaining({ code: 'permission-denied' }))
    fake.answer('FetchJWTSVID', () => ({ code: status.PERMISSION_DENIED, details: 'no identity issued' }))
    await expect(source.fetch('x')).rejects.toMatchObject({ code: 'permission-denied' })
  })

  test('chooses by hint, and says when there is none of that hint', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchJWTBundles', bundles)
    const source = await api.openJwtSource()
    const token = (sub: string): string => tokenOf({ sub, aud: 'x', exp: 4e9 })
    fake.answer('FetchJWTSVID', () =>
      jwtAnswer({ id: agent, token: token(agent), hint: 'a' }, { id: proxy, token: token(proxy), hint: 'b' }),
    )
    expect((await source.fetch('x')).id.id).toBe(agent)
    expect((await source.fetch('x', { hint: 'b' })).id.id).toBe(proxy)
    await expect(source.fetch('x', { hint: 'c' })).rejects.toMatchObject({ code: 'missing' })
    expect(fake.seen.filter(({ method }) => method === 'FetchJWTSVID')).toHaveLength(1)
  })

  test('one who gives up does not end the question for the others', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchJWTBundles', bundles)
    const source = await api.openJwtSource()
    const answer = Promise.withResolvers<Buffer>()
    fake.answer('FetchJWTSVID', () => answer.promise)
    const giveUp = new AbortController()
    const impatient = source.fetch('x', { signal: giveUp.signal })
    const patient = source.fetch('x')
    await fake.calls('FetchJWTSVID', 1)
    giveUp.abort()
    await expect(impatient).rejects.toMatchObject({ code: 'aborted' })
    answer.resolve(jwtAnswer({ id: agent, token: tokenOf({ sub: agent, aud: 'x', exp: 4e9 }) }))
    expect((await patient).id.id).toBe(agent)
    expect(fake.seen.filter(({ method }) => method === 'FetchJWTSVID')).toHaveLength(1)
  })

  test('is closed with its client, and so is every question', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchJWTBundles', bundles)
    const source = await api.openJwtSource()
    fake.answer('FetchJWTSVID', () => new Promise<Buffer>(() => undefined))
    const waiting = source.fetch('x')
    await fake.calls('FetchJWTSVID', 1)
    api.close()
    await expect(waiting).rejects.toMatchObject({ code: 'closed' })
    await expect(source.fetch('x')).rejects.toMatchObject({ code: 'closed' })
    expect(() => source.bundle('acme.example')).toThrow(expect.objectContaining({ code: 'closed' }))
  })
})
