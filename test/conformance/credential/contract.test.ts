import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { CredentialProvider, Issued } from '../../../src/credential/credential.ts'
import { kinds, ProviderConfig, standingOf } from '../../../src/credential/registry.ts'
import { Refusal } from '../../../src/refusal.ts'
import { Secret } from '../../../src/secret.ts'
import { clientSecret, startAuthorizationServer, type AuthorizationServer } from '../../support/authorization-server.ts'
import { StsStandIn, roleArn } from '../../support/aws-sts.ts'
import { application, EntraId, tenant, vault as keyVault } from '../../support/entra-id.ts'
import { GoogleCloud, pool, serviceAccount } from '../../support/google-cloud.ts'
import { app, appKey, GithubApp, installation } from '../../support/github-app.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import { provenBy } from '../../support/proven.ts'
import { calm, key, provider, providerServices, wanted } from '../../support/provider-rig.ts'
import { account, namespace, ownToken, TokenApi } from '../../support/token-api.ts'
import { VaultStandIn, vaultSettings } from '../../support/vault-api.ts'

const secrets = {
  client: clientSecret,
  standing: 'a-standing-secret',
  introspection: 'an-introspection-secret',
  app: appKey,
  '/token': ownToken,
}
const services = providerServices(secrets, Date.now)
const github = new GithubApp()
const kubernetes = new TokenApi()
const google = new GoogleCloud()
const entra = new EntraId()
const region = 'eu-central-1'
let server: AuthorizationServer
let sts: StsStandIn
const vault = await VaultStandIn.start()

beforeAll(async () => {
  sts = await StsStandIn.start({ issuer: services.issuer, keys: { keys: [...key.publicKeys().keys] } })
  server = await startAuthorizationServer({ keys: { keys: [...key.publicKeys().keys] } })
  await Promise.all([github, kubernetes, google, entra].map((one) => one.server.listen()))
})
afterAll(async () => {
  await Promise.all([
    server.close(),
    sts.close(),
    vault[Symbol.asyncDispose](),
    ...[github, kubernetes, google, entra].map((one) => one.server[Symbol.asyncDispose]()),
  ])
})

const plugin = `
const { kind, spec } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))
const status = () => ({ secret: 'of-' + spec.lease, expires: new Date(Date.now() + spec.ttlSeconds * 1000).toISOString(), scopes: spec.scopes, handle: 'handle-of-' + spec.lease })
if (kind === 'CredentialRequest') console.log(JSON.stringify({ apiVersion: 'countersign/v1', kind: 'Credential', status: status() }))`

/** Working settings for every kind in the registry. A new kind needs a line here to pass. */
const samples: Readonly<Record<string, () => readonly object[]>> = {
  aws: () => [
    {
      type: 'aws',
      role: roleArn,
      region,
      endpoint: sts.url,
      identity: 'signed',
      scope: ['dynamodb:GetItem', 'dynamodb:Query'],
      apply: { sigv4: { service: 'dynamodb', region } },
    },
  ],
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
  github: () => [
    { type: 'github', app, key: { env: 'app' }, installation, permissions: ['contents:read', 'issues:write'], api: github.server.url },
  ],
  kubernetes: () => [
    {
      type: 'kubernetes',
      server: kubernetes.server.url,
      identity: { token_file: '/token' },
      namespace,
      service_account: account,
      audiences: ['https://crm.acme.example'],
    },
  ],
  gcp: () => [
    {
      type: 'gcp',
      provider: pool,
      service_account: serviceAccount,
      scope: ['https://www.googleapis.com/auth/devstorage.read_only'],
      sts: google.server.url,
      iam: google.server.url,
    },
  ],
  azure: () => [{ type: 'azure', tenant, client: application, resource: keyVault, surplus_ttl: '90m', authority: entra.server.url }],
  exec: () => [{ type: 'exec', command: process.execPath, args: ['-e', plugin], scope: ['a', 'b'], revokes: true }],
  vault: () => Object.values(vaultSettings(vault.url)),
  static: () => [{ type: 'static', value: { env: 'standing' }, unsafe_standing: true }],
}

