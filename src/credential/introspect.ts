import { createHash, timingSafeEqual } from 'node:crypto'
import { decodeJwt } from 'jose'
import type { Secret } from '../secret.ts'
import { digestOfText } from './digest.ts'
import type { LeaseBook } from './leases.ts'
import { textOf } from './provider.ts'
import type { ProviderConfig } from './registry.ts'
import type { ReadSecret } from './secret-ref.ts'

/** An upstream that may ask about tokens meant for it. */
export interface IntrospectionClient {
  readonly id: string
  /** Its own audience: it learns of no other token. */
  readonly audience: string
  readonly secret: Secret
}

export interface IntrospectionOptions {
  readonly clients: readonly IntrospectionClient[]
  readonly book: LeaseBook
  /** Epoch ms. */
  readonly clock: () => number
  readonly ticks?: () => number
  /** Answers a second that one client gets, and failed log-ins a second for all together. */
  readonly rate?: { readonly client: number; readonly failures: number }
}

export interface IntrospectionRequest {
  /** The `Authorization` header. */
  readonly authorization: string | undefined
  /** The form body as text. */
  readonly body: string
}

export interface IntrospectionAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export type Introspection = (request: IntrospectionRequest) => IntrospectionAnswer

/** The clients that the configuration names: one for each `jwt` provider with `introspect`. Throws when a secret cannot be read or an id stands twice. */
export function introspectionClients(
  providers: Readonly<Record<string, ProviderConfig>>,
  secret: ReadSecret,
): readonly IntrospectionClient[] {
  const clients: IntrospectionClient[] = []
  for (const [name, config] of Object.entries(providers)) {
    if (config.type !== 'jwt' || config.introspect === undefined) continue
    const id = config.introspect.client ?? name
    const value = secret(config.introspect.secret)
    if (textOf(value) === '') throw new Error(`the introspection secret of "${name}" is empty`)
    if (clients.some((client) => client.id === id)) throw new Error(`two introspection clients are called "${id}"`)
    clients.push({ id, audience: config.audience, secret: value })
  }
  return clients
}

/** Longest request body. */
const bodyLimit = 16_384

/**
 * Token introspection (RFC 7662) for upstreams that take tokens of the `jwt` provider; null when no client is configured: it is off.
 * A token is looked up by its digest in the lease book, so nothing of the request is parsed as a token, and one that was revoked, has
 * expired or is meant for another audience is told from one that never was by nobody.
 */
export function makeIntrospection(options: IntrospectionOptions): Introspection | null {
  if (options.clients.length === 0) return null
  const { client: perClient, failures: perFailure } = options.rate ?? { client: 500, failures: 10 }
  const failures = bucket(perFailure, options.clock)
  const doors = options.clients.map((client) => ({ ...door(client), allow: bucket(perClient, options.clock) }))
  return ({ authorization, body }) => {
    const presented = keyOf((authorization ?? '').replace(/^basic +/i, 'Basic '))
    // every door is tried, so that the time taken does not tell which id exists
    const open = doors.filter(({ keys }) => keys.map((key) => timingSafeEqual(key, presented)).includes(true))[0]
    if (open === undefined) return failures() ? unauthorized : tooMany
    if (!open.allow()) return tooMany
    const token = tokenOf(body)
    return token === null ? invalid : answer(200, factsOf(token, open.audience, options))
  }
}

function factsOf(token: string, audience: string, { book, clock, ticks }: IntrospectionOptions): object {
  const held = book.find(digestOfText(token), clock(), (ticks ?? performance.now.bind(performance))())
  if (held === null || held.provider.type !== 'jwt' || held.row.audience !== audience) return { active: false }
  // byte for byte a token minted here and live in the book: its claims are ours
  return { active: true, token_type: 'Bearer', ...decodeJwt(token) }
}

/** The `Authorization` values that this client may send: RFC 6749 §2.3.1 form-encodes id and secret, which many clients leave out. */
function door({ id, audience, secret }: IntrospectionClient) {
  const text = textOf(secret)
  const basic = (pair: string) => keyOf(`Basic ${Buffer.from(pair, 'utf8').toString('base64')}`)
  const form = (part: string) => new URLSearchParams([['', part]]).toString().slice(1)
  return { audience, keys: [basic(`${id}:${text}`), basic(`${form(id)}:${form(text)}`)] }
}

function keyOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** The one `token` parameter; null when there is none, several, or the body is too long. */
function tokenOf(body: string): string | null {
  if (body.length > bodyLimit) return null
  const tokens = new URLSearchParams(body).getAll('token')
  return tokens.length === 1 && tokens[0] ? tokens[0] : null
}

/** Allows `rate` a second, and as many at once after a pause. */
function bucket(rate: number, clock: () => number): () => boolean {
  let left = rate
  let at = clock()
  return () => {
    const now = clock()
    left = Math.min(rate, left + (Math.max(0, now - at) * rate) / 1000)
    at = now
    if (left < 1) return false
    left--
    return true
  }
}

function answer(status: number, body: object, headers: Readonly<Record<string, string>> = {}): IntrospectionAnswer {
  const plain = { 'content-type': 'application/json', 'cache-control': 'no-store', pragma: 'no-cache' }
  return { status, headers: { ...plain, ...headers }, body: JSON.stringify(body) }
}

const invalid = answer(400, { error: 'invalid_request' })
const unauthorized = answer(401, { error: 'invalid_client' }, { 'www-authenticate': 'Basic realm="countersign"' })
const tooMany = answer(429, { error: 'temporarily_unavailable' }, { 'retry-after': '1' })
