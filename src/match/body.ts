/** Reads the body of a call that is judged. The bytes that are judged are the bytes that are forwarded. */

import { hash } from 'node:crypto'
import type { Call } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'
import { JsonFault } from './json-fault.ts'
import { readJson, type JsonCaps } from './json.ts'
import type { JudgedBody } from './match.ts'

export interface BodyLimits {
  /** Most bytes that are read and judged. */
  readonly judged: number
  readonly json: JsonCaps
}

/** There is nothing that was not judged. */
export const noBody: JudgedBody = { kind: 'none', parsed: undefined, bytes: null, sha256: null, size: 0, judged: true }

/** It streams past unread; its digest is in the outcome. */
export function streamedBody(call: Call): JudgedBody {
  return { kind: 'stream', parsed: undefined, bytes: null, sha256: null, size: call.length, judged: false }
}

/**
 * Reads and judges a JSON body (requests.md, "JSON that policy reads"). An empty body is no document.
 * A body announced longer than `limits.judged` is not read: it stays of kind `json` and is marked not judged, `bytes` null. A
 * document past a cap of `limits.json` is marked likewise but was read, so `bytes` and `sha256` are there.
 * Rejects with `match.body` when two readers could differ on it, and `listen.too-large` when it turns out longer than may be read.
 */
export async function judgeJson(call: Call, limits: BodyLimits): Promise<JudgedBody> {
  checkContent(call)
  if (call.length !== null && call.length > limits.judged)
    return { kind: 'json', parsed: undefined, bytes: null, sha256: null, size: call.length, judged: false }
  call.continue()
  const bytes = await readWhole(call, Math.min(limits.judged, call.limit))
  if (bytes.length === 0) return noBody
  const document = parse(bytes, limits.json)
  const judged = document.beyond === null
  return {
    kind: 'json',
    parsed: judged ? document.value : undefined,
    bytes,
    sha256: hash('sha256', bytes, 'hex'),
    size: bytes.length,
    judged,
  }
}

function parse(bytes: Uint8Array, caps: JsonCaps): ReturnType<typeof readJson> {
  try {
    return readJson(bytes, caps)
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error
    throw new Refusal('match.body', { reasons: [`the body is refused: ${error.message}`] })
  }
}

/** RFC 8259 §8.1 and §11: JSON is UTF-8 and its media type has no parameter that could say otherwise; `charset=utf-8` is harmless. */
function checkContent(call: Call): void {
  if (!isJson(call.header('content-type') ?? ''))
    throw new Refusal('match.body', { reasons: ['the body must be application/json in UTF-8'] })
  const coding = call.header('content-encoding')
  if (coding !== undefined && coding.toLowerCase() !== 'identity')
    throw new Refusal('match.body', { reasons: ['the body must not be content-encoded'] })
}

function isJson(contentType: string): boolean {
  if (contentType === 'application/json') return true
  if (contentType.length > 256) return false
  const [type = '', ...parameters] = contentType.toLowerCase().split(';')
  // the last is what the services of AWS call it
  if (!/^application\/(([a-z0-9!#$&^_.+-]+\+)?json|x-amz-json-1\.[01])[ \t]*$/.test(type)) return false
  let charsets = 0
  for (const parameter of parameters) {
    const [, attribute, value] = /^[ \t]*([a-z0-9-]+)=("[^"\\,]*"|[a-z0-9._~+/-]+)[ \t]*$/.exec(parameter) ?? []
    if (attribute === undefined || value === undefined) return false
    if (attribute === 'charset' && (++charsets > 1 || value.replaceAll('"', '') !== 'utf-8')) return false
  }
  return true
}

/** Resolves with every byte once the request has ended; rejects as soon as it is too long, broken or aborted. */
function readWhole(call: Call, most: number): Promise<Uint8Array> {
  const { incoming, signal } = call
  if (signal.aborted || incoming.destroyed) return Promise.reject(cutShort(call))
  return new Promise((resolve, reject) => {
    const pieces: Uint8Array[] = []
    let size = 0
    const settle = (refusal: Refusal | null): void => {
      incoming.off('data', data).off('end', end).off('error', broken).off('close', broken)
      signal.removeEventListener('abort', broken)
      if (refusal === null) return resolve(pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces, size))
      incoming.pause()
      reject(refusal)
    }
    const data = (piece: Uint8Array): void => {
      size += piece.length
      if (size > most) settle(new Refusal('listen.too-large', { reasons: ['the body is longer than can be judged'] }))
      else pieces.push(piece)
    }
    const end = (): void => settle(null)
    const broken = (): void => settle(cutShort(call))
    signal.addEventListener('abort', broken)
    incoming.on('data', data).on('end', end).on('error', broken).on('close', broken)
  })
}

function cutShort(call: Call): Refusal {
  const reason: unknown = call.signal.aborted ? call.signal.reason : undefined
  return reason instanceof Refusal
    ? reason
    : new Refusal('listen.malformed', { detail: 'the body ended before it was complete', cause: reason })
}
