/** What the signature of a request says of its payload (AWS Signature Version 4, `x-amz-content-sha256`). */
import { hash } from 'node:crypto'
import { Refusal } from '../refusal.ts'

/**
 * `value`: what goes into `x-amz-content-sha256`, and so into the signature. `chunks`: each chunk of the body carries a signature of its own,
 * made anew here. `gather`: the body must be read whole before anything can be signed.
 */
export type Payload =
  | { readonly kind: 'value'; readonly value: string }
  | { readonly kind: 'chunks'; readonly value: string; readonly trailer: boolean; readonly length: number | null }
  | { readonly kind: 'gather' }

/** Services that speak the S3 protocol: a path is signed as it stands, and payloads may go unsigned over TLS. */
const s3: ReadonlySet<string> = new Set(['s3', 's3-outposts', 's3-object-lambda'])

/** True for services whose path is signed once encoded, as it is on the wire. */
export function isS3(service: string): boolean {
  return s3.has(service)
}

const emptyHash = hash('sha256', '', 'hex')
const unsigned = 'UNSIGNED-PAYLOAD'
const unsignedTrailer = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'
const signedChunks = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
const signedChunksTrailer = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'

/** What the agent said of its payload; undefined: nothing. */
export interface Said {
  /** `x-amz-content-sha256` */
  readonly said: string | undefined
  /** `x-amz-decoded-content-length` */
  readonly length: string | undefined
}

/**
 * Takes the signing name of the service, whether TLS protects the way there, what the agent said, the body (its bytes, null for none, or
 * that it streams), and the lower-case hex of its SHA-256 where that is known.
 * Throws `listen.malformed`, with what to do, for a payload that cannot be signed.
 */
export function payloadOf(
  service: string,
  secure: boolean,
  { said, length }: Said,
  body: Uint8Array | null | 'stream',
  sha256: string | null,
): Payload {
  if (said !== undefined && said.startsWith('STREAMING-')) return streaming(service, secure, said, length, body)
  if (body !== 'stream') return { kind: 'value', value: body === null ? emptyHash : (sha256 ?? hash('sha256', body, 'hex')) }
  // the service compares it with what it got: a false one is refused there
  if (said !== undefined && /^[0-9a-f]{64}$/.test(said)) return { kind: 'value', value: said }
  if (said !== undefined && said !== unsigned)
    throw malformed('x-amz-content-sha256 is neither a SHA-256 in lower-case hex nor a word that can be signed here')
  return secure && isS3(service) ? { kind: 'value', value: unsigned } : { kind: 'gather' }
}

/** The body is framed by `aws-chunked`, so the marker that says so must stay. */
function streaming(
  service: string,
  secure: boolean,
  said: string,
  length: string | undefined,
  body: Uint8Array | null | 'stream',
): Payload {
  if (!isS3(service)) throw malformed(`${said} is of S3 alone: send the body without aws-chunked`)
  if (said === unsignedTrailer) {
    if (!secure) throw malformed('an unsigned payload needs TLS to the upstream, and this route has none')
    return { kind: 'value', value: said }
  }
  if (said !== signedChunks && said !== signedChunksTrailer)
    throw malformed('x-amz-content-sha256 names a kind of streaming signature that cannot be made anew here: use SigV4 with HMAC-SHA256')
  if (body === null) throw malformed('the body is said to be aws-chunked and there is none')
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw malformed('x-amz-decoded-content-length is no length')
  return { kind: 'chunks', value: said, trailer: said === signedChunksTrailer, length: length === undefined ? null : Number(length) }
}

function malformed(reason: string): Refusal {
  return new Refusal('listen.malformed', { reasons: [reason] })
}
