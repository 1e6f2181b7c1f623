import { createPrivateKey, type KeyObject } from 'node:crypto'
import { SignJWT } from 'jose'
import { z } from 'zod'
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import { durationBetween } from '../units.ts'
import { askIssuer, isSafeEndpoint } from './ask-issuer.ts'
import type { CredentialProvider, Issued, Wanted } from './credential.ts'
import { judged } from './judge.ts'
import { Apply, placementOf } from './placement.ts'
import { defineProvider, textOf, unanswered, type ProviderServices } from './provider.ts'
import { canonicalScopes } from './scopes.ts'
import { SecretRef } from './secret-ref.ts'

const Permission = z.string().regex(/^[a-z_]{1,64}:(read|write|admin)$/, 'must be a permission and its level, such as contents:read')
const Repository = z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, 'must be the name of a repository, without its owner')

/** Settings of a `github` provider. */
export const GithubConfig = z
  .strictObject({
    type: z.literal('github'),
    app: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,64}$/)
      .describe('Client id of the GitHub App, or its numeric id.'),
    key: SecretRef.describe('Private key of the App (PEM), as GitHub gives it. It stands: GitHub takes no other proof of an App.'),
    installation: z.int().min(1).describe('Id of the installation whose tokens are lent.'),
    permissions: z.array(Permission).min(1).max(64).describe('The most that a token may do. A decision asks for fewer by its scopes.'),
    repositories: z
      .array(Repository)
      .min(1)
      .max(500)
      .optional()
      .describe(
        'The only repositories a token is for; a decision names fewer by scopes such as repository:web. Absent: all of the installation.',
      ),
    surplus: z.array(Permission).max(64).default(['metadata:read']).describe('Harmless permissions that GitHub may add unasked.'),
    api: z
      .url()
      .refine(isSafeEndpoint, 'must be https, or http on loopback')
      .default('https://api.github.com')
      .describe('REST API; of GitHub Enterprise Server: https://HOST/api/v3.'),
    ca: z
      .strictObject({ file: z.string().min(1) })
      .optional()
      .describe('Additional certificate authorities of the API, PEM.'),
    ttl: durationBetween(1000, 3_600_000).default(300_000).describe('Longest use of a lease; the token is revoked with it.'),
    timeout: durationBetween(50, 60_000).default(5000).describe('Longest wait for one answer.'),
    apply: Apply,
  })
  .describe('Installation tokens of a GitHub App, narrowed to repositories and permissions, revoked with their task.')

export type GithubConfig = z.infer<typeof GithubConfig>

/**
 * Installation access tokens (GitHub REST API, “Create an installation access token for an app”). They live an hour, which no request can change;
 * they are revoked with the lease (“Revoke an installation access token”).
 */
export const github = defineProvider({
  type: 'github',
  config: GithubConfig,
  open,
  standing: () => [
    {
      at: ['key'],
      what: 'the private key of the GitHub App, which proves Countersign to GitHub',
      instead: 'GitHub takes no other proof of an App: give the App no permission that no agent needs, and renew the key.',
    },
  ],
})

const repositoryScope = 'repository:'

function open(config: GithubConfig, services: ProviderServices): CredentialProvider {
  privateKey(services.secret(config.key))
  const repositories = (config.repositories ?? []).map((name) => repositoryScope + name)
  const client = { fetch: config.ca === undefined ? services.fetch : services.trusting(config.ca.file) }
  return {
    type: 'github',
    placement: placementOf(config.apply),
    standing: false,
    offer: { scopes: canonicalScopes([...config.permissions, ...repositories]), audiences: [], ttl: config.ttl, subject: false },
    issue: (wanted, signal) => issue(config, { ...services, ...client }, wanted, signal),
    revoke: (handle, signal) => revoke(config, client, handle, signal),
  }
}

