/** JSON whose meaning cannot be disputed: one reading only, no member named twice. For tokens and key documents, not for bodies. */

/** The members of a JSON object. Read them with `member`. */
export type Members = Readonly<Record<string, unknown>>

const deepest = 64
const startsNumber = /[-0-9]/
const inNumber = /[-+.0-9eE]/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Takes bytes or text, gives the object in it.
 * Throws SyntaxError when it is not UTF-8, not JSON, not an object, nested deeper than 64, names a member twice in one object, spells
 * a name with escapes (RFC 7519 §4 and RFC 7515 §4 allow refusing it; two readers could otherwise see two subjects), or has a number
 * too large to hold, such as `1e400`, which others refuse and JavaScript takes for Infinity (RFC 8259 §6).
 * A whole number in a member called `exact` comes as a bigint, with all its digits: a JSON number loses them above 2^53.
 */
export function parseStrictJson(source: string | Uint8Array, exact: string | null = null): Members {
  const text = typeof source === 'string' ? source : decodeUtf8(source)
  const value: unknown = exact === null ? JSON.parse(text) : JSON.parse(text, keepDigits(exact))
  if (!isMembers(value)) throw new SyntaxError('not a JSON object')
  checkMembers(text)
  return value
}

/** An own member, or undefined. What a prototype holds is never read. */
export function member(object: Members, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

export function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function keepDigits(name: string) {
  return (key: string, value: unknown, context?: { readonly source?: string }): unknown =>
    key === name && typeof value === 'number' ? (whole(context?.source ?? '') ?? value) : value
}

/** Digits as a bigint; null when they are no whole number of at most 40 digits. */
function whole(digits: string): bigint | null {
  return digits.length <= 40 && /^-?\d+$/.test(digits) ? BigInt(digits) : null
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new SyntaxError('not UTF-8')
  }
}

/** Walks text that JSON.parse took: with the grammar known to hold, only structure and names need to be looked at. */
function checkMembers(text: string): void {
  const open: (Set<string> | null)[] = []
  let nameNext = false
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (char === '"') {
      const end = closingQuote(text, at)
      if (nameNext) addName(open.at(-1), text.slice(at, end + 1))
      nameNext = false
      at = end
    } else if (char === '{' || char === '[') {
      if (open.length === deepest) throw new SyntaxError('nested too deep')
      open.push(char === '{' ? new Set() : null)
      nameNext = char === '{'
    } else if (char === '}' || char === ']') {
      open.pop()
      nameNext = false
    } else if (char === ',') {
      nameNext = open.at(-1) !== null
    } else if (char !== undefined && startsNumber.test(char)) {
      at = numberEnd(text, at) - 1
    }
  }
}

function numberEnd(text: string, start: number): number {
  let at = start + 1
  while (inNumber.test(text[at] ?? '')) at++
  if (!Number.isFinite(Number(text.slice(start, at)))) throw new SyntaxError('a number too large to hold')
  return at
}

function addName(names: Set<string> | null | undefined, quoted: string): void {
  // no issuer needs escapes in a name, and V8 (nodejs/node#63785) may hand out another name's text for one spelled with them
  if (quoted.includes('\\')) throw new SyntaxError('a member name is spelled with escapes')
  if (names?.has(quoted)) throw new SyntaxError('a member is named twice')
  names?.add(quoted)
}

function closingQuote(text: string, open: number): number {
  let at = open + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}
