import { Refusal } from '../../refusal.ts'
import type { TokenRules } from '../jwt/claims.ts'
import type { Caller, IdentitySource, Presented } from '../identify.ts'
import { checkSignature } from '../jwt/jws.ts'
import { fileInterval, keyDocument } from '../keys/key-document.ts'
import type { KeyDocument } from '../keys/key-document.ts'
import { describe } from '../keys/key-report.ts'
import type { KeyReport } from '../keys/key-report.ts'
import { KeySource } from '../keys/key-source.ts'
import type { VerifyKey } from '../jwt/keys.ts'
import { rejected, shown } from '../rejected.ts'
import { defineSource } from '../source.ts'
import type { IdentifyServices } from '../source.ts'
import { claimedIssuer, claimedSubject } from '../token-shape.ts'
import { callerOf } from './caller.ts'
import type { Mapping } from './caller.ts'
import { config, resolveOidc } from './config.ts'
import type { OidcConfig } from './config.ts'
import { discoveredKeys, keysAt } from './discovery.ts'
import { Endpoint } from './endpoint.ts'
import { TokenReview } from './review.ts'
import { checkToken, readToken } from './token.ts'
import type { ReadToken, TokenType } from './token.ts'

/** Workload tokens of an OpenID Connect issuer. */
export const oidc = defineSource({ type: 'oidc', config, open })

const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

function open(settings: OidcConfig, services: IdentifyServices): IdentitySource {
  const { clock, log } = services
  const { issuer, template, preset } = resolveOidc(settings)
  const review = reviewOf(settings, services)
  const endpoint = endpointOf(settings.ca?.file, settings.bearer?.file, services)
  const keys = new KeySource({
    document: documentOf(settings, issuer, endpoint, services),
    format: 'jwks',
    maxAge: settings.max_age,
    interval: settings.keys !== undefined && 'file' in settings.keys ? fileInterval : null,
    clock,
    log,
    trustDomain: issuer,
  })
  const required = new Map(Object.entries(settings.require ?? {}).map(([path, value]) => [path, Array.isArray(value) ? value : [value]]))
  return new OidcSource({
    mapping: { issuer, template, preset, required, shown: settings.claims },
    rules: { audience: settings.audience, leeway: settings.leeway, maxLifetime: settings.max_lifetime },
    type: settings.typ,
    keys,
    endpoint,
    review,
    keep: settings.review?.keep ?? null,
    clock,
  })
}

interface Parts {
  readonly mapping: Mapping
  readonly rules: TokenRules
  readonly type: TokenType
  readonly keys: KeySource
  readonly endpoint: Endpoint
  readonly review: TokenReview | null
  /** Ms that a review holds; null without one. */
  readonly keep: number | null
  readonly clock: () => number
}

class OidcSource implements IdentitySource {
  readonly type = 'oidc'
  readonly keep?: number
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
    if (parts.keep !== null) this.keep = parts.keep
  }

  /** Rules before keys: only a token that would pass with the right signature can make us read keys again. */
  verify({ token: text }: Presented): Caller | null | Promise<Caller | null> {
    const { mapping, type, keys } = this.#parts
    if (!this.#isMine(text)) return null
    const token = readToken(text, type)
    this.#check(token)
    const caller = callerOf(token, text, mapping)
    const key = keys.find(token.kid)
    return key instanceof Promise ? key.then((found) => this.#finish(token, text, caller, found)) : this.#finish(token, text, caller, key)
  }

  generation(): number {
    return this.#parts.keys.generation()
  }

  ready(): boolean {
    return this.#parts.keys.ready()
  }

  async examine(): Promise<KeyReport> {
    const { keys, review } = this.#parts
    const report = await keys.examine()
    if (review === null) return report
    const fault = await review.probe().then(
      () => null,
      (why: unknown) => (why instanceof Refusal ? why.detail : null) ?? describe(why),
    )
    return { ...report, review: { fault } }
  }

  close(): void {
    const { keys, endpoint, review } = this.#parts
    keys.close()
    endpoint.close()
    review?.close()
  }

  /**
   * By `iss` alone. A token whose subject is a SPIFFE ID is a JWT-SVID whatever else it says, also when SPIRE's discovery provider is the
   * issuer: only keys of that trust domain may prove it (Workload API §6.3).
   */
  #isMine(text: string): boolean {
    return claimedIssuer(text) === this.#parts.mapping.issuer && !(claimedSubject(text)?.startsWith('spiffe://') ?? false)
  }

  #finish(token: ReadToken, text: string, caller: Caller, key: VerifyKey | null): Caller | Promise<Caller> {
    const { mapping, review } = this.#parts
    if (key === null) throw rejected('key', `${mapping.issuer} has no key ${shown(token.kid)}`)
    checkSignature(token, key, 'key')
    this.#check(token)
    // only a genuine token is worth a question to the API server, and only such a one is shown to it
    return review === null ? caller : review.check(text, token).then(() => caller)
  }

  #check(token: ReadToken): void {
    const { rules, clock, mapping } = this.#parts
    // what routed the token here was a looser reading
    if (token.issuer !== mapping.issuer) throw rejected('unknown', 'iss is not what it looked like')
    checkToken(token, rules, clock())
  }
}

function documentOf({ keys }: OidcConfig, issuer: string, endpoint: Endpoint, { path, fetch }: IdentifyServices): KeyDocument {
  if (keys === undefined) return discoveredKeys(issuer, endpoint)
  return 'file' in keys ? keyDocument({ file: path(keys.file) }, fetch) : keysAt(keys.url, endpoint)
}

function endpointOf(ca: string | undefined, bearer: string | undefined, services: IdentifyServices): Endpoint {
  const { path } = services
  return new Endpoint({ ca: ca === undefined ? null : path(ca), bearer: bearer === undefined ? null : path(bearer) }, services)
}

/** Inside a cluster the environment names the API server, and the files of our own service account say how to speak to it. */
function reviewOf({ review, audience }: OidcConfig, services: IdentifyServices): TokenReview | null {
  if (review === undefined) return null
  const inside = review.url === undefined
  const ca = review.ca?.file ?? (inside ? `${accountFolder}/ca.crt` : undefined)
  const token = review.token?.file ?? (inside ? `${accountFolder}/token` : undefined)
  const url = review.url ?? apiServer(services.env)
  return new TokenReview({ url, audience, clock: services.clock, endpoint: endpointOf(ca, token, services) })
}

function apiServer(env: IdentifyServices['env']): string {
  const host = env['KUBERNETES_SERVICE_HOST']
  const port = env['KUBERNETES_SERVICE_PORT']
  if (host === undefined || host === '' || port === undefined || !/^\d{1,5}$/.test(port))
    throw new Error('identify.sources: review.url has to be set: Countersign does not run inside a Kubernetes cluster')
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`
}
