import { describe, expect, it } from 'vitest'
import { fits, placementOf } from '../../../src/credential/placement.ts'
import { ProviderConfig } from '../../../src/credential/registry.ts'
import { readSigningKey } from '../../../src/credential/keys.ts'
import { Secret } from '../../../src/secret.ts'
import { provider, providerServices } from '../../support/provider-rig.ts'

const env = { env: 'NAME' }
const jwt = { type: 'jwt', audience: 'https://crm.acme.example' }
const fixed = { type: 'static', value: env, unsafe_standing: true }
const oauth = {
  type: 'oauth',
  issuer: 'https://login.acme.example',
  client: { id: 'countersign', authenticate: 'client_secret_basic', secret: env },
}

describe('the settings of a provider', () => {
  it.each([
    ['jwt', jwt],
    ['jwt of a minute in words', { ...jwt, ttl: '60s' }],
    ['static', fixed],
    ['oauth', oauth],
    ['oauth on loopback in clear', { ...oauth, issuer: 'http://127.0.0.1:8080' }],
    ['oauth with a key', { ...oauth, client: { id: 'countersign', authenticate: 'private_key_jwt' } }],
  ])('pass: %s', (_what, config) => {
    expect(ProviderConfig.safeParse(config).success).toBe(true)
  })

  it.each([
    ['an unknown type', { type: 'magic' }],
    ['an unknown key', { ...jwt, audiance: 'x' }],
    ['a minted token that lives longer than a minute', { ...jwt, ttl: '61s' }],
    ['a literal secret', { ...fixed, value: 'hunter2' }],
    ['a literal client secret', { ...oauth, client: { ...oauth.client, secret: 'hunter2' } }],
    ['a standing secret that does not say so', { type: 'static', value: env }],
    ['a standing secret that denies it', { ...fixed, unsafe_standing: false }],
    ['an issuer in clear beyond loopback', { ...oauth, issuer: 'http://login.acme.example' }],
    ['an issuer that is no web address', { ...oauth, issuer: 'file:///etc/passwd' }],
    ['an endpoint in clear beyond loopback', { ...oauth, endpoints: { token: 'http://login.acme.example/token' } }],
    ['a scope with a space', { ...jwt, scope: ['a b'] }],
    ['an audience with a line end', { ...jwt, audience: 'a\nb' }],
    ['a header that frames the message', { ...jwt, apply: { header: 'Content-Length' } }],
    ['a header name with a space', { ...jwt, apply: { header: 'X Key' } }],
    ['a prefix with a line end', { ...jwt, apply: { header: 'X-Key', prefix: 'a\r\nb' } }],
    ['a user with a colon', { ...jwt, apply: { basic: 'a:b' } }],
  ])('fail: %s', (_what, config) => {
    expect(ProviderConfig.safeParse(config).success).toBe(false)
  })

  it('say where the credential goes; a bearer token by default', () => {
    const services = providerServices({ NAME: 'value' })
    const placed = (apply: object) => provider({ ...fixed, ...apply }, services).placement
    expect(placed({})).toEqual({ in: 'header', name: 'authorization', prefix: 'Bearer ' })
    expect(placed({ apply: { header: 'X-Api-Key' } })).toEqual({ in: 'header', name: 'x-api-key', prefix: '' })
    expect(placed({ apply: { query: 'key' } })).toEqual({ in: 'query', name: 'key' })
    expect(placed({ apply: { basic: 'api' } })).toEqual({ in: 'basic', user: 'api' })
    expect(placed({ apply: { basic: { from: 'credential' } } })).toEqual({ in: 'basic', user: null })
    expect(placed({ apply: { cookie: 'sid' } })).toEqual({ in: 'cookie', name: 'sid' })
    expect(placed({ apply: { path: '/bot{secret}' } })).toEqual({ in: 'path', template: '/bot{secret}' })
    expect(placed({ apply: { body: { json: '/a' } } })).toEqual({ in: 'body', json: '/a' })
    expect(placed({ apply: { body: { form: 'a' } } })).toEqual({ in: 'body', form: 'a' })
    expect(placed({ apply: { tls: true } })).toEqual({ in: 'tls' })
    expect(placed({ apply: { sigv4: { service: 's3', region: 'eu' } } })).toEqual({ in: 'sigv4', service: 's3', region: 'eu' })
    const text = 'countersign-crm-key'
    expect(placed({ apply: { placeholder: text } })).toEqual({ in: 'placeholder', text })
    expect(placed({ apply: { placeholder: text, at: [{ header: 'X-Key' }, { query: 'Key' }] } })).toEqual({
      in: 'placeholder',
      text,
      at: ['header:x-key', 'query:Key'],
    })
  })

  it('that need a secret which is not there keep the provider from being opened, by its name', () => {
    expect(() => provider(fixed, providerServices({}))).toThrow('credential provider "under-test"')
    expect(() => provider(fixed, providerServices({ NAME: '\n' }))).toThrow('empty')
    expect(() => provider(oauth, providerServices({ NAME: '' }))).toThrow('empty')
  })
})

describe('a text', () => {
  const header = placementOf({ header: 'authorization', prefix: '' })
  it.each([
    ['plain', 'abc.def', true, true],
    ['empty', '', false, false],
    ['with a line end', 'a\nb', false, false],
    ['with DEL', 'a\x7f', false, false],
    ['beyond ASCII', 'é', false, true],
  ])('%s fits a header or a query as it should', (_what, text, inHeader, inQuery) => {
    expect(fits(text, header)).toBe(inHeader)
    expect(fits(text, placementOf({ query: 'key' }))).toBe(inQuery)
  })

  it.each([
    ['a cookie', placementOf({ cookie: 'sid' }), ['a=b', 'a.b'], ['a; b', 'a,b', 'a b', '"a"', 'a\\b', 'é', '']],
    ['a path', placementOf({ path: '/bot{secret}' }), ['123:AB-c_d~.'], ['a/b', 'a%2fb', 'a?b', 'a#b', 'a;b', 'a b', 'a\\b', '']],
  ] as const)('in %s begins and ends nothing', (_where, placement, good, bad) => {
    for (const text of good) expect([text, fits(text, placement)]).toEqual([text, true])
    for (const text of bad) expect([text, fits(text, placement)]).toEqual([text, false])
  })
})

describe('a signing key', () => {
  it('that is no key is refused without its text', () => {
    expect(() => readSigningKey(new Secret('canary'))).toThrow(/^the signing key is not a PEM private key$/)
  })
})
