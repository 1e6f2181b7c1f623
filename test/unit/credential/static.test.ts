import { describe, expect, it } from 'vitest'
import { Secret } from '../../../src/secret.ts'
import { refusalOf, TestClock } from '../../support/identity-rig.ts'
import { calm, provider, providerServices, wanted } from '../../support/provider-rig.ts'

const config = { type: 'static', value: { file: '/run/secrets/key' }, unsafe_standing: true }

describe('a static credential', () => {
  it('is standing, can only be discarded, and its lease ends when asked', async () => {
    const clock = new TestClock()
    const fixed = provider(config, providerServices({ '/run/secrets/key': 'value\n' }, clock.now))
    const issued = await fixed.issue(wanted({ ttl: 1234 }), calm)
    expect(fixed.standing).toBe(true)
    expect(issued).toMatchObject({ revocation: 'discard', handle: null, expires: clock.now() + 1234, scopes: [] })
    expect(issued.secret.reveal()).toBe('value')
  })

  it('is read anew for every lease, so that a replaced file is picked up', async () => {
    let value = 'old'
    const services = providerServices({}, new TestClock().now, { secret: () => new Secret(value) })
    const fixed = provider(config, services)
    value = 'new'
    expect((await fixed.issue(wanted(), calm)).secret.reveal()).toBe('new')
  })

  it.each([
    [
      'gone',
      () => {
        throw new Error('ENOENT canary')
      },
    ],
    ['empty', () => new Secret('')],
  ])('that is %s is not available', async (_what, broken) => {
    let read: () => Secret = () => new Secret('value')
    const fixed = provider(config, providerServices({}, new TestClock().now, { secret: () => read() }))
    read = broken
    const refusal = await refusalOf(() => fixed.issue(wanted(), calm))
    expect(refusal?.code).toBe('credential.unavailable')
    expect(refusal?.detail).not.toContain('canary')
  })
})
