import { describe, expect, test } from 'vitest'
import { kinds, openSource, SourceConfig } from '../../../src/identify/registry.ts'
import { identifyServices, KeyServer, keysUrl } from '../../support/identity-rig.ts'
import { Issuer } from '../../support/issuer.ts'

const usual = { type: 'jwt-svid', trust_domain: 'acme.example', keys: { url: keysUrl } }

describe('settings of a jwt-svid source', () => {
  test('have safe defaults', () => {
    expect(SourceConfig.parse(usual)).toEqual({ ...usual, leeway: 5000, max_age: 3_600_000 })
  })

  test('take durations as text', () => {
    expect(SourceConfig.parse({ ...usual, leeway: '10s', max_lifetime: '5m', max_age: '60s' })).toMatchObject({
      leeway: 10_000,
      max_lifetime: 300_000,
      max_age: 60_000,
    })
  })

  test.each([
    'https://keys.acme.example/bundle',
    'https://keys.acme.example:8443/a?b=c',
    'http://127.0.0.1:8080/keys',
    'http://[::1]:8080/keys',
    'http://localhost/keys',
  ])('take the URL %s', (url) => {
    expect(SourceConfig.safeParse({ ...usual, keys: { url } }).success).toBe(true)
  })

  test.each([
    'http://keys.acme.example/bundle',
    'http://127.0.0.1.partner.example/keys',
    'http://localhost.partner.example/keys',
    'http://10.0.0.1/keys',
    'https://user@keys.acme.example/',
    'https://user:pass@keys.acme.example/',
    'https://keys.acme.example/#x',
    'file:///etc/keys',
    'data:application/json,{}',
    'keys.acme.example',
    '',
  ])('refuse the URL "%s"', (url) => {
    expect(SourceConfig.safeParse({ ...usual, keys: { url } }).success).toBe(false)
  })

  test.each([
    ['an unknown type', { type: 'jwt' }],
    ['an unknown member', { audience: 'x' }],
    ['a trust domain with a scheme', { trust_domain: 'spiffe://acme.example' }],
    ['an upper-case trust domain', { trust_domain: 'Acme.example' }],
    ['no keys', { keys: {} }],
    ['two places for keys', { keys: { url: keysUrl, file: '/x' } }],
    ['an unknown format', { format: 'pem' }],
    ['a leeway above 30 s', { leeway: '31s' }],
    ['a negative leeway', { leeway: '-1s' }],
    ['a lifetime of nothing', { max_lifetime: '0s' }],
  ])('refuse %s', (_, change) => {
    expect(SourceConfig.safeParse({ ...usual, ...change }).success).toBe(false)
  })
})

describe('every kind of source', () => {
  test('has a type of its own and a description of its settings', () => {
    expect(new Set(kinds.map(({ type }) => type)).size).toBe(kinds.length)
    for (const { config } of kinds) expect(config.description).toMatch(/\.$/)
  })

  test('opens, says what it is, and closes twice without complaint', () => {
    const server = new KeyServer(new Issuer().bundle())
    const source = openSource(SourceConfig.parse(usual), identifyServices({ fetch: server.fetch }))
    expect(source.type).toBe('jwt-svid')
    expect(source.ready()).toBe(false)
    source.close()
    source.close()
  })
})
