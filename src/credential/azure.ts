import { z } from 'zod'
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import { durationBetween } from '../units.ts'
import { askIssuer, isSafeEndpoint } from './ask-issuer.ts'
import type { CredentialProvider, Issued, Wanted } from './credential.ts'
import { claimsOf, judged } from './judge.ts'
import { OwnIdentityConfig, ownIdentity } from './own-identity.ts'
import { Apply, placementOf } from './placement.ts'
import { defineProvider, unanswered, type ProviderServices } from './provider.ts'

const Guid = z.guid()
const Resource = z.string().regex(/^[a-z][a-z0-9+.-]*:\/\/[\x21-\x7e]{1,512}$/, 'must be a resource such as https://vault.azure.net')

/** Settings of an `azure` provider. */
export const AzureConfig = z
  .strictObject({
    type: z.literal('azure'),
    tenant: Guid.describe('Directory (tenant) id.'),
    client: Guid.describe('Client id of the application or user-assigned managed identity that trusts our own identity.'),
    identity: OwnIdentityConfig,
    audience: z
      .string()
      .min(1)
      .default('api://AzureADTokenExchange')
      .describe('Audience of our own token, as the federated credential names it.'),
    resource: z
      .union([Resource, z.array(Resource).min(1).max(16)])
      .describe('The resource that tokens are for; of several a decision may choose one.'),
    accepted: z
      .array(z.string().min(1))
      .max(16)
      .default([])
      .describe('Other names of the resource that may stand in `aud` of a token, such as its application id.'),
    surplus_ttl: durationBetween(1000, 86_400_000).describe(
      'How much longer than asked a token may live: Entra ID gives 60 to 90 minutes as it likes, and nothing can revoke it. Say 90m.',
    ),
    authority: z
      .url()
      .refine(isSafeEndpoint, 'must be https, or http on loopback')
      .default('https://login.microsoftonline.com')
      .describe('Of a national cloud: its own.'),
    ttl: durationBetween(1000, 3_600_000).default(300_000).describe('Longest use of a lease.'),
    timeout: durationBetween(50, 60_000).default(5000).describe('Longest wait for one answer.'),
    apply: Apply,
  })
  .describe('Microsoft Entra ID by a federated credential: an application token for one resource. Use one application for each capability.')

export type AzureConfig = z.infer<typeof AzureConfig>

/**
 * The client credentials grant with a federated credential (Microsoft identity platform, “Access token request with a federated credential”).
 * A token holds every role of the application on the resource, which no request can narrow, and nobody can revoke it: `expiry`.
 */
export const azure = defineProvider({ type: 'azure', config: AzureConfig, open })

function open(config: AzureConfig, services: ProviderServices): CredentialProvider {
  return {
    type: 'azure',
    placement: placementOf(config.apply),
    standing: false,
    offer: { scopes: [], audiences: [config.resource].flat(), ttl: config.ttl, subject: false },
    issue: (wanted, signal) => issue(config, services, wanted, signal),
  }
}

async function issue(config: AzureConfig, services: ProviderServices, wanted: Wanted, signal: AbortSignal): Promise<Issued> {
  signal.throwIfAborted()
  const { audience } = wanted
  if (audience === null) throw new Refusal('credential.unavailable', { detail: 'no resource is asked for' })
  const own = await ownIdentity(config.identity, services, config.audience, wanted.lease, signal)
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: config.client,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: own.reveal(),
    scope: `${audience.replace(/\/$/, '')}/.default`,
  })
  const url = `${config.authority}/${config.tenant}/oauth2/v2.0/token`
  const now = services.clock()
  const { json } = await askIssuer(services, { what: 'token request', url, body, timeout: config.timeout }, signal)
  const came = Came.safeParse(json).data
  if (came === undefined) throw unanswered('the answer of Entra ID cannot be read')
  const claims = Claims.safeParse(claimsOf(came.access_token)).data ?? null
  const expires = Math.max(now + came.expires_in * 1000, (claims?.exp ?? 0) * 1000)
  const facts = {
    type: { wanted: 'Bearer', came: came.token_type },
    scopes: [],
    audience: audienceOf(claims, audience, config.accepted),
    expires,
    revocable: false,
  }
  return {
    secret: new Secret(came.access_token),
    expires,
    scopes: [],
    handle: null,
    revocation: 'expiry',
    excess: foreign(claims, config) ?? judged(wanted, facts, config, now),
  }
}

const Came = z.object({ access_token: z.string().min(1), token_type: z.string(), expires_in: z.int().min(1) })
const Claims = z.object({
  aud: z.string(),
  exp: z.int(),
  tid: z.string().optional(),
  azp: z.string().optional(),
  appid: z.string().optional(),
})
type Claims = z.infer<typeof Claims>

/** The resource as it was asked for, where the token names it by one of its names; null where it cannot be told. */
function audienceOf(claims: Claims | null, asked: string, accepted: readonly string[]): string | null {
  if (claims === null) return null
  const bare = (name: string): string => name.replace(/\/$/, '')
  return [asked, ...accepted].some((name) => bare(name) === bare(claims.aud)) ? asked : claims.aud
}

/** Why a token is not ours; null when it is. */
function foreign(claims: Claims | null, { tenant, client }: AzureConfig): string | null {
  if (claims === null) return null
  const application = claims.azp ?? claims.appid
  if (claims.tid !== undefined && claims.tid !== tenant) return 'it is of another tenant'
  return application !== undefined && application !== client ? 'it is of another application' : null
}
