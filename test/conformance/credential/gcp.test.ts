import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { CredentialProvider, Issued } from '../../../src/credential/credential.ts'
import { Unanswered } from '../../../src/credential/provider.ts'
import { GoogleCloud, pool, serviceAccount } from '../../support/google-cloud.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import { calm, provider, providerServices, wanted } from '../../support/provider-rig.ts'

const google = new GoogleCloud()
const services = providerServices({}, Date.now)
const reading = 'https://www.googleapis.com/auth/devstorage.read_only'
const writing = 'https://www.googleapis.com/auth/devstorage.read_write'

beforeAll(() => google.server.listen())
afterAll(() => google.server[Symbol.asyncDispose]())
beforeEach(() => {
  google.change = (answer) => answer
})

function opened(changes: object = {}): CredentialProvider {
  const { url } = google.server
  const settings = { type: 'gcp', provider: pool, service_account: serviceAccount, scope: [reading, writing], sts: url, iam: url }
  return provider({ ...settings, ...changes }, services)
}

function issue(from = opened(), changes: Parameters<typeof wanted>[0] = {}): Promise<Issued> {
  return from.issue(wanted({ scopes: [reading], ...changes }), calm)
}

const tokenOf = (issued: Issued) => google.tokens.get(issued.secret.reveal())

describe('a token of an impersonated service account', () => {
  it('is had for a JWT-SVID of our own, with the scopes that were asked for, for as long as was wanted and no second longer', async () => {
    const issued = await issue(opened(), { ttl: 90_999 })
    expect(issued).toMatchObject({ revocation: 'expiry', handle: null, scopes: [reading], excess: null })
    expect(tokenOf(issued)).toMatchObject({ kind: 'account', scopes: [reading] })
    expect(issued.expires).toBeLessThanOrEqual(Date.now() + 90_000)
  })

  it('is narrowed to buckets by an access boundary, prefixes included, and ends with the token it was made of', async () => {
    const resource = '//storage.googleapis.com/projects/_/buckets/acme-reports'
    const boundary = [{ resource, permissions: ['inRole:roles/storage.objectViewer'], prefix: 'monthly/' }]
    const issued = await issue(opened({ boundary }))
    const token = tokenOf(issued)
    expect(token?.kind).toBe('bounded')
    const expression =
      "resource.name.startsWith('projects/_/buckets/acme-reports/objects/monthly/') || api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('monthly/')"
    expect(token?.rules).toEqual([
      { availablePermissions: ['inRole:roles/storage.objectViewer'], availableResource: resource, availabilityCondition: { expression } },
    ])
    expect(issued.expires).toBe(token?.expires)
    expect(issued.excess).toBeNull()
  })

  it('is never asked for without a scope', async () => {
    expect((await refusalOf(() => issue(opened(), { scopes: [] })))?.detail).toContain('no scope')
  })
})

describe('the federated token itself', () => {
  it('is lent only where its hour is named harmless', async () => {
    expect(() => opened({ service_account: undefined })).toThrow(/nothing can revoke it: name a service_account/)
    const from = opened({ service_account: undefined, surplus_ttl: '1h' })
    const issued = await issue(from)
    expect(issued.excess).toBeNull()
    expect(tokenOf(issued)).toMatchObject({ kind: 'federated', scopes: [reading] })
    expect((await issue(opened({ service_account: undefined, surplus_ttl: '5m' }))).excess).toContain('longer')
  })
})

describe('what came back', () => {
  it('is refused when it lives longer than asked', async () => {
    google.change = (answer) =>
      'expireTime' in answer ? { ...answer, expireTime: new Date(Date.now() + 3_600_000).toISOString() } : answer
    expect((await issue()).excess).toContain('longer')
  })

  it.each([
    ['of another type', { issued_token_type: 'urn:ietf:params:oauth:token-type:saml2' }],
    ['no bearer token', { token_type: 'N_A' }],
    ['without an end', { expires_in: undefined }],
  ])('is not used when it is %s', async (_what, over) => {
    google.change = (answer) => ({ ...answer, ...over })
    expect((await refusalOf(() => issue()))?.cause).toBeInstanceOf(Unanswered)
  })
})

describe('a request that fails', () => {
  it.each([
    ['the pool does not trust us', { identity: 'signed' }, 'federation: the issuer answered 400 invalid_grant'],
    [
      'the account may not be impersonated',
      { service_account: 'admin@acme.iam.gserviceaccount.com' },
      'impersonation: the issuer answered 403',
    ],
  ])('because %s says so, and none of the prose', async (_what, changes, detail) => {
    const refusal = await refusalOf(() => issue(opened(changes)))
    expect(refusal?.detail).toBe(detail)
    expect(refusal?.cause).toBeUndefined()
  })

  it('half way says that nobody knows', async () => {
    google.server.next.push(null, 'half')
    expect((await refusalOf(() => issue()))?.cause).toBeInstanceOf(Unanswered)
  })
})

describe('the settings', () => {
  it.each([
    ["a prefix that would end the condition: '", "monthly/') || true || ('"],
    ['a backslash', 'a\\'],
  ])('of a boundary hold no %s', (_what, prefix) => {
    const resource = '//storage.googleapis.com/projects/_/buckets/acme-reports'
    expect(() => opened({ boundary: [{ resource, permissions: ['inRole:roles/storage.objectViewer'], prefix }] })).toThrow()
  })
})
