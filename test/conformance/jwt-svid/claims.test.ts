import { beforeAll, describe, expect, test } from 'vitest'
import type { Caller } from '../../../src/identify/identify.ts'
import type { Call } from '../../../src/listen/call.ts'
import { bearer, identifyFor, openedSource, refusalOf, TestClock } from '../../support/identity-rig.ts'
import { Issuer } from '../../support/issuer.ts'
import type { Jwk } from '../../support/issuer.ts'

const clock = new TestClock()
const seconds = clock.now() / 1000
const issuer = new Issuer({ clock: clock.now })
const audience = issuer.audience
let identify: (call: Call) => Caller | Promise<Caller>

beforeAll(async () => {
  identify = await identifyFor(issuer, clock)
})

/** The sentence that the agent is told; null when the caller was taken. */
async function told(claims: Jwk | string, by = identify): Promise<string | null> {
  const refusal = await refusalOf(() => by(bearer(issuer.mint({ claims }))))
  if (refusal === null) return null
  expect(refusal.code).toBe('identify.rejected')
  expect(refusal.reasons).toHaveLength(1)
  return refusal.reasons[0] ?? ''
}

const malformed = 'the token is not a well-formed JWT-SVID'
const badSubject = "the token's subject is not the SPIFFE ID of a workload"
const unknown = 'the token is not from a trust domain known here'
const otherAudience = 'the token is for another audience'
const expired = 'the token has expired'
const early = 'the token is not valid yet'

/** The claims as text, for what an object cannot say. */
function text(members: string): string {
  return `{"sub":"${issuer.id()}","aud":"${audience}","exp":${seconds + 300}${members}}`
}

describe('[JWT-SVID §3.1] sub is the SPIFFE ID of a workload in the trust domain of the keys', () => {
  test.each([
    ['absent', undefined, unknown],
    ['null', null, unknown],
    ['a list', ['spiffe://acme.example/agent'], unknown],
    ['empty', '', unknown],
    ['no SPIFFE ID', 'agent', unknown],
    ['of another trust domain', 'spiffe://partner.example/agent', unknown],
    ['of a longer trust domain', 'spiffe://acme.example.partner.example/agent', unknown],
    ['of a subdomain', 'spiffe://sub.acme.example/agent', unknown],
    ['in upper case', 'SPIFFE://acme.example/agent', unknown],
    ['of an upper-case trust domain', 'spiffe://ACME.example/agent', unknown],
    ['with a space before', ' spiffe://acme.example/agent', unknown],
    ['the trust domain itself', 'spiffe://acme.example', badSubject],
    ['a slash alone', 'spiffe://acme.example/', badSubject],
    ['traversal', 'spiffe://acme.example/agent/../admin', badSubject],
    ['encoded traversal', 'spiffe://acme.example/agent/%2e%2e/admin', badSubject],
    ['an empty segment', 'spiffe://acme.example//agent', badSubject],
    ['with a port', 'spiffe://acme.example:443/agent', badSubject],
    ['with a user', 'spiffe://acme.example@partner.example/agent', badSubject],
    ['with a query', 'spiffe://acme.example/agent?admin', badSubject],
    ['with a line end', 'spiffe://acme.example/agent\n', badSubject],
    ['with a lone surrogate', 'spiffe://acme.example/\ud800', badSubject],
    ['longer than 2048 bytes', `spiffe://acme.example/${'a'.repeat(2048)}`, badSubject],
  ])('refuses one that is %s', async (_, sub, reason) => {
    expect(await told({ sub })).toBe(reason)
  })

  test.each([
    ['both ours', `,"sub":"${issuer.id('/admin')}"`, malformed],
    ['the same', `,"sub":"${issuer.id()}"`, malformed],
    ['the second escaped', `,"s\\u0075b":"${issuer.id('/admin')}"`, malformed],
    ['the second foreign', `,"sub":"spiffe://partner.example/agent"`, unknown],
  ])('refuses two of them, %s', async (_, members, reason) => {
    expect(await told(text(members))).toBe(reason)
  })

  test('takes nothing from __proto__, at whatever depth', async () => {
    const proto = `"__proto__":{"sub":"${issuer.id('/admin')}"}`
    expect(await told(`{${proto},"aud":"${audience}","exp":${seconds + 300}}`)).toBe(unknown)
    expect(await identify(bearer(issuer.mint({ claims: text(`,${proto}`) })))).toMatchObject({ id: issuer.id() })
    expect(({} as { sub?: unknown }).sub).toBeUndefined()
  })
})

