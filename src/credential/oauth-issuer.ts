import * as oauth from 'oauth4webapi'
import { Refusal } from '../refusal.ts'
import { bounded, codeOf, documentOf, errorCode, failed, isSafeEndpoint, unsent } from './ask-issuer.ts'
import type { KeyPair } from './dpop-key.ts'
import { assertion } from './oauth-assertion.ts'
import type { OauthConfig } from './oauth-config.ts'
import type { Claims } from './oauth-judge.ts'
import { textOf, type ProviderServices } from './provider.ts'

/** A token response as it came: only `access_token` is certain to be text. `malformed` when the protocol library refused it. */
export interface TokenAnswer {
  readonly access_token: string
  readonly token_type?: unknown
  readonly issued_token_type?: unknown
  readonly expires_in?: unknown
  readonly scope?: unknown
  readonly refresh_token?: unknown
  readonly malformed: boolean
}

/** The protocol library wants a client id; one that is known by its SPIFFE ID alone sends none. */
const nameless = 'countersign'
/** How long discovered metadata is used before it is read again, ms. */
const metadataAge = 3_600_000

/** No answer of an authorization server is longer than this. */
const answerLimit = 262_144

/** What is configured of a server and of us as its client. */
export type OauthParty = Pick<OauthConfig, 'issuer' | 'client' | 'timeout'> & {
  readonly endpoints?: Partial<NonNullable<OauthConfig['endpoints']>> | undefined
}

/** One authorization server as a client sees it: discovery, token, introspection and revocation endpoint. */
export class OauthIssuer {
  readonly #config: OauthParty
  readonly #services: ProviderServices
  readonly #client: oauth.Client
  /** Metadata and when it was read; written by `#metadata`. */
  #known: { readonly server: oauth.AuthorizationServer; readonly at: number } | null = null

  constructor(config: OauthParty, services: ProviderServices) {
    this.#config = config
    this.#services = services
    this.#client = { client_id: config.client.id ?? nameless }
    if ('secret' in config.client && textOf(services.secret(config.client.secret)) === '') throw new Error('the client secret is empty')
  }

