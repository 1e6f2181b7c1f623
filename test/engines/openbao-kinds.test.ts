import { createPublicKey, X509Certificate } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CredentialProvider, Issued } from '../../src/credential/credential.ts'
import { Secret } from '../../src/secret.ts'
import { refusalOf } from '../support/identity-rig.ts'
import { OpenBao } from '../support/openbao.ts'
import { Postgres } from '../support/postgres.ts'
import { calm, key, provider, providerServices, wanted } from '../support/provider-rig.ts'
import { vaultSettings } from '../support/vault-api.ts'

/** Every kind of secret that the stand-in of the conformance suite gives, had from a real OpenBao with the same settings. */
const services = providerServices({}, Date.now)
let bao: OpenBao
let postgres: Postgres

beforeAll(async () => {
  ;[bao, postgres] = await Promise.all([OpenBao.start(), Postgres.start()])
  const jwk = { ...key.publicKeys().keys[0] }
  const own = ['lookup-self', 'renew-self', 'revoke-self']
    .map((name) => `path "auth/token/${name}" { capabilities = ["read", "update"] }`)
    .join('\n')
  const leases = 'path "sys/leases/*" { capabilities = ["update"] }'
  await set('sys/auth/jwt', { type: 'jwt' })
  await set('auth/jwt/config', {
    jwt_validation_pubkeys: [createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'pem', type: 'spki' })],
    bound_issuer: services.issuer,
  })
  await set('auth/jwt/role/countersign', {
    role_type: 'jwt',
    user_claim: 'sub',
    bound_audiences: ['vault'],
    bound_subject: services.issuer,
    token_policies: ['countersign'],
    token_no_default_policy: true,
    token_ttl: '30s',
    token_max_ttl: '1h',
  })
  await policy('countersign', `path "auth/token/create/countersign" { capabilities = ["update"] }\n${own}`)
  await policy('lease', `${own}\n${leases}`)
  await policy('orders-read', 'path "database/creds/reader" { capabilities = ["read"] }')
  await policy('kv-read', 'path "kv/data/team/crm" { capabilities = ["read"] }\npath "kv1/crm" { capabilities = ["read"] }')
  await policy('pki-issue', 'path "pki/issue/agent" { capabilities = ["update"] }')
  await set('auth/token/roles/countersign', {
    allowed_policies: ['lease', 'orders-read', 'orders-write', 'kv-read', 'pki-issue'],
    orphan: false,
    renewable: true,
    token_type: 'service',
  })
  await set('sys/mounts/database', { type: 'database' })
  const { name: username, password } = postgres.superuser
  const connection_url = `postgresql://{{username}}:{{password}}@127.0.0.1:${postgres.port}/postgres?sslmode=disable`
  await set('database/config/orders', {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: ['reader'],
    connection_url,
    username,
    password,
  })
  const creation_statements = [`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`]
  await set('database/roles/reader', { db_name: 'orders', default_ttl: '20s', max_ttl: '40s', creation_statements })
  await set('sys/mounts/kv', { type: 'kv', options: { version: '2' } })
  await set('sys/mounts/kv1', { type: 'kv' })
  await set('kv1/crm', { key: 'a-kv-secret' })
  await set('sys/mounts/pki', { type: 'pki' })
  await set('pki/root/generate/internal', { common_name: 'acme', ttl: '24h', key_type: 'ec' })
  const role = {
    allowed_domains: ['acme.example'],
    allow_subdomains: true,
    allowed_uri_sans: ['spiffe://acme.example/*'],
    key_type: 'ec',
    max_ttl: '1h',
  }
  await set('pki/roles/agent', { ...role, generate_lease: true, no_store: false })
  // a fresh mount of the second version takes a moment to be ready
  while ((await bao.ask('POST', 'kv/data/team/crm', { data: { key: 'a-kv-secret' } })).status !== 200) await wait(20)
})
afterAll(async () => {
  await bao[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

async function set(path: string, body: object): Promise<void> {
  const { status, json } = await bao.ask('POST', path, body)
  expect(status, `${path}: ${JSON.stringify(json)}`).toBeLessThan(300)
}

const policy = (name: string, text: string): Promise<void> => set(`sys/policies/acl/${name}`, { policy: text })

type Kind = keyof ReturnType<typeof vaultSettings>

function opened(kind: Kind, changes: object = {}): CredentialProvider {
  return provider({ ...vaultSettings(bao.url)[kind], ...changes }, services)
}

function issue(from: CredentialProvider, scopes: readonly string[], ttl = 15_000): Promise<Issued> {
  return from.issue(wanted({ scopes, ttl }), calm)
}

const handle = ({ handle: sealed }: Issued): Secret => sealed ?? new Secret('')
const children = async () => (await bao.tokens()).filter(({ path }) => path.startsWith('auth/token/create'))

describe('a real OpenBao lends', () => {
  it('a database role, takes it back, and is asked twice without harm', async () => {
    const from = opened('database')
    const issued = await issue(from, ['orders-read'])
    expect(issued).toMatchObject({ excess: null, revocation: 'issuer', scopes: ['orders-read'] })
    expect(await postgres.session(issued.user ?? '', issued.secret.reveal())).toEqual({ ok: true, text: issued.user })
    expect((await children())[0]).toMatchObject({
      policies: ['lease', 'orders-read'],
      meta: { task: wanted().task, lease: wanted().lease },
    })
    await from.revoke?.(handle(issued), calm)
    await from.revoke?.(handle(issued), calm)
    expect(await postgres.roles()).toEqual([])
    expect(await children()).toEqual([])
    await from.close?.()
    expect(await bao.tokens()).toEqual([])
  })

  it('a database role for longer, as far as its role goes and no further', async () => {
    const from = opened('database', { ttl: '2m', max_ttl: '10m' })
    const issued = await issue(from, ['orders-read'], 10_000)
    const began = Date.now()
    const renewed = await from.renew?.(handle(issued), 120_000, calm)
    // capped by max_ttl of the role, whatever was asked
    expect(renewed?.expires).toBeGreaterThan(began + 30_000)
    expect(renewed?.expires).toBeLessThanOrEqual(Date.now() + 40_000)
    await from.close?.()
    await expect.poll(() => postgres.roles()).toEqual([])
  })

  it('a certificate, and revokes it', async () => {
    const uri = 'spiffe://acme.example/agent'
    const from = opened('pki', { secret: { pki: { role: 'agent', common_name: 'agent.acme.example', uri_sans: [uri] } } })
    const issued = await issue(from, ['pki-issue'])
    expect(issued).toMatchObject({ excess: null, revocation: 'issuer' })
    const certificate = new X509Certificate(issued.parts?.['certificate']?.reveal() ?? '')
    expect(certificate.subjectAltName).toBe(`DNS:agent.acme.example, URI:${uri}`)
    await from.revoke?.(handle(issued), calm)
    const serial = certificate.serialNumber.toLowerCase().replaceAll(/(..)(?!$)/g, '$1:')
    const { json } = await bao.ask('GET', `pki/cert/${serial}`)
    expect((json['data'] as { revocation_time?: number }).revocation_time).toBeGreaterThan(0)
    expect(await children()).toEqual([])
    await from.close?.()
  })

  it.each([
    ['the second version', { kv: { mount: 'kv', path: 'team/crm', field: 'key' } }],
    ['the first version', { kv: { mount: 'kv1', path: 'crm', field: 'key', version: 1 } }],
  ])('a secret of kv, %s, which stands, and keeps no token for it', async (_what, secret) => {
    const from = opened('kv', { secret })
    const issued = await issue(from, ['kv-read'])
    expect(issued).toMatchObject({ excess: null, revocation: 'discard', handle: null })
    expect(issued.secret.reveal()).toBe('a-kv-secret')
    expect(await children()).toEqual([])
    await from.close?.()
  })

  it('a token of its own, which nobody can lengthen, and ends it', async () => {
    const from = opened('token')
    const issued = await issue(from, ['orders-read'])
    const as = (method: string, path: string): Promise<number> =>
      fetch(`${bao.url}/v1/${path}`, { method, headers: { 'X-Vault-Token': issued.secret.reveal() } }).then(({ status }) => status)
    expect(issued.excess).toBeNull()
    expect(await as('POST', 'auth/token/renew-self')).toBe(400)
    expect(await as('GET', 'kv1/crm')).toBe(403)
    await from.revoke?.(handle(issued), calm)
    expect(await as('GET', 'auth/token/lookup-self')).toBe(403)
    await from.close?.()
  })

  it('nothing wider: what an entity adds is found out, and taken back', async () => {
    const from = opened('token')
    const before = await issue(from, ['orders-read'])
    const { json } = await bao.ask('POST', 'auth/token/lookup', { token: before.secret.reveal() })
    await set(`identity/entity/id/${String((json['data'] as { entity_id?: string }).entity_id)}`, { policies: ['kv-read'] })
    const issued = await issue(from, ['orders-read'])
    expect(issued.excess).toContain('policies that were not asked for')
    await from.close?.()
    expect(await bao.tokens()).toEqual([])
  })

  it('nothing to an identity that is another’s', async () => {
    const stranger = provider(vaultSettings(bao.url).token, { ...services, issuer: 'https://other.acme.example' })
    expect((await refusalOf(() => issue(stranger, ['orders-read'])))?.detail).toContain('login')
    expect(await bao.tokens()).toEqual([])
  })
})