describe('[JWT-SVID §3.2] aud is there and names us', () => {
  test.each([
    ['absent', undefined, malformed],
    ['null', null, malformed],
    ['a number', 1, malformed],
    ['an empty list', [], malformed],
    ['a list with a number', [audience, 1], malformed],
    ['a list in a list', [[audience]], malformed],
    ['an object', { [audience]: true }, malformed],
    ['empty', '', otherAudience],
    ['another', 'spiffe://acme.example/other', otherAudience],
    ['a prefix of ours', 'spiffe://acme.example/counter', otherAudience],
    ['ours and more', `${audience}/x`, otherAudience],
    ['ours in other case', audience.toUpperCase(), otherAudience],
    ['ours with a slash', `${audience}/`, otherAudience],
    ['a list of others', ['a', 'b'], otherAudience],
    ['ours among others in one text', `a ${audience} b`, otherAudience],
    ['a star', '*', otherAudience],
  ])('refuses one that is %s', async (_, aud, reason) => {
    expect(await told({ aud })).toBe(reason)
  })

  test.each([[audience], [[audience]], [['other', audience]]])('takes %j', async (aud) => {
    expect(await told({ aud })).toBeNull()
  })

  test('refuses two of them', async () => {
    expect(await told(text(`,"aud":"other"`))).toBe(malformed)
  })

  test('cannot be switched off: a source without an audience does not open', async () => {
    await expect(openedSource(issuer.bundle(), { audience: '' })).rejects.toThrow('audience')
  })

  test.each(['spiffe://acme.example', 'spiffe://acme.example/'])(
    'one as wide as the trust domain is pointed out to the operator: %s',
    async (wide) => {
      const { log } = await openedSource(issuer.bundle(), { audience: wide })
      expect(log.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)).toEqual([
        expect.stringContaining('whole trust domain'),
      ])
    },
  )
})

describe('[JWT-SVID §3.3; RFC 7519 §4.1.4] exp is there, is a whole number and lies ahead', () => {
  test.each([
    ['absent', undefined],
    ['null', null],
    ['a text', String(seconds + 300)],
    ['true', true],
    ['a fraction', seconds + 0.5],
    ['above 2^53', 2 ** 53],
    ['2^53 in ms', 2 ** 50],
    ['a list', [seconds + 300]],
  ])('refuses one that is %s', async (_, exp) => {
    expect(await told({ exp })).toBe(malformed)
  })

  test.each(['1e400', '-1e400', '9007199254740993', '99999999999999999999999'])('refuses %s', async (exp) => {
    expect(await told(`{"sub":"${issuer.id()}","aud":"${audience}","exp":${exp}}`)).toBe(malformed)
  })

  test('refuses two of them', async () => {
    expect(await told(text(`,"exp":${seconds + 3000}`))).toBe(malformed)
  })

  test.each([seconds, seconds - 1, 0, -1, seconds - 86_400])('refuses %d, which is not after now', async (exp) => {
    expect(await told({ exp, iat: undefined })).toBe(expired)
  })

  test('a token is taken until the last millisecond before exp and refused from exp on, cached or not', async () => {
    const own = new TestClock()
    const fresh = await identifyFor(issuer, own)
    const token = issuer.mint({ claims: { exp: own.now() / 1000 + 10 } })
    own.move(9_999)
    await fresh(bearer(token))
    expect(await fresh(bearer(token))).toMatchObject({ expires: own.now() + 1 })
    own.move(1)
    expect(await refusalOf(() => fresh(bearer(token)))).toMatchObject({ code: 'identify.rejected', reasons: [expired] })
    expect(await refusalOf(async () => (await identifyFor(issuer, own))(bearer(token)))).toMatchObject({ reasons: [expired] })
  })

  test('no leeway ever reaches past exp', async () => {
    const generous = await identifyFor(issuer, clock, { leeway: '30s' })
    expect(await told({ exp: seconds, iat: seconds - 60 }, generous)).toBe(expired)
  })
})

