/** People sign in at an OpenID Connect issuer: authorization code with PKCE for browsers, its tokens for command lines. */
import { createRemoteJWKSet, customFetch, decodeProtectedHeader, jwtVerify, type JWTPayload } from 'jose'
import * as oauth from 'oauth4webapi'
import type { OidcSettings } from '../config/sign-in.ts'
import { bounded, isSafeEndpoint } from '../credential/ask-issuer.ts'
import type { Secret } from '../secret.ts'
import type { Seal } from '../state/state.ts'
import { SignInFault, type Person } from './person.ts'
import { personOf } from './claims.ts'

/** No answer of an issuer is longer than this. */
const answerLimit = 262_144

export interface OidcOptions {
  readonly settings: OidcSettings
  /** Null: a public client. */
  readonly secret: Secret | null
  readonly redirectUri: string
  readonly clock: () => number
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  /** Seals what a browser keeps for us while it is away. */
  readonly seal: Seal
  /** OIDC subject → the name of the person in `admin.approvers`, as it is now. */
  readonly names: () => ReadonlyMap<string, string>
  /** Whether they have a role here, as it is now. */
  readonly admits: (person: Person) => boolean
}

/** Away to the issuer: where to, and what the browser keeps. */
export interface Away {
  readonly url: string
  readonly kept: string
}

interface Kept {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  /** Path to go on to. */
  readonly to: string
  /** Epoch ms. */
  readonly until: number
}

const metadataAge = 3_600_000
/** How long a person may take at the issuer, and how long one request to it may take, ms. */
const awayTime = 600_000
const answerTime = 10_000
const purpose = 'sign-in'
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

interface Known {
  readonly server: oauth.AuthorizationServer
  readonly keys: ReturnType<typeof createRemoteJWKSet>
  readonly at: number
}

/** One issuer as the admin port sees it. All of its methods throw `SignInFault`, whose text holds nothing that the issuer said. */
export class Oidc {
  readonly #options: OidcOptions
  readonly #auth: oauth.ClientAuth
  /** Written by `#metadata`. */
  #known: Known | null = null

  constructor(options: OidcOptions) {
    this.#options = options
    this.#auth = options.secret === null ? oauth.None() : oauth.ClientSecretBasic(options.secret.reveal().trim())
  }

  /** Sends a browser to the issuer; afterwards it goes on to the path `to`. */
  async begin(to: string): Promise<Away> {
    const { settings, redirectUri, clock, seal } = this.#options
    const { server } = await this.#metadata()
    if (server.authorization_endpoint === undefined || !isSafeEndpoint(server.authorization_endpoint))
      throw new SignInFault(503, 'the issuer names no authorization endpoint that can be used')
    const verifier = oauth.generateRandomCodeVerifier()
    const kept: Kept = { state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce(), verifier, to, until: clock() + awayTime }
    const url = new URL(server.authorization_endpoint)
    const parameters = {
      response_type: 'code',
      client_id: settings.client,
      redirect_uri: redirectUri,
      scope: ['openid', ...settings.scope].join(' '),
      state: kept.state,
      nonce: kept.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    }
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
    return { url: url.href, kept: seal.seal(JSON.stringify(kept), purpose) }
  }

  /** Takes what the issuer sent the browser back with, and what the browser kept: gives who it is, and where to go on. */
  async finish(parameters: URLSearchParams, sealed: string): Promise<{ readonly person: Person; readonly to: string }> {
    const kept = this.#open(sealed)
    const { server, keys } = await this.#metadata()
    const client = this.#client()
    try {
      const checked = oauth.validateAuthResponse(server, client, parameters, kept.state)
      const response = await oauth.authorizationCodeGrantRequest(
        server,
        client,
        this.#auth,
        checked,
        this.#options.redirectUri,
        kept.verifier,
        this.#requests(),
      )
      const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
        expectedNonce: kept.nonce,
        requireIdToken: true,
      })
      // that it came from the token endpoint would do (OIDC Core §3.1.3.7); a signature that holds is better than a rule that lets it off
      const { payload } = await jwtVerify(tokens.id_token ?? '', keys, this.#rules(this.#options.settings.client))
      return { person: this.#person(await this.#withGroups(payload, tokens.access_token)), to: kept.to }
    } catch (error) {
      throw faultOf(error)
    }
  }

