import { describe, expect, it } from 'vitest'
import { agentRegistry, notLive } from '../../../src/task/agents.ts'
import { agentId, noon, sketchAgent } from '../../support/task-rig.ts'

describe('the agent registry', () => {
  const exact = sketchAgent()
  const pattern = sketchAgent({ id: 'spiffe://acme.example/ns/support/sa/*' })
  const registry = agentRegistry([pattern, exact])

  it('prefers the exact id to a pattern', () => {
    expect(registry.find(agentId)).toBe(exact)
    expect(registry.find('spiffe://acme.example/ns/support/sa/another')).toBe(pattern)
  })

  it.each([
    'spiffe://acme.example/ns/support/sa',
    'spiffe://acme.example/ns/support/sa/',
    'spiffe://acme.example/ns/support/sa/a/b',
    'spiffe://acme.example/ns/other/sa/a',
    'spiffe://partner.example/ns/support/sa/another',
    'spiffe://acme.example',
    '',
  ])('finds none for %s: * stands for one whole segment', (id) => {
    expect(registry.find(id)).toBeNull()
  })

  it.each([
    'spiffe://*',
    'spiffe://acme.example/*/sa',
    'spiffe://acme.example/ns/a*',
    'spiffe://acme.example/**',
    'https://acme.example/*',
    '*',
  ])('refuses the pattern %s', (id) => {
    expect(() => agentRegistry([sketchAgent({ id })])).toThrow('last path segment')
  })

  it('refuses two registrations of one id', () => {
    expect(() => agentRegistry([exact, sketchAgent()])).toThrow('twice')
  })
})

describe('an agent is not live', () => {
  const owners = { business: 'b@acme.example', security: 's@acme.example', incident: 'i@acme.example' }

  it.each([
    ['without owners', { owners: null }, 'no owners'],
    ['without a security owner', { owners: { ...owners, security: ' ' } }, 'security owner'],
    ['while proposed', { lifecycle: 'proposed' as const }, 'proposed'],
    ['once retired', { lifecycle: 'retired' as const }, 'retired'],
    ['from the moment its approval lapses', { approved: { model: null, toolchain: null, until: noon } }, 'lapsed'],
  ])('%s', (_, change, why) => {
    expect(notLive(sketchAgent(change), noon)).toContain(why)
  })

  it('unless all of it is in order', () => {
    expect(notLive(sketchAgent({ owners, approved: { model: null, toolchain: null, until: noon + 1 } }), noon)).toBeNull()
  })
})
