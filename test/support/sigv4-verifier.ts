/**
 * A verifier of AWS Signature Version 4 as a service runs one, written from its published description and nothing of ours:
 * node:crypto alone. It refuses what a service refuses, by the codes that services use.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** A refusal as AWS words it. */
export class AwsFault extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

export interface AwsKeys {
  readonly secret: string
  /** Null: long-term keys. */
  readonly token: string | null
  /** Epoch ms. */
  readonly expires: number
}

export interface SignedRequest {
  readonly method: string
  /** Path and query as on the request line. */
  readonly target: string
  /** Flat list as it came. */
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
  /** TLS protected it. */
  readonly secure: boolean
}

export interface ServiceIdentity {
  readonly service: string
  readonly region: string
  readonly keys: ReadonlyMap<string, AwsKeys>
  /** Epoch ms. */
  readonly now: number
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')
const hmac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest()
const emptySha256 = sha256('')

/** The services that sign a path as encoded once, and must be told the digest of the payload. */
const isS3 = (service: string): boolean => service === 's3'

/** RFC 3986 §2.3: nothing but the unreserved stays. */
export function uriEncode(text: string): string {
  return [...Buffer.from(text, 'utf8')]
    .map((byte) => {
      const char = String.fromCharCode(byte)
      return /[A-Za-z0-9\-._~]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')
}

/** Gives the body as the service stores it: without its chunks. Throws an `AwsFault`. */
export function verifyV4(request: SignedRequest, of: ServiceIdentity): Buffer {
  const headers = joined(request.rawHeaders)
  const query = request.target.includes('?') ? request.target.slice(request.target.indexOf('?') + 1) : ''
  if (/(^|&)x-amz-signature=/i.test(query)) throw new AwsFault(403, 'AccessDenied', 'a presigned URL beside a signature')
  const given = authorization(headers.get('authorization'))
  const date = headers.get('x-amz-date') ?? ''
  checkScope(given, date, of)
  const keys = checkKeys(given, headers, of)
  checkHeaders(given.signed, headers)
  const payload = payloadHash(request, headers, of)
  const canonical = [
    request.method,
    canonicalPath(request.target.split('?')[0] ?? '', of.service),
    canonicalQuery(query),
    ...given.signed.map((name) => `${name}:${(headers.get(name) ?? '').replaceAll(/[ \t]+/g, ' ').replaceAll(/^ | $/g, '')}`),
    '',
    given.signed.join(';'),
    payload,
  ].join('\n')
  const scope = given.scope.join('/')
  const text = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(Buffer.from(canonical, 'latin1'))}`
  const key = given.scope.reduce<Buffer>((secret, piece) => hmac(secret, piece), Buffer.from(`AWS4${keys.secret}`))
  same(given.signature, hmac(key, text).toString('hex'))
  if (!payload.startsWith('STREAMING-')) return request.body
  const chain = payload === 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' ? null : { key, date, scope, previous: given.signature }
  return unchunk(request.body, chain, headers)
}

interface Given {
  readonly key: string
  readonly scope: readonly string[]
  readonly signed: readonly string[]
  readonly signature: string
}

function authorization(value: string | undefined): Given {
  if (value === undefined) throw new AwsFault(403, 'MissingAuthenticationToken', 'Missing Authentication Token')
  const form = /^AWS4-HMAC-SHA256 Credential=([^/,\s]+)\/([^,\s]+), ?SignedHeaders=([a-z0-9;_-]+), ?Signature=([0-9a-f]{64})$/.exec(value)
  if (form === null) throw new AwsFault(400, 'IncompleteSignature', 'Authorization header is malformed')
  const [, key = '', scope = '', signed = '', signature = ''] = form
  return { key, scope: scope.split('/'), signed: signed.split(';'), signature }
}

function checkScope({ scope }: Given, date: string, { service, region, now }: ServiceIdentity): void {
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? []
  if (y === undefined) throw new AwsFault(403, 'AccessDenied', 'X-Amz-Date is missing or malformed')
  const at = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`)
  if (Math.abs(at - now) > 15 * 60_000) throw new AwsFault(403, 'RequestTimeTooSkewed', 'The difference between the times is too large')
  const expected = [`${y}${mo}${d}`, region, service, 'aws4_request']
  if (scope.join('/') !== expected.join('/'))
    throw new AwsFault(403, 'SignatureDoesNotMatch', `Credential should be scoped to ${expected.join('/')}`)
}

function checkKeys(given: Given, headers: ReadonlyMap<string, string>, { keys, now }: ServiceIdentity): AwsKeys {
  const known = keys.get(given.key)
  if (known === undefined) throw new AwsFault(403, 'InvalidClientTokenId', 'The security token included in the request is invalid')
  if (known.token !== (headers.get('x-amz-security-token') ?? null))
    throw new AwsFault(403, 'InvalidToken', 'The provided token is not valid')
  if (known.expires <= now) throw new AwsFault(403, 'ExpiredToken', 'The provided token has expired')
  return known
}

/** Sorted, there, and none left out that changes what is done. */
function checkHeaders(signed: readonly string[], headers: ReadonlyMap<string, string>): void {
  if (signed.join(';') !== [...new Set(signed)].toSorted().join(';'))
    throw new AwsFault(403, 'SignatureDoesNotMatch', 'SignedHeaders is not sorted')
  for (const name of signed) if (!headers.has(name)) throw new AwsFault(403, 'SignatureDoesNotMatch', `${name} is signed and not there`)
  for (const name of headers.keys()) {
    const bound = name === 'host' || name === 'content-type' || name.startsWith('x-amz-')
    if (bound && !signed.includes(name))
      throw new AwsFault(403, 'AccessDenied', `There were headers present in the request which were not signed: ${name}`)
  }
  if (!signed.includes('host')) throw new AwsFault(403, 'AccessDenied', 'host must be signed')
}

function payloadHash({ body, secure }: SignedRequest, headers: ReadonlyMap<string, string>, { service }: ServiceIdentity): string {
  const said = headers.get('x-amz-content-sha256')
  if (said === undefined) {
    if (isS3(service)) throw new AwsFault(400, 'InvalidRequest', 'Missing required header for this request: x-amz-content-sha256')
    return sha256(body)
  }
  if (/^[0-9a-f]{64}$/.test(said)) {
    if (said !== sha256(body))
      throw new AwsFault(400, 'XAmzContentSHA256Mismatch', "The provided 'x-amz-content-sha256' header does not match what was computed.")
    return said
  }
  if (!isS3(service)) throw new AwsFault(403, 'SignatureDoesNotMatch', 'this service takes no unsigned or streaming payload')
  const known = [
    'UNSIGNED-PAYLOAD',
    'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
  ]
  if (!known.includes(said)) throw new AwsFault(400, 'InvalidRequest', 'x-amz-content-sha256 is not valid')
  if (!secure && said.includes('UNSIGNED')) throw new AwsFault(400, 'InvalidRequest', 'an unsigned payload over plain HTTP')
  return said
}

function canonicalPath(path: string, service: string): string {
  if (isS3(service))
    return path
      .split('/')
      .map((one) => uriEncode(decodeURIComponent(one)))
      .join('/')
  const kept: string[] = []
  for (const piece of path.split('/')) {
    if (piece === '..') kept.pop()
    else if (piece !== '' && piece !== '.') kept.push(uriEncode(piece))
  }
  return `/${kept.join('/')}${kept.length > 0 && path.endsWith('/') ? '/' : ''}`
}

/** Sorted by name, then by value, in the order of code points. */
function canonicalQuery(query: string): string {
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const [name = '', ...rest] = pair.split('=')
      return { name: uriEncode(decodeURIComponent(name)), value: uriEncode(decodeURIComponent(rest.join('='))) }
    })
    .toSorted((a, b) => compare(a.name, b.name) || compare(a.value, b.value))
    .map(({ name, value }) => `${name}=${value}`)
    .join('&')
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

