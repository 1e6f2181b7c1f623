/** Reads the text of a key document from where it is kept. Parsing it is not done here. */
import { readFileSync, statSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import type { KeySet } from './bundles.ts'

/** Where the keys of a trust domain are: configuration decides, never a token. */
export type KeyLocation = { readonly file: string } | { readonly url: string }

/** A key document that can be read again and again. Errors say why in words for the operator. */
export interface KeyDocument {
  /** For log lines. */
  readonly place: string
  /** The text at once, or null for a place that needs waiting for. */
  readNow(): string | null
  /**
   * The text; throws when it cannot be had. `newest` is what the document last held, however old; null before it was first read:
   * a server that proves itself with the keys that it serves is held to these.
   */
  read(signal: AbortSignal, newest: KeySet | null): Promise<string>
}

/** Ms between readings of a file. */
export const fileInterval = 2000
/** Ms that fetching a document may take, redirects and all. */
export const fetchTime = 5000
const mostBytes = 1024 * 1024

/** Opens a location; `fetch` is used for URLs alone. */
export function keyDocument(location: KeyLocation, fetch: typeof globalThis.fetch): KeyDocument {
  return 'file' in location ? fileDocument(location.file) : urlDocument(location.url, fetch)
}

/** True for https, and for http to this machine alone; no user, password or fragment in it. */
export function isKeyUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '' || url.hash !== '') return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

function fileDocument(path: string): KeyDocument {
  return {
    place: path,
    readNow() {
      checkSize(statSync(path).size)
      return decode(readFileSync(path))
    },
    async read(signal) {
      checkSize((await stat(path)).size)
      return decode(await readFile(path, { signal }))
    },
  }
}

/** Redirects are never followed: whoever the configured server names next was not configured. */
function urlDocument(url: string, fetch: typeof globalThis.fetch): KeyDocument {
  return {
    place: url,
    readNow: () => null,
    async read(signal) {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(fetchTime)])
      const response = await fetch(url, { redirect: 'error', headers: { accept: 'application/json' }, signal: limited })
      if (response.status !== 200 || response.redirected) {
        await response.body?.cancel()
        throw new Error(`answered ${response.status}`)
      }
      return readBounded(response.body ?? [])
    },
  }
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
  return decode(Buffer.concat(pieces))
}

function checkSize(bytes: number): void {
  if (bytes > mostBytes) throw new Error('larger than 1 MiB')
}

function decode(bytes: Uint8Array): string {
  checkSize(bytes.byteLength)
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
}
