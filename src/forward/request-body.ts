/** What of a request's body goes out: the judged bytes, the redacted ones, or the stream as it comes. */
import { hash } from 'node:crypto'
import { Refusal } from '../refusal.ts'
import type { Call } from '../listen/call.ts'
import type { JudgedBody } from '../match/match.ts'
import { spliceJson } from './splice.ts'
import { Upload } from './upload.ts'

export interface Body {
  /** Whole in memory; null: it streams, or there is none. */
  readonly bytes: Buffer | null
  readonly upload: Upload | null
  /** Bytes to announce for a stream of known length. */
  readonly length: number | null
  /** Digest of a streamed body that had already arrived whole. */
  readonly sha256: string | null
  /** Digest of a redacted body. */
  readonly sent: string | null
}

const empty: Body = { bytes: null, upload: null, length: null, sha256: null, sent: null }

/** Judged bytes go as they were judged; a stream that has already arrived whole goes as one buffer; the rest streams. `meter`: see Upload. */
export function bodyOf(call: Call, judged: JudgedBody, meter: ((bytes: number) => Refusal | null) | null): Body {
  const { bytes } = judged
  if (bytes !== null) return { ...empty, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
  if (judged.kind === 'none' || call.length === 0) return empty
  if (judged.kind === 'json') throw new Refusal('internal', { detail: 'a judged body without its bytes' })
  const { incoming, length } = call
  if (length !== null && length <= call.limit && incoming.readableLength === length) {
    const whole: unknown = incoming.read(length)
    if (whole instanceof Buffer) {
      incoming.resume()
      return { ...empty, bytes: whole, sha256: hash('sha256', whole, 'hex') }
    }
  }
  return { ...empty, upload: new Upload(call, meter), length }
}

/** Nobody can redact what was not judged: approve has refused such a call, and here nothing of it leaves. */
export function redacted(body: Body, judged: JudgedBody, paths: readonly string[]): Body {
  if (body.bytes === null && body.upload === null) return body
  if (!judged.judged || judged.bytes === null) throw new Refusal('internal', { detail: 'a body to be redacted that was not judged' })
  const bytes = spliceJson(judged.bytes, { mask: paths, drop: [], anyCase: true })
  return { ...empty, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), sent: hash('sha256', bytes, 'hex') }
}
