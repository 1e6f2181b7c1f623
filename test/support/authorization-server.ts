import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose'
import { errors, Provider, type GrantCall, type IssuedToken } from 'oidc-provider'

export const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'

export interface AuthorizationServerOptions {
  /** Public keys of Countersign: of the `private_key_jwt` client, and of actor tokens. */
  readonly keys: JSONWebKeySet
  /** Subject token → the person it stands for. */
  readonly subjects?: Readonly<Record<string, string>>
  /** Life of its tokens in seconds. */
  readonly lifetime?: number
}

/** A request as the token endpoint took it, without its secrets. */
export interface Exchange {
  readonly subject: string
  readonly actor: JWTPayload | null
  readonly requested: string | undefined
}

export interface AuthorizationServer {
  readonly issuer: string
  /** Token exchanges it granted, oldest first. */
  readonly exchanges: readonly Exchange[]
  /** What a resource server learns of a token (RFC 7662). */
  introspect(token: string): Promise<Readonly<Record<string, unknown>>>
  close(): Promise<void>
}

/** Resource servers: one takes opaque tokens, one JWTs. */
export const opaqueApi = 'https://opaque.acme.example'
export const jwtApi = 'https://jwt.acme.example'
export const clientSecret = 'a-client-secret-of-32-characters!'

/** Token → what introspection says of its subject and actor. Written by `exchange`. */
const parties = new WeakMap<object, object>()

/** A real authorization server in this process on 127.0.0.1: client credentials, token exchange, introspection and revocation. */
export async function startAuthorizationServer(options: AuthorizationServerOptions): Promise<AuthorizationServer> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = new Provider(issuer, configuration(options))
  const exchanges: Exchange[] = []
  // in this version a grant handler gets (provider, helpers, ctx) or (ctx), by who registered it: the call is the last of them
  const handler = async (...args: never[]): Promise<void> => exchange(args.at(-1) as unknown as GrantCall, provider, options, exchanges)
  provider.registerGrantType(exchangeGrant, handler, exchangeParameters)
  server.on('request', provider.callback())
  return {
    issuer,
    exchanges,
    introspect: (token) => introspect(issuer, token),
    close: () => new Promise((resolve) => void server.close(() => resolve())),
  }
}

const exchangeParameters = [
  'subject_token',
  'subject_token_type',
  'actor_token',
  'actor_token_type',
  'requested_token_type',
  'audience',
  'resource',
  'scope',
]

function configuration({ keys, lifetime = 600 }: AuthorizationServerOptions): object {
  const grants = { grant_types: ['client_credentials', exchangeGrant], redirect_uris: [], response_types: [] }
  const secret = { client_secret: clientSecret, ...grants }
  return {
    clients: [
      { client_id: 'basic', token_endpoint_auth_method: 'client_secret_basic', ...secret },
      { client_id: 'post', token_endpoint_auth_method: 'client_secret_post', ...secret },
      {
        client_id: 'signed',
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks: keys,
        ...grants,
      },
      { client_id: 'bound', token_endpoint_auth_method: 'client_secret_basic', dpop_bound_access_tokens: true, ...secret },
      { client_id: 'resource-server', token_endpoint_auth_method: 'client_secret_basic', ...secret },
    ],
    scopes: ['refunds:read', 'refunds:write'],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    extraTokenClaims: (_ctx: unknown, token: object) => parties.get(token),
    ttl: { ClientCredentials: lifetime },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: {
        enabled: true,
        nonceSecret: Buffer.alloc(32, 7),
        requireNonce: (ctx: { oidc: { client?: { clientId: string } } }) => ctx.oidc.client?.clientId === 'bound',
      },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: ownToken },
      resourceIndicators: { enabled: true, getResourceServerInfo: (_ctx: unknown, resource: string) => resourceServer(resource, lifetime) },
    },
  }
}

/** RFC 7009 §2.1: a token is revoked by the client it was issued to. */
function ownToken(_ctx: unknown, client: { readonly clientId: string }, token: { readonly clientId: string }): boolean {
  return client.clientId === token.clientId
}

function resourceServer(audience: string, accessTokenTTL: number): object {
  if (audience !== opaqueApi && audience !== jwtApi) throw new errors.InvalidTarget('unknown resource')
  const format = audience === jwtApi ? 'jwt' : 'opaque'
  return { scope: 'refunds:read refunds:write', audience, accessTokenFormat: format, accessTokenTTL, jwt: { sign: { alg: 'RS256' } } }
}

/** RFC 8693: the subject must be known, an actor must be signed by Countersign for this issuer. */
async function exchange(call: GrantCall, provider: Provider, options: AuthorizationServerOptions, granted: Exchange[]): Promise<void> {
  const { params, client } = call.oidc
  const subject = options.subjects?.[params['subject_token'] ?? '']
  if (subject === undefined) throw new errors.InvalidGrant('unknown subject')
  const actor = params['actor_token'] === undefined ? null : await verified(params['actor_token'], provider.issuer, options.keys)
  const token: IssuedToken = new provider.ClientCredentials({ client, scope: params['scope'] })
  parties.set(token, { sub: subject, ...(actor === null ? {} : { act: { sub: actor.sub } }) })
  if (params['resource'] !== undefined) token.resourceServer = resourceInstance(params['resource'], options.lifetime ?? 600)
  call.oidc.entity('ClientCredentials', token)
  const value = await token.save()
  granted.push({ subject, actor, requested: params['requested_token_type'] })
  call.body = {
    access_token: value,
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: token.tokenType,
    expires_in: token.expiration,
    ...(params['scope'] === undefined ? {} : { scope: params['scope'] }),
  }
}

/** What the server itself makes of `getResourceServerInfo`: an audience with a `jwt` format or an opaque one. */
function resourceInstance(resource: string, lifetime: number): object {
  return { ...resourceServer(resource, lifetime), identifier: () => resource }
}

async function verified(token: string, audience: string, keys: JSONWebKeySet): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, createLocalJWKSet(keys), { audience, requiredClaims: ['sub', 'exp', 'jti'] })).payload
  } catch {
    throw new errors.InvalidGrant('the actor is not known')
  }
}

async function introspect(issuer: string, token: string): Promise<Readonly<Record<string, unknown>>> {
  const response = await fetch(`${issuer}/token/introspection`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`resource-server:${encodeURIComponent(clientSecret)}`)}` },
    body: new URLSearchParams({ token }),
  })
  return (await response.json()) as Readonly<Record<string, unknown>>
}
