import { inspect } from 'node:util'
import { status } from '@grpc/grpc-js'
import { afterEach, describe, expect, test } from 'vitest'
import { jwtSvidRequest, validateJwtSvidRequest, validateJwtSvidResponse } from '../../../src/identify/workload-api/jwt-messages.ts'
import type { JsonObject } from '../../../src/identify/workload-api/struct.ts'
import type { JwtBundles } from '../../../src/identify/workload-api/workload-api.ts'
import { FakeWorkloadApi } from '../../support/fake-workload-api.ts'
import { agent, clientOf, jwtAnswer, jwtBundlesAnswer, proxy, Told, tokenOf } from '../../support/workload-rig.ts'

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

const audience = 'spiffe://acme.example/countersign'
const good = { sub: agent, aud: [audience], exp: 2_000_000_000, iat: 1_999_999_000 }

describe('FetchJWTSVID', () => {
  test('[Workload API §6.2.1] asks for the audiences and the ID that were given', async () => {
    const { fake, api } = await endpoint()
    fake.answer('FetchJWTSVID', () => jwtAnswer({ id: agent, token: tokenOf({ ...good, aud: [audience, 'other'] }), hint: 'internal' }))
    const svids = await api.fetchJwtSvids([audience, 'other'], { id: agent })
    expect(jwtSvidRequest.decode(fake.seen[0]?.request ?? Buffer.alloc(0))).toEqual({ audience: [audience, 'other'], spiffeId: agent })
    expect(svids).toMatchObject([
      { id: { id: agent }, hint: 'internal', audience: [audience, 'other'], issuedAt: 1_999_999_000_000, expires: 2_000_000_000_000 },
    ])
  })

  test('[Workload API §6.2.1] without an ID gives those of every identity, in the order of the answer', async () => {
    const { fake, api } = await endpoint()
    fake.answer('FetchJWTSVID', () =>
      jwtAnswer({ id: proxy, token: tokenOf({ ...good, sub: proxy }) }, { id: agent, token: tokenOf(good) }),
    )
    expect((await api.fetchJwtSvids(audience)).map(({ id }) => id.id)).toEqual([proxy, agent])
    expect(jwtSvidRequest.decode(fake.seen[0]?.request ?? Buffer.alloc(0)).spiffeId).toBe('')
  })

  test.each([[[]], [['']], [[audience, '']]])('[Workload API §6.2.1] without an audience is not even asked', async (audiences) => {
    const { fake, api } = await endpoint()
    await expect(api.fetchJwtSvids(audiences)).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(fake.seen).toEqual([])
  })

  test('[Workload API §6.2.1] of SVIDs with the same hint the first counts', async () => {
    const { fake, api } = await endpoint()
    fake.answer('FetchJWTSVID', () =>
      jwtAnswer(
        { id: agent, token: tokenOf(good), hint: 'internal' },
        { id: proxy, token: tokenOf({ ...good, sub: proxy }), hint: 'internal' },
        { id: proxy, token: tokenOf({ ...good, sub: proxy }) },
      ),
    )
    expect((await api.fetchJwtSvids(audience)).map(({ id, hint }) => [id.id, hint])).toEqual([
      [agent, 'internal'],
      [proxy, ''],
    ])
  })

  test("[Workload API §6.2.1] for an identity that is not the caller's is permission-denied", async () => {
    const { fake, api } = await endpoint()
    fake.answer('FetchJWTSVID', () => ({ code: status.PERMISSION_DENIED, details: 'no identity issued' }))
    await expect(api.fetchJwtSvids(audience, { id: proxy })).rejects.toMatchObject({ code: 'permission-denied' })
  })

  test.each([
    ['no SVID', () => Buffer.alloc(0)],
    ['an SVID without ID', () => jwtAnswer({ id: '', token: tokenOf(good) })],
    ['an SVID without token', () => jwtAnswer({ id: agent, token: '' })],
  ])('[Workload API §4.5; Workload API §6.2.1] an answer with %s is an error', async (_, answer) => {
    const { fake, api } = await endpoint()
    fake.answer('FetchJWTSVID', answer)
    await expect(api.fetchJwtSvids(audience)).rejects.toMatchObject({ code: 'malformed', message: expect.stringContaining('mandatory') })
  })

  test.each([
    ['the SVID of another ID', agent, tokenOf({ ...good, sub: proxy }), 'another subject'],
    ['another ID than was asked for', proxy, tokenOf({ ...good, sub: proxy }), 'asked for'],
    ['a token for another audience', agent, tokenOf({ ...good, aud: ['other'] }), 'audience'],
    ['a token without audience', agent, tokenOf({ sub: agent, exp: 2e9 }), 'audience'],
    ['a token without an end', agent, tokenOf({ sub: agent, aud: audience }), 'expires'],
    ['a token whose end is no time', agent, tokenOf({ ...good, exp: '2000000000' }), 'not a time'],
    ['a token whose end is infinite', agent, tokenOf(`{"sub":"${agent}","aud":"${audience}","exp":1e400}`), 'one reading'],
    [
      'a token with two subjects',
      agent,
      tokenOf(`{"sub":"${proxy}","sub":"${agent}","aud":"${audience}","exp":2000000000}`),
      'one reading',
    ],
    ['something that is no token', agent, 'a.b', 'compact'],
    ['a token in JSON serialisation', agent, '{"payload":"x"}', 'compact'],
    ['a token that is encrypted', agent, 'a.b.c.d.e', 'compact'],
  ])('[Workload API §6.2.1] an answer with %s is an error that does not quote the token', async (_, id, token, part) => {
    const { fake, api } = await endpoint()
    fake.answer('FetchJWTSVID', () => jwtAnswer({ id, token }))
    const error: unknown = await api.fetchJwtSvids(audience, { id: agent }).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'malformed', message: expect.stringContaining(part) })
    if (token.length > 20) expect(inspect(error)).not.toContain(token.slice(0, 20))
  })

  test('[Workload API §6.2.1] the token shows in no way of printing it', async () => {
    const { fake, api } = await endpoint()
    const token = tokenOf(good)
    fake.answer('FetchJWTSVID', () => jwtAnswer({ id: agent, token }))
    const svids = await api.fetchJwtSvids(audience)
    expect(`${inspect(svids, { depth: 9, showHidden: true })}${JSON.stringify(svids)}`).not.toContain(token.slice(40, 60))
    expect(svids[0]?.token.reveal()).toBe(token)
  })
})