describe('[RFC 7519 §4.1.5; RFC 7519 §4.1.6; JWT-SVID App. A] nbf and iat may lie ahead by the leeway, no more', () => {
  test.each(['nbf', 'iat'])('%s', async (name) => {
    expect(await told({ [name]: seconds + 5 })).toBeNull()
    expect(await told({ [name]: seconds + 6 })).toBe(early)
    expect(await told({ [name]: seconds + 3600, exp: seconds + 7200 })).toBe(early)
    expect(await told({ [name]: seconds - 3600 })).toBeNull()
    for (const wrong of ['1', null, 1.5, 2 ** 53, [seconds]]) expect(await told({ [name]: wrong })).toBe(malformed)
  })

  test('the leeway is a setting of at most 30 s', async () => {
    const strict = await identifyFor(issuer, clock, { leeway: '0s' })
    expect(await told({ nbf: seconds }, strict)).toBeNull()
    expect(await told({ nbf: seconds + 1 }, strict)).toBe(early)
    await expect(identifyFor(issuer, clock, { leeway: '30001ms' })).rejects.toThrow()
    await expect(identifyFor(issuer, clock, { leeway: '31s' })).rejects.toThrow()
  })

  test('a token that expires before it is valid is refused', async () => {
    expect(await told({ nbf: seconds + 4, exp: seconds + 3 })).toBe(malformed)
  })

  test('both may be absent', async () => {
    expect(await told({ iat: undefined, nbf: undefined })).toBeNull()
  })
})

describe('[Countersign: longest lifetime] the longest lifetime', () => {
  const long = 'the token is valid for longer than is accepted'
  test('counts from iat, or from now without one', async () => {
    const bounded = await identifyFor(issuer, clock, { max_lifetime: '5m' })
    expect(await told({ exp: seconds + 300 }, bounded)).toBeNull()
    expect(await told({ exp: seconds + 301 }, bounded)).toBe(long)
    expect(await told({ iat: seconds - 10, exp: seconds + 291 }, bounded)).toBe(long)
    expect(await told({ iat: undefined, exp: seconds + 300 }, bounded)).toBeNull()
    expect(await told({ iat: undefined, exp: seconds + 301 }, bounded)).toBe(long)
  })

  test('is not bounded unless asked', async () => {
    expect(await told({ exp: seconds + 864_000 })).toBeNull()
  })
})

describe('[JWT-SVID §3] other claims', () => {
  test('iss is not required, and is passed on when there', async () => {
    expect(await identify(bearer(issuer.mint()))).toMatchObject({ issuer: null })
    expect(await identify(bearer(issuer.mint({ claims: { iss: 'https://spire.acme.example' } })))).toMatchObject({
      issuer: 'https://spire.acme.example',
    })
    expect(await told({ iss: 1 })).toBe(malformed)
  })

  test('jti is not required and the same token may come again: SPIRE hands it out repeatedly', async () => {
    const token = issuer.mint({ claims: { jti: 'one' } })
    const first = await identify(bearer(token))
    expect(await identify(bearer(token))).toBe(first)
  })

  test('unknown claims are ignored and never passed on', async () => {
    expect(await identify(bearer(issuer.mint({ claims: { role: 'admin', constructor: 1 } })))).toMatchObject({ claims: {} })
  })

  test.each(['[]', 'null', '"x"', '{', '', '{"sub":1,}', "{'sub':1}", '{"sub":NaN}'])('claims that are %s are refused', async (claims) => {
    expect(await told(claims)).toBe(unknown)
  })

  test('claims nested beyond measure are refused', async () => {
    expect(await told(text(`,"x":${'['.repeat(2000)}${']'.repeat(2000)}`))).toBe(malformed)
  })

  test('[RFC 7519 §4] two members of one name are refused at any depth', async () => {
    expect(await told(text(',"x":{"y":[{"z":1,"z":2}]}'))).toBe(malformed)
    expect(await told(text(',"x":{"y":{"x":1},"z":{"x":1}}'))).toBeNull()
  })
})
