import { createPrivateKey, createPublicKey } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CredentialProvider, Issued } from '../../../src/credential/credential.ts'
import { clientSecret, jwtApi, startAuthorizationServer, type AuthorizationServer } from '../../support/authorization-server.ts'
import { calm, key, provider, providerServices, wanted } from '../../support/provider-rig.ts'

let server: AuthorizationServer
const services = providerServices({ secret: clientSecret }, Date.now)

beforeAll(async () => {
  server = await startAuthorizationServer({ keys: { keys: [...key.publicKeys().keys] } })
})
afterAll(() => server.close())

function opened(changes: object = {}): CredentialProvider {
  const client = { id: 'bound', authenticate: 'client_secret_basic', secret: { env: 'secret' } }
  return provider({ type: 'oauth', issuer: server.issuer, client, scope: ['refunds:read'], dpop: true, ...changes }, services)
}

function issue(from = opened()): Promise<Issued> {
  return from.issue(wanted({ scopes: ['refunds:read'] }), calm)
}

async function thumbprintOf(issued: Issued): Promise<string> {
  const pem = issued.parts?.['dpop_key']?.reveal() ?? ''
  return calculateJwkThumbprint(createPublicKey(createPrivateKey(pem)).export({ format: 'jwk' }))
}

describe('a DPoP-bound token (RFC 9449) of a real authorization server that wants nonces', () => {
  it('is bound to a key of its lease (§6), had by a proof with the nonce of the server (§8)', async () => {
    const issued = await issue()
    expect(issued).toMatchObject({ excess: null, revocation: 'issuer' })
    expect(await server.introspect(issued.secret.reveal())).toMatchObject({
      active: true,
      token_type: 'DPoP',
      cnf: { jkt: await thumbprintOf(issued) },
    })
  })

  it('has another key for every lease', async () => {
    expect(await thumbprintOf(await issue())).not.toBe(await thumbprintOf(await issue()))
  })

  it('that says another key, or is a bearer token after all, is too wide', async () => {
    const jwt = await issue(opened({ resource: [jwtApi] }))
    expect(jwt.excess).toBeNull()
    const plain = { id: 'basic', authenticate: 'client_secret_basic', secret: { env: 'secret' } }
    const bearer = await opened({ dpop: false, client: plain }).issue(wanted({ scopes: ['refunds:read'] }), calm)
    expect(bearer.excess).toBeNull()
    const unasked = await opened({ dpop: false })
      .issue(wanted({ scopes: ['refunds:read'] }), calm)
      .catch((error: unknown) => error)
    expect(unasked).toMatchObject({ code: 'credential.unavailable' })
  })

  it('is revoked like any other (RFC 7009)', async () => {
    const from = opened()
    const issued = await issue(from)
    if (issued.handle === null) throw new Error('no handle')
    await from.revoke?.(issued.handle, calm)
    expect(await server.introspect(issued.secret.reveal())).toEqual({ active: false })
  })

  it('has one place on a request: the settings say so when they name another', () => {
    expect(() => opened({ apply: { query: 'access_token' } })).toThrow(/leave `apply` out/)
  })
})
