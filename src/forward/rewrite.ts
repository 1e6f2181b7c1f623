/** Maps what an upstream says about its own URLs to where the agent sees them, and says no to every other place. */
import type { Call } from '../listen/call.ts'
import type { Upstream } from './upstream.ts'

/**
 * Takes a URI reference from `Location`, `Content-Location` or a `Link` target (RFC 3986 §4.1), as the answer to this call.
 * Gives the reference as the agent may follow it: absolute stays absolute, relative becomes an absolute path here.
 * Null when it leads anywhere but below the upstream's base path, or can be read in two ways.
 */
export function agentReference(reference: string, upstream: Upstream, call: Call): string | null {
  if (!unambiguous(reference)) return null
  const { scheme, authority, path, rest } = parts(reference)
  if (scheme !== null && (scheme !== upstream.route.to.scheme || authority === null)) return null
  if (authority !== null && !upstream.selves.includes(authority)) return null
  if (authority === null && path === '') return reference // this very document, or another query of it
  const inside = belowBase(wholePath(authority, path, upstream, call), upstream.basePath)
  if (inside === null) return null
  const local = `${call.address.prefix}${inside}${rest}`
  // `//x` would be read as another host.
  return authority !== null || local.startsWith('//') ? `${call.scheme}://${call.host}${local}` : local
}

/**
 * Takes a `Link` field (RFC 8288 §3). Gives it with each target mapped, links to elsewhere left out;
 * null when none stays or the field is malformed.
 */
export function agentLinks(field: string, upstream: Upstream, call: Call): string | null {
  const kept: string[] = []
  for (let at = skipBlank(field, 0); at < field.length; at = skipBlank(field, at)) {
    if (field[at] !== '<') return null
    const close = field.indexOf('>', at)
    if (close === -1) return null
    const end = endOfParameters(field, close + 1)
    if (end === -1) return null
    const target = agentReference(field.slice(at + 1, close).trim(), upstream, call)
    if (target !== null) kept.push(`<${target}>${field.slice(close + 1, end).trimEnd()}`)
    at = end + 1
  }
  return kept.length === 0 ? null : kept.join(', ')
}

interface Parts {
  readonly scheme: string | null
  readonly authority: string | null
  readonly path: string
  /** Query and fragment with their marks. */
  readonly rest: string
}

/** Visible bytes only and no backslash: nothing that some client drops, trims or takes for a slash. */
function unambiguous(reference: string): boolean {
  for (let index = 0; index < reference.length; index++) {
    const code = reference.charCodeAt(index)
    if (code <= 0x20 || code === 0x7f || code === 0x5c) return false
  }
  return true
}

/** Splits as RFC 3986 appendix B does. */
function parts(reference: string): Parts {
  const mark = reference.search(/[?#]/)
  const front = mark === -1 ? reference : reference.slice(0, mark)
  const rest = mark === -1 ? '' : reference.slice(mark)
  const colon = front.indexOf(':')
  const slash = front.indexOf('/')
  const schemed = colon !== -1 && (slash === -1 || colon < slash)
  const after = schemed ? front.slice(colon + 1) : front
  const scheme = schemed ? front.slice(0, colon).toLowerCase() : null
  if (!after.startsWith('//')) return { scheme, authority: null, path: after, rest }
  const end = after.indexOf('/', 2)
  const authority = (end === -1 ? after.slice(2) : after.slice(2, end)).toLowerCase()
  return { scheme, authority, path: end === -1 ? '/' : after.slice(end), rest }
}

function wholePath(authority: string | null, path: string, upstream: Upstream, call: Call): string {
  if (authority !== null || path.startsWith('/')) return path
  const here = upstream.basePath + call.address.path
  return here.slice(0, here.lastIndexOf('/') + 1) + path
}

/** The path below the base, starting with a slash; null when it is not below. */
function belowBase(path: string, base: string): string | null {
  const resolved = withoutDots(path)
  if (resolved === null) return null
  if (base === '') return resolved
  if (resolved === base) return '/'
  return resolved.startsWith(`${base}/`) ? resolved.slice(base.length) : null
}

/** RFC 3986 §5.2.4; null for dots in an encoded spelling, which clients resolve differently. */
function withoutDots(path: string): string | null {
  if (!path.includes('/.') && !path.includes('/%2')) return path
  const kept: string[] = []
  const pieces = path.split('/').slice(1)
  for (const [index, piece] of pieces.entries()) {
    const plain = piece.replaceAll(/%2e/gi, '.')
    if (plain !== '.' && plain !== '..') {
      kept.push(piece)
      continue
    }
    if (plain !== piece) return null
    if (piece === '..') kept.pop()
    if (index === pieces.length - 1) kept.push('')
  }
  return `/${kept.join('/')}`
}

function skipBlank(field: string, from: number): number {
  let at = from
  while (field[at] === ' ' || field[at] === '\t' || field[at] === ',') at++
  return at
}

/** The index of the comma that ends this link, or the length; -1 when a quote stays open. */
function endOfParameters(field: string, from: number): number {
  let quoted = false
  for (let at = from; at < field.length; at++) {
    const char = field[at]
    if (quoted && char === '\\') at++
    else if (char === '"') quoted = !quoted
    else if (char === ',' && !quoted) return at
  }
  return quoted ? -1 : field.length
}
