/** Reads a character that is written as an escape: percent, quoted-printable, JSON and its relatives, HTML entities. */

/** More bytes than this no escape has. */
export const longestEscape = 12

/** HTML's names of ASCII characters; the first of several is the one that encoders write. */
const entities: readonly (readonly [string, string])[] = [
  ['&', 'amp AMP'],
  ['<', 'lt LT'],
  ['>', 'gt GT'],
  ['"', 'quot QUOT'],
  ["'", 'apos'],
  ['!', 'excl'],
  ['#', 'num'],
  ['$', 'dollar'],
  ['%', 'percnt'],
  ['(', 'lpar'],
  [')', 'rpar'],
  ['*', 'ast midast'],
  ['+', 'plus'],
  [',', 'comma'],
  ['.', 'period'],
  ['/', 'sol'],
  [':', 'colon'],
  [';', 'semi'],
  ['=', 'equals'],
  ['?', 'quest'],
  ['@', 'commat'],
  ['[', 'lsqb lbrack'],
  ['\\', 'bsol'],
  [']', 'rsqb rbrack'],
  ['^', 'Hat'],
  ['_', 'lowbar'],
  ['`', 'grave'],
  ['{', 'lcub lbrace'],
  ['|', 'verbar vert'],
  ['}', 'rcub rbrace'],
]

const named = new Map(entities.flatMap(([char, names]) => names.split(' ').map((name) => [name, char.charCodeAt(0)] as const)))

/** The entity of a character, without `&` and `;`; undefined where HTML has none. */
export const entityOf: ReadonlyMap<string, string> = new Map(entities.map(([char, names]) => [char, names.split(' ')[0] ?? '']))

/** What follows a backslash, and what it stands for; 0 for what no escape has there. */
const short = new Uint8Array(256)
for (const [after, char] of Object.entries({ '"': '"', "'": "'", '\\': '\\', '/': '/', n: '\n', r: '\r', t: '\t' }))
  short[after.charCodeAt(0)] = char.charCodeAt(0)

/** The value of a hexadecimal digit by its byte, 255 for what is none. */
const digits = new Uint8Array(256).fill(255)
for (const [value, digit] of '0123456789abcdef'.split('').entries()) {
  digits[digit.charCodeAt(0)] = value
  digits[digit.toUpperCase().charCodeAt(0)] = value
}

const percent = 0x25
const ampersand = 0x26
const equals = 0x3d
const backslash = 0x5c
const semicolon = 0x3b

/** `length << 8 | character` of an escape; 0 where none is; -1 where the bytes end before it can be told. */
export type Escape = number

/** Takes where it begins. */
export function escapeAt(bytes: Uint8Array, at: number): Escape {
  switch (bytes[at]) {
    case percent:
    case equals:
      return hexadecimal(bytes, at, 1, 2)
    case backslash:
      return backslashed(bytes, at)
    case ampersand:
      return entity(bytes, at)
    default:
      return 0
  }
}

/** Whether an escape begins there, or a soft line break, that the bytes end before it can be told. */
export function isCut(bytes: Uint8Array, at: number): boolean {
  const byte = bytes[at]
  if (byte !== percent && byte !== equals && byte !== backslash && byte !== ampersand) return false
  return escapeAt(bytes, at) < 0 || breakAt(bytes, at) < 0
}

/** Takes where it ends, exclusive. */
export function escapeBefore(bytes: Uint8Array, end: number): Escape {
  const last = bytes[end - 1] ?? 0
  if (last === semicolon) {
    for (let at = end - 3; at >= 0 && at >= end - longestEscape; at--) if (bytes[at] === ampersand) return exactly(bytes, at, end)
    return 0
  }
  if (bytes[end - 2] === backslash && short[last] !== 0) return exactly(bytes, end - 2, end)
  if (digits[last] === 255) return 0
  for (const length of [3, 4, 6]) {
    const found = end < length ? 0 : exactly(bytes, end - length, end)
    if (found > 0) return found
  }
  return 0
}

function exactly(bytes: Uint8Array, at: number, end: number): Escape {
  const found = escapeAt(bytes, at)
  return found > 0 && found >> 8 === end - at ? found : 0
}

/** `count` digits from `skip` bytes behind `at`. */
function hexadecimal(bytes: Uint8Array, at: number, skip: number, count: number): Escape {
  let value = 0
  for (let index = at + skip; index < at + skip + count; index++) {
    if (index >= bytes.length) return -1
    const digit = digits[bytes[index] ?? 0] ?? 255
    if (digit === 255) return 0
    value = value * 16 + digit
  }
  return value > 255 ? 0 : ((skip + count) << 8) | value
}

function backslashed(bytes: Uint8Array, at: number): Escape {
  const after = bytes[at + 1]
  if (after === undefined) return -1
  if (after === 0x75) return hexadecimal(bytes, at, 2, 4)
  if (after === 0x78) return hexadecimal(bytes, at, 2, 2)
  const char = short[after] ?? 0
  return char === 0 ? 0 : (2 << 8) | char
}

function entity(bytes: Uint8Array, at: number): Escape {
  let end = at + 1
  const most = at + longestEscape - 1
  while (end < bytes.length && end < most && bytes[end] !== semicolon) {
    const byte = bytes[end] ?? 0
    const numeric = byte === 0x23 && end === at + 1
    if (!numeric && !isAlphanumeric(byte)) return 0
    end++
  }
  const body = String.fromCharCode(...bytes.subarray(at + 1, end))
  if (bytes[end] !== semicolon) return end === bytes.length && end < most && mayBecome(body) ? -1 : 0
  const value = body.startsWith('#') ? numberOf(body.slice(1)) : named.get(body)
  return value === undefined || value > 255 ? 0 : ((end + 1 - at) << 8) | value
}

function mayBecome(body: string): boolean {
  if (body.startsWith('#')) return /^#(\d*|[xX][0-9a-fA-F]*)$/.test(body)
  for (const name of named.keys()) if (name.startsWith(body)) return true
  return false
}

function numberOf(written: string): number | undefined {
  if (/^\d+$/.test(written)) return Number(written)
  return /^[xX][0-9a-fA-F]+$/.test(written) ? Number.parseInt(written.slice(1), 16) : undefined
}

function isAlphanumeric(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
}

/** Bytes of the soft line break of quoted-printable that begins at `at` (RFC 2045 §6.7); 0: none, -1: perhaps. */
export function breakAt(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== equals) return 0
  if (at + 1 >= bytes.length) return -1
  if (bytes[at + 1] === 0x0a) return 2
  if (bytes[at + 1] !== 0x0d) return 0
  if (at + 2 >= bytes.length) return -1
  return bytes[at + 2] === 0x0a ? 3 : 0
}
