import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { CredentialProvider, Issued } from '../../../src/credential/credential.ts'
import { Unanswered } from '../../../src/credential/provider.ts'
import { application, EntraId, tenant, vault } from '../../support/entra-id.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import { calm, provider, providerServices, wanted } from '../../support/provider-rig.ts'

const entra = new EntraId()
const services = providerServices({}, Date.now)

beforeAll(() => entra.server.listen())
afterAll(() => entra.server[Symbol.asyncDispose]())
beforeEach(() => {
  entra.claims = (claims) => claims
  entra.change = (answer) => answer
})

function opened(changes: object = {}): CredentialProvider {
  const settings = { type: 'azure', tenant, client: application, resource: vault, surplus_ttl: '90m', authority: entra.server.url }
  return provider({ ...settings, ...changes }, services)
}

function issue(from = opened(), audience: string | null = vault): Promise<Issued> {
  return from.issue(wanted({ audience }), calm)
}

describe('an application token by a federated credential', () => {
  it('is had for a JWT-SVID of our own, for one resource', async () => {
    const issued = await issue()
    expect(issued).toMatchObject({ revocation: 'expiry', handle: null, excess: null })
    expect(new URLSearchParams(entra.server.seen.at(-1)?.body).get('scope')).toBe('https://vault.azure.net/.default')
  })

  it('is for another resource when the decision names one that is offered', async () => {
    const from = opened({ resource: [vault, 'https://storage.azure.com/'] })
    expect((await issue(from, 'https://storage.azure.com/')).excess).toBeNull()
    expect(new URLSearchParams(entra.server.seen.at(-1)?.body).get('scope')).toBe('https://storage.azure.com/.default')
  })

  it('lives as long as Entra ID likes: that has to be named harmless, and how much', async () => {
    expect(() => opened({ surplus_ttl: undefined })).toThrow()
    expect((await issue(opened({ surplus_ttl: '10m' }))).excess).toContain('longer')
  })
})

describe('what came back', () => {
  it.each([
    ['another resource', { aud: 'https://graph.microsoft.com' }],
    ['another tenant', { tid: application }],
    ['another application', { appid: tenant }],
    ['a longer life than the answer says', { exp: Math.floor(Date.now() / 1000) + 100_000 }],
    ['no audience', { aud: undefined }],
  ])('is too wide with %s', async (_what, over) => {
    entra.claims = (claims) => ({ ...claims, ...over })
    expect((await issue()).excess).toEqual(expect.any(String))
  })

  it('may name the resource by its application id where that is configured', async () => {
    const id = 'cfa8b339-82a2-471a-a3c9-0fc0be7a4093'
    entra.claims = (claims) => ({ ...claims, aud: id })
    expect((await issue()).excess).toContain('audience')
    expect((await issue(opened({ accepted: [id] }))).excess).toBeNull()
  })

  it('is too wide when it is no bearer token', async () => {
    entra.change = (answer) => ({ ...answer, token_type: 'pop' })
    expect((await issue()).excess).toContain('type')
  })
})

describe('a request that fails', () => {
  it('because the credential does not trust us says so, and none of the prose', async () => {
    const refusal = await refusalOf(() => issue(opened({ identity: 'signed' })))
    expect(refusal?.detail).toBe('token request: the issuer answered 400 invalid_client')
    expect(refusal?.cause).toBeUndefined()
  })

  it.each(['half', 'broken'] as const)('otherwise says that nobody knows: %s', async (fault) => {
    entra.server.next.push(fault)
    expect((await refusalOf(() => issue()))?.cause).toBeInstanceOf(Unanswered)
  })
})
