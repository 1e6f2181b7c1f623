/** JSON text by hand: strings quoted and capped, and a guard that keeps a record on one line. */

const unsafe = /[\u007f-\u009f\u2028\u2029\r\n]/g

/** A JSON string of at most `cap` characters of `text`; what was cut is marked with `…`. */
export function quote(text: string, cap = 512): string {
  return JSON.stringify(text.length > cap ? `${text.slice(0, cap)}…` : text)
}

/** The same text in one piece: one put together from others stays a tree of them, which every reader climbs through again. */
export function onePiece(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8')
}

/** Text → quoted, for what comes back with most calls. Written by `quoteAgain`; emptied when it is full. */
const quoted = new Map<string, string>()
const mostQuoted = 1024

/** The same for a text that comes back with most calls, such as an address: where it is short it is quoted once, then looked up. */
export function quoteAgain(text: string, cap = 128): string {
  if (text.length > 128) return quote(text, cap)
  let known = quoted.get(text)
  if (known === undefined) {
    if (quoted.size >= mostQuoted) quoted.clear()
    quoted.set(text, (known = quote(text)))
  }
  return known
}

/** A JSON array of at most `most` strings. */
export function quoteAll(texts: readonly string[], most = 32): string {
  if (texts.length === 0) return '[]'
  let text = '['
  for (let at = 0; at < texts.length && at < most; at++) text += (at === 0 ? '' : ',') + quote(texts[at] ?? '')
  return `${text}]`
}

/**
 * Escapes what JSON allows in a string and a line-based reader or a terminal does not bear: DEL, the C1 controls, U+2028 and U+2029.
 * A bare CR or LF can only be white space between JSON tokens and becomes a blank. `bytes` is the UTF-8 length of `text`.
 */
export function oneLine(text: string, bytes: number): string {
  // text as long as its UTF-8 form is ASCII: three quick scans settle it
  const ascii = bytes === text.length
  if (ascii && !text.includes('\n') && !text.includes('\u007f') && !text.includes('\r')) return text
  return text.replace(unsafe, (found) =>
    found === '\n' || found === '\r' ? ' ' : `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** The text of something that lives longer than a call, made once. */
export function remembered<Key extends object>(texts: WeakMap<Key, string>, key: Key, make: (key: Key) => string): string {
  let text = texts.get(key)
  if (text === undefined) texts.set(key, (text = onePiece(make(key))))
  return text
}