  /** The identifier that assertions for this issuer name as their audience. */
  async identifier(signal: AbortSignal): Promise<string> {
    return (await this.#metadata(signal)).issuer
  }

  /** Asks for a token. Throws `credential.unavailable`; an answer that holds a token is given back however odd it is. */
  async token(
    grant: string,
    form: URLSearchParams,
    signal: AbortSignal,
    key: KeyPair | null = null,
  ): Promise<{ readonly answer: TokenAnswer; readonly revocable: boolean }> {
    const server = await this.#metadata(signal)
    const revocable = typeof server.revocation_endpoint === 'string'
    try {
      const DPoP = key === null ? {} : { DPoP: oauth.DPoP(this.#client, key) }
      const ask = async () => {
        const options = { ...this.#options(signal), ...DPoP }
        const response = await oauth.genericTokenEndpointRequest(
          server,
          this.#client,
          this.#clientAuth(server, signal),
          grant,
          form,
          options,
        )
        return oauth.processGenericTokenEndpointResponse(server, this.#client, response)
      }
      // RFC 9449 §8: the server may want a nonce of its own in the proof, and says so once
      const answer = await ask().catch((error: unknown) => {
        if (key !== null && oauth.isDPoPNonceError(error)) return ask()
        throw error
      })
      return { answer: { ...answer, malformed: false }, revocable }
    } catch (error) {
      const body = tokenIn(error)
      if (body !== null) return { answer: { ...body, malformed: true }, revocable }
      throw unavailable('token request', error)
    }
  }

  /** What the issuer says of a token (RFC 7662); null when it offers no introspection. Never throws. */
  async introspect(token: string, signal: AbortSignal): Promise<Claims> {
    try {
      const server = await this.#metadata(signal)
      if (typeof server.introspection_endpoint !== 'string') return null
      const response = await oauth.introspectionRequest(
        server,
        this.#client,
        this.#clientAuth(server, signal),
        token,
        this.#options(signal),
      )
      const facts = await oauth.processIntrospectionResponse(server, this.#client, response)
      return facts.active ? { ...facts } : 'unreadable'
    } catch {
      return 'unreadable'
    }
  }

  /**
   * Revokes tokens (RFC 7009); resolves when the issuer confirmed each, also of tokens it no longer knows (§2.2). An answer of 200 with an error in
   * it confirms nothing, although clients may ignore the body: Keycloak 26.4.0 gives it for exchanged tokens and lets them live. Introspection
   * cannot settle it: "not active" is also what an issuer says to whom a token is not meant for (RFC 7662 §2.2).
   */
  async revoke(tokens: readonly string[], signal: AbortSignal): Promise<void> {
    try {
      const server = await this.#metadata(signal)
      for (const token of tokens) {
        const response = await oauth.revocationRequest(server, this.#client, this.#clientAuth(server, signal), token, this.#options(signal))
        await oauth.processRevocationResponse(response)
        const json = documentOf(await response.text())
        if (json !== null && typeof json === 'object' && 'error' in json)
          throw failed('revocation', response.status, errorCode(json), false)
      }
    } catch (error) {
      throw error instanceof Refusal ? error : unavailable('revocation', error)
    }
  }

  async #metadata(signal: AbortSignal): Promise<oauth.AuthorizationServer> {
    const now = this.#services.clock()
    if (this.#known !== null && now < this.#known.at + metadataAge) return this.#known.server
    try {
      const server = this.#config.endpoints ? explicit(this.#config) : await this.#discover(signal)
      this.#known = { server, at: now }
      return server
    } catch (error) {
      if (this.#known !== null) return this.#known.server
      // whatever failed here, no credential was asked for yet
      const { detail } = unavailable('discovery', error)
      throw new Refusal('credential.unavailable', { detail: detail ?? 'discovery', retry: 'later' })
    }
  }

  async #discover(signal: AbortSignal): Promise<oauth.AuthorizationServer> {
    const issuer = new URL(this.#config.issuer)
    let response = await oauth.discoveryRequest(issuer, { ...this.#options(signal), algorithm: 'oidc' })
    if (response.status === 404) response = await oauth.discoveryRequest(issuer, { ...this.#options(signal), algorithm: 'oauth2' })
    return oauth.processDiscoveryResponse(issuer, response)
  }

  /** Client authentication; the secret is read anew each time, so a rotated file is picked up. */
  #clientAuth(server: oauth.AuthorizationServer, signal: AbortSignal): oauth.ClientAuth {
    const { client } = this.#config
    if (client.authenticate === 'jwt-svid') return assertion(client, this.#services, server.issuer, signal)
    if (client.authenticate === 'private_key_jwt')
      return oauth.PrivateKeyJwt({ key: this.#services.signingKey.handle, kid: this.#services.signingKey.kid })
    const secret = textOf(this.#services.secret(client.secret))
    return client.authenticate === 'client_secret_post' ? oauth.ClientSecretPost(secret) : oauth.ClientSecretBasic(secret)
  }

  #options(signal: AbortSignal) {
    return {
      signal: AbortSignal.any([signal, AbortSignal.timeout(this.#config.timeout)]),
      [oauth.customFetch]: (url: string, init: oauth.CustomFetchOptions<string, URLSearchParams | undefined>) => this.#fetch(url, init),
      // the configuration lets http through on loopback only, and `#fetch` holds every discovered endpoint to that
      [oauth.allowInsecureRequests]: new URL(this.#config.issuer).protocol === 'http:',
    }
  }

  async #fetch(url: string, { body, ...init }: oauth.CustomFetchOptions<string, URLSearchParams | undefined>): Promise<Response> {
    if (!isSafeEndpoint(url)) throw new Error('an endpoint is neither https nor on loopback')
    const response = await this.#services.fetch(url, body === undefined ? init : { ...init, body })
    return bounded(response, answerLimit)
  }
}

function explicit({ issuer, endpoints }: OauthParty): oauth.AuthorizationServer {
  return {
    issuer,
    ...(endpoints?.token === undefined ? {} : { token_endpoint: endpoints.token }),
    ...(endpoints?.revocation === undefined ? {} : { revocation_endpoint: endpoints.revocation }),
    ...(endpoints?.introspection === undefined ? {} : { introspection_endpoint: endpoints.introspection }),
  }
}

/** The token response inside an error of the protocol library, which refuses odd answers only after it has read them. */
function tokenIn(error: unknown): { readonly access_token: string } | null {
  const cause = error instanceof Error ? error.cause : null
  const body = cause !== null && typeof cause === 'object' && 'body' in cause ? cause.body : null
  if (body === null || typeof body !== 'object' || !('access_token' in body)) return null
  return typeof body.access_token === 'string' ? { ...body, access_token: body.access_token } : null
}

/**
 * What the operator reads of a failure: a status and an error code, never the issuer's prose, which may quote tokens.
 * The error itself is not kept as a cause: the protocol library's errors carry whole answers.
 */
function unavailable(what: string, error: unknown): Refusal {
  const status = statusOf(error)
  const code = error instanceof oauth.ResponseBodyError && /^[a-z_]{1,64}$/.test(error.error) ? error.error : codeOf(error)
  // a plain no, or no connection: nothing was issued. In all other cases nobody knows
  const known = status === null ? unsent.has(code) : status >= 300 && status < 500
  return failed(what, status, code, known)
}

/** The status that the issuer answered; null when there was no answer. */
function statusOf(error: unknown): number | null {
  if (error instanceof oauth.ResponseBodyError || error instanceof oauth.WWWAuthenticateChallengeError) return error.status
  return error instanceof Error && error.cause instanceof Response ? error.cause.status : null
}
