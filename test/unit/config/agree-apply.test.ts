import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { ConfigFault, type Finding } from '../../../src/config/findings.ts'
import { parseConfig } from '../../../src/config/load.ts'
import { configText, routeTo, type Settings } from '../../support/running.ts'

const fixed = { type: 'static', value: { env: 'KEY' }, unsafe_standing: true }
const jwt = { type: 'jwt', audience: 'https://crm.acme.example' }
const oauth = {
  type: 'oauth',
  issuer: 'https://login.acme.example',
  client: { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'KEY' } },
}
const jwtShaped = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkdW1teSJ9.c2lnbmF0dXJl'

/** What `check` finds about one provider that one route uses. */
function findings(
  provider: Settings,
  apply: Settings | undefined,
  to = 'https://crm.acme.example',
  route: Settings = {},
): readonly Finding[] {
  const text = configText({
    routes: { crm: routeTo(to, 'crm', { credential: 'crm', ...route }) },
    providers: { crm: { ...provider, ...(apply && { apply }) } },
  })
  try {
    return parseConfig(text, 'countersign.yaml', {}).findings.filter(({ severity }) => severity === 'error')
  } catch (error) {
    if (error instanceof ConfigFault) return error.findings.filter(({ severity }) => severity === 'error')
    throw error
  }
}

describe('a way to apply a credential that cannot work is named, with what to do', () => {
  test.each<[string, Settings, Settings, string, Settings, RegExp]>([
    [
      'a user that a token has not',
      jwt,
      { basic: { from: 'credential' } },
      'https://crm.acme.example',
      {},
      /no user comes with .* jwt: name one/,
    ],
    ['a user that nobody set', fixed, { basic: { from: 'credential' } }, 'https://crm.acme.example', {}, /or set user$/],
    [
      'a signature without an access key',
      oauth,
      { sigv4: { service: 's3', region: 'eu-central-1' } },
      'https://s3.acme.example',
      {},
      /use a provider of AWS/,
    ],
    [
      'a signature with half a key',
      fixed,
      { sigv4: { service: 's3', region: 'eu-central-1' } },
      'https://s3.acme.example',
      {},
      /set user to it/,
    ],
    ['a certificate that a token has not', jwt, { tls: true }, 'https://crm.acme.example', {}, /use a provider of certificates/],
    ['a key without its certificate', fixed, { tls: true }, 'https://crm.acme.example', {}, /set certificate/],
    [
      'a certificate in clear',
      { ...fixed, certificate: { env: 'C' } },
      { tls: true },
      'http://crm.acme.example',
      {},
      /"crm" is plain HTTP/,
    ],
    [
      'a placeholder that passes for an identity',
      fixed,
      { placeholder: jwtShaped },
      'https://crm.acme.example',
      {},
      /taken for an identity/,
    ],
    [
      'a place that is never looked at',
      fixed,
      { placeholder: 'countersign-crm-key', at: [{ header: 'User-Agent' }] },
      'https://crm.acme.example',
      {},
      /no placeholder is looked for in header User-Agent/,
    ],
  ])('%s', (_what, provider, apply, to, route, message) => {
    const found = findings(provider, apply, to, route)
    expect(found.map(({ code, path }) => [code, path])).toEqual([['CS1404', 'credential.providers.crm.apply']])
    expect(found[0]?.message).toMatch(message)
    expect(found[0]?.line).toBeGreaterThan(1)
  })

  test('two certificates on one connection', () => {
    const found = findings({ ...fixed, certificate: { env: 'C' } }, { tls: true }, 'https://crm.acme.example', {
      tls: 'svid',
      id: 'spiffe://acme.example/crm',
    })
    expect(found.map(({ message }) => message)).toContainEqual(expect.stringContaining('cannot show two certificates'))
  })

  test.each<[string, Settings, Settings]>([
    ['a token as a bearer', jwt, { header: 'Authorization', prefix: 'Bearer ' }],
    ['a token as a password', jwt, { basic: 'x-access-token' }],
    ['a secret with its user', { ...fixed, user: 'api' }, { basic: { from: 'credential' } }],
    ['an access key', { ...fixed, user: 'AKIAIOSFODNN7EXAMPLE' }, { sigv4: { service: 's3', region: 'eu-central-1' } }],
    ['a certificate', { ...fixed, certificate: { env: 'C' } }, { tls: true }],
    ['a placeholder with dots', fixed, { placeholder: 'SG.countersign.crm-key' }],
    ['a placeholder in its place', fixed, { placeholder: 'countersign-crm-key', at: [{ header: 'X-Api-Key' }, { query: 'key' }] }],
  ])('nothing is found about %s', (_what, provider, apply) => {
    expect(findings(provider, apply)).toEqual([])
  })
})

test('what the page shows passes check', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/apply.md'), 'utf8')
  const shown = Array.from(page.matchAll(/^```yaml\n([\s\S]*?)^```/gm), (match): unknown => parse(match[1] ?? ''))
  const [whole, narrow] = shown as [{ credential: { providers: Record<string, Settings> } }, { apply: Settings }]
  const providers = whole.credential.providers
  expect(Object.keys(providers).length).toBeGreaterThanOrEqual(10)
  for (const [name, { apply, ...provider }] of Object.entries(providers))
    expect([name, findings(provider, apply as Settings | undefined)]).toEqual([name, []])
  expect(findings(fixed, narrow.apply)).toEqual([])
})

test('an apply that is no place at all is refused with its path', () => {
  for (const apply of [
    { placeholder: 'short' },
    { placeholder: 'has a space in it' },
    { path: 'bot{secret}' },
    { path: '/bot' },
    { path: '/{secret}/{secret}' },
    { path: '/../{secret}' },
    { path: '/.{secret}' },
    { path: '//{secret}' },
    { path: '/{secret}/' },
    { path: '/{secret}?x' },
    { path: '/%2e{secret}' },
    { path: '/{other}{secret}' },
    { cookie: 'a=b' },
    { cookie: 'a;b' },
    { body: { json: 'api_key' } },
    { body: { json: '/a~2' } },
    { body: { json: '/*' } },
    { body: { form: 'a&b' } },
    { body: { json: '/a', form: 'a' } },
    { basic: { from: 'agent' } },
    { tls: false },
    { sigv4: { service: 's3\n', region: 'eu' } },
    { header: 'X-A', cookie: 'a' },
  ]) {
    const found = findings(fixed, apply)
    expect(found, stringify(apply)).not.toEqual([])
    expect(found[0]?.path, stringify(apply)).toMatch(/^credential\.providers\.crm/)
  }
})
