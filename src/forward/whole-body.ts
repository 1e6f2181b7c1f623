/** Reads a body that would stream into memory, where a credential goes into it or a signature covers it. */
import { Refusal } from '../refusal.ts'
import { Gather } from './gather.ts'
import type { Outgoing } from './outgoing.ts'
import { Upload } from './upload.ts'

/**
 * Gives the whole body at once when it is there, null when there is none, else reads it: up to `out.gather` bytes.
 * Rejects with `listen.too-large` when it is longer, with the reason of `out.signal`, and with `listen.malformed` when it did not end well.
 */
export function wholeBody(out: Outgoing): Buffer | null | Promise<Buffer> {
  const { body } = out
  return body instanceof Upload ? read(body, out.gather, out.signal) : body
}

function read(upload: Upload, most: number, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const gathered = new Gather()
    const settle = (refusal: Refusal | null): void => {
      upload.off('data', data).off('end', end).off('error', broken)
      signal.removeEventListener('abort', aborted)
      if (refusal === null) return resolve(gathered.bytes)
      upload.destroy()
      reject(refusal)
    }
    const data = (piece: Buffer): void => {
      if (gathered.length + piece.length > most) settle(tooLarge())
      else gathered.add(piece)
    }
    const end = (): void => settle(null)
    const broken = (fault: Error): void => settle(fault instanceof Refusal ? fault : cutShort(fault))
    const aborted = (): void => {
      const reason: unknown = signal.reason
      settle(reason instanceof Refusal ? reason : cutShort(reason))
    }
    upload.on('data', data).on('end', end).on('error', broken)
    signal.addEventListener('abort', aborted)
    if (signal.aborted) aborted()
    else upload.resume()
  })
}

function tooLarge(): Refusal {
  return new Refusal('listen.too-large', { reasons: ['the body is longer than may be held to put the credential of this route on it'] })
}

function cutShort(cause: unknown): Refusal {
  return new Refusal('listen.malformed', { detail: 'the body ended before it was complete', cause })
}
