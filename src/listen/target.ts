/** The grammar of a request target: what may stand in it, and which structure must not come to light when somebody decodes it. */
import { isUtf8 } from 'node:buffer'
import { Refusal } from '../refusal.ts'

/** What a route lets through that the grammar refuses. A dot segment is refused on every route, however it is written. */
export interface Relaxations {
  /** `%2F` inside a segment: GitLab, GCS, npm, AWS ARNs. */
  readonly encodedSlash: boolean
  /** `//`. */
  readonly emptySegments: boolean
  /** A slash, backslash or control that only a second decoding reveals (`%252F`): names that hold a percent sign as data. */
  readonly encodedPercent: boolean
}

/** A target cut into its parts, byte for byte as it came; only `segments` are decoded. */
export interface TargetParts {
  readonly path: string
  readonly query: string | null
  /** `path` split at `/` (first empty piece dropped), each percent-decoded once. */
  readonly segments: readonly string[]
}

const inPath = 1
const inQuery = 2
const allowed = characters()

/** Decodings after which a target is refused unseen: no name is encoded this often, and each costs a pass. */
const mostForms = 12

const percent = 0x25
const slash = 0x2f
const dot = 0x2e
const semicolon = 0x3b

/** Bits of what the first pass found and a closer look must settle. */
const encoded = 1
const structured = 2

/**
 * Takes a target in origin-form (path and query, latin1 text of the bytes that came) and gives its parts.
 * Throws `listen.malformed` for what RFC 3986 §3.3 and §3.4 do not allow (the query may hold `[` and `]`),
 * and for a path that shows new structure under any decoding, NFKC, a cut at `;`, or without its blanks.
 */
export function parseTarget(target: string, relax: Relaxations): TargetParts {
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  const query = mark === -1 ? null : target.slice(mark + 1)
  const found = scan(path, inPath)
  if (found !== 0) examine(path, relax)
  if (query !== null && scan(query, inQuery) & encoded) examineQuery(query)
  const segments = path.split('/')
  segments.shift()
  if (found & encoded) for (let at = 0; at < segments.length; at++) segments[at] = decodeURIComponent(segments[at] ?? '')
  return { path, query, segments }
}

/** One pass over the text: throws for a character that may not stand there, gives the bits of what else was seen. */
function scan(text: string, place: number): number {
  let found = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (((allowed[code] ?? 0) & place) === 0) throw malformed('the target holds a character that RFC 3986 does not allow')
    if (code === percent) {
      if (hex(text.charCodeAt(at + 1)) < 0 || hex(text.charCodeAt(at + 2)) < 0)
        throw malformed('the target holds a broken percent-encoding')
      found |= encoded
    } else if (code === semicolon) {
      found |= structured
    } else if (code === slash) {
      const next = text.charCodeAt(at + 1)
      if (next === slash || next === dot) found |= structured
    }
  }
  return found
}

function examineQuery(query: string): void {
  const text = decodeOnce(query, true)
  if (text.includes('\0')) throw malformed('the query holds an encoded NUL')
}

interface Form {
  readonly text: string
  /** How often it was percent-decoded. */
  readonly depth: number
}

/** Follows a path through everything an upstream may make of it, to the fixpoint. */
function examine(path: string, relax: Relaxations): void {
  inspectSegments(path, relax.emptySegments, true)
  const forms: Form[] = [{ text: path, depth: 0 }]
  for (let at = 0; at < forms.length; at++) {
    const form = forms[at]
    if (form === undefined) break
    if (forms.length > mostForms) throw malformed('the path is encoded too many times')
    const depth = form.depth + 1
    const decoded = decodeOnce(form.text, depth === 1 || !relax.encodedPercent)
    const folded = form.text.normalize('NFKC')
    if (decoded !== form.text) forms.push(inspect(form, { text: decoded, depth }, relax, depth === 1 && relax.encodedSlash))
    if (folded !== form.text) forms.push(inspect(form, { text: folded, depth: form.depth }, relax, false))
  }
}

