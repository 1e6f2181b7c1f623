import { describe, expect, test } from 'vitest'
import type { Presented } from '../../../../src/identify/identify.ts'
import { bearer, openedSource, refusalOf, TestClock } from '../../../support/identity-rig.ts'
import { Issuer, signingKey } from '../../../support/issuer.ts'

const call = bearer('')
const presented = (token: string): Presented => ({ slot: 'authorization', token })

describe('a jwt-svid source', () => {
  test('says "not mine" to tokens of other trust domains and of other kinds, however bad they are', async () => {
    const clock = new TestClock()
    const issuer = new Issuer({ clock: clock.now })
    const { source } = await openedSource(issuer.bundle(), { clock })
    const subjects = [
      'spiffe://partner.example/agent',
      'spiffe://acme.example.partner.example/../x',
      'system:serviceaccount:support:agent',
      'SPIFFE://acme.example/x',
      7,
    ]
    for (const sub of subjects) expect(source.verify(presented(issuer.mint({ claims: { sub } })), call)).toBeNull()
    for (const token of ['', 'a.b', '..', 'e30.e30.', 'x.%%.y']) expect(source.verify(presented(token), call)).toBeNull()
  })

  test('refuses its own tokens by itself: at exp, and once they are longer than 8 KiB', async () => {
    const clock = new TestClock()
    const issuer = new Issuer({ clock: clock.now })
    const { source } = await openedSource(issuer.bundle(), { clock })
    const token = issuer.mint({ claims: { exp: clock.now() / 1000 + 1 } })
    clock.move(999)
    expect(source.verify(presented(token), call)).toMatchObject({ id: issuer.id() })
    clock.move(1)
    expect(await refusalOf(() => source.verify(presented(token), call))).toMatchObject({
      code: 'identify.rejected',
      reasons: ['the token has expired'],
    })
    expect(await refusalOf(() => source.verify(presented(issuer.mint({ claims: { x: 'x'.repeat(9000) } })), call))).toMatchObject({
      detail: 'longer than 8 KiB',
    })
  })

  test('refuses a token that expired while it waited for its key', async () => {
    const clock = new TestClock()
    const issuer = new Issuer({ clock: clock.now, keys: [signingKey('ES256', 'new')] })
    const { source, server } = await openedSource('{"keys":[]}', { clock })
    server.answer = () => {
      clock.move(1000)
      return new Response(issuer.bundle())
    }
    const token = issuer.mint({ claims: { exp: clock.now() / 1000 + 1 } })
    expect(await refusalOf(() => source.verify(presented(token), call))).toMatchObject({ reasons: ['the token has expired'] })
  })

  test('reads keys again only for a token that would pass with the right key', async () => {
    const clock = new TestClock()
    const issuer = new Issuer({ clock: clock.now })
    const { source, server } = await openedSource(issuer.bundle(), { clock })
    const hopeless = [{ exp: 1 }, { aud: 'other' }, { nbf: clock.now() / 1000 + 60 }, { sub: issuer.id('/../x') }]
    for (const claims of hopeless) await refusalOf(() => source.verify(presented(issuer.mint({ header: { kid: 'unseen' }, claims })), call))
    expect(server.asked).toBe(1)
    await refusalOf(() => source.verify(presented(issuer.mint({ header: { kid: 'unseen' } })), call))
    expect(server.asked).toBe(2)
  })

  test('verifies at once when the key is there', async () => {
    const clock = new TestClock()
    const issuer = new Issuer({ clock: clock.now })
    const { source } = await openedSource(issuer.bundle(), { clock })
    expect(source.verify(presented(issuer.mint()), call)).not.toBeInstanceOf(Promise)
  })
})
