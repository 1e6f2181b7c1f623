import { describe, expect, test } from 'vitest'
import { makeIdentify } from '../../../src/identify/identify.ts'
import type { Caller, IdentitySource, Presented } from '../../../src/identify/identify.ts'
import { Refusal } from '../../../src/refusal.ts'
import { bearer, callWith, openedSource, refusalOf, settled, TestClock } from '../../support/identity-rig.ts'
import { Issuer, signingKey } from '../../support/issuer.ts'

const clock = new TestClock()
const issuer = new Issuer({ clock: clock.now })
const partner = new Issuer({ clock: clock.now, trustDomain: 'partner.example' })
const ambient = 'spiffe://acme.example/ambient'

async function stage(now = clock) {
  const acme = await openedSource(issuer.bundle(), { clock: now })
  const theirs = await openedSource(partner.bundle(), { clock: now, config: { trust_domain: 'partner.example' } })
  return { acme, theirs, identify: makeIdentify({ sources: [acme.source, theirs.source], clock: now.now }) }
}

/** A source that takes every token for the caller named by it, and counts. */
function countingSource(expires: () => number): IdentitySource & { asked: number; turn: number } {
  return {
    type: 'counting',
    asked: 0,
    turn: 1,
    verify({ token }: Presented) {
      this.asked += 1
      return {
        id: `spiffe://acme.example/${token.length}`,
        trustDomain: 'acme.example',
        method: 'jwt-svid',
        confirmed: 'bearer',
        issuer: null,
        expires: expires(),
        proof: 'sha256:0',
        claims: {},
      }
    },
    generation() {
      return this.turn
    },
    ready: () => true,
    close: () => {},
  }
}

describe('a call that presents nothing', () => {
  test.each([
    ['no header at all', {}],
    ['dummy keys alone', { 'x-api-key': 'sk-dummy', authorization: 'Bearer sk-ant.dummy.key' }],
    ['a token in a place that is no slot', { cookie: issuer.mint() }],
  ])('is missing an identity: %s', async (_, headers) => {
    const { identify } = await stage()
    expect(await refusalOf(() => identify(callWith(headers)))).toMatchObject({ code: 'identify.missing', status: 401 })
  })

  test('is the ambient caller of a listener that has one, weaker and said so', async () => {
    const { identify } = await stage()
    const caller = identify(callWith({ 'x-api-key': 'sk-dummy' }, ambient))
    expect(caller).toEqual({
      id: ambient,
      trustDomain: 'acme.example',
      method: 'ambient',
      confirmed: 'none',
      issuer: null,
      expires: clock.now() + 3_600_000,
      proof: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      claims: {},
    })
    expect(identify(callWith({ 'x-api-key': 'a.b.c' }, ambient))).toMatchObject({ method: 'ambient' })
  })

  test('an ambient ID that names no workload serves nobody', async () => {
    const { identify } = await stage()
    for (const bad of ['agent', 'spiffe://acme.example', 'spiffe://acme.example/../x']) {
      expect(await refusalOf(() => identify(callWith({}, bad)))).toMatchObject({ code: 'identify.unavailable' })
    }
  })
})