interface Chain {
  readonly key: Buffer
  readonly date: string
  readonly scope: string
  readonly previous: string
}

/** Takes an aws-chunked body apart; with a chain, every chunk and the trailer must carry its signature. */
function unchunk(body: Buffer, chain: Chain | null, headers: ReadonlyMap<string, string>): Buffer {
  if (!(headers.get('content-encoding') ?? '').split(',').some((one) => one.trim() === 'aws-chunked') && chain === null)
    throw new AwsFault(400, 'InvalidRequest', 'Content-Encoding lacks aws-chunked')
  const parts: Buffer[] = []
  let previous = chain?.previous ?? ''
  let at = 0
  for (;;) {
    const end = body.indexOf('\r\n', at)
    const [, size, signature] = /^([0-9a-f]+)(?:;chunk-signature=([0-9a-f]{64}))?$/i.exec(body.subarray(at, end).toString('latin1')) ?? []
    if (end === -1 || size === undefined || (chain !== null && signature === undefined)) throw incomplete()
    const length = Number.parseInt(size, 16)
    const data = body.subarray(end + 2, end + 2 + length)
    if (data.length !== length) throw incomplete()
    if (chain !== null) {
      const text = `AWS4-HMAC-SHA256-PAYLOAD\n${chain.date}\n${chain.scope}\n${previous}\n${emptySha256}\n${sha256(data)}`
      previous = hmac(chain.key, text).toString('hex')
      same(signature ?? '', previous)
    }
    at = end + 2 + length
    if (length === 0) break
    if (body.subarray(at, at + 2).toString('latin1') !== '\r\n') throw incomplete()
    at += 2
    parts.push(data)
  }
  const whole = Buffer.concat(parts)
  readTrailer(body.subarray(at).toString('latin1'), chain === null ? null : { ...chain, previous }, headers, whole)
  if (String(whole.length) !== headers.get('x-amz-decoded-content-length')) throw incomplete()
  return whole
}

