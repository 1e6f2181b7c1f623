import { generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'
import { status } from '@grpc/grpc-js'
import { afterEach, describe, expect, test } from 'vitest'
import { witBundlesResponse, witSvidRequest, witSvidResponse } from '../../../src/identify/workload-api/wit-messages.ts'
import type { WitSvidMessage } from '../../../src/identify/workload-api/wit-messages.ts'
import type { WitBundles, WitSvid } from '../../../src/identify/workload-api/workload-api.ts'
import { FakeWorkloadApi } from '../../support/fake-workload-api.ts'
import { agent, byId, clientOf, proxy, Told, tokenOf } from '../../support/workload-rig.ts'

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0).reverse()) each.close()
})

async function endpoint() {
  const fake = await FakeWorkloadApi.start()
  const api = clientOf(fake.address)
  open.push(fake, api)
  return { fake, api }
}

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const other = generateKeyPairSync('rsa', { modulusLength: 2048 })

function claimsOf(sub: string, publicKey = keys.publicKey) {
  return { sub, exp: 2_000_000_000, cnf: { jwk: { ...publicKey.export({ format: 'jwk' }), alg: 'ES256' } } }
}

function svid(changes: Partial<WitSvidMessage> = {}): WitSvidMessage {
  const key = JSON.stringify(keys.privateKey.export({ format: 'jwk' }))
  return { spiffeId: agent, witSvid: tokenOf(claimsOf(changes.spiffeId ?? agent)), witSvidKey: key, hint: '', ...changes }
}

function answer(...svids: readonly WitSvidMessage[]): Buffer {
  return witSvidResponse.encode({ svids })
}

describe('FetchWITSVID', () => {
  test('[Workload API §7.2.1] gives tokens with the keys they are bound to, and asks for one ID when told to', async () => {
    const { fake, api } = await endpoint()
    const told = new Told<readonly WitSvid[]>()
    fake.push('FetchWITSVID', answer(svid({ hint: 'internal' })))
    api.watchWitSvids(told.listener, { id: agent })
    const [only] = await told.update(0)
    expect(only).toMatchObject({ hint: 'internal', expires: 2_000_000_000_000, issuedAt: null })
    expect(only?.key.equals(keys.privateKey)).toBe(true)
    expect(witSvidRequest.decode(fake.seen[0]?.request ?? Buffer.alloc(0))).toEqual({ spiffeId: agent })
  })

  test('[Workload API §7.2.1] of SVIDs with the same hint the first counts; one that is left out later is gone', async () => {
    const { fake, api } = await endpoint()
    const told = new Told<readonly WitSvid[]>()
    api.watchWitSvids(told.listener)
    fake.push('FetchWITSVID', answer(svid({ hint: 'a' }), svid({ spiffeId: proxy, hint: 'a' }), svid({ spiffeId: proxy })))
    expect((await told.update(0)).map(({ id, hint }) => [id.id, hint])).toEqual([
      [agent, 'a'],
      [proxy, ''],
    ])
    fake.push('FetchWITSVID', answer(svid({ spiffeId: proxy })))
    expect((await told.update(1)).map(({ id }) => id.id)).toEqual([proxy])
    expect(witSvidRequest.decode(fake.seen[0]?.request ?? Buffer.alloc(0))).toEqual({ spiffeId: '' })
  })

  test.each([
    [
      'an RSA key',
      { witSvid: tokenOf(claimsOf(agent, other.publicKey)), witSvidKey: JSON.stringify(other.privateKey.export({ format: 'jwk' })) },
      null,
    ],
    ['no ID', { spiffeId: '', witSvid: tokenOf(claimsOf(agent)) }, 'spiffe_id'],
    ['no token', { witSvid: '' }, 'wit_svid'],
    ['no key', { witSvidKey: '' }, 'wit_svid_key'],
    ['the key of another', { witSvidKey: JSON.stringify(other.privateKey.export({ format: 'jwk' })) }, 'not bound'],
    ['a public key', { witSvidKey: JSON.stringify(keys.publicKey.export({ format: 'jwk' })) }, 'not a private JWK'],
    ['a PEM key', { witSvidKey: keys.privateKey.export({ format: 'pem', type: 'pkcs8' }) }, 'not a private JWK'],
    ['a token that is bound to nothing', { witSvid: tokenOf({ sub: agent, exp: 2e9 }) }, 'not bound'],
    ['the token of another', { witSvid: tokenOf(claimsOf(proxy)) }, 'another subject'],
  ])('[Workload API §4.5; Workload API §7.2.1] a message with %s is judged so, and the reason shows no key', async (_, changes, part) => {
    const { fake, api } = await endpoint()
    const told = new Told<readonly WitSvid[]>()
    api.watchWitSvids(told.listener)
    const message = svid(changes)
    fake.push('FetchWITSVID', answer(message))
    const event = await told.nth(0)
    if (part === null) expect(event.kind).toBe('update')
    else expect(event).toMatchObject({ kind: 'discarded', why: expect.stringContaining(part) })
    if (message.witSvidKey !== '') expect(inspect(event, { depth: 9, showHidden: true })).not.toContain(message.witSvidKey.slice(30, 60))
  })

  test('[Workload API §7.2.1] a message without SVIDs is discarded, and a redaction of all is told at once', async () => {
    const { fake, api } = await endpoint()
    const told = new Told<readonly WitSvid[]>()
    api.watchWitSvids(told.listener)
    fake.push('FetchWITSVID', Buffer.alloc(0))
    expect(await told.nth(0)).toEqual({ kind: 'discarded', why: 'the mandatory field svids is empty' })
    fake.refuse('FetchWITSVID', status.PERMISSION_DENIED, 'no identity issued')
    expect((await told.nth(1)).kind).toBe('redacted')
  })

  test('[Workload API §8] the default identity is the first', async () => {
    const { fake, api } = await endpoint()
    const told = new Told<readonly WitSvid[]>()
    api.watchWitSvids(told.listener)
    fake.push('FetchWITSVID', answer(svid({ spiffeId: proxy }), svid()))
    expect((await told.update(0))[0]?.id.id).toBe(proxy)
  })
})

