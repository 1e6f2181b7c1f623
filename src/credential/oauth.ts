import { z } from 'zod'
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import { documentOf } from './ask-issuer.ts'
import type { CredentialProvider, Issued, Wanted } from './credential.ts'
import { makeKey } from './dpop-key.ts'
import { OauthConfig } from './oauth-config.ts'
import { claimsOf } from './judge.ts'
import { OauthIssuer, type TokenAnswer } from './oauth-issuer.ts'
import { judge, type Asked, type Verdict } from './oauth-judge.ts'
import { placementOf } from './placement.ts'
import { defineProvider, unanswered, type ProviderServices, type StandingSecret } from './provider.ts'
import { canonicalScopes } from './scopes.ts'

const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'
const jwtType = 'urn:ietf:params:oauth:token-type:jwt'
const idJagType = 'urn:ietf:params:oauth:token-type:id-jag'
const bearerGrant = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'

const keyInstead = 'Authenticate by a key or an identity: `authenticate: private_key_jwt`, or `jwt-spiffe` where the issuer takes SVIDs.'

/**
 * Tokens from an authorization server (RFC 6749 §4.4, RFC 8693), checked against what was asked and revoked there (RFC 7009).
 * `revocation: issuer` says that the issuer confirmed: an upstream that reads tokens without asking the issuer honours them until they expire.
 */
export const oauth = defineProvider({
  type: 'oauth',
  config: OauthConfig,
  open,
  standing: ({ client, provider }) => [
    ...('secret' in client ? [clientSecret(['client', 'secret'], 'the issuer')] : []),
    ...(provider !== undefined && 'secret' in provider.client
      ? [clientSecret(['provider', 'client', 'secret'], 'the identity provider')]
      : []),
  ],
})

function clientSecret(at: readonly string[], whom: string): StandingSecret {
  return { at, what: `the client secret that Countersign authenticates to ${whom} with`, instead: keyInstead }
}

function open(config: OauthConfig, services: ProviderServices): CredentialProvider {
  const issuer = new OauthIssuer(config, services)
  const provider = config.grant === 'id-jag' ? providerOf(config, services) : null
  const placement = placementOf(config.apply)
  if (config.dpop && !(placement.in === 'header' && placement.name === 'authorization'))
    throw new Error('a DPoP-bound token has one place, the Authorization header: leave `apply` out')
  return {
    type: 'oauth',
    placement: config.dpop ? { in: 'dpop' } : placement,
    standing: false,
    offer: {
      scopes: canonicalScopes(config.scope),
      audiences: config.audience === undefined ? [] : [config.audience].flat(),
      ttl: config.ttl,
      subject: config.grant !== 'client_credentials',
    },
    issue: (wanted, signal) => issue({ config, issuer, provider, services }, wanted, signal),
    revoke: async (handle, signal) => issuer.revoke(tokensOf(handle), signal),
  }
}

/** The tokens that a handle stands for, whatever bytes they hold. What an error of the parser says of a text holds some of it, and so goes no further. */
function tokensOf(handle: Secret): readonly string[] {
  const read = z.array(z.string()).safeParse(documentOf(handle.reveal())).data
  if (read === undefined) throw new Refusal('credential.unavailable', { detail: 'revocation: what it takes cannot be read' })
  return read
}

/** What the tokens of a provider come by. */
interface Parties {
  readonly config: OauthConfig
  readonly issuer: OauthIssuer
  /** With `grant: id-jag`. */
  readonly provider: OauthIssuer | null
  readonly services: ProviderServices
}

function providerOf({ provider, timeout }: OauthConfig, services: ProviderServices): OauthIssuer {
  if (provider === undefined) throw new Error('`grant: id-jag` needs `provider`: the identity provider that the person signed in to')
  return new OauthIssuer({ ...provider, timeout }, services)
}

async function issue(parties: Parties, wanted: Wanted, signal: AbortSignal): Promise<Issued> {
  const { config, issuer, services } = parties
  signal.throwIfAborted()
  if (wanted.scopes.length === 0 && config.scope.length > 0)
    throw new Refusal('credential.unavailable', { detail: 'no scope is asked for, and the issuer would choose one itself' })
  const bound = config.dpop ? await makeKey() : null
  const asked = askedFor(config, wanted, services.clock(), bound?.thumbprint ?? null)
  const { grant, form } = await grantFor(parties, wanted, signal)
  const { answer, revocable } = await issuer.token(grant, form, signal, bound?.pair ?? null)
  // from here on a token exists: whatever is wrong with it is told as excess, so that it is taken back
  const untold = !asked.opaque && (asked.targets.length > 0 || answer.expires_in === undefined)
  const claims = claimsOf(answer.access_token) ?? (untold ? await issuer.introspect(answer.access_token, signal) : null)
  const came = issued(answer, judge(asked, answer, claims), revocable, asked.end + (config.surplus_ttl ?? 0))
  return bound === null ? came : { ...came, parts: { dpop_key: bound.pem } }
}

