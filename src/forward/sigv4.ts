/** Signs a request with AWS Signature Version 4, after everything else about it is settled. */
import { createHmac, hash } from 'node:crypto'
import { getCanonicalHeaders, SignatureV4Base } from '@smithy/signature-v4'
import { Refusal } from '../refusal.ts'
import type { Secret } from '../secret.ts'
import type { Lease, Placement } from '../credential/credential.ts'
import { readable, unavailable } from './apply-text.ts'
import type { Applied, Outgoing } from './outgoing.ts'
import { ChunkSigner } from './sigv4-chunks.ts'
import { isS3, payloadOf, type Payload } from './sigv4-payload.ts'
import { Upload } from './upload.ts'
import { wholeBody } from './whole-body.ts'

type Way = Placement & { readonly in: 'sigv4' }

const algorithm = 'AWS4-HMAC-SHA256'
const digestHeader = 'x-amz-content-sha256'

/** What the agent signed with its placeholder keys, and keys of its own: none of it is true of what goes out. */
const replaced: ReadonlySet<string> = new Set([
  'authorization',
  'date',
  'x-amz-date',
  digestHeader,
  'x-amz-security-token',
  'x-amz-region-set',
  'x-amz-s3session-token',
])

/** In a query these say that the URL was signed by its maker (SigV4, and SigV2 of S3). */
const presigned: ReadonlySet<string> = new Set([
  'x-amz-algorithm',
  'x-amz-credential',
  'x-amz-signature',
  'x-amz-security-token',
  'x-amz-s3session-token',
  'awsaccesskeyid',
])

/** Written anew by whoever sends or passes on a message. */
const unsignable = new Set(['accept-encoding', 'content-length', 'traceparent', 'tracestate'])

/**
 * Takes a lease whose secret is the secret access key, whose `user` is the access key id and whose `parts.session_token` is the session
 * token. Gives the request with its signature over method, path, query, headers and payload, dated `now` (epoch ms). Path and query stay the
 * bytes that they are. A promise only where the body must be read whole first; a body of signed chunks has each signed anew as it passes.
 * Throws or rejects with `credential.unavailable`, and with `listen.malformed` for a presigned URL or a payload that cannot be signed.
 */
export function signV4(lease: Lease, placement: Way, out: Outgoing, now: number): Applied | Promise<Applied> {
  const target = targetOf(out.path, isS3(placement.service))
  const said = valueOf(out.given, digestHeader)
  const length = valueOf(out.given, 'x-amz-decoded-content-length')
  const secure = out.upstream.route.to.scheme === 'https'
  const payload = (body: Buffer | null | 'stream', sha256: string | null): Payload =>
    payloadOf(placement.service, secure, { said, length }, body, sha256)
  const first = payload(out.body instanceof Upload ? 'stream' : out.body, out.sha256)
  if (first.kind !== 'gather') return signed(lease, placement, out, target, first, now)
  return Promise.resolve(wholeBody(out)).then((whole) => {
    const bytes = whole ?? Buffer.alloc(0)
    // undici writes the length of bytes itself
    const headers = without(out.headers, new Set(['content-length']))
    return { ...signed(lease, placement, { ...out, headers }, target, payload(bytes, null), now), body: bytes }
  })
}

function signed(lease: Lease, placement: Way, out: Outgoing, target: Target, payload: Payload, now: number): Applied {
  if (payload.kind === 'gather') throw new Refusal('internal', { detail: 'a body that was gathered and is not there' })
  const { user, parts } = lease
  if (user === undefined) throw unavailable('no access key id came with the credential')
  const token = parts?.['session_token'] ?? null
  const date = new Date(now).toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
  const scope = `${date.slice(0, 8)}/${placement.region}/${placement.service}/aws4_request`
  const headers = without(out.headers, replaced)
  headers.push('x-amz-date', date)
  // S3 wants it; elsewhere it is said again where the agent's SDK, which knows its service, has said it
  if (isS3(placement.service) || valueOf(out.given, digestHeader) !== undefined) headers.push(digestHeader, payload.value)
  if (token !== null) headers.push('x-amz-security-token', readable(token))
  const request = { ...target, method: out.method, protocol: '', hostname: '', headers: bagOf(headers, out.upstream.route.to.authority) }
  const canonical = canonicalizer(placement.service).canonical(request, payload.value)
  const key = signingKey(lease.secret, scope)
  const signature = createHmac('sha256', key)
    .update(`${algorithm}\n${date}\n${scope}\n${hash('sha256', Buffer.from(canonical.text, 'latin1'), 'hex')}`)
    .digest('hex')
  headers.push('authorization', `${algorithm} Credential=${user}/${scope}, SignedHeaders=${canonical.signed}, Signature=${signature}`)
  const applied: Applied = { headers, path: out.path }
  if (payload.kind === 'value') return applied
  const { trailer, length } = payload
  return withChunks(applied, out.body, new ChunkSigner({ signature, date, scope, key, trailer, length }))
}