function readTrailer(text: string, chain: Chain | null, headers: ReadonlyMap<string, string>, body: Buffer): void {
  const announced = headers.get('x-amz-trailer')
  if (announced === undefined) {
    if (text !== '\r\n') throw incomplete()
    return
  }
  const lines = text.split(/\r\n|\n/).filter((line) => line !== '')
  const last = chain === null ? null : (lines.pop() ?? '')
  const fields = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).trim().toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  if (fields.get(announced) === undefined)
    throw new AwsFault(400, 'MalformedTrailerError', 'The request contained trailing data that was not well-formed')
  checkSum(announced, fields.get(announced) ?? '', body)
  if (chain === null) return
  const canonical = [...fields].map(([name, value]) => `${name}:${value}\n`).join('')
  const expected = hmac(
    chain.key,
    `AWS4-HMAC-SHA256-TRAILER\n${chain.date}\n${chain.scope}\n${chain.previous}\n${sha256(canonical)}`,
  ).toString('hex')
  same(last?.slice('x-amz-trailer-signature:'.length) ?? '', expected)
}

function checkSum(name: string, value: string, body: Buffer): void {
  const sums: Readonly<Record<string, () => string>> = {
    'x-amz-checksum-sha256': () => createHash('sha256').update(body).digest('base64'),
    'x-amz-checksum-sha1': () => createHash('sha1').update(body).digest('base64'),
    'x-amz-checksum-crc32': () => crc32(body),
  }
  const sum = sums[name]
  if (sum === undefined) throw new AwsFault(400, 'InvalidRequest', `Unsupported checksum ${name}`)
  if (sum() !== value) throw new AwsFault(400, 'BadDigest', 'The checksum did not match')
}

export function crc32(body: Buffer): string {
  let crc = 0xffffffff
  for (const byte of body) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  const out = Buffer.alloc(4)
  out.writeUInt32BE((crc ^ 0xffffffff) >>> 0)
  return out.toString('base64')
}

function incomplete(): AwsFault {
  return new AwsFault(400, 'IncompleteBody', 'The request body terminated unexpectedly')
}

function same(given: string, expected: string): void {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  if (a.length !== b.length || !timingSafeEqual(a, b))
    throw new AwsFault(403, 'SignatureDoesNotMatch', 'The request signature we calculated does not match the signature you provided.')
}

/** Lower-case names; several of one name are joined by a comma, each trimmed. */
function joined(raw: readonly string[]): ReadonlyMap<string, string> {
  const map = new Map<string, string>()
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase()
    const value = (raw[at + 1] ?? '').replaceAll(/^[ \t]+|[ \t]+$/g, '')
    const before = map.get(name)
    map.set(name, before === undefined ? value : `${before},${value}`)
  }
  return map
}
