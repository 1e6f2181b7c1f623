/** Reads the text of a key document from where it is kept. Parsing it is not done here. */
import { readFileSync, statSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import type { KeySet } from '../bundle/bundles.ts'
import { KeyFault } from './key-report.ts'
import { checkSize, decodeText, requestText } from './request-text.ts'

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

/** True for a name or address that leads to this machine alone. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

function fileDocument(path: string): KeyDocument {
  return {
    place: path,
    readNow() {
      checkSize(statSync(path).size)
      return decodeText(readFileSync(path))
    },
    async read(signal) {
      checkSize((await stat(path)).size)
      return decodeText(await readFile(path, { signal }))
    },
  }
}

function urlDocument(url: string, fetch: typeof globalThis.fetch): KeyDocument {
  return {
    place: url,
    readNow: () => null,
    async read(signal) {
      const { status, text } = await requestText(fetch, url, {}, signal)
      if (status !== 200) throw new KeyFault('status', `answered ${status}`)
      return text
    },
  }
}
