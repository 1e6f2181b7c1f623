import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CredentialProvider, Issued } from '../../../src/credential/credential.ts'
import { Secret } from '../../../src/secret.ts'
import { clientSecret, jwtApi, opaqueApi, startAuthorizationServer, type AuthorizationServer } from '../../support/authorization-server.ts'
import { CredentialRig } from '../../support/credential-rig.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import { sketchRow } from '../../support/question.ts'
import { calm, key, provider, providerServices, wanted } from '../../support/provider-rig.ts'

const caller = wanted().caller
let server: AuthorizationServer

beforeAll(async () => {
  const keys = { keys: [...key.publicKeys().keys] }
  server = await startAuthorizationServer({ keys, subjects: { 'subject-canary': 'user-1', 'other-canary': 'user-2' } })
})
afterAll(() => server.close())

const services = providerServices({ secret: clientSecret }, Date.now)

function opened(changes: object = {}): CredentialProvider {
  const client = { id: 'basic', authenticate: 'client_secret_basic', secret: { env: 'secret' } }
  return provider({ type: 'oauth', issuer: server.issuer, client, scope: ['refunds:read', 'refunds:write'], ...changes }, services)
}

/** Asks for all that the provider offers, or for less. */
function issue(from: CredentialProvider, changes: Parameters<typeof wanted>[0] = {}): Promise<Issued> {
  return from.issue(wanted({ scopes: from.offer.scopes, audience: from.offer.audiences[0] ?? null, ...changes }), calm)
}

describe('client credentials (RFC 6749 §4.4) at a real authorization server', () => {
  it.each([
    ['client_secret_basic', { id: 'basic', authenticate: 'client_secret_basic', secret: { env: 'secret' } }],
    ['client_secret_post', { id: 'post', authenticate: 'client_secret_post', secret: { env: 'secret' } }],
    ['private_key_jwt', { id: 'signed', authenticate: 'private_key_jwt' }],
  ])('gives a token that is live at the issuer, with %s', async (_method, client) => {
    const issued = await issue(opened({ client }))
    expect(issued).toMatchObject({ revocation: 'issuer', excess: null, scopes: ['refunds:read', 'refunds:write'] })
    expect(await server.introspect(issued.secret.reveal())).toMatchObject({ active: true, client_id: client.id })
  })

  it('asks for fewer scopes when the decision narrows them, and gets no more', async () => {
    const issued = await issue(opened(), { scopes: ['refunds:read'] })
    expect(issued).toMatchObject({ scopes: ['refunds:read'], excess: null })
    expect(await server.introspect(issued.secret.reveal())).toMatchObject({ scope: 'refunds:read' })
  })

  it('never asks for no scope at all, for the issuer would choose one', async () => {
    expect((await refusalOf(() => issue(opened(), { scopes: [] })))?.detail).toContain('no scope')
  })

  it('tells an opaque token’s audience by introspection (RFC 7662) when a resource was asked for (RFC 8707)', async () => {
    const issued = await issue(opened({ resource: [opaqueApi] }))
    expect(issued.excess).toBeNull()
    expect(await server.introspect(issued.secret.reveal())).toMatchObject({ aud: opaqueApi })
  })

  it('tells a JWT’s audience by its own claims', async () => {
    const issued = await issue(opened({ resource: [jwtApi] }))
    expect(issued.excess).toBeNull()
    expect(issued.secret.reveal().split('.')).toHaveLength(3)
  })

  it('finds a token for another audience than asked too wide: this issuer ignores `audience`', async () => {
    expect((await issue(opened({ audience: 'https://payments.acme.example' }))).excess).toBe('its audience cannot be told')
  })
})

describe('revocation (RFC 7009) at a real authorization server', () => {
  it('makes the token inactive at introspection, and may be repeated', async () => {
    const from = opened()
    const issued = await issue(from)
    const handle = issued.handle ?? new Secret('')
    await from.revoke?.(handle, calm)
    expect(await server.introspect(issued.secret.reveal())).toEqual({ active: false })
    await from.revoke?.(handle, calm)
  })

  it('by a handle that cannot be read is never taken for done, and tells nothing of it', async () => {
    const refusal = await refusalOf(() => opened().revoke?.(new Secret('a-canary that is no list'), calm))
    expect(refusal?.detail).toBe('revocation: what it takes cannot be read')
    expect(inspect(refusal, { depth: 9, showHidden: true })).not.toContain('canary')
  })

  it('of a token that the issuer cannot revoke is never taken for done', async () => {
    const from = opened({ resource: [jwtApi] })
    const issued = await issue(from)
    const refusal = await refusalOf(() => from.revoke?.(issued.handle ?? new Secret(''), calm))
    expect(refusal?.detail).toContain('unsupported_token_type')
  })
})

