import { z } from 'zod'
import { durationBetween } from '../units.ts'
import { isSafeEndpoint } from './ask-issuer.ts'
import { Apply } from './placement.ts'
import { Scopes } from './scopes.ts'
import { SecretRef } from './secret-ref.ts'

/** Https, or http on loopback: anywhere else client secrets and tokens would travel in clear. */
const Endpoint = z.url().refine(isSafeEndpoint, 'must be https, or http on loopback')
const Name = z.string().regex(/^[\x21-\x7e]{1,512}$/, 'must be printable ASCII without spaces')

const Client = z.discriminatedUnion('authenticate', [
  z.strictObject({ id: Name, authenticate: z.literal('client_secret_basic'), secret: SecretRef }),
  z.strictObject({ id: Name, authenticate: z.literal('client_secret_post'), secret: SecretRef }),
  z.strictObject({ id: Name, authenticate: z.literal('private_key_jwt') }),
  z.strictObject({
    authenticate: z.literal('jwt-svid'),
    id: Name.optional().describe('Client id, where the issuer wants one beside the SPIFFE ID.'),
    identity: z
      .union([z.literal('svid'), z.strictObject({ token_file: z.string().min(1) })])
      .default('svid')
      .describe('A JWT-SVID of our own, or a token that the platform keeps fresh in a file.'),
    assertion: z
      .enum(['jwt-spiffe', 'jwt-bearer'])
      .default('jwt-spiffe')
      .describe('client_assertion_type: jwt-spiffe (OAuth SPIFFE client authentication), or jwt-bearer (RFC 7523) for platform tokens.'),
    audience: Name.optional().describe('Audience of the assertion; default: the issuer identifier.'),
  }),
])

/** The identity provider that gives the assertion of the grant `id-jag`. */
const Provider = z.strictObject({
  issuer: Endpoint.describe('Issuer identifier of the identity provider that the person signed in to.'),
  endpoints: z.strictObject({ token: Endpoint }).optional(),
  client: Client.describe('How Countersign authenticates to the identity provider.'),
})

/** Settings of an `oauth` provider. */
export const OauthConfig = z
  .strictObject({
    type: z.literal('oauth'),
    issuer: Endpoint.describe('Issuer identifier; its endpoints are discovered (OIDC Discovery, RFC 8414) unless they are given.'),
    endpoints: z
      .strictObject({ token: Endpoint, revocation: Endpoint.optional(), introspection: Endpoint.optional() })
      .optional()
      .describe('Endpoints of an issuer without discovery.'),
    grant: z
      .enum(['client_credentials', 'token-exchange', 'id-jag'])
      .default('client_credentials')
      .describe('token-exchange (RFC 8693) and id-jag (Identity Assertion Authorization Grant) need a task opened on behalf of a person.'),
    provider: Provider.optional().describe('With `grant: id-jag`: the identity provider whose assertion is shown to the issuer.'),
    dpop: z
      .boolean()
      .default(false)
      .describe('Tokens are bound to a key that is made for the lease (DPoP, RFC 9449): each request proves it.'),
    client: Client.describe('How Countersign authenticates to the issuer.'),
    scope: Scopes.describe('The widest scope that is ever asked for.'),
    surplus: Scopes.describe('Harmless scopes that the issuer may add unasked.'),
    surplus_roles: z
      .union([z.literal('any'), z.array(z.string().min(1).max(256)).max(64)])
      .default([])
      .describe('Harmless roles that a token may carry, those of a client as client/role; any: whatever the person or the client has.'),
    audience: z
      .union([Name, z.array(Name).min(1).max(16)])
      .optional()
      .describe('Audience asked for; of several a decision may choose one.'),
    resource: z.array(z.url()).max(8).default([]).describe('Resources asked for (RFC 8707).'),
    subject_token_type: Name.default('urn:ietf:params:oauth:token-type:access_token').describe(
      'Type of the token that the task was opened with.',
    ),
    actor: z.boolean().default(true).describe('Names the calling agent to the issuer by a short-lived actor token (token-exchange).'),
    unsafe_opaque: z.boolean().default(false).describe('Uses a token although nobody can tell the audience it is good for.'),
    ttl: durationBetween(1000, 86_400_000).default(300_000).describe('Longest use of a lease.'),
    surplus_ttl: durationBetween(1000, 86_400_000)
      .optional()
      .describe('How much longer than asked a token may live that nothing can revoke.'),
    timeout: durationBetween(50, 60_000).default(5000).describe('Longest wait for one answer of the issuer.'),
    apply: Apply,
  })
  .describe('Tokens of an OAuth 2 authorization server: client credentials, token exchange (RFC 8693), or an identity assertion (ID-JAG).')

export type OauthConfig = z.infer<typeof OauthConfig>
