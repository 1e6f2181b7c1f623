import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CredentialProvider, Issued } from '../../../src/credential/credential.ts'
import { kinds, ProviderConfig, standingOf } from '../../../src/credential/registry.ts'
import { Refusal } from '../../../src/refusal.ts'
import { Secret } from '../../../src/secret.ts'
import { clientSecret, startAuthorizationServer, type AuthorizationServer } from '../../support/authorization-server.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import { calm, key, provider, providerServices, wanted } from '../../support/provider-rig.ts'
import { VaultStandIn, vaultSettings } from '../../support/vault-api.ts'

const secrets = { client: clientSecret, standing: 'a-standing-secret', introspection: 'an-introspection-secret' }
const services = providerServices(secrets, Date.now)
let server: AuthorizationServer
const vault = await VaultStandIn.start()

beforeAll(async () => {
  server = await startAuthorizationServer({ keys: { keys: [...key.publicKeys().keys] } })
})
afterAll(() => server.close())
afterAll(() => vault[Symbol.asyncDispose]())

/** Working settings for every kind in the registry. A new kind needs a line here to pass. */
const samples: Readonly<Record<string, () => readonly object[]>> = {
  jwt: () => [
    { type: 'jwt', audience: 'https://crm.acme.example', scope: ['a', 'b'] },
    { type: 'jwt', audience: 'https://crm.acme.example', introspect: { secret: { env: 'introspection' } } },
  ],
  oauth: () => [
    {
      type: 'oauth',
      issuer: server.issuer,
      client: { id: 'basic', authenticate: 'client_secret_basic', secret: { env: 'client' } },
      scope: ['refunds:read', 'refunds:write'],
    },
  ],
  vault: () => Object.values(vaultSettings(vault.url)),
  static: () => [{ type: 'static', value: { env: 'standing' }, unsafe_standing: true }],
}

const whole = (from: CredentialProvider, ttl = 5000) =>
  wanted({ scopes: from.offer.scopes, audience: from.offer.audiences[0] ?? null, ttl: Math.min(ttl, from.offer.ttl) })

async function each(type: string, check: (from: CredentialProvider, issued: Issued) => unknown): Promise<void> {
  const configs = samples[type]?.() ?? []
  expect(configs).not.toEqual([])
  for (const config of configs) {
    const from = provider(config, services)
    await check(from, await from.issue(whole(from), calm))
  }
}

/** Paths of the secret references in settings, a secret of kv among them; a token that the platform keeps fresh in a file does not stand. */
function secretsIn(value: object, path: readonly string[] = []): string[] {
  const reference = Object.keys(value).length === 1 && ('env' in value || 'file' in value)
  if (reference) return [path.join('.')]
  return Object.entries(value).flatMap(([name, member]: [string, unknown]) =>
    name === 'kv' ? [[...path, name].join('.')] : member !== null && typeof member === 'object' ? secretsIn(member, [...path, name]) : [],
  )
}

describe.each(kinds.map(({ type }) => type))('a provider of the kind %s', (type) => {
  it('takes its settings, and no key that it does not know', () => {
    for (const config of samples[type]?.() ?? []) {
      expect(ProviderConfig.safeParse(config).success).toBe(true)
      expect(ProviderConfig.safeParse({ ...config, unheard_of: 1 }).success).toBe(false)
    }
  })

  it('describes its settings in JSON Schema', () => {
    const kind = kinds.find((one) => one.type === type)
    expect(kind?.config.description).toMatch(/\.$/)
  })

  it('answers no lease that outlives what it was asked for, unless the issuer can revoke it', () =>
    each(type, (_from, issued) => {
      expect(issued.excess).toBeNull()
      if (issued.revocation !== 'issuer') expect(issued.expires).toBeLessThanOrEqual(Date.now() + 5000)
    }))

  it('answers no scope that was not asked for', () =>
    each(type, async (from) => {
      const scopes = from.offer.scopes.slice(0, 1)
      const issued = await from.issue({ ...whole(from), scopes }, calm)
      expect(scopes).toEqual(expect.arrayContaining([...issued.scopes]))
    }))

  it('offers scopes sorted and without repeats, for they are part of a key', () =>
    each(type, (from) => expect(from.offer.scopes).toEqual([...new Set(from.offer.scopes)].toSorted())))

  it('gives a handle exactly when it says that the issuer revokes, and then can revoke, twice', () =>
    each(type, async (from, issued) => {
      expect(issued.handle !== null).toBe(issued.revocation === 'issuer')
      if (issued.handle === null) return
      expect('revoke' in from).toBe(true)
      await from.revoke?.(issued.handle, calm)
      await from.revoke?.(issued.handle, calm)
    }))

  it('says discard of a standing secret, and of nothing else', () =>
    each(type, (from, issued) => expect(issued.revocation === 'discard').toBe(from.standing)))

  it('names every secret of its settings that stands', () => {
    for (const config of samples[type]?.() ?? [])
      expect(standingOf(ProviderConfig.parse(config)).map(({ at }) => at.join('.'))).toEqual(secretsIn(config))
  })

  it('honours a signal that has aborted', () =>
    each(type, async (from) => {
      const refusal = await refusalOf(() => from.issue(whole(from), AbortSignal.abort(new Refusal('task.ended'))))
      expect(refusal?.code).toBe('task.ended')
    }))

  it('shows no secret when it, or what it gave, is printed', () =>
    each(type, (from, issued) => {
      const text = inspect([from, issued], { depth: 12, showHidden: true }) + JSON.stringify([from, issued])
      for (const secret of [issued.secret.reveal(), issued.handle?.reveal(), ...Object.values(secrets)]) {
        if (secret !== undefined && secret !== wanted().lease) expect(text).not.toContain(secret)
      }
      expect(issued.secret).toBeInstanceOf(Secret)
    }))
})