describe('a call that presents a token', () => {
  test('is never taken for the ambient caller, whatever is wrong with the token', async () => {
    const { identify } = await stage()
    const good = issuer.mint()
    const bad = [
      `${good}x`,
      `${good}.x`,
      good.slice(0, -50),
      issuer.mint({ header: { alg: 'none' } }),
      issuer.mint({ claims: { exp: 1 } }),
      issuer.mint({ claims: { sub: 'spiffe://nowhere.example/x' } }),
    ]
    for (const token of bad)
      expect(await refusalOf(() => identify(callWith({ authorization: `Bearer ${token}` }, ambient)))).toMatchObject({
        code: 'identify.rejected',
      })
    expect(await refusalOf(() => identify(callWith({ authorization: `DPoP ${good}` }, ambient)))).toMatchObject({
      code: 'identify.rejected',
    })
    expect(await identify(callWith({ authorization: `Bearer ${good}` }, ambient))).toMatchObject({ method: 'jwt-svid' })
  })

  test('[Federation §7.3] is verified with the keys of the trust domain it names and no other', async () => {
    const { identify } = await stage()
    expect(await identify(bearer(partner.mint()))).toMatchObject({ id: 'spiffe://partner.example/agent', trustDomain: 'partner.example' })
    const crossed = partner.mint({ claims: { sub: issuer.id() } })
    expect(await refusalOf(() => identify(bearer(crossed)))).toMatchObject({ code: 'identify.rejected' })
  })

  test('keeps a dummy key beside it out of account', async () => {
    const { identify } = await stage()
    const headers = { authorization: `Bearer ${issuer.mint()}`, 'x-api-key': 'sk-dummy', 'x-goog-api-key': 'a.dotted.key' }
    expect(await identify(callWith(headers))).toMatchObject({ id: issuer.id() })
    expect(identify(callWith(headers))).toMatchObject({ id: issuer.id() })
  })

  test('gives a proof that tells tokens apart and is not the token', async () => {
    const { identify } = await stage()
    const [one, two] = [issuer.mint({ claims: { jti: '1' } }), issuer.mint({ claims: { jti: '2' } })]
    const proofs = [(await identify(bearer(one))).proof, (await identify(bearer(two))).proof]
    expect(new Set(proofs).size).toBe(2)
    for (const proof of proofs) expect(proof).toMatch(/^sha256:[0-9a-f]{64}$/)
  })

  test('hears no word of the token in a refusal, and the operator none that could be replayed', async () => {
    const { identify } = await stage()
    const token = issuer.mint({ claims: { sub: 'spiffe://nowhere.example/\u001b[2Jx' } })
    const refusal = await refusalOf(() => identify(bearer(token)))
    expect(refusal?.reasons.join()).not.toContain('nowhere')
    expect(refusal?.detail).toMatch(/unverified sub "spiffe:\/\/nowhere.example\/\?\[2Jx"/)
    for (const part of token.split('.')) expect(JSON.stringify([refusal?.reasons, refusal?.detail])).not.toContain(part)
  })
})

describe('a call that presents several tokens', () => {
  test('may carry one in every slot', async () => {
    const { identify } = await stage()
    const token = issuer.mint()
    const headers = {
      authorization: `Bearer ${token}`,
      'x-api-key': token,
      'x-goog-api-key': token,
      'proxy-authorization': `Bearer ${token}`,
    }
    expect(await identify(callWith(headers))).toMatchObject({ id: issuer.id() })
  })

  test('may carry two of one caller', async () => {
    const { identify } = await stage()
    const headers = { authorization: `Bearer ${issuer.mint()}`, 'x-api-key': issuer.mint({ claims: { jti: 'x' } }) }
    expect(await identify(callWith(headers))).toMatchObject({ id: issuer.id() })
    expect(identify(callWith(headers))).toMatchObject({ id: issuer.id() })
  })

  test('is refused when they name different callers, also when both are known already', async () => {
    const { identify } = await stage()
    for (const second of [issuer.mint({ claims: { sub: issuer.id('/other') } }), partner.mint()]) {
      const headers = { authorization: `Bearer ${issuer.mint()}`, 'x-api-key': second }
      for (let time = 0; time < 2; time++) {
        expect(await refusalOf(() => identify(callWith(headers)))).toMatchObject({
          code: 'identify.rejected',
          reasons: ['the request carries tokens of different callers'],
        })
      }
    }
  })

  test('is refused when one of them does not verify, in whatever order and however well the other is known', async () => {
    const { identify } = await stage()
    const good = issuer.mint()
    await identify(bearer(good))
    const bad = issuer.mint({ key: signingKey('ES256', 'key-1') })
    expect(await refusalOf(() => identify(callWith({ authorization: `Bearer ${good}`, 'x-api-key': bad })))).toMatchObject({
      code: 'identify.rejected',
    })
    expect(await refusalOf(() => identify(callWith({ authorization: `Bearer ${bad}`, 'x-api-key': good })))).toMatchObject({
      code: 'identify.rejected',
    })
  })
})

