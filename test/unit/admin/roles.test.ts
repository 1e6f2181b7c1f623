import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { SignedIn } from '../../../src/admin/noun.ts'
import { actOf, acts, allows, roles, rolesOf, whyNot, type Role, type RoleRules } from '../../../src/admin/roles.ts'

const nobody: RoleRules = { named: { viewer: [], approver: [], operator: [], admin: [] }, approvers: [], entries: new Map() }
const rules = (named: Partial<RoleRules['named']>, more: Partial<RoleRules> = {}): RoleRules => ({
  ...nobody,
  named: { ...nobody.named, ...named },
  ...more,
})
const alice: SignedIn = { method: 'oidc', name: 'alice', groups: ['staff'], aliases: ['root'], entry: null }

describe('who has which role', () => {
  it('whoever holds the local key has all, and whom nobody names has none', () => {
    expect(rolesOf({ method: 'local-key', name: null, groups: [] }, nobody)).toEqual(['admin'])
    expect(rolesOf(alice, nobody)).toEqual([])
    expect(rolesOf({ ...alice, method: 'key-pair' }, nobody)).toEqual([])
  })

  it('is by name and by proven group, and never by what else somebody may be called', () => {
    expect(rolesOf(alice, rules({ viewer: ['group:staff'], admin: ['person:alice'] }))).toEqual(['viewer', 'admin'])
    expect(rolesOf(alice, rules({ admin: ['person:root', 'group:root', 'person:staff', 'alice', 'group:alice'] }))).toEqual([])
  })

  it('makes approvers of those whom sign-in names, only when they signed in there', () => {
    const named = rules({}, { approvers: ['group:staff'] })
    expect(rolesOf(alice, named)).toEqual(['approver'])
    expect(rolesOf({ ...alice, method: 'key-pair' }, named)).toEqual([])
  })

  it('is what an entry says however its person signed in, and approver for a key pair when it says nothing', () => {
    const said = rules({}, { entries: new Map([['alice', ['operator']]]) })
    const silent = rules({}, { entries: new Map([['alice', null]]) })
    for (const method of ['oidc', 'key-pair'] as const) expect(rolesOf({ ...alice, method, entry: 'alice' }, said)).toEqual(['operator'])
    expect(rolesOf({ ...alice, method: 'key-pair', entry: 'alice' }, silent)).toEqual(['approver'])
    expect(rolesOf({ ...alice, entry: 'alice' }, silent)).toEqual([])
  })

  it('is not that of an entry which somebody is merely called like', () => {
    expect(rolesOf(alice, rules({}, { entries: new Map([['alice', ['admin']]]) }))).toEqual([])
  })
})

describe('what a role allows', () => {
  it('is exactly this', () => {
    const own = (role: Role): string[] => acts.filter(({ act }) => allows([role], act)).map(({ act }) => act)
    const readable = acts.filter(({ act, method }) => method === 'GET' || act === 'page.link').map(({ act }) => act as string)
    expect(own('viewer')).toEqual(readable)
    expect(own('approver').filter((act) => !readable.includes(act))).toEqual([
      'approvals.grant',
      'approvals.approve',
      'approvals.decline',
      'approvals.withdraw',
      'approvals.break-glass',
      'agents.accept',
    ])
    expect(own('operator').filter((act) => !readable.includes(act))).toEqual([
      'tasks.open',
      'tasks.pause',
      'tasks.resume',
      'tasks.complete',
      'tasks.revoke',
      'kills.engage',
      'signals.give',
      'signals.withdraw',
      'agents.suspend',
    ])
    expect(own('admin')).toEqual(acts.map(({ act }) => act))
  })

  it.each(acts)('$act is refused without a role, and with every role that is not enough, which is said', ({ act, role }) => {
    expect(whyNot([], act)).toContain('have no role')
    for (const held of roles) {
      const enough = held === role || held === 'admin' || role === 'viewer'
      expect(whyNot([held], act)).toEqual(enough ? null : expect.stringContaining(`this takes the role ${role}, and you are ${held}`))
    }
  })

  it('reading alone is for viewers, and coming to the page to read: whatever changes something takes more', () => {
    for (const { act, method } of acts) expect([act, allows(['viewer'], act)]).toEqual([act, method === 'GET' || act === 'page.link'])
  })
})

describe('the act of a request', () => {
  it.each(acts)('$act is found by its own request, and by no other method', ({ act, method, path }) => {
    const pieces = path.split('/').map((piece) => (piece === '*' ? 'a/b' : piece))
    expect(actOf(method, pieces)).toBe(act)
    for (const other of ['HEAD', 'PATCH', 'OPTIONS', method.toLowerCase()]) expect(actOf(other, pieces)).toBeNull()
    expect(actOf(method, [...pieces, ''])).toSatisfy((found) => found !== act)
  })

  it('is none for anything that does not stand in the table', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 8 }), { maxLength: 6 }),
        fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH'),
        (path, method) => {
          const found = actOf(method, path)
          if (found !== null) expect(acts.some((row) => row.path.split('/')[0] === path[0])).toBe(true)
          for (const name of ['__proto__', 'constructor', 'toString']) expect(actOf(method, [name, ...path])).toBeNull()
        },
      ),
    )
  })
})