async function grantFor(
  { config, issuer, provider, services }: Parties,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<{ readonly grant: string; readonly form: URLSearchParams }> {
  const form = parametersOf(config, wanted)
  if (config.grant === 'client_credentials') return { grant: 'client_credentials', form }
  if (provider === null) {
    await addParties(form, config, issuer, services, wanted, signal)
    return { grant: exchangeGrant, form }
  }
  form.set('assertion', await identityAssertion(config, issuer, provider, wanted, signal))
  return { grant: bearerGrant, form }
}

/**
 * Identity Assertion Authorization Grant: the identity provider vouches for the person to another issuer. What it gives is no access token and
 * goes nowhere but to that issuer.
 */
async function identityAssertion(
  config: OauthConfig,
  issuer: OauthIssuer,
  provider: OauthIssuer,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<string> {
  const form = parametersOf({ ...config, audience: undefined }, { ...wanted, audience: await issuer.identifier(signal) })
  form.set('requested_token_type', idJagType)
  form.set('subject_token', subjectOf(wanted).reveal())
  form.set('subject_token_type', config.subject_token_type)
  const { answer } = await provider.token(exchangeGrant, form, signal)
  if (answer.issued_token_type !== idJagType) throw unanswered('what the identity provider gave is no ID-JAG')
  return answer.access_token
}

function askedFor(config: OauthConfig, wanted: Wanted, now: number, key: string | null): Asked {
  return {
    scopes: wanted.scopes,
    surplus: config.surplus,
    roles: config.surplus_roles,
    targets: wanted.audience === null ? config.resource : [wanted.audience, ...config.resource],
    issuedType: config.grant === 'token-exchange' ? accessTokenType : null,
    key,
    opaque: config.unsafe_opaque,
    now,
    end: now + wanted.ttl,
  }
}

function parametersOf(config: OauthConfig, wanted: Wanted): URLSearchParams {
  const form = new URLSearchParams()
  if (wanted.scopes.length > 0) form.set('scope', wanted.scopes.join(' '))
  if (wanted.audience !== null) form.set('audience', wanted.audience)
  for (const resource of config.resource) form.append('resource', resource)
  return form
}

/** RFC 8693 §2.1: for whom, and by whom. */
async function addParties(
  form: URLSearchParams,
  config: OauthConfig,
  issuer: OauthIssuer,
  services: ProviderServices,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<void> {
  form.set('requested_token_type', accessTokenType)
  form.set('subject_token', subjectOf(wanted).reveal())
  form.set('subject_token_type', config.subject_token_type)
  if (!config.actor) return
  form.set('actor_token', await actorToken(await issuer.identifier(signal), services, wanted))
  form.set('actor_token_type', jwtType)
}

function subjectOf({ subject }: Wanted): Secret {
  const token = subject?.token
  if (!token) throw new Refusal('credential.unavailable', { detail: 'the task carries no token to exchange' })
  return token
}

/** Our word for the caller, for this issuer alone, good for a minute. The token that the caller presented is for us and never leaves. */
function actorToken(audience: string, { signingKey, issuer, clock }: ProviderServices, wanted: Wanted): Promise<string> {
  const iat = Math.floor(clock() / 1000)
  return signingKey.sign('JWT', { iss: issuer, sub: wanted.caller, aud: audience, iat, exp: iat + 60, jti: wanted.lease })
}

function issued(answer: TokenAnswer, verdict: Verdict, revocable: boolean, end: number): Issued {
  const tooLong = !revocable && verdict.expires > end
  const tokens = typeof answer.refresh_token === 'string' ? [answer.access_token, answer.refresh_token] : [answer.access_token]
  return {
    secret: new Secret(answer.access_token),
    expires: verdict.expires,
    scopes: verdict.scopes,
    // whatever a token holds, it is told from the next one
    handle: revocable ? new Secret(JSON.stringify(tokens)) : null,
    revocation: revocable ? 'issuer' : 'expiry',
    excess: verdict.excess ?? (tooLong ? 'it lives longer than asked and nothing can revoke it' : null),
  }
}
