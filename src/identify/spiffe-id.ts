/** Reads SPIFFE IDs byte by byte. A URL parser is never used: it folds `..`, drops tabs and lower-cases the scheme. */

/** A well-formed SPIFFE ID and its two parts. */
export interface SpiffeId {
  /** The whole ID, exactly as it was given. */
  readonly id: string
  readonly trustDomain: string
  /** Starts with `/`, or is empty for the ID of the trust domain itself. */
  readonly path: string
}

/** Why a text is no SPIFFE ID. The message never quotes the text. */
export class MalformedSpiffeId extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'MalformedSpiffeId'
  }
}

const scheme = 'spiffe://'
const longest = 2048
const longestTrustDomain = 255
const slash = 0x2f

/** Byte class: 1 may stand in a trust domain name, 2 in a path segment (SPIFFE-ID §2.1, §2.2). Everything else is 0. */
const classes = byteClasses()

/**
 * Takes a text, gives its parts; throws `MalformedSpiffeId` and nothing else.
 * SPIFFE-ID §2 to §2.3: no user, port, query, fragment, percent-encoding, empty or dot segment, or trailing slash; up to 2048 bytes.
 * §2.4 calls scheme and trust domain case-insensitive; like the reference implementation this refuses upper case in both.
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (text.length > longest) throw new MalformedSpiffeId('longer than 2048 bytes')
  if (!text.startsWith(scheme)) throw new MalformedSpiffeId('does not start with spiffe://')
  const slashAt = text.indexOf('/', scheme.length)
  const trustDomain = slashAt === -1 ? text.slice(scheme.length) : text.slice(scheme.length, slashAt)
  const fault = trustDomainFault(trustDomain)
  if (fault !== null) throw new MalformedSpiffeId(fault)
  if (slashAt === -1) return { id: text, trustDomain, path: '' }
  checkPath(text, slashAt)
  return { id: text, trustDomain, path: text.slice(slashAt) }
}

/** True for a bare trust domain name such as `acme.example` (SPIFFE-ID §2.1), without scheme or path. */
export function isTrustDomain(text: string): boolean {
  return trustDomainFault(text) === null
}

/** True for the SPIFFE ID of a workload: one with a path (SPIFFE-ID §2.2). */
export function isWorkloadId(text: string): boolean {
  try {
    return parseSpiffeId(text).path !== ''
  } catch {
    return false
  }
}

/** True for a byte that could continue a trust domain name: tells `acme.example` from `acme.example.evil`. */
export function isTrustDomainByte(code: number): boolean {
  return ((classes[code] ?? 0) & 1) !== 0
}

function trustDomainFault(name: string): string | null {
  if (name.length === 0) return 'the trust domain is empty'
  if (name.length > longestTrustDomain) return 'the trust domain is longer than 255 bytes'
  for (let at = 0; at < name.length; at++) {
    if (!isTrustDomainByte(name.charCodeAt(at))) return 'the trust domain holds a character other than a-z 0-9 . - _'
  }
  return null
}

function checkPath(text: string, start: number): void {
  let segment = start + 1
  for (let at = segment; at <= text.length; at++) {
    // the end of the text closes a segment as a slash does
    const code = at === text.length ? slash : text.charCodeAt(at)
    if (code === slash) {
      checkSegment(text, segment, at)
      segment = at + 1
    } else if (((classes[code] ?? 0) & 2) === 0) {
      throw new MalformedSpiffeId('the path holds a character other than a-z A-Z 0-9 . - _')
    }
  }
}

function checkSegment(text: string, from: number, to: number): void {
  if (from === to) throw new MalformedSpiffeId('the path has an empty segment or ends with a slash')
  if (text[from] !== '.' || to - from > 2) return
  if (to - from === 1 || text[from + 1] === '.') throw new MalformedSpiffeId('the path has a dot segment')
}

function byteClasses(): Uint8Array {
  const table = new Uint8Array(128)
  for (const char of 'abcdefghijklmnopqrstuvwxyz0123456789.-_') table[char.charCodeAt(0)] = 3
  for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') table[char.charCodeAt(0)] = 2
  return table
}
