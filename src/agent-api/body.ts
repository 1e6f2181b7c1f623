/** Reads the small JSON bodies of the agent's own API. */
import type { Call } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'

const mostBytes = 16 * 1024

/** The strict JSON reader: bytes to a document whose objects have no prototype; throws on anything two readers could read differently. */
export type ParseJson = (bytes: Uint8Array) => unknown

/**
 * Reads a JSON object of at most 16 KiB; no body gives an empty object.
 * Rejects with listen.too-large, match.body, or why the call was cut.
 */
export async function readObject(call: Call, parseJson: ParseJson): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await readBytes(call, Math.min(mostBytes, call.limit))
  if (bytes.length === 0) return {}
  const document = parse(bytes, parseJson)
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw new Refusal('match.body', { reasons: ['the body must be a JSON object'] })
  return document as Readonly<Record<string, unknown>>
}

async function readBytes(call: Call, most: number): Promise<Uint8Array> {
  if (call.length !== null && call.length > most) throw tooLarge(most)
  call.continue()
  const pieces: Uint8Array[] = []
  let size = 0
  try {
    // the connection must outlive an early end, to carry the refusal
    for await (const piece of call.incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      size += piece.length
      if (size > most) throw tooLarge(most)
      pieces.push(piece)
    }
  } catch (error) {
    throw error instanceof Refusal ? error : cutShort(call, error)
  }
  return Buffer.concat(pieces, size)
}

function parse(bytes: Uint8Array, parseJson: ParseJson): unknown {
  try {
    return parseJson(bytes)
  } catch (error) {
    if (error instanceof Refusal) throw error
    throw new Refusal('match.body', { reasons: ['the body must be strict JSON in UTF-8'], cause: error })
  }
}

function tooLarge(most: number): Refusal {
  return new Refusal('listen.too-large', { reasons: [`the body may have ${most} bytes`] })
}

function cutShort(call: Call, cause: unknown): Refusal {
  const reason: unknown = call.signal.reason
  return reason instanceof Refusal ? reason : new Refusal('listen.malformed', { detail: 'the body ended before it was complete', cause })
}
