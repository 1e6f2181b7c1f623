import { randomUUID } from 'node:crypto'
import type { JWTPayload } from 'jose'
import { z } from 'zod'
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import { durationBetween } from '../units.ts'
import { askIssuer, isSafeEndpoint } from './ask-issuer.ts'
import type { CredentialProvider, Issued, Wanted } from './credential.ts'
import { claimsOf, judged } from './judge.ts'
import { OwnIdentityConfig, ownIdentity } from './own-identity.ts'
import { Apply, placementOf } from './placement.ts'
import { defineProvider, unanswered, Unanswered, type ProviderServices } from './provider.ts'

const Label = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be a DNS label')
const Subdomain = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/, 'must be a DNS subdomain name')
const Audience = z.string().regex(/^[\x21-\x7e]{1,512}$/, 'must be printable ASCII without spaces')

const podToken = '/var/run/secrets/kubernetes.io/serviceaccount/token'
const podAuthority = '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt'

/** Settings of a `kubernetes` provider. */
export const KubernetesConfig = z
  .strictObject({
    type: z.literal('kubernetes'),
    server: z
      .url()
      .refine(isSafeEndpoint, 'must be https, or http on loopback')
      .default('https://kubernetes.default.svc')
      .describe('The API server.'),
    ca: z
      .strictObject({ file: z.string().min(1) })
      .prefault({ file: podAuthority })
      .describe('Certificate authorities of the API server, PEM.'),
    identity: OwnIdentityConfig.prefault({ token_file: podToken }),
    audience: z
      .string()
      .min(1)
      .default('https://kubernetes.default.svc')
      .describe('Audience of our own token, where `identity` is svid or signed.'),
    namespace: Label.describe('Namespace of the service account, and of the Secrets that its tokens are bound to.'),
    service_account: Subdomain.describe('Service account whose tokens are lent: its RBAC is the most that a task may do.'),
    audiences: z.array(Audience).min(1).max(16).describe('Audiences offered; the first is asked for unless the decision names another.'),
    ttl: durationBetween(1000, 3_600_000)
      .default(300_000)
      .describe('Longest use of a lease. Kubernetes gives no token for less than 10m; it is revoked with the lease.'),
    timeout: durationBetween(50, 60_000).default(5000).describe('Longest wait for one answer.'),
    apply: Apply,
  })
  .describe('Service-account tokens of Kubernetes (TokenRequest), each bound to a Secret of its own that is deleted with the task.')

export type KubernetesConfig = z.infer<typeof KubernetesConfig>

/** The API server gives no token for less (`MinTokenAgeSec`). */
const floor = 600_000

/**
 * TokenRequest (authentication.k8s.io/v1) bound to a Secret made for the lease: the API server refuses the token as soon as that Secret is gone.
 * Who checks such a token offline, by the key set alone, honours it until it expires.
 */
export const kubernetes = defineProvider({ type: 'kubernetes', config: KubernetesConfig, open })

function open(config: KubernetesConfig, services: ProviderServices): CredentialProvider {
  const encrypted = new URL(config.server).protocol === 'https:'
  const server = new ApiServer(config, encrypted ? { ...services, fetch: services.trusting(config.ca.file) } : services)
  return {
    type: 'kubernetes',
    placement: placementOf(config.apply),
    standing: false,
    offer: { scopes: [], audiences: config.audiences, ttl: config.ttl, subject: false },
    floor,
    prepare: async ({ lease }) => new Secret(secretName(lease)),
    issue: (wanted, signal) => issue(config, server, wanted, signal),
    // one that is gone is gone
    revoke: async (handle, signal) => {
      await server.ask({ what: 'revocation', method: 'DELETE', path: `secrets/${handle.reveal()}` }, signal, [404])
    },
  }
}

