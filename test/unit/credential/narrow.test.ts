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
})
