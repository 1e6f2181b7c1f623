import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { narrow, offering } from '../../../src/credential/narrow.ts'
import { FakeIssuer } from '../../support/credential-rig.ts'
import { refusalOf } from '../../support/identity-rig.ts'

const provider = new FakeIssuer(() => 0, [])
const crm = offering('crm', provider)
const { scopes, audiences, ttl } = provider.offer

const wish = fc.record(
  {
    provider: fc.constantFrom('crm', 'other'),
    scopes: fc.array(fc.constantFrom('a', 'b', 'c', 'z')),
    audience: fc.constantFrom(...audiences, 'https://evil.example'),
    ttl: fc.oneof(fc.integer({ min: -1, max: ttl + 1 }), fc.double()),
  },
  { requiredKeys: [] },
)

describe('narrowing', () => {
  it('never gives more than the provider offers: it gives less, or the decision is malformed', async () => {
    await fc.assert(
      fc.asyncProperty(wish, async (asked) => {
        const refusal = await refusalOf(() => narrow(crm, asked, null))
        const within =
          asked.provider !== 'other' &&
          (asked.scopes ?? []).every((scope) => scopes.includes(scope)) &&
          asked.audience !== 'https://evil.example' &&
          (asked.ttl === undefined || (Number.isSafeInteger(asked.ttl) && asked.ttl > 0 && asked.ttl <= ttl))
        expect(refusal?.code ?? 'narrowed').toBe(within ? 'narrowed' : 'decide.malformed')
      }),
      { numRuns: 500 },
    )
  })

  it('gives equal keys for equal scopes and audience, and different keys for different ones', () => {
    const valid = fc.record({ scopes: fc.subarray([...scopes]), audience: fc.constantFrom(...audiences) })
    fc.assert(
      fc.property(valid, valid, (one, other) => {
        const same = one.scopes.toSorted().join() === other.scopes.toSorted().join() && one.audience === other.audience
        expect(narrow(crm, one, null).suffix === narrow(crm, other, null).suffix).toBe(same)
      }),
    )
  })

  it('costs nothing when the decision narrows nothing', () => {
    expect(narrow(crm, null, null)).toBe(crm.whole)
  })

  it('takes away what policy obliges to, and never adds to the wish', () => {
    expect(narrow(crm, null, { ttl: 1 })).toMatchObject({ ttl: 1, capped: 1, scopes: crm.whole.scopes })
    expect(narrow(crm, null, { ttl: ttl + 1 })).toMatchObject({ ttl, capped: ttl })
    expect(narrow(crm, { ttl: 5 }, { ttl: 7 })).toMatchObject({ ttl: 5, capped: 5 })
    expect(narrow(crm, { scopes: ['a', 'b'] }, { scopes: ['b', 'nobody-offers-it'] }).scopes).toEqual(['b'])
    expect(narrow(crm, null, { audience: audiences[1] ?? '' }).audience).toBe(audiences[1])
  })

  it.each<[string, Parameters<typeof narrow>[1], NonNullable<Parameters<typeof narrow>[2]>]>([
    ['no scope of the offer', null, { scopes: ['z'] }],
    ['no scope of the wish', { scopes: ['a'] }, { scopes: ['b'] }],
    ['an audience that is not offered', null, { audience: 'https://evil.example' }],
    ['another audience than the wish', { audience: audiences[0] ?? '' }, { audience: audiences[1] ?? '' }],
  ])('is malformed where policy leaves %s', async (_, asked, more) => {
    expect((await refusalOf(() => narrow(crm, asked, more)))?.code).toBe('decide.malformed')
  })

  it('is malformed where the provider has nothing of the kind to narrow', async () => {
    const plain = offering(
      'plain',
      Object.assign(new FakeIssuer(() => 0, []), { offer: { scopes: [], audiences: [], ttl: 1000, subject: false } }),
    )
    expect((await refusalOf(() => narrow(plain, null, { scopes: ['a'] })))?.code).toBe('decide.malformed')
    expect((await refusalOf(() => narrow(plain, null, { audience: 'a' })))?.code).toBe('decide.malformed')
    expect(narrow(plain, null, { ttl: 10 }).ttl).toBe(10)
  })

  it('of both gives no more than either alone, or is malformed', async () => {
    const more = fc.record(
      {
        scopes: fc.subarray(['a', 'b', 'c', 'z'], { minLength: 1 }),
        audience: fc.constantFrom(...audiences),
        ttl: fc.integer({ min: 1, max: 2 * ttl }),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(wish, more, async (asked, less) => {
        if ((await refusalOf(() => narrow(crm, asked, null))) !== null) return
        const wished = narrow(crm, asked, null)
        const refusal = await refusalOf(() => narrow(crm, asked, less))
        if (refusal !== null) {
          expect(refusal.code).toBe('decide.malformed')
          return
        }
        const left = narrow(crm, asked, less)
        expect(left.scopes.every((scope) => wished.scopes.includes(scope) && (less.scopes?.includes(scope) ?? true))).toBe(true)
        expect(left.ttl).toBeLessThanOrEqual(Math.min(wished.ttl, less.ttl ?? wished.ttl))
        if (less.audience !== undefined) expect(left.audience).toBe(less.audience)
      }),
    )
  })
})