async function issue(config: KubernetesConfig, server: ApiServer, wanted: Wanted, signal: AbortSignal): Promise<Issued> {
  signal.throwIfAborted()
  const { namespace, service_account: account } = config
  const name = secretName(wanted.lease)
  const made = await server.ask({ what: 'binding Secret', method: 'POST', path: 'secrets', document: binding(name, wanted) }, signal)
  const uid = Made.safeParse(made).data?.metadata.uid
  if (uid === undefined) throw unanswered('the answer to the binding Secret cannot be read')
  const seconds = Math.max(floor / 1000, Math.ceil(wanted.ttl / 1000))
  const document = requestFor(wanted.audience, seconds, { name, uid })
  const request = { what: 'TokenRequest', method: 'POST', path: `serviceaccounts/${account}/token`, document }
  // whatever it says, a Secret is there by now, which only what was prepared takes away
  const came = await server.ask(request, signal).catch((error: unknown) => {
    throw error instanceof Refusal && !(error.cause instanceof Unanswered) ? unanswered(error.detail ?? 'TokenRequest') : error
  })
  const answer = Answered.safeParse(came).data?.status
  if (answer === undefined) throw unanswered('the answer to the TokenRequest holds no token')
  const claims = claimsOf(answer.token)
  const expires = endOf(claims, Date.parse(answer.expirationTimestamp))
  const facts = { scopes: [], audience: claims?.aud ?? null, expires, revocable: true }
  return {
    secret: new Secret(answer.token),
    expires: expires ?? server.now() + seconds * 1000,
    scopes: [],
    handle: new Secret(name),
    revocation: 'issuer',
    excess: bound(claims, { namespace, account, name, uid }) ?? judged(wanted, facts, { floor }, server.now()),
  }
}

interface Request {
  readonly what: string
  readonly method: string
  /** Below the namespace. */
  readonly path: string
  readonly document?: object
}

/** The API server as Countersign's own identity sees it. */
class ApiServer {
  readonly #config: KubernetesConfig
  readonly #services: ProviderServices

  constructor(config: KubernetesConfig, services: ProviderServices) {
    this.#config = config
    this.#services = services
  }

  now(): number {
    return this.#services.clock()
  }

  async ask({ what, method, path, document }: Request, signal: AbortSignal, accept: readonly number[] = []): Promise<unknown> {
    const { server, namespace, identity, audience, timeout } = this.#config
    const token = await ownIdentity(identity, this.#services, audience, randomUUID(), signal)
    const url = `${server}/api/v1/namespaces/${namespace}/${path}`
    const headers = { accept: 'application/json', authorization: `Bearer ${token.reveal()}` }
    const body = document === undefined ? {} : { body: JSON.stringify(document) }
    const typed = document === undefined ? headers : { ...headers, 'content-type': 'application/json' }
    return (await askIssuer(this.#services, { what, method, url, timeout, headers: typed, ...body }, signal, accept)).json
  }
}

/** Named after the lease, so that it is known before anything is asked. */
function secretName(lease: string): string {
  return `countersign-${lease.replaceAll('_', '-').toLowerCase()}`
}

/** TokenRequest of authentication.k8s.io/v1. */
function requestFor(audience: string | null, expirationSeconds: number, { name, uid }: { name: string; uid: string }): object {
  return {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {
      audiences: audience === null ? [] : [audience],
      expirationSeconds,
      boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name, uid },
    },
  }
}

function binding(name: string, { lease, task, caller }: Wanted): object {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      labels: { 'app.kubernetes.io/managed-by': 'countersign' },
      annotations: { 'countersign/lease': lease, 'countersign/task': task, 'countersign/caller': caller },
    },
    type: 'Opaque',
  }
}

const Made = z.object({ metadata: z.object({ uid: z.string().min(1) }) })
const Answered = z.object({ status: z.object({ token: z.string().min(1), expirationTimestamp: z.string() }) })
const Bound = z.object({
  sub: z.string(),
  'kubernetes.io': z.object({ namespace: z.string(), secret: z.object({ name: z.string(), uid: z.string() }) }),
})

/** Why a token is not the one that was asked for: then deleting the Secret would not end it, or it is another's. Null when it is. */
function bound(claims: JWTPayload | null, to: { namespace: string; account: string; name: string; uid: string }): string | null {
  const read = Bound.safeParse(claims).data
  if (read === undefined) return 'it does not say what it is bound to'
  if (read.sub !== `system:serviceaccount:${to.namespace}:${to.account}`) return 'it is of another service account'
  const { namespace, secret } = read['kubernetes.io']
  const own = namespace === to.namespace && secret.name === to.name && secret.uid === to.uid
  return own ? null : 'it is not bound to the Secret of its lease'
}

/** The later of the two: the token is good for as long as it says, whatever the answer beside it does. */
function endOf(claims: JWTPayload | null, told: number): number | null {
  const exp = claims?.exp
  if (exp === undefined || !Number.isSafeInteger(exp) || Number.isNaN(told)) return null
  return Math.max(exp * 1000, told)
}
