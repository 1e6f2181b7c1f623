import { z } from 'zod'
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import type { CredentialProvider, Issued, Wanted } from './credential.ts'
import { durationBetween } from '../units.ts'
import { Apply, placementOf } from './placement.ts'
import { defineProvider, type ProviderServices } from './provider.ts'
import { canonicalScopes, Scopes } from './scopes.ts'
import { SecretRef } from './secret-ref.ts'

/** Settings of a `jwt` provider. */
export const JwtConfig = z
  .strictObject({
    type: z.literal('jwt'),
    audience: z
      .string()
      .regex(/^[\x21-\x7e]{1,512}$/, 'must be printable ASCII without spaces')
      .describe('`aud` of the tokens: the upstream itself.'),
    ttl: durationBetween(1000, 60_000).default(60_000).describe('Life of a token, at most 60s.'),
    scope: Scopes.describe('Scopes of the tokens; a decision may ask for fewer.'),
    introspect: z
      .strictObject({
        client: z
          .string()
          .regex(/^[A-Za-z0-9._~-]{1,128}$/)
          .optional()
          .describe('User name of the upstream at the introspection endpoint; default: the name of the provider.'),
        secret: SecretRef,
      })
      .optional()
      .describe('The upstream asks Countersign about each token (RFC 7662), so that revocation takes effect at once.'),
    apply: Apply,
  })
  .describe('Countersign mints a task-bound access token with its own key (RFC 9068).')

export type JwtConfig = z.infer<typeof JwtConfig>

/** The embedded default: access tokens that need no other system. */
export const jwt = defineProvider({
  type: 'jwt',
  config: JwtConfig,
  open,
  standing: ({ introspect }) =>
    introspect === undefined
      ? []
      : [
          {
            at: ['introspect', 'secret'],
            what: 'the secret by which the upstream authenticates to introspection; it opens nothing else',
            instead: 'Leave introspection out where a life of at most a minute is short enough.',
          },
        ],
})

function open(config: JwtConfig, services: ProviderServices): CredentialProvider {
  const introspected = config.introspect !== undefined
  return {
    type: 'jwt',
    placement: placementOf(config.apply),
    standing: false,
    offer: { scopes: canonicalScopes(config.scope), audiences: [config.audience], ttl: config.ttl, subject: false },
    issue: (wanted, signal) => mint(wanted, introspected, services, signal),
    // an upstream that introspects learns from the lease book, which has let go of the lease before this is called
    ...(introspected ? { revoke: async () => {} } : {}),
  }
}

async function mint(wanted: Wanted, introspected: boolean, services: ProviderServices, signal: AbortSignal): Promise<Issued> {
  signal.throwIfAborted()
  const { clock, issuer, signingKey } = services
  const now = clock()
  const iat = Math.floor(now / 1000)
  const exp = Math.floor((now + wanted.ttl) / 1000)
  if (exp <= iat) throw new Refusal('credential.unavailable', { detail: 'the task leaves less than a second for a token' })
  const text = await signingKey.sign('at+jwt', { iss: issuer, ...claims(wanted), iat, exp, jti: wanted.lease })
  return {
    secret: new Secret(text),
    expires: exp * 1000,
    scopes: wanted.scopes,
    handle: introspected ? new Secret(wanted.lease) : null,
    revocation: introspected ? 'issuer' : 'expiry',
    excess: null,
  }
}

/** RFC 9068 §2.2. On behalf of a person, they are the subject (RFC 9493 names their issuer) and the caller is the actor (RFC 8693 §4.1). */
function claims({ audience, caller, scopes, subject, task, tool }: Wanted) {
  const scope = scopes.length > 0 ? { scope: scopes.join(' ') } : {}
  const who = subject
    ? { sub: subject.subject, sub_id: { format: 'iss_sub', iss: subject.issuer, sub: subject.subject }, act: { sub: caller } }
    : { sub: caller }
  return { ...(audience === null ? {} : { aud: audience }), ...who, client_id: caller, ...scope, task, tool }
}
