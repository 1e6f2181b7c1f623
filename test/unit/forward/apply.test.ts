import { describe, expect, test } from 'vitest'
import type { Lease, Placement } from '../../../src/credential/credential.ts'
import { applyLease as place } from '../../../src/forward/apply.ts'
import type { Applied } from '../../../src/forward/outgoing.ts'
import { describeUpstream, type Upstream } from '../../../src/forward/upstream.ts'
import { Secret } from '../../../src/secret.ts'
import { sketchLease } from '../../support/forward-rig.ts'
import { sketchRoute } from '../../support/question.ts'

const now = 1_790_000_000_000
const credentialed = describeUpstream(sketchRoute({ credential: 'crm' }))
const never = new AbortController().signal
const open = describeUpstream(sketchRoute({ credential: null }))

function lease(placement: Placement, secret = 'tok en+/=', expires = now + 1): Lease {
  return sketchLease({ placement, secret: new Secret(secret), expires })
}

function applyLease(lent: Lease | null, upstream: Upstream, headers: string[], path: string, at: number): Applied {
  const out = { method: 'GET', upstream, headers, path, given: headers, body: null, sha256: null, gather: 1024, signal: never }
  const given = place(lent, out, at)
  if (given instanceof Promise) throw new Error('it was to be at once')
  return given
}