describe('a token that was verified before', () => {
  test('gives its caller at once, without a promise, and asks no source', async () => {
    const source = countingSource(() => clock.now() + 1000)
    const identify = makeIdentify({ sources: [source], clock: clock.now })
    const token = issuer.mint()
    const first = await identify(bearer(token))
    expect(identify(bearer(token))).toBe(first)
    expect(identify(callWith({ 'x-api-key': token }))).toBe(first)
    expect(source.asked).toBe(1)
  })

  test('is verified again once its source says that keys changed, and not at all while it cannot verify', async () => {
    const { acme, identify } = await stage()
    const token = issuer.mint()
    await identify(bearer(token))
    acme.server.answer = () => new Response(issuer.bundle({ keys: [], spiffe_sequence: 2 }))
    clock.move(30_000)
    await refusalOf(() => identify(bearer(issuer.mint({ header: { kid: 'unseen' } }))))
    expect(await refusalOf(() => identify(bearer(token)))).toMatchObject({ code: 'identify.rejected' })
  })

  test('is verified again after the clock went back by more than 30 s', async () => {
    const now = new TestClock()
    const source = countingSource(() => now.now() + 1000)
    const identify = makeIdentify({ sources: [source], clock: now.now })
    const token = issuer.mint()
    await identify(bearer(token))
    now.move(-30_000)
    await identify(bearer(token))
    expect(source.asked).toBe(1)
    now.move(-1)
    await identify(bearer(token))
    expect(source.asked).toBe(2)
  })

  test('is forgotten first come, first gone when too many are kept', async () => {
    const source = countingSource(() => clock.now() + 1000)
    const identify = makeIdentify({ sources: [source], clock: clock.now, cacheSize: 2 })
    const tokens = [1, 2, 3].map((jti) => issuer.mint({ claims: { jti } }))
    for (const token of tokens) await identify(bearer(token))
    for (const token of tokens.slice(1)) expect(identify(bearer(token))).not.toBeInstanceOf(Promise)
    expect(identify(bearer(tokens[0]!))).toBeInstanceOf(Promise)
  })

  test('is not kept on the word of a source that cannot verify at present', async () => {
    const source = countingSource(() => clock.now() + 1000)
    source.turn = -1
    const identify = makeIdentify({ sources: [source], clock: clock.now })
    const token = issuer.mint()
    await identify(bearer(token))
    await identify(bearer(token))
    expect(source.asked).toBe(2)
  })

  test('is not kept when keys changed while it was verified', async () => {
    const source = countingSource(() => clock.now() + 1000)
    const changing: IdentitySource = {
      ...source,
      verify: (presented) => {
        source.turn += 1
        return source.verify(presented, bearer(''))
      },
      generation: () => source.turn,
    }
    const identify = makeIdentify({ sources: [changing], clock: clock.now })
    const token = issuer.mint()
    await identify(bearer(token))
    expect(identify(bearer(token))).toBeInstanceOf(Promise)
    await settled()
  })
})

describe('sources', () => {
  test('are asked in order until one does not say "not mine"', async () => {
    const asked: string[] = []
    const named = (name: string, answer: Caller | null): IdentitySource => ({
      ...countingSource(() => 0),
      type: name,
      verify: () => (asked.push(name), answer),
    })
    const caller = { id: 'spiffe://acme.example/x', expires: clock.now() + 1 } as Caller
    const identify = makeIdentify({ sources: [named('one', null), named('two', caller), named('three', caller)], clock: clock.now })
    expect(await identify(bearer(issuer.mint()))).toBe(caller)
    expect(asked).toEqual(['one', 'two'])
  })

  test('that answer with a caller who has expired meanwhile are not believed', async () => {
    const identify = makeIdentify({ sources: [countingSource(() => clock.now())], clock: clock.now })
    expect(await refusalOf(() => identify(bearer(issuer.mint())))).toMatchObject({
      code: 'identify.rejected',
      reasons: ['the token has expired'],
    })
  })

  test('that cannot verify at present make the call unavailable, not rejected', async () => {
    const source: IdentitySource = { ...countingSource(() => 0), verify: () => Promise.reject(new Refusal('identify.unavailable')) }
    const identify = makeIdentify({ sources: [source], clock: clock.now })
    expect(await refusalOf(() => identify(bearer(issuer.mint())))).toMatchObject({ code: 'identify.unavailable', retry: 'later' })
  })
})
