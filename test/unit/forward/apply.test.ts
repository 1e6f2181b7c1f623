import { describe, expect, test } from 'vitest'
import type { Lease, Placement } from '../../../src/credential/credential.ts'
import { applyLease } from '../../../src/forward/apply.ts'
import { describeUpstream } from '../../../src/forward/upstream.ts'
import { Secret } from '../../../src/secret.ts'
import { sketchLease } from '../../support/forward-rig.ts'
import { sketchRoute } from '../../support/question.ts'

const now = 1_790_000_000_000
const credentialed = describeUpstream(sketchRoute({ credential: 'crm' }))
const open = describeUpstream(sketchRoute({ credential: null }))

function lease(placement: Placement, secret = 'tok en+/=', expires = now + 1): Lease {
  return sketchLease({ placement, secret: new Secret(secret), expires })
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

  test.each([
    ['/x', '/x?key=tok%20en%2B%2F%3D'],
    ['/x?a=b', '/x?a=b&key=tok%20en%2B%2F%3D'],
    ['/x?', '/x?&key=tok%20en%2B%2F%3D'],
  ])('appends a query parameter to %s', (path, expected) => {
    const applied = applyLease(lease({ in: 'query', name: 'key' }), credentialed, [], path, now)
    expect(applied.path).toBe(expected)
  })

  test.each(['/x?key=mine', '/x?a=b&key', '/x?%6bey=mine', '/x?a=b;key=mine', '/x?KEY=mine', '/x?%zz=mine'])(
    'refuses a query parameter of the agent under that name: %s',
    (path) => {
      expect(() => applyLease(lease({ in: 'query', name: 'key' }), credentialed, [], path, now)).toThrow('listen.malformed')
    },
  )

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