async function issue(config: GithubConfig, services: ProviderServices, wanted: Wanted, signal: AbortSignal): Promise<Issued> {
  signal.throwIfAborted()
  const repositories = wanted.scopes.flatMap((scope) => (scope.startsWith(repositoryScope) ? [scope.slice(repositoryScope.length)] : []))
  const permissions = wanted.scopes.filter((scope) => !scope.startsWith(repositoryScope))
  // GitHub takes what is left out for everything
  if (permissions.length === 0) throw nothingAsked('no permission is asked for')
  if (config.repositories !== undefined && repositories.length === 0) throw nothingAsked('no repository is asked for')
  const { json } = await askIssuer(
    services,
    {
      what: 'installation token',
      url: `${config.api}/app/installations/${config.installation}/access_tokens`,
      headers: { ...headersOf(await appToken(config, services)), 'content-type': 'application/json' },
      body: JSON.stringify({
        ...(config.repositories === undefined ? {} : { repositories }),
        permissions: Object.fromEntries(permissions.map((permission) => permission.split(':'))),
      }),
      timeout: config.timeout,
    },
    signal,
  )
  const came = Came.safeParse(json)
  // a token that cannot be read can be taken back by nobody
  const token = json !== null && typeof json === 'object' && 'token' in json && typeof json.token === 'string' ? json.token : null
  if (token === null) throw unanswered('the answer of GitHub holds no token')
  const expires = came.success ? Date.parse(came.data.expires_at) : Number.NaN
  const scopes = came.success ? scopesOf(config, came.data) : null
  const surplus = config.surplus
  const facts = { scopes, audience: null, expires: Number.isNaN(expires) ? null : expires, revocable: true }
  return {
    secret: new Secret(token),
    expires: Number.isNaN(expires) ? services.clock() + hour : expires,
    scopes: scopes ?? [],
    handle: new Secret(token),
    revocation: 'issuer',
    excess: token.startsWith('ghs_')
      ? judged({ ...wanted, scopes: allowed(wanted.scopes) }, facts, { surplus }, services.clock())
      : 'it is no installation token',
  }
}

const hour = 3_600_000

const Came = z.object({
  expires_at: z.iso.datetime({ offset: true }),
  permissions: z.record(z.string(), z.string()),
  repository_selection: z.enum(['all', 'selected']).optional(),
  repositories: z.array(z.object({ name: z.string() })).optional(),
})

/** What the token is good for, in the words of scopes; null where that cannot be told. */
function scopesOf(config: GithubConfig, came: z.infer<typeof Came>): readonly string[] | null {
  const permissions = Object.entries(came.permissions).map(([name, level]) => `${name}:${level}`)
  if (config.repositories === undefined) return canonicalScopes(permissions)
  if (came.repositories === undefined || came.repository_selection === 'all') return null
  return canonicalScopes([...permissions, ...came.repositories.map(({ name }) => repositoryScope + name)])
}

/** A level holds the ones below it: a token that may read where writing was asked for is not wider. */
function allowed(scopes: readonly string[]): readonly string[] {
  return scopes.flatMap((scope) => {
    const [name = '', level = ''] = scope.split(':')
    const below = level === 'admin' ? ['read', 'write'] : level === 'write' ? ['read'] : []
    return scope.startsWith(repositoryScope) ? [scope] : [scope, ...below.map((each) => `${name}:${each}`)]
  })
}

/** 204: revoked. 401: GitHub does not know the token any more. */
async function revoke(config: GithubConfig, client: Pick<ProviderServices, 'fetch'>, handle: Secret, signal: AbortSignal): Promise<void> {
  const { api, timeout } = config
  const question = { what: 'revocation', url: `${api}/installation/token`, method: 'DELETE', headers: headersOf(handle.reveal()), timeout }
  await askIssuer(client, question, signal, [401])
}

function headersOf(token: string): Readonly<Record<string, string>> {
  return {
    accept: 'application/vnd.github+json',
    authorization: `Bearer ${token}`,
    // GitHub refuses requests that do not say who asks
    'user-agent': 'countersign',
    'x-github-api-version': '2022-11-28',
  }
}

/** A JWT of the App: at most ten minutes, made out a minute back, as GitHub advises against clocks that differ. */
function appToken({ app, key }: GithubConfig, { clock, secret }: ProviderServices): Promise<string> {
  const now = Math.floor(clock() / 1000)
  const signed = new SignJWT({ iss: app, iat: now - 60, exp: now + 300 }).setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
  return signed.sign(privateKey(secret(key)))
}

/** Throws without any of the key's text. */
function privateKey(pem: Secret): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey(textOf(pem))
  } catch {
    throw new Error('the key of the App is not a PEM private key')
  }
  if (key.asymmetricKeyType !== 'rsa') throw new Error('the key of the App must be an RSA key, as GitHub gives it')
  return key
}

function nothingAsked(what: string): Refusal {
  return new Refusal('credential.unavailable', { detail: `${what}, and GitHub would take that for everything` })
}