/** Every length stays what it was, so nothing of the framing changes. */
function withChunks(applied: Applied, body: Outgoing['body'], signer: ChunkSigner): Applied {
  if (body instanceof Upload) {
    body.through(signer)
    return applied
  }
  return { ...applied, body: Buffer.concat([...signer.pass(body ?? Buffer.alloc(0)), ...signer.end()]) }
}

/** The canonical form is the library's; the keys never go there, for it keeps them past the end of a task. */
class Canonicalizer extends SignatureV4Base {
  constructor(service: string) {
    super({
      service,
      region: '',
      credentials: { accessKeyId: '', secretAccessKey: '' },
      sha256: NoHash,
      applyChecksum: false,
      uriEscapePath: !isS3(service),
    })
  }

  canonical(request: Parameters<typeof getCanonicalHeaders>[0], payload: string): { readonly text: string; readonly signed: string } {
    const headers = getCanonicalHeaders(request, unsignable)
    return { text: this.createCanonicalRequest(request, headers, payload), signed: this.getCanonicalHeaderList(headers) }
  }
}

/** The library wants a digest to be there; what is used of it here takes none. */
class NoHash {
  update(): void {}
  digest(): Promise<Uint8Array> {
    return Promise.reject(new Error('not used'))
  }
  reset(): void {}
}

const canonicalizers = new Map<string, Canonicalizer>()

/** One for each service of the configuration. */
function canonicalizer(service: string): Canonicalizer {
  let known = canonicalizers.get(service)
  if (known === undefined) canonicalizers.set(service, (known = new Canonicalizer(service)))
  return known
}

interface Target {
  readonly path: string
  readonly query: Record<string, string[]>
}

/**
 * Path and query as the upstream makes them canonical: it decodes the query before it verifies, and S3 the path too. Others take the path as
 * it is on the wire.
 */
function targetOf(target: string, recode: boolean): Target {
  const mark = target.indexOf('?')
  const wire = mark === -1 ? target : target.slice(0, mark)
  const path = recode ? wire.split('/').map(recoded).join('/') : wire
  // without a prototype: `constructor` is a name like any other
  const query = Object.create(null) as Record<string, string[]>
  if (mark === -1) return { path, query }
  for (const pair of target.slice(mark + 1).split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = decoded(equals === -1 ? pair : pair.slice(0, equals))
    if (presigned.has(name.toLowerCase())) {
      throw new Refusal('listen.malformed', {
        reasons: ['the URL carries a signature of its own (presigned): call it plainly, this route signs it'],
      })
    }
    ;(query[name] ??= []).push(equals === -1 ? '' : decoded(pair.slice(equals + 1)))
  }
  return { path, query }
}

/** Every byte encoded but the unreserved (RFC 3986 §2.3). */
function recoded(segment: string): string {
  return encodeURIComponent(decoded(segment)).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Refusal('listen.malformed', { reasons: ['the URL holds bytes that are not UTF-8, and so cannot be signed'] })
  }
}

/** Lists of names and values here are flat. */
function without(list: readonly string[], names: ReadonlySet<string>): string[] {
  return list.filter((_, at) => !names.has(list[at - (at % 2)] ?? ''))
}

function valueOf(list: readonly string[], name: string): string | undefined {
  const found: string[] = []
  for (let at = 0; at + 1 < list.length; at += 2) if (list[at] === name) found.push(list[at + 1] ?? '')
  return found.length === 0 ? undefined : found.join(',')
}

/** Several of one name are one, joined as the upstream joins them; each is trimmed first. */
function bagOf(list: readonly string[], host: string): Record<string, string> {
  const bag = Object.create(null) as Record<string, string>
  for (let at = 0; at + 1 < list.length; at += 2) {
    const name = list[at] ?? ''
    // blanks alone: the text is that of bytes, and a byte of UTF-8 may look like a blank of Unicode
    const value = (list[at + 1] ?? '').replaceAll(/^[ \t]+|[ \t]+$/g, '')
    bag[name] = bag[name] === undefined ? value : `${bag[name]},${value}`
  }
  bag['host'] = host
  return bag
}

/** Secret access key → the key derived for the scope that was signed for last. Gone with the lease. */
const derived = new WeakMap<Secret, { readonly scope: string; readonly key: Buffer }>()

function signingKey(secret: Secret, scope: string): Buffer {
  const known = derived.get(secret)
  if (known?.scope === scope) return known.key
  let key: Buffer | string = `AWS4${readable(secret)}`
  for (const piece of scope.split('/')) key = createHmac('sha256', key).update(piece).digest()
  const made = Buffer.from(key)
  derived.set(secret, { scope, key: made })
  return made
}