describe('FetchJWTBundles', () => {
  test('[Workload API §6.2.2] gives each JWKS as it was sent, by the name of its trust domain', async () => {
    const { fake, api } = await endpoint()
    const told = new Told<JwtBundles>()
    api.watchJwtBundles(told.listener)
    fake.push('FetchJWTBundles', jwtBundlesAnswer({ 'acme.example': '{ "keys": [] }', 'partner.example': '{"keys":[{"kid":"ä"}]}' }))
    expect(await told.update(0)).toEqual(
      new Map([
        ['acme.example', '{ "keys": [] }'],
        ['partner.example', '{"keys":[{"kid":"ä"}]}'],
      ]),
    )
  })

  test.each([
    ['an empty bundle', { 'acme.example': '' }],
    ['a bundle under an ID of a workload', { 'acme.example/agent': '{"keys":[]}' }],
    ['a bundle under no trust domain', { '': '{"keys":[]}' }],
  ])('[Workload API §6.2.2] a message with %s is discarded', async (_, bundles) => {
    const { fake, api } = await endpoint()
    const told = new Told<JwtBundles>()
    api.watchJwtBundles(told.listener)
    fake.push('FetchJWTBundles', jwtBundlesAnswer(bundles))
    expect((await told.nth(0)).kind).toBe('discarded')
  })

  test('[Workload API §6.2.2] a redaction of all bundles is told at once', async () => {
    const { fake, api } = await endpoint()
    const told = new Told<JwtBundles>()
    api.watchJwtBundles(told.listener)
    fake.push('FetchJWTBundles', jwtBundlesAnswer({ 'acme.example': '{"keys":[]}' }))
    await told.update(0)
    fake.refuse('FetchJWTBundles', status.PERMISSION_DENIED, 'no identity issued')
    expect((await told.nth(1)).kind).toBe('redacted')
  })

  test('[Workload API §6.3] a trust domain without a bundle is an error, whatever other bundles there are', async () => {
    const { fake, api } = await endpoint()
    fake.push('FetchJWTBundles', jwtBundlesAnswer({ 'acme.example': '{"keys":[]}' }))
    const source = await api.openJwtSource()
    expect(source.bundle('acme.example')).toBe('{"keys":[]}')
    expect(() => source.bundle('partner.example')).toThrow('no bundle')
    expect(() => source.bundle('__proto__')).toThrow('no bundle')
  })
})

describe('ValidateJWTSVID', () => {
  const claims: JsonObject = { sub: agent, aud: [audience], exp: 2e9, nested: { list: [1, 'two', null, true, { deep: -0.5 }] } }

  test('[Workload API §6.2.3] sends audience and token, and gives the ID and the claims as plain JSON', async () => {
    const { fake, api } = await endpoint()
    fake.answer('ValidateJWTSVID', () => validateJwtSvidResponse.encode({ spiffeId: agent, claims }))
    const token = tokenOf(good)
    const valid = await api.validateJwtSvid(token, audience)
    expect(validateJwtSvidRequest.decode(fake.seen[0]?.request ?? Buffer.alloc(0))).toEqual({ audience, svid: token })
    expect(valid.id.id).toBe(agent)
    expect(JSON.parse(JSON.stringify(valid.claims))).toEqual(claims)
  })

  test.each([
    ['token', '', audience],
    ['audience', tokenOf(good), ''],
  ])('[Workload API §6.2.3] without a %s is not even asked', async (_, token, forAudience) => {
    const { fake, api } = await endpoint()
    await expect(api.validateJwtSvid(token, forAudience)).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(fake.seen).toEqual([])
  })

  test.each([
    ['without an ID', { spiffeId: '', claims }],
    ['without claims', { spiffeId: agent, claims: null }],
    ['with the ID of a trust domain', { spiffeId: 'spiffe://acme.example', claims: {} }],
    ['whose claims are of another', { spiffeId: proxy, claims }],
  ])('[Workload API §4.5; Workload API §6.2.3] an answer %s is an error', async (_, answer) => {
    const { fake, api } = await endpoint()
    fake.answer('ValidateJWTSVID', () => validateJwtSvidResponse.encode(answer))
    await expect(api.validateJwtSvid(tokenOf(good), audience)).rejects.toMatchObject({ code: 'malformed' })
  })

  test('[Workload API §6.2.3] a token that is not valid is that and no fault of the client, though the status is the same', async () => {
    const { fake, api } = await endpoint()
    const token = tokenOf(good)
    fake.answer('ValidateJWTSVID', () => ({ code: status.INVALID_ARGUMENT, details: `expired: ${token} (${token.split('.')[1]})` }))
    const error: unknown = await api.validateJwtSvid(token, audience).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'invalid-token', message: expect.stringContaining('expired: [token].[token].[token] ([token])') })
    expect(inspect(error)).not.toContain(token.slice(40, 60))
  })
})