describe('FetchWITBundles', () => {
  test('[Workload API §7.2.2] gives each JWKS as it was sent; one that is left out or emptied later is no more', async () => {
    const { fake, api } = await endpoint()
    const told = new Told<WitBundles>()
    api.watchWitBundles(told.listener)
    fake.push('FetchWITBundles', witBundlesResponse.encode({ bundles: byId({ 'acme.example': '{"keys":[]}', 'partner.example': '{}' }) }))
    expect(await told.update(0)).toEqual(
      new Map([
        ['acme.example', '{"keys":[]}'],
        ['partner.example', '{}'],
      ]),
    )
    fake.push('FetchWITBundles', witBundlesResponse.encode({ bundles: byId({ 'partner.example': '{}' }) }))
    expect([...(await told.update(1)).keys()]).toEqual(['partner.example'])
    fake.push('FetchWITBundles', witBundlesResponse.encode({ bundles: byId({ 'partner.example': '' }) }))
    expect((await told.nth(2)).kind).toBe('discarded')
    fake.refuse('FetchWITBundles', status.PERMISSION_DENIED)
    expect((await told.nth(3)).kind).toBe('redacted')
  })
})

test('[Workload API §7] an endpoint without the profile ends both streams, and the other profiles go on', async () => {
  const { fake, api } = await endpoint()
  fake.refuse('FetchWITSVID', status.UNIMPLEMENTED, 'not served')
  fake.refuse('FetchWITBundles', status.UNIMPLEMENTED, 'not served')
  const svids = new Told<unknown>()
  const bundles = new Told<unknown>()
  api.watchWitSvids(svids.listener)
  api.watchWitBundles(bundles.listener)
  expect(await svids.nth(0)).toMatchObject({ kind: 'ended', fault: { code: 'unimplemented' } })
  expect(await bundles.nth(0)).toMatchObject({ kind: 'ended', fault: { code: 'unimplemented' } })
  api.watchJwtBundles(() => undefined)
  await fake.calls('FetchJWTBundles', 1)
  expect(fake.seen.map(({ method }) => method).sort()).toEqual(['FetchJWTBundles', 'FetchWITBundles', 'FetchWITSVID'])
})