  /** Takes a token of the issuer that a command line sent: an ID token of our client, or an access token for a named audience. */
  async bearer(token: string): Promise<Person> {
    const { keys } = await this.#metadata()
    const { settings } = this.#options
    const access = isAccessToken(token)
    try {
      const { payload } = await jwtVerify(token, keys, this.#rules(access ? [...settings.audiences] : settings.client))
      // nobody here can see whether its sender holds the key that it is bound to
      if (payload['cnf'] !== undefined) throw new SignInFault(401, 'the token is bound to a key: sign in with the page or with a key pair')
      if (!access && payload['azp'] !== undefined && payload['azp'] !== settings.client)
        throw new SignInFault(401, 'the token was given to another client')
      return this.#person(payload)
    } catch (error) {
      throw faultOf(error)
    }
  }

  #person(claims: JWTPayload): Person {
    const { settings, names, admits } = this.#options
    return personOf(claims, { settings, names: names(), admits })
  }

  #open(sealed: string): Kept {
    let kept: Kept
    try {
      // sealed by this process, so it is what `begin` wrote
      kept = JSON.parse(this.#options.seal.open(sealed, purpose)) as Kept
    } catch {
      throw new SignInFault(401, 'this browser did not begin to sign in here: begin again')
    }
    const now = this.#options.clock()
    if (now >= kept.until || now < kept.until - awayTime) throw new SignInFault(401, 'signing in took too long: begin again')
    return kept
  }

  /** OpenID Connect Core §5.3: what the ID token does not say, userinfo may. */
  async #withGroups(claims: JWTPayload, accessToken: string): Promise<JWTPayload> {
    const { groups_claim: groups, name_claim: name } = this.#options.settings
    const { server } = await this.#metadata()
    const complete = claims[groups] !== undefined && claims[name] !== undefined
    if (complete || typeof server.userinfo_endpoint !== 'string' || claims.sub === undefined) return claims
    const response = await oauth.userInfoRequest(server, this.#client(), accessToken, this.#requests())
    return { ...(await oauth.processUserInfoResponse(server, this.#client(), claims.sub, response)), ...claims }
  }

  async #metadata(): Promise<Known> {
    const now = this.#options.clock()
    if (this.#known !== null && now >= this.#known.at && now < this.#known.at + metadataAge) return this.#known
    const issuer = new URL(this.#options.settings.issuer)
    try {
      const response = await oauth.discoveryRequest(issuer, { ...this.#requests(), algorithm: 'oidc' })
      const server = await oauth.processDiscoveryResponse(issuer, response)
      if (server.jwks_uri === undefined || !isSafeEndpoint(server.jwks_uri)) throw new Error('no keys')
      const keys = createRemoteJWKSet(new URL(server.jwks_uri), {
        timeoutDuration: answerTime,
        [customFetch]: (url: string, init: RequestInit) => this.#fetch(url, init),
      })
      return (this.#known = { server, keys, at: now })
    } catch {
      if (this.#known !== null) return this.#known
      throw new SignInFault(503, 'the sign-in issuer cannot be reached, or is not what the configuration says')
    }
  }

  /** Claims are held to the clock of this Countersign. */
  #client(): oauth.Client {
    return { client_id: this.#options.settings.client, [oauth.clockSkew]: Math.round((this.#options.clock() - Date.now()) / 1000) }
  }

  #rules(audience: string | string[]) {
    const currentDate = new Date(this.#options.clock())
    return {
      issuer: this.#options.settings.issuer,
      audience,
      algorithms,
      currentDate,
      clockTolerance: 5,
      requiredClaims: ['sub', 'exp', 'iat'],
    }
  }

  #requests() {
    return {
      signal: AbortSignal.timeout(answerTime),
      [oauth.customFetch]: (url: string, { body, ...init }: oauth.CustomFetchOptions<string, URLSearchParams | undefined>) =>
        this.#fetch(url, body === undefined ? init : { ...init, body }),
      // the configuration lets http through on loopback only, and `#fetch` holds every discovered endpoint to that
      [oauth.allowInsecureRequests]: new URL(this.#options.settings.issuer).protocol === 'http:',
    }
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    if (!isSafeEndpoint(url)) throw new Error('an endpoint is neither https nor on loopback')
    return bounded(await this.#options.fetch(url, { ...init, redirect: 'manual' }), answerLimit)
  }
}

/** RFC 9068 §2.1. All else is read as an ID token, and its audience is the client. */
function isAccessToken(token: string): boolean {
  try {
    const { typ } = decodeProtectedHeader(token)
    if (typ === undefined || typ.toUpperCase() === 'JWT') return false
    if (/^(application\/)?at\+jwt$/i.test(typ)) return true
  } catch {
    // told below
  }
  throw new SignInFault(401, 'the token is no ID token and no access token')
}

function faultOf(error: unknown): SignInFault {
  if (error instanceof SignInFault) return error
  if (error instanceof oauth.AuthorizationResponseError) return new SignInFault(403, 'the issuer did not let you sign in')
  return new SignInFault(401, 'what the issuer answered does not hold')
}
