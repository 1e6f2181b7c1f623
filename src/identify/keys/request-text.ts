/** One exchange over HTTP whose answer is text: bounded in time and size, never redirected. */

import { KeyFault } from './key-report.ts'

/** An answer as it came. Whether its status will do is for the caller; its body is empty when the status is neither 200 nor 201. */
export interface TextAnswer {
  readonly status: number
  readonly text: string
}

/** The part of a request that callers choose. */
export interface TextRequest {
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Ms that fetching a text may take, redirects and all. */
export const fetchTime = 5000
const mostBytes = 1024 * 1024

/**
 * Sends a request and reads its answer, within 5 s and up to 1 MiB. Throws when there is none, or it redirects: whoever the configured
 * server names next was not configured.
 */
export async function requestText(
  fetch: typeof globalThis.fetch,
  url: string,
  request: TextRequest,
  signal: AbortSignal,
): Promise<TextAnswer> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(fetchTime)])
  const headers = { accept: 'application/json', ...request.headers }
  const response = await fetch(url, { ...request, redirect: 'error', headers, signal: limited })
  const { status } = response
  if (response.redirected) throw new KeyFault('redirect', `answered ${status}`)
  if (status === 200 || status === 201) return { status, text: await readBounded(response.body ?? []) }
  await response.body?.cancel()
  return { status, text: '' }
}

/** The text of a body: UTF-8, up to 1 MiB. */
export async function readBounded(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of body) {
    size += piece.byteLength
    // leaving the loop cancels the body
    checkSize(size)
    pieces.push(piece)
  }
  return decodeText(Buffer.concat(pieces))
}

/** Strict UTF-8, at most 1 MiB. */
export function decodeText(bytes: Uint8Array): string {
  checkSize(bytes.byteLength)
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
}

export function checkSize(bytes: number): void {
  if (bytes > mostBytes) throw new KeyFault('malformed', 'larger than 1 MiB')
}
