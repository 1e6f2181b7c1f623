import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { claimsOf } from '../../../src/credential/judge.ts'
import { judge, type Asked } from '../../../src/credential/oauth-judge.ts'

const asked: Asked = {
  scopes: ['a', 'b'],
  surplus: ['email'],
  targets: ['https://api.acme.example'],
  issuedType: null,
  key: null,
  opaque: false,
  now: 1_000_000,
  end: 1_060_000,
}

const some = fc.oneof(fc.constantFrom('Bearer', 'a', 'a b', 'a b email', 'https://api.acme.example', 60, 1060), fc.jsonValue())
const members = fc.record({ token_type: some, expires_in: some, scope: some, issued_token_type: some }, { requiredKeys: [] })
const claims = fc.record({ aud: some, scope: some, scp: some, exp: some }, { requiredKeys: [] })

describe('the judgement of an answer', () => {
  it('never throws, and finds nothing too wide only when type, scope, audience and expiry are all as asked', () => {
    fc.assert(
      fc.property(members, claims, (answer, own) => {
        const verdict = judge(asked, { ...answer, access_token: 'x', malformed: false }, own)
        expect(Number.isSafeInteger(verdict.expires)).toBe(true)
        if (verdict.excess !== null) return
        expect(answer.token_type).toBe('Bearer')
        expect(verdict.scopes.every((scope) => ['a', 'b', 'email'].includes(scope))).toBe(true)
        expect([own.aud].flat()).toEqual([own.aud].flat().map(() => 'https://api.acme.example'))
        expect(answer.expires_in !== undefined || own.exp !== undefined).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  it('reads claims of anything without throwing', () => {
    fc.assert(fc.property(fc.string(), (text) => void claimsOf(text)))
  })
})
