/** Canonical JSON (RFC 8785), and how it is read back: strictly. */
import canonicalize from 'canonicalize'

/** The one text of a JSON value. Throws RangeError for what has none: half of a surrogate pair, a number that is not finite. */
export function canonicalText(value: unknown): string {
  let text: string | undefined
  try {
    text = canonicalize(value)
  } catch (error) {
    throw new RangeError(error instanceof Error ? error.message : 'no JSON value', { cause: error })
  }
  if (text === undefined) throw new RangeError('no JSON value')
  return text
}

/** Reads canonical JSON; undefined when the bytes are not exactly that. */
export function readCanonical(bytes: Uint8Array): unknown {
  const text = Buffer.from(bytes).toString()
  try {
    const value: unknown = JSON.parse(text)
    return Buffer.from(canonicalText(value)).equals(bytes) ? value : undefined
  } catch {
    return undefined
  }
}
