import { generateKeyPairSync } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CredentialProvider, Issued } from '../../../src/credential/credential.ts'
import { Secret } from '../../../src/secret.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import { IssuerServer, type IssuerReply, type IssuerRequest } from '../../support/issuer-server.ts'
import { calm, provider, providerServices, wanted } from '../../support/provider-rig.ts'

/**
 * Stand-ins for two servers that cannot be run here: one that authenticates clients by JWT-SVIDs (draft-ietf-oauth-spiffe-client-auth) and takes
 * ID-JAGs, and an identity provider that gives them (draft-ietf-oauth-identity-assertion-authz-grant). Each checks every field and refuses what
 * the drafts say must be refused.
 */
const own = 'spiffe://acme.example/countersign'
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const idpKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const types = 'urn:ietf:params:oauth:client-assertion-type:'
const jag = 'urn:ietf:params:oauth:token-type:id-jag'
const refused = (error: string): IssuerReply => ({ status: 400, json: { error } })
const server = new IssuerServer((request) => atServer(request))
const idp = new IssuerServer((request) => atProvider(request))
let seenClient: string | null = null

const services = providerServices({ '/token': 'unused' }, Date.now, {
  svid: async (audience) =>
    new Secret(
      await new SignJWT({ sub: own, aud: audience })
        .setProtectedHeader({ alg: 'ES256', kid: 'k', typ: 'JWT' })
        .setExpirationTime('5m')
        .sign(keys.privateKey),
    ),
})

beforeAll(() => Promise.all([server.listen(), idp.listen()]))
afterAll(() => Promise.all([server[Symbol.asyncDispose](), idp[Symbol.asyncDispose]()]))

async function authenticated(form: URLSearchParams, audience: string, type: string): Promise<boolean> {
  if (form.get('client_assertion_type') !== types + type) return false
  try {
    const { payload } = await jwtVerify(form.get('client_assertion') ?? '', keys.publicKey, { audience, requiredClaims: ['exp', 'sub'] })
    seenClient = form.get('client_id')
    return payload.sub === own
  } catch {
    return false
  }
}

function metadata(url: string): IssuerReply {
  return { status: 200, json: { issuer: url, token_endpoint: `${url}/token`, revocation_endpoint: `${url}/revoke` } }
}

async function atServer({ path, body }: IssuerRequest): Promise<IssuerReply> {
  if (path.startsWith('/.well-known/')) return metadata(server.url)
  const form = new URLSearchParams(body)
  if (!(await authenticated(form, server.url, form.get('client_id') === 'platform' ? 'jwt-bearer' : 'jwt-spiffe')))
    return { status: 401, json: { error: 'invalid_client' } }
  if (path === '/revoke') return { status: 200 }
  if (form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer') {
    const assertion = form.get('assertion') ?? ''
    if (decodeProtectedHeader(assertion).typ !== 'oauth-id-jag+jwt') return refused('invalid_grant')
    const { payload } = await jwtVerify(assertion, idpKeys.publicKey, { audience: server.url, issuer: idp.url })
    if (payload.sub !== 'user-1') return refused('invalid_grant')
  } else if (form.get('grant_type') !== 'client_credentials') return refused('unsupported_grant_type')
  return { status: 200, json: { access_token: 'opaque-token', token_type: 'Bearer', expires_in: 60, scope: form.get('scope') } }
}

async function atProvider({ path, body }: IssuerRequest): Promise<IssuerReply> {
  if (path.startsWith('/.well-known/')) return metadata(idp.url)
  const form = new URLSearchParams(body)
  if (!(await authenticated(form, idp.url, 'jwt-spiffe'))) return { status: 401, json: { error: 'invalid_client' } }
  if (form.get('requested_token_type') !== jag || form.get('audience') !== server.url) return refused('invalid_request')
  if (form.get('subject_token_type') !== 'urn:ietf:params:oauth:token-type:id_token') return refused('invalid_request')
  if (form.get('subject_token') !== 'id-token-of-user-1') return refused('invalid_grant')
  const assertion = await new SignJWT({ iss: idp.url, sub: 'user-1', aud: server.url, client_id: own, jti: '1', scope: form.get('scope') })
    .setProtectedHeader({ alg: 'ES256', typ: 'oauth-id-jag+jwt' })
    .setExpirationTime('5m')
    .sign(idpKeys.privateKey)
  return { status: 200, json: { issued_token_type: jag, access_token: assertion, token_type: 'N_A', expires_in: 300 } }
}

const client = { authenticate: 'jwt-svid' }

function opened(changes: object = {}): CredentialProvider {
  return provider({ type: 'oauth', issuer: server.url, client, scope: ['refunds:read'], ...changes }, services)
}

function issue(from: CredentialProvider, token: string | null = null): Promise<Issued> {
  const subject = token === null ? null : { subject: 'user-1', issuer: idp.url, token: new Secret(token) }
  return from.issue(wanted({ scopes: ['refunds:read'], subject }), calm)
}

describe('client authentication by our own SVID', () => {
  it('is a JWT-SVID for the issuer identifier, and no secret stands (OAuth SPIFFE client authentication)', async () => {
    const issued = await issue(opened())
    expect(issued).toMatchObject({ excess: null, revocation: 'issuer' })
    expect(seenClient).toBeNull()
    const form = new URLSearchParams(server.seen.at(-1)?.body)
    expect(decodeJwt(form.get('client_assertion') ?? '').aud).toBe(server.url)
  })

  it('names a client id and RFC 7523 where the issuer wants them', async () => {
    await issue(opened({ client: { ...client, id: 'platform', assertion: 'jwt-bearer' } }))
    expect(seenClient).toBe('platform')
  })

  it('revokes with it too', async () => {
    const from = opened()
    const { handle } = await issue(from)
    await from.revoke?.(handle ?? new Secret(''), calm)
    expect(server.seen.at(-1)?.path).toBe('/revoke')
  })

  it('for another audience is refused by the issuer, and nothing was issued', async () => {
    const refusal = await refusalOf(() => issue(opened({ client: { ...client, audience: `${server.url}/token` } })))
    expect(refusal?.detail).toContain('401')
    expect(refusal?.cause).toBeUndefined()
  })
})

describe('an identity assertion grant (ID-JAG)', () => {
  const grant = () => ({
    grant: 'id-jag',
    provider: { issuer: idp.url, client },
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
  })

  it('has the identity provider vouch for the person to another issuer', async () => {
    const issued = await issue(opened(grant()), 'id-token-of-user-1')
    expect(issued).toMatchObject({ excess: null, scopes: ['refunds:read'] })
    expect(issued.secret.reveal()).toBe('opaque-token')
  })

  it('is not asked for without a person behind the task', async () => {
    expect((await refusalOf(() => issue(opened(grant()))))?.detail).toContain('no token to exchange')
  })

  it('ends where the identity provider does not know the person', async () => {
    expect((await refusalOf(() => issue(opened(grant()), 'id-token-of-user-2')))?.detail).toContain('invalid_grant')
  })

  it('needs to be told of the identity provider', () => {
    expect(() => opened({ grant: 'id-jag' })).toThrow(/needs `provider`/)
  })
})
