import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { claimsOf } from '../../../src/credential/judge.ts'
import { judge, type Asked } from '../../../src/credential/oauth-judge.ts'

const asked: Asked = {
  scopes: ['a', 'b'],
  surplus: ['email'],
  roles: ['default'],
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

  const excess = (own: object, roles: Asked['roles'] = ['default', 'account/view']): string | null =>
    judge({ ...asked, targets: [], roles }, { access_token: 'x', token_type: 'Bearer', expires_in: 60, malformed: false }, { ...own })
      .excess

  it.each([
    ['none', {}],
    ['empty ones', { roles: [], realm_access: {}, resource_access: { account: {} } }],
    ['harmless ones (RFC 9068 §2.2.3.1)', { roles: ['default'], groups: ['default'], entitlements: ['default'] }],
    ['harmless ones of a realm', { realm_access: { roles: ['default'] } }],
    ['harmless ones of a client', { resource_access: { account: { roles: ['view'] } } }],
  ])('takes a token with roles when it has %s', (_which, own) => {
    expect(excess(own)).toBeNull()
  })

  it.each([
    ['roles (RFC 9068 §2.2.3.1)', { roles: ['default', 'admin'] }],
    ['groups', { groups: ['admin'] }],
    ['entitlements', { entitlements: ['admin'] }],
    ['roles of a realm', { realm_access: { roles: ['default', 'admin'] } }],
    ['roles of a client', { resource_access: { account: { roles: ['manage'] } } }],
    ['a harmless name of another client', { resource_access: { payments: { roles: ['view'] } } }],
    ['a role of a client that is called like a harmless one', { resource_access: { payments: { roles: ['default'] } } }],
    ['roles of no known form', { roles: 'admin' }],
    ['roles that are no text', { roles: [{ value: 'default' }] }],
    ['roles of a realm of no known form', { realm_access: ['default'] }],
    ['roles of a realm that are none', { realm_access: null }],
    ['roles of clients of no known form', { resource_access: { account: ['view'] } }],
    ['roles of clients that are no object', { resource_access: 'account/view' }],
  ])('finds a token too wide that has %s', (_which, own) => {
    expect(excess(own)).toBe('it carries roles that nobody asked for')
    expect(excess(own, 'any')).toBeNull()
  })
})
