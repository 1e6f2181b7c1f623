import { describe, expect, test } from 'vitest'
import { CallerCache } from '../../../src/identify/cache.ts'
import type { Caller, IdentitySource } from '../../../src/identify/identify.ts'

const source = (keep?: number): IdentitySource => ({
  type: 'test',
  verify: () => null,
  generation: () => 1,
  ready: () => true,
  close: () => undefined,
  ...(keep === undefined ? {} : { keep }),
})

const caller = (expires: number): Caller => ({
  id: 'spiffe://acme.example/agent',
  trustDomain: 'acme.example',
  method: 'oidc',
  confirmed: 'bearer',
  issuer: null,
  expires,
  proof: 'sha256:x',
  claims: {},
})

describe('a verified caller is kept', () => {
  test.each([
    ['until the token expires', undefined, 5000],
    ['as long as its source says', 1000, 1000],
    ['not past the token where its source says longer', 60_000, 5000],
  ])('%s', (_, keep, ms) => {
    const cache = new CallerCache(10)
    const known = caller(105_000)
    expect(cache.get('digest', 100_000)).toBeNull()
    cache.put('digest', { caller: known, source: source(keep), generation: 1 })
    expect(cache.get('digest', 100_000 + ms - 1)).toBe(known)
    expect(cache.get('digest', 100_000 + ms)).toBeNull()
    expect(cache.size).toBe(0)
  })

  test('anew each time it is verified', () => {
    const cache = new CallerCache(10)
    const verified = { caller: caller(105_000), source: source(1000), generation: 1 }
    for (const now of [100_000, 101_000, 102_000]) {
      expect(cache.get('digest', now)).toBeNull()
      cache.put('digest', verified)
      expect(cache.get('digest', now + 999)).toBe(verified.caller)
    }
  })
})