describe('applyLease', () => {
  test('puts a header last and drops what the agent sent under that name', () => {
    const applied = applyLease(
      lease({ in: 'header', name: 'Private-Token', prefix: '' }, 'abc'),
      credentialed,
      ['private-token', 'mine', 'accept', '*/*'],
      '/x',
      now,
    )
    expect(applied).toEqual({ headers: ['accept', '*/*', 'private-token', 'abc'], path: '/x' })
  })

  test('keeps the prefix', () => {
    const applied = applyLease(lease({ in: 'header', name: 'authorization', prefix: 'Bearer ' }, 'abc'), credentialed, [], '/x', now)
    expect(applied.headers).toEqual(['authorization', 'Bearer abc'])
  })

  test('writes Basic', () => {
    const applied = applyLease(lease({ in: 'basic', user: 'x-access-token' }, 'abc'), credentialed, [], '/x', now)
    expect(applied.headers).toEqual(['authorization', `Basic ${btoa('x-access-token:abc')}`])
  })

  test('writes Basic with the user that came, and none with a user that would end it early or did not come', () => {
    const own: Placement = { in: 'basic', user: null }
    const withUser = (user?: string): Lease => ({ ...lease(own, 'abc'), ...(user === undefined ? {} : { user }) })
    expect(applyLease(withUser('v-role'), credentialed, [], '/x', now).headers).toEqual(['authorization', `Basic ${btoa('v-role:abc')}`])
    for (const user of [undefined, 'a:b', 'a\r\nb', 'ünï'])
      expect(() => applyLease(withUser(user), credentialed, [], '/x', now)).toThrow('credential.unavailable')
  })

  test('writes one cookie, and none that would begin another', () => {
    const cookie: Placement = { in: 'cookie', name: 'sid' }
    expect(applyLease(lease(cookie, 'a=b'), credentialed, ['cookie', 'sid=mine'], '/x', now).headers).toEqual(['cookie', 'sid=a=b'])
    for (const secret of ['a; b=c', 'a,b', 'a b', '"a"', 'a\\b'])
      expect(() => applyLease(lease(cookie, secret), credentialed, [], '/x', now)).toThrow('credential.unavailable')
  })

  test('a key that is the user of a Basic pair is swapped there, and refused when it would move the colon', () => {
    const text = 'countersign-crm-key'
    const swap: Placement = { in: 'placeholder', text }
    const given = ['authorization', `Basic ${btoa(`${text}:`)}`]
    const out = {
      method: 'GET',
      upstream: credentialed,
      headers: [],
      path: '/x',
      given,
      body: null,
      sha256: null,
      gather: 0,
      signal: never,
    }
    expect(place(lease(swap, 'sk_live'), out, now)).toMatchObject({ headers: ['authorization', `Basic ${btoa('sk_live:')}`] })
    expect(() => place(lease(swap, 'sk:live'), out, now)).toThrow('credential.unavailable')
  })

  test('a header that the agent lists in Connection is no place for a placeholder', () => {
    const swap: Placement = { in: 'placeholder', text: 'countersign-crm-key' }
    const given = ['connection', 'x-api-key', 'x-api-key', 'countersign-crm-key']
    const out = {
      method: 'GET',
      upstream: credentialed,
      headers: [],
      path: '/x',
      given,
      body: null,
      sha256: null,
      gather: 0,
      signal: never,
    }
    expect(() => place(lease(swap, 'sk_live'), out, now)).toThrow('credential.unplaced')
  })

  test.each([
    ['/x', '/x?key=tok%20en%2B%2F%3D'],
    ['/x?a=b', '/x?a=b&key=tok%20en%2B%2F%3D'],
    ['/x?', '/x?&key=tok%20en%2B%2F%3D'],
  ])('appends a query parameter to %s', (path, expected) => {
    const applied = applyLease(lease({ in: 'query', name: 'key' }), credentialed, [], path, now)
    expect(applied.path).toBe(expected)
  })

  test.each([
    '/x?key=mine',
    '/x?a=b&key',
    '/x?%6bey=mine',
    '/x?a=b;key=mine',
    '/x?KEY=mine',
    '/x?%zz=mine',
    '/x?key[]=mine',
    '/x?key%5B0%5D=mine',
    '/x?%20key=mine',
    '/x?+key=mine',
    '/x?key%00=mine',
    '/x?a=b&&key=',
  ])('refuses a query parameter of the agent under that name: %s', (path) => {
    expect(() => applyLease(lease({ in: 'query', name: 'key' }), credentialed, [], path, now)).toThrow('listen.malformed')
  })

  test.each(['/x?keys=1', '/x?a=key', '/key'])('lets others be: %s', (path) => {
    expect(applyLease(lease({ in: 'query', name: 'key' }, 'abc'), credentialed, [], path, now).path).toContain('key=abc')
  })

  test('refuses a credentialed route without a lease, and a lease for a route without a credential', () => {
    expect(() => applyLease(null, credentialed, [], '/x', now)).toThrow('credential.unavailable')
    expect(() => applyLease(lease({ in: 'basic', user: 'u' }), open, [], '/x', now)).toThrow('internal')
    expect(applyLease(null, open, ['a', 'b'], '/x', now)).toEqual({ headers: ['a', 'b'], path: '/x' })
  })

  test('never uses a lease at or after its expiry', () => {
    const spent = lease({ in: 'basic', user: 'u' }, 'abc', now)
    expect(() => applyLease(spent, credentialed, [], '/x', now)).toThrow('credential.unavailable')
  })

  test.each(['', 'a\r\nx: y', 'a\nb', 'a\0b', 'ünï', '\x7f'])('refuses a secret that no header can carry: %j', (secret) => {
    const bad = lease({ in: 'header', name: 'authorization', prefix: '' }, secret)
    expect(() => applyLease(bad, credentialed, [], '/x', now)).toThrow('credential.unavailable')
  })

  test.each(['Host', 'content-length', 'Transfer-Encoding', 'connection'])('refuses to place a lease in %s', (name) => {
    expect(() => applyLease(lease({ in: 'header', name, prefix: '' }), credentialed, [], '/x', now)).toThrow('credential.unavailable')
  })

  test('does not print the secret when it refuses', () => {
    try {
      applyLease(lease({ in: 'header', name: 'host', prefix: '' }, 'hunter2'), credentialed, [], '/x', now)
    } catch (error) {
      expect(`${String(error)}${JSON.stringify(error)}`).not.toContain('hunter2')
    }
  })
})