/** Settings with secrets that no sample above has; nothing is asked with them. */
const withSecrets: typeof samples = {
  oauth: () => [
    {
      type: 'oauth',
      issuer: server.issuer,
      client: { id: 'basic', authenticate: 'private_key_jwt' },
      grant: 'id-jag',
      provider: { issuer: server.issuer, client: { id: 'post', authenticate: 'client_secret_post', secret: { env: 'client' } } },
    },
  ],
}

let leases = 0
const whole = (from: CredentialProvider, ttl = 5000) =>
  wanted({
    lease: `l_${leases++}`,
    scopes: from.offer.scopes,
    audience: from.offer.audiences[0] ?? null,
    ttl: Math.min(ttl, from.offer.ttl),
  })

async function each(type: string, check: (from: CredentialProvider, issued: Issued, config: ProviderConfig) => unknown): Promise<void> {
  const configs = samples[type]?.() ?? []
  expect(configs).not.toEqual([])
  for (const config of configs) {
    const from = provider(config, services)
    await check(from, await from.issue(whole(from), calm), ProviderConfig.parse(config))
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

/** Paths at which a schema takes a secret reference: an object of nothing but `file`, or of nothing but `env`. */
function referencesIn(schema: unknown, path: readonly string[] = []): Set<string> {
  if (schema === null || typeof schema !== 'object') return new Set()
  const { properties = {}, anyOf = [], oneOf = [] } = schema as { properties?: object; anyOf?: unknown[]; oneOf?: unknown[] }
  if (Object.keys(properties).join() === 'env') return new Set([path.join('.')])
  const below = Object.entries(properties).flatMap(([name, member]) => [...referencesIn(member, [...path, name])])
  return new Set([...below, ...[...anyOf, ...oneOf].flatMap((one) => [...referencesIn(one, path)])])
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

  it('answers no lease that outlives what it was asked for, unless the issuer can revoke it, or gives nothing shorter and the configuration says so', () =>
    each(type, (from, issued, config) => {
      expect(issued.excess).toBeNull()
      const surplus = 'surplus_ttl' in config ? (config.surplus_ttl ?? 0) : 0
      if (issued.revocation !== 'issuer') expect(issued.expires).toBeLessThanOrEqual(Date.now() + Math.max(5000 + surplus, from.floor ?? 0))
    }))

  it('answers no scope that was not asked for, unless it is named harmless', () =>
    each(type, async (from, _issued, config) => {
      const scopes = from.offer.scopes.slice(0, 1)
      const issued = await from.issue({ ...whole(from), scopes }, calm)
      const harmless = 'surplus' in config ? config.surplus : []
      expect([...scopes, ...harmless]).toEqual(expect.arrayContaining([...issued.scopes]))
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
    for (const config of [...(samples[type]?.() ?? []), ...(withSecrets[type]?.() ?? [])])
      expect(standingOf(ProviderConfig.parse(config)).map(({ at }) => at.join('.'))).toEqual(secretsIn(config))
  })

  it('has every secret that its settings can name in one of the samples', () => {
    const config = kinds.find((one) => one.type === type)?.config as z.ZodType
    const named = [...(samples[type]?.() ?? []), ...(withSecrets[type]?.() ?? [])].flatMap((sample) => secretsIn(sample))
    const possible = referencesIn(z.toJSONSchema(config, { io: 'input', unrepresentable: 'any' }))
    // what is told to everybody is no secret
    expect([...possible].filter((path) => path !== 'certificate' && !named.includes(path))).toEqual([])
  })

  it('does what its lines in the matrix of providers say', async () => {
    const lines = new Set<string>()
    await each(type, async (from, issued) => lines.add(JSON.stringify(await provenBy(from, issued, calm))))
    const proven: unknown[] = [...lines].map((line) => JSON.parse(line))
    await expect(`${JSON.stringify(proven, null, 2)}\n`).toMatchFileSnapshot(`proven/${type}.json`)
  })

  it('can take back what it prepared although nothing was issued, twice', () =>
    each(type, async (from) => {
      const prepared = (await from.prepare?.(whole(from), calm)) ?? null
      if (prepared === null) return
      await from.revoke?.(prepared, calm)
      await from.revoke?.(prepared, calm)
    }))

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