describe('token exchange (RFC 8693) at a real authorization server', () => {
  const exchange = { grant: 'token-exchange' }
  const subject = { subject: 'user-1', issuer: 'https://login.acme.example', token: new Secret('subject-canary') }

  it('exchanges the token of the person for one that acts for them, and revokes it', async () => {
    const from = opened(exchange)
    const issued = await issue(from, { subject })
    expect(issued).toMatchObject({ revocation: 'issuer', excess: null })
    expect(await server.introspect(issued.secret.reveal())).toMatchObject({ active: true, sub: 'user-1', act: { sub: caller } })
    await from.revoke?.(issued.handle ?? new Secret(''), calm)
    expect(await server.introspect(issued.secret.reveal())).toEqual({ active: false })
  })

  it('names the caller by an actor token that Countersign signs for this issuer, good for a minute', async () => {
    await issue(opened(exchange), { subject })
    const { actor, requested } = server.exchanges.at(-1) ?? {}
    expect(actor).toMatchObject({ iss: 'https://countersign.acme.example', sub: caller, aud: server.issuer })
    expect((actor?.exp ?? 0) - (actor?.iat ?? 0)).toBe(60)
    expect(requested).toBe('urn:ietf:params:oauth:token-type:access_token')
  })

  it('sends no actor when told so', async () => {
    await issue(opened({ ...exchange, actor: false }), { subject })
    expect(server.exchanges.at(-1)?.actor).toBeNull()
  })

  it('holds the audience of what came back against the resource asked for', async () => {
    expect((await issue(opened({ ...exchange, resource: [opaqueApi] }), { subject })).excess).toBeNull()
  })

  it('refuses a task that was opened on nobody’s behalf', async () => {
    expect((await refusalOf(() => issue(opened(exchange))))?.detail).toContain('no token to exchange')
    expect((await refusalOf(() => issue(opened(exchange), { subject: { ...subject, token: null } })))?.detail).toContain('no token')
  })

  it('tells the operator the code of an issuer’s no, and nothing of the tokens', async () => {
    const refusal = await refusalOf(() => issue(opened(exchange), { subject: { ...subject, token: new Secret('unknown-canary') } }))
    expect(refusal).toMatchObject({ code: 'credential.unavailable', detail: 'token request: the issuer answered 400 invalid_grant' })
    expect(inspect(refusal, { depth: 12, showHidden: true })).not.toContain('canary')
  })
})

describe('client authentication', () => {
  it('that the issuer refuses is told without the secret', async () => {
    const client = { id: 'basic', authenticate: 'client_secret_basic', secret: { env: 'wrong' } }
    const wrong = providerServices({ wrong: 'canary-wrong-secret' }, Date.now)
    const from = provider({ type: 'oauth', issuer: server.issuer, client, scope: ['refunds:read'] }, wrong)
    const refusal = await refusalOf(() => issue(from))
    expect(refusal?.code).toBe('credential.unavailable')
    expect(inspect(refusal, { depth: 12, showHidden: true })).not.toContain('canary')
  })
})

describe('a lease from a real authorization server', () => {
  const live = () => ({ expires: Date.now() + 600_000, limit: Date.now() + 600_000 })
  const rigFor = (changes: object = {}) => new CredentialRig({ providers: new Map([['crm', opened(changes)]]), clock: Date.now })

  it('ends with its task: the token is inactive at its issuer and the row says revoked', async () => {
    const rig = rigFor()
    const lease = await rig.lease({ task: live() })
    expect(await server.introspect(lease.secret.reveal())).toMatchObject({ active: true })
    await rig.stage.revokeTask(sketchRow().id, 'completed')
    expect(await server.introspect(lease.secret.reveal())).toEqual({ active: false })
    expect(rig.row(lease.id)).toMatchObject({ state: 'revoked', revocation: 'issuer' })
  })

  it('that is wider than asked is refused, and taken back before the call hears of it', async () => {
    const rig = rigFor({ audience: 'https://payments.acme.example' })
    const refusal = await refusalOf(() => rig.lease({ task: live() }))
    expect(refusal?.code).toBe('credential.too-wide')
    expect(rig.kinds()).toEqual(['lease.issued', 'lease.revoked'])
  })
})
