import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import { durationBetween } from '../units.ts'
import { askIssuer, isSafeEndpoint } from './ask-issuer.ts'
import type { CredentialProvider, Issued, Wanted } from './credential.ts'
import { judged } from './judge.ts'
import { OwnIdentityConfig, ownIdentity } from './own-identity.ts'
import { Apply, placementOf } from './placement.ts'
import { defineProvider, unanswered, type ProviderServices } from './provider.ts'
import { canonicalScopes, ScopeToken } from './scopes.ts'

const Endpoint = z.url().refine(isSafeEndpoint, 'must be https, or http on loopback')
const Account = z.string().regex(/^[a-z0-9-]{1,63}@[a-z0-9.-]{1,253}$/, 'must be the address of a service account')

const Rule = z.strictObject({
  resource: z
    .string()
    .regex(
      /^\/\/storage\.googleapis\.com\/projects\/_\/buckets\/[a-z0-9][a-z0-9._-]{1,221}$/,
      'must be //storage.googleapis.com/projects/_/buckets/NAME',
    )
    .describe('The bucket.'),
  permissions: z
    .array(z.string().regex(/^inRole:roles\/[A-Za-z0-9.]{1,128}$/, 'must be inRole:roles/NAME'))
    .min(1)
    .max(16),
  prefix: z
    .string()
    .regex(/^[^'"\\\p{C}]{1,256}$/u, 'must hold no quotes, backslashes or control characters')
    .optional()
    .describe('Only objects whose names begin so.'),
})

/** Settings of a `gcp` provider. */
export const GcpConfig = z
  .strictObject({
    type: z.literal('gcp'),
    provider: z
      .string()
      .regex(
        /^projects\/\d+\/locations\/global\/workloadIdentityPools\/[a-z0-9-]+\/providers\/[a-z0-9-]+$/,
        'must be projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER',
      )
      .describe('The workload identity pool provider that trusts our own identity.'),
    identity: OwnIdentityConfig,
    audience: z.string().min(1).optional().describe('Audience of our own token; default: https://iam.googleapis.com/ and the provider.'),
    service_account: Account.optional().describe(
      'The account that is impersonated: its tokens live as long as asked. Absent: the federated token itself is lent.',
    ),
    delegates: z.array(Account).max(8).default([]).describe('Accounts in between, where the impersonation is delegated.'),
    scope: z.array(ScopeToken).min(1).max(64).describe('The widest OAuth scopes that are ever asked for.'),
    boundary: z
      .array(Rule)
      .min(1)
      .max(10)
      .optional()
      .describe('Narrows the token to buckets of Cloud Storage (Credential Access Boundary).'),
    surplus_ttl: durationBetween(1000, 43_200_000)
      .optional()
      .describe('How much longer than asked a token may live: nothing can revoke it. Needed without `service_account`.'),
    sts: Endpoint.default('https://sts.googleapis.com').describe('Security Token Service.'),
    iam: Endpoint.default('https://iamcredentials.googleapis.com').describe('IAM Service Account Credentials API.'),
    ttl: durationBetween(1000, 3_600_000).default(300_000).describe('Longest life of a token.'),
    timeout: durationBetween(50, 60_000).default(5000).describe('Longest wait for one answer.'),
    apply: Apply,
  })
  .describe('Google Cloud by workload identity federation: a token of an impersonated service account, narrowed to buckets where wanted.')

export type GcpConfig = z.infer<typeof GcpConfig>

/**
 * Security Token Service (v1/token), then generateAccessToken, then the Credential Access Boundary. Google revokes no such token by itself:
 * `expiry`, so that they are asked for no longer than they are wanted.
 */
export const gcp = defineProvider({ type: 'gcp', config: GcpConfig, open })

const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
const jwtToken = 'urn:ietf:params:oauth:token-type:jwt'
const cloudPlatform = 'https://www.googleapis.com/auth/cloud-platform'

function open(config: GcpConfig, services: ProviderServices): CredentialProvider {
  if (config.service_account === undefined && config.surplus_ttl === undefined)
    throw new Error(
      'a federated token lives up to an hour and nothing can revoke it: name a service_account to impersonate, or say surplus_ttl: 1h',
    )
  return {
    type: 'gcp',
    placement: placementOf(config.apply),
    standing: false,
    offer: { scopes: canonicalScopes(config.scope), audiences: [], ttl: config.ttl, subject: false },
    issue: (wanted, signal) => issue(config, services, wanted, signal),
  }
}

/** A token with its end, epoch ms. */
interface Token {
  readonly secret: string
  readonly expires: number
}

async function issue(config: GcpConfig, services: ProviderServices, wanted: Wanted, signal: AbortSignal): Promise<Issued> {
  signal.throwIfAborted()
  if (wanted.scopes.length === 0) throw new Refusal('credential.unavailable', { detail: 'no scope is asked for' })
  const { service_account: account, boundary } = config
  const federated = await federate(config, services, account === undefined ? wanted.scopes : [cloudPlatform], signal)
  const whole = account === undefined ? federated : await impersonate(config, services, federated.secret, account, wanted, signal)
  const token = boundary === undefined ? whole : await bounded(config, services, whole, boundary, signal)
  // Google gives the scopes that were asked for or an error, and does not repeat them
  const facts = { scopes: wanted.scopes, audience: null, expires: token.expires, revocable: false }
  return {
    secret: new Secret(token.secret),
    expires: token.expires,
    scopes: wanted.scopes,
    handle: null,
    revocation: 'expiry',
    excess: judged(wanted, facts, config, services.clock()),
  }
}

/** Our own token for a federated one. */
async function federate(config: GcpConfig, services: ProviderServices, scopes: readonly string[], signal: AbortSignal): Promise<Token> {
  const { provider, identity, audience = `https://iam.googleapis.com/${provider}` } = config
  const own = await ownIdentity(identity, services, audience, randomUUID(), signal)
  const form = new URLSearchParams({
    grant_type: tokenExchange,
    audience: `//iam.googleapis.com/${provider}`,
    scope: scopes.join(' '),
    requested_token_type: accessToken,
    subject_token: own.reveal(),
    subject_token_type: jwtToken,
  })
  return exchanged(config, services, 'federation', form, null, signal)
}

async function impersonate(
  { iam, delegates, timeout }: GcpConfig,
  services: ProviderServices,
  federated: string,
  account: string,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<Token> {
  const url = `${iam}/v1/projects/-/serviceAccounts/${account}:generateAccessToken`
  const named = delegates.length === 0 ? {} : { delegates: delegates.map((each) => `projects/-/serviceAccounts/${each}`) }
  // seconds, and never more of them than were wanted
  const lifetime = `${Math.max(1, Math.floor(wanted.ttl / 1000))}s`
  const body = JSON.stringify({ ...named, scope: wanted.scopes, lifetime })
  const headers = { authorization: `Bearer ${federated}`, 'content-type': 'application/json' }
  const { json } = await askIssuer(services, { what: 'impersonation', url, headers, body, timeout }, signal)
  const read = Impersonated.safeParse(json).data
  if (read === undefined) throw unanswered('impersonation: the answer cannot be read')
  return { secret: read.accessToken, expires: Date.parse(read.expireTime) }
}

/** The token for one that is good for the buckets of the boundary alone. It ends with the one it was made of. */
function bounded(
  config: GcpConfig,
  services: ProviderServices,
  whole: Token,
  boundary: readonly z.infer<typeof Rule>[],
  signal: AbortSignal,
): Promise<Token> {
  const accessBoundaryRules = boundary.map(({ resource, permissions, prefix }) => ({
    availablePermissions: permissions,
    availableResource: resource,
    ...(prefix === undefined ? {} : { availabilityCondition: { expression: condition(resource, prefix) } }),
  }))
  const form = new URLSearchParams({
    grant_type: tokenExchange,
    requested_token_type: accessToken,
    subject_token: whole.secret,
    subject_token_type: accessToken,
    options: JSON.stringify({ accessBoundary: { accessBoundaryRules } }),
  })
  return exchanged(config, services, 'access boundary', form, whole.expires, signal)
}

/** CEL, of reading and of listing. */
function condition(resource: string, prefix: string): string {
  const bucket = resource.slice(resource.lastIndexOf('/') + 1)
  const named = `resource.name.startsWith('projects/_/buckets/${bucket}/objects/${prefix}')`
  return `${named} || api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('${prefix}')`
}

/** `until`: the end of the token it is made of; null: the answer has to say when it ends. */
async function exchanged(
  { sts, timeout }: GcpConfig,
  services: ProviderServices,
  what: string,
  body: URLSearchParams,
  until: number | null,
  signal: AbortSignal,
): Promise<Token> {
  const now = services.clock()
  const { json } = await askIssuer(services, { what, url: `${sts}/v1/token`, body, timeout }, signal)
  const read = Exchanged.safeParse(json).data
  if (read === undefined) throw unanswered(`${what}: the answer cannot be read`)
  const told = read.expires_in === undefined ? null : now + read.expires_in * 1000
  if (told === null && until === null) throw unanswered(`${what}: the answer cannot be read`)
  return { secret: read.access_token, expires: told === null ? (until ?? now) : Math.max(told, until ?? told) }
}

const Impersonated = z.object({ accessToken: z.string().min(1), expireTime: z.iso.datetime({ offset: true }) })
const Exchanged = z.object({
  access_token: z.string().min(1),
  issued_token_type: z.literal(accessToken),
  token_type: z.string().regex(/^bearer$/i),
  expires_in: z.int().min(1).optional(),
})
