import { generateKeyPairSync } from 'node:crypto'
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { readSigningKey } from '../../../src/credential/keys.ts'
import { Secret } from '../../../src/secret.ts'
import { refusalOf, TestClock } from '../../support/identity-rig.ts'
import { calm, key, provider, providerServices, wanted } from '../../support/provider-rig.ts'

const audience = 'https://crm.acme.example'
const clock = new TestClock()
const services = providerServices({ secret: 'introspection-secret' }, clock.now)
const config = { type: 'jwt', audience, scope: ['crm:read', 'crm:write'] }

/** Mints as the stage would ask, and verifies as an upstream would: with the published keys alone. */
async function minted(changes: Parameters<typeof wanted>[0] = {}) {
  const jwt = provider(config, services)
  const issued = await jwt.issue(wanted({ audience, scopes: ['crm:read'], ...changes }), calm)
  const keys = createLocalJWKSet({ keys: [...key.publicKeys().keys] })
  const options = { audience, issuer: services.issuer, typ: 'at+jwt', algorithms: ['ES256'], currentDate: new Date(clock.now()) }
  return { issued, ...(await jwtVerify(issued.secret.reveal(), keys, options)) }
}

describe('a minted access token (RFC 9068)', () => {
  it('has typ at+jwt, an asymmetric signature and the id of a published key (§2.1)', async () => {
    const { issued } = await minted()
    expect(decodeProtectedHeader(issued.secret.reveal())).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: key.kid })
  })

  it('has iss, exp, aud, sub, client_id, iat and jti (§2.2), and its task', async () => {
    const { payload } = await minted()
    const { caller, lease, task, tool } = wanted()
    const iat = clock.now() / 1000
    expect(payload).toEqual({
      iss: services.issuer,
      aud: audience,
      sub: caller,
      client_id: caller,
      iat,
      exp: iat + 60,
      jti: lease,
      scope: 'crm:read',
      task,
      tool,
    })
  })

  it('has the scope that was asked for and no other (§2.2.3)', async () => {
    expect((await minted({ scopes: [] })).payload.scope).toBeUndefined()
  })

  it('names the person as subject, with their issuer (RFC 9493 §3.2.3), and the caller as actor (RFC 8693 §4.1)', async () => {
    const subject = { subject: 'user-1', issuer: 'https://login.acme.example', token: null }
    const { payload } = await minted({ subject })
    expect(payload).toMatchObject({
      sub: 'user-1',
      sub_id: { format: 'iss_sub', iss: 'https://login.acme.example', sub: 'user-1' },
      act: { sub: wanted().caller },
      client_id: wanted().caller,
    })
  })

  it('never lives longer than was asked, to the second below', async () => {
    const { issued, payload } = await minted({ ttl: 2999 })
    expect(payload.exp).toBe(clock.now() / 1000 + 2)
    expect(issued.expires).toBe(clock.now() + 2000)
  })

  it('is not minted for less than a second', async () => {
    expect((await refusalOf(() => minted({ ttl: 999 })))?.code).toBe('credential.unavailable')
  })

  it('is revoked at its issuer only where the upstream introspects; elsewhere it expires', async () => {
    expect((await minted()).issued).toMatchObject({ revocation: 'expiry', handle: null })
    const introspected = provider({ ...config, introspect: { secret: { env: 'secret' } } }, services)
    const issued = await introspected.issue(wanted({ audience }), calm)
    expect(issued.revocation).toBe('issuer')
    expect(issued.handle?.reveal()).toBe(wanted().lease)
  })
})

describe('the key set (RFC 7517)', () => {
  it('holds the public half alone', () => {
    const { keys } = key.publicKeys()
    expect(keys).toHaveLength(1)
    expect(Object.keys(keys[0] ?? {}).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
  })

  it('has the same key id for the same key after a restart (RFC 7638)', async () => {
    const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
    expect((await readSigningKey(new Secret(pem))).kid).toBe((await readSigningKey(new Secret(pem))).kid)
  })

  it.each([
    ['another curve', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ])('is not made from a key on %s', async (_what, { privateKey }) => {
    await expect(readSigningKey(new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' })))).rejects.toThrow('P-256')
  })

  it('belongs to a key whose private half cannot be taken out', () => {
    expect(key.handle.extractable).toBe(false)
  })
})
