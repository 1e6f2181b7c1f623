import { PassThrough } from 'node:stream'
import type { IncomingMessage } from 'node:http'
import type { Lease } from '../../src/credential/credential.ts'
import type { Applied, Outgoing } from '../../src/forward/outgoing.ts'
import { signV4 } from '../../src/forward/sigv4.ts'
import { Upload } from '../../src/forward/upload.ts'
import { describeUpstream } from '../../src/forward/upstream.ts'
import { Secret } from '../../src/secret.ts'
import { sketchLease } from './forward-rig.ts'
import { sketchCall, sketchRoute } from './question.ts'
import { verifyV4, type AwsKeys } from './sigv4-verifier.ts'

/** The moment that everything here is signed at: 2026-03-01T10:11:12Z. */
export const moment = 1_772_359_872_000
export const keyId = 'ASIAEXAMPLE000000001'
export const keys: AwsKeys = {
  secret: 'not-a-real-secret/of+40+characters/0000000',
  token: 'session-token-of-the-vectors==',
  expires: moment + 900_000,
}
export const region = 'eu-central-1'

/** A request of an agent, before it is signed. */
export interface Plain {
  readonly service: string
  readonly method?: string
  readonly target?: string
  readonly host?: string
  readonly scheme?: 'http' | 'https'
  /** Flat list as it would be forwarded. */
  readonly headers?: readonly string[]
  /** Flat list as the agent sent it, where that is more. */
  readonly given?: readonly string[]
  readonly body?: Buffer | Upload | null
  readonly gather?: number
  readonly signal?: AbortSignal
}

export function awsLease(more: Partial<Lease> = {}): Lease {
  const parts = { session_token: new Secret(keys.token ?? '') }
  return sketchLease({ secret: new Secret(keys.secret), user: keyId, parts, expires: keys.expires, ...more })
}

function outgoing(plain: Plain): Outgoing {
  const {
    service,
    method = 'GET',
    target = '/',
    host = `${service}.${region}.amazonaws.com`,
    scheme = 'https',
    headers = [],
    given,
  } = plain
  const to = { origin: `${scheme}://${host}`, scheme, authority: host, hostname: host, port: 443, basePath: '' } as const
  const upstream = describeUpstream(sketchRoute({ to }))
  const { body = null, gather = 1024 * 1024, signal = new AbortController().signal } = plain
  return { method, upstream, headers: [...headers], path: target, given: given ?? headers, body, sha256: null, gather, signal }
}

export function sign(plain: Plain, lease: Lease = awsLease(), now = moment): Applied | Promise<Applied> {
  return signV4(lease, { in: 'sigv4', service: plain.service, region }, outgoing(plain), now)
}

/** The same for what needs not wait. */
export function signAtOnce(plain: Plain, lease?: Lease, now?: number): Applied {
  const applied = sign(plain, lease, now)
  if (applied instanceof Promise) throw new Error('it was to be at once')
  return applied
}

export function valuesOf(list: readonly string[], name: string): string[] {
  return list.filter((_, at) => at % 2 === 1 && list[at - 1] === name)
}

/** As the service sees it: gives the body without its chunks, or throws an `AwsFault`. */
export function verify(plain: Plain, applied: Applied, body: Buffer = Buffer.alloc(0), now = moment): Buffer {
  const { service, method = 'GET', host = `${service}.${region}.amazonaws.com`, scheme = 'https' } = plain
  const request = { method, target: applied.path, rawHeaders: ['Host', host, ...applied.headers], body, secure: scheme === 'https' }
  return verifyV4(request, { service, region, keys: new Map([[keyId, keys]]), now })
}

export interface Uploading {
  readonly upload: Upload
  readonly incoming: PassThrough & { complete: boolean }
  /** What went on. */
  readonly sent: Buffer[]
  /** `end`, or why it broke. */
  readonly over: Promise<unknown>
}

/** An upload whose agent is the test. */
export function uploading(): Uploading {
  const incoming = Object.assign(new PassThrough(), { complete: false })
  const upload = new Upload({ ...sketchCall(), limit: 1024 ** 3, incoming: incoming as unknown as IncomingMessage })
  const sent: Buffer[] = []
  upload.on('data', (chunk: Buffer) => sent.push(chunk))
  const over = new Promise((resolve) => upload.on('end', () => resolve('end')).on('error', resolve))
  return { upload, incoming, sent, over }
}

/** A body as an SDK with placeholder keys frames it, in chunks of these sizes; the last takes the rest. */
export function awsChunked(data: Buffer, sizes: readonly number[], trailer?: string): Buffer {
  const placeholder = 'f'.repeat(64)
  const parts: Buffer[] = []
  let at = 0
  for (const size of [...sizes, data.length]) {
    const piece = data.subarray(at, at + size)
    if (piece.length === 0) continue
    parts.push(Buffer.from(`${piece.length.toString(16)};chunk-signature=${placeholder}\r\n`), piece, Buffer.from('\r\n'))
    at += piece.length
  }
  parts.push(Buffer.from(`0;chunk-signature=${placeholder}\r\n`))
  parts.push(Buffer.from(trailer === undefined ? '\r\n' : `${trailer}x-amz-trailer-signature:${placeholder}\r\n\r\n`))
  return Buffer.concat(parts)
}
