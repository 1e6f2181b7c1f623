/** The members of one JSON object as text, unparsed: most of a stored line is its input, which is judged as it stands. */

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a

/**
 * Name → text of its value; of a name that is there twice the last, as `JSON.parse` has it. Null when brackets and quotes do not
 * fit. Whether a value is JSON is for whoever parses it.
 */
export function rawMembers(text: string): ReadonlyMap<string, string> | null {
  const members = new Map<string, string>()
  let at = text.search(/\S/)
  if (at < 0 || text[at] !== '{') return null
  at++
  for (;;) {
    while (isBlank(text.charCodeAt(at))) at++
    if (text.charCodeAt(at) !== quote) return text[at] === '}' && members.size === 0 && isEnd(text, at) ? members : null
    const nameEnd = closing(text, at)
    if (nameEnd < 0) return null
    const name = text.slice(at + 1, nameEnd)
    at = nameEnd + 1
    while (isBlank(text.charCodeAt(at))) at++
    if (text.charCodeAt(at) !== colon) return null
    const start = at + 1
    at = valueEnd(text, start)
    if (at < 0) return null
    members.set(name, text.slice(start, at))
    if (text.charCodeAt(at) !== comma) return isEnd(text, at) ? members : null
    at++
  }
}

/** Where the value that begins at `start` is over: its comma, or the bracket that ends the object. -1 when neither comes. */
function valueEnd(text: string, start: number): number {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === quote) {
      at = closing(text, at)
      if (at < 0) return -1
    } else if (unit === comma) {
      if (depth === 0) return at
      // one bit apart: `[` and `{`, `]` and `}`
    } else if ((unit | 0x20) === 0x7b) depth++
    else if ((unit | 0x20) === 0x7d) {
      if (depth === 0) return unit === 0x7d ? at : -1
      depth--
    }
  }
  return -1
}

/** The quote that closes the one at `open`; -1 when none does. */
function closing(text: string, open: number): number {
  for (let at = text.indexOf('"', open + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let escapes = 0
    while (text.charCodeAt(at - 1 - escapes) === backslash) escapes++
    if (escapes % 2 === 0) return at
  }
  return -1
}

function isBlank(unit: number): boolean {
  return unit === 0x20 || unit === 0x09 || unit === 0x0d || unit === 0x0a
}

/** Nothing but white space behind the bracket at `at`. */
function isEnd(text: string, at: number): boolean {
  return text.slice(at + 1).trim() === ''
}