/** Throws when `after` shows structure that `before` did not have. */
function inspect(before: Form, after: Form, relax: Relaxations, slashes: boolean): Form {
  inspectSegments(after.text, relax.emptySegments, false)
  if (after.depth > 1 && relax.encodedPercent) return after
  if (!slashes && count(after.text, '/') > count(before.text, '/')) throw malformed('the path holds an encoded slash')
  for (let at = 0; at < after.text.length; at++) {
    const code = after.text.charCodeAt(at)
    if (code < 0x20 || code === 0x7f) throw malformed('the path holds an encoded control octet')
    if (code === 0x5c) throw malformed('the path holds an encoded backslash')
  }
  return after
}

/** Throws for a dot segment and, unless they are allowed, for an empty one. */
function inspectSegments(text: string, allowEmpty: boolean, asCame: boolean): void {
  const pieces = text.split(/[/\\]/)
  for (let at = 1; at < pieces.length; at++) {
    const piece = pieces[at] ?? ''
    const empty = piece === '' ? asCame && at < pieces.length - 1 : piece.startsWith(';')
    if (empty && !allowEmpty) throw malformed('the path holds an empty segment')
    if (isDots(piece)) throw malformed('the path holds a dot segment')
  }
}

/** Servers cut a segment at `;` (parameters), at a decoded `?` or `#`, and trim what cannot be seen, before they compare it with `..`. */
function isDots(piece: string): boolean {
  if (!piece.includes('.')) return false
  const cut = piece.search(/[;?#]/)
  const core = (cut === -1 ? piece : piece.slice(0, cut)).replaceAll(/[\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Cc}]/gu, '')
  return core === '.' || core === '..'
}

/** Decodes every `%XX` and (IIS) `%uXXXX` once, over bytes. Bytes that are not UTF-8 are refused, or read as latin1 to look further. */
function decodeOnce(text: string, strict: boolean): string {
  if (!text.includes('%')) return text
  const from = Buffer.from(text, 'utf8')
  const to = Buffer.allocUnsafe(from.length)
  let end = 0
  for (let at = 0; at < from.length; at++) {
    const code = from[at] ?? 0
    const high = code === percent ? hex(from[at + 1] ?? 0) : -1
    const low = high < 0 ? -1 : hex(from[at + 2] ?? 0)
    const wide = code === percent && high < 0 ? wideCode(from, at + 1) : -1
    if (wide >= 0) end += to.write(String.fromCharCode(wide), end, 'utf8')
    else to[end++] = low < 0 ? code : high * 16 + low
    at += wide >= 0 ? 5 : low < 0 ? 0 : 2
  }
  const bytes = to.subarray(0, end)
  if (isUtf8(bytes)) return bytes.toString('utf8')
  if (strict) throw malformed('the target is not UTF-8')
  return bytes.toString('latin1')
}

/** The code unit that `uXXXX` spells, or -1. */
function wideCode(bytes: Uint8Array, at: number): number {
  if ((bytes[at] ?? 0) !== 0x75 && (bytes[at] ?? 0) !== 0x55) return -1
  let value = 0
  for (let next = at + 1; next < at + 5; next++) {
    const digit = hex(bytes[next] ?? 0)
    if (digit < 0) return -1
    value = value * 16 + digit
  }
  return value
}

/** The value of a hexadecimal digit, or -1. */
function hex(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

function count(text: string, piece: string): number {
  let found = 0
  for (let at = text.indexOf(piece); at !== -1; at = text.indexOf(piece, at + 1)) found++
  return found
}

function malformed(reason: string): Refusal {
  return new Refusal('listen.malformed', { reasons: [reason] })
}

/** RFC 3986 `pchar`, `/` and `%`; the query also takes `?`, `[` and `]`. */
function characters(): Uint8Array {
  const table = new Uint8Array(256)
  const everywhere = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/%"
  for (const char of everywhere) table[char.charCodeAt(0)] = inPath | inQuery
  for (const char of '?[]') table[char.charCodeAt(0)] = inQuery
  return table
}
