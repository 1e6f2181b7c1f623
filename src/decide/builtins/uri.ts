/** Parts of a URI, as Go's `net/url` takes it apart: stricter than browsers in some places, laxer in others. */

import { readAddress } from './address.ts'
import { withText } from './argument.ts'
import type { Builtin } from './builtin.ts'
import { unescapePercent } from './bytes.ts'

export const uriBuiltins: Readonly<Record<string, Builtin>> = {
  'uri.is_valid': (_, value) => String(value?.kind === 'string' && value.value !== '' && takeApart(value.value) !== undefined),
  'uri.parse': withText(parse),
}

/** As written, nothing unescaped. */
interface Parts {
  readonly scheme: string
  readonly host: string
  readonly path: string
  readonly query: string
  readonly fragment: string
}

function parse(text: string): string | undefined {
  const parts = takeApart(text)
  if (parts === undefined) return undefined
  const path = unescaped(parts.path)
  const [hostname, port] = splitHost(unescaped(parts.host))
  const entries = {
    scheme: parts.scheme,
    hostname,
    port,
    path,
    // How it was written is told only where writing the path anew would give something else.
    raw_path: escapePath(path) === parts.path ? path : parts.path,
    raw_query: parts.query,
    fragment: unescaped(parts.fragment),
  }
  return JSON.stringify(Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== '')))
}

function unescaped(part: string): string {
  return unescapePercent(part) ?? part
}

function takeApart(text: string): Parts | undefined {
  const hash = text.indexOf('#')
  const fragment = hash === -1 ? '' : text.slice(hash + 1)
  const whole = hash === -1 ? text : text.slice(0, hash)
  if (hasControl(whole) || !escapes(fragment)) return undefined
  const none = { scheme: '', host: '', path: '', query: '', fragment }
  if (whole === '*') return { ...none, path: '*' }
  if (whole.startsWith(':')) return undefined
  const scheme = /^[a-zA-Z][a-zA-Z0-9+.-]*(?=:)/.exec(whole)?.[0] ?? ''
  const [hierarchy, query] = splitQuery(scheme === '' ? whole : whole.slice(scheme.length + 1))
  const known = { ...none, scheme: scheme.toLowerCase(), query }
  if (!hierarchy.startsWith('/')) {
    if (scheme !== '') return known
    return (hierarchy.split('/', 1)[0] ?? '').includes(':') || !escapes(hierarchy) ? undefined : { ...known, path: hierarchy }
  }
  if (!hierarchy.startsWith('//') || (scheme === '' && hierarchy.startsWith('///')))
    return escapes(hierarchy) ? { ...known, path: hierarchy } : undefined
  const slash = hierarchy.indexOf('/', 2)
  const authority = hierarchy.slice(2, slash === -1 ? undefined : slash)
  const path = slash === -1 ? '' : hierarchy.slice(slash)
  const at = authority.lastIndexOf('@')
  const host = authority.slice(at + 1)
  if (at !== -1 && !isUser(authority.slice(0, at))) return undefined
  return isHost(known.scheme, host) && escapes(path) ? { ...known, host, path } : undefined
}

function hasControl(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit < 0x20 || unit === 0x7f) return true
  }
  return false
}

/** True when every percent sign has its two digits. */
function escapes(text: string): boolean {
  return !/%(?![0-9a-fA-F]{2})/.test(text)
}

function splitQuery(text: string): readonly [string, string] {
  const mark = text.indexOf('?')
  return mark === -1 ? [text, ''] : [text.slice(0, mark), text.slice(mark + 1)]
}

function isUser(text: string): boolean {
  return /^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(text) && escapes(text)
}

/** Only what is no ASCII may be escaped in a host; after `%25` comes the zone of an address. */
const hostText = /^(?:[A-Za-z0-9!"$&'()*+,\-.:;<=>[\]_~]|[^\0-\x7f]|%25|%[89a-fA-F][0-9a-fA-F])*$/
const zoneText =
  /^(?:[A-Za-z0-9!"$&'()*+,\-.:;<=>[\]_~]|[^\0-\x7f]|%(?:25|20|[89a-fA-F][0-9a-fA-F]|2[124-9a-eA-E]|3[0-9a-eA-E]|4[1-9a-fA-F]|5[0-9abdfABDF]|6[1-9a-fA-F]|7[0-9aeAE]))*$/

function isHost(scheme: string, host: string): boolean {
  const open = host.lastIndexOf('[')
  if (open > 0) return false
  if (open === 0) return isLiteral(host)
  // Databases name several hosts with a port each; the web does not.
  const colon = scheme === 'http' || scheme === 'https' ? host.indexOf(':') : host.lastIndexOf(':')
  return (colon === -1 || isPort(host.slice(colon))) && hostText.test(host)
}

function isLiteral(host: string): boolean {
  const close = host.lastIndexOf(']')
  if (close === -1 || !isPort(host.slice(close + 1))) return false
  const inner = host.slice(1, close)
  const zone = inner.indexOf('%25')
  const address = zone === -1 ? inner : inner.slice(0, zone)
  if (!hostText.test(address) || (zone !== -1 && !zoneText.test(inner.slice(zone)))) return false
  return readAddress(unescaped(inner))?.bits === 128
}

function isPort(text: string): boolean {
  return /^(?::\d*)?$/.test(text)
}

function splitHost(host: string): readonly [string, string] {
  const colon = host.lastIndexOf(':')
  const [name, port] = colon !== -1 && isPort(host.slice(colon)) ? [host.slice(0, colon), host.slice(colon + 1)] : [host, '']
  return [name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name, port]
}

function escapePath(path: string): string {
  return Array.from(path, (character) =>
    /[A-Za-z0-9$&+,\-./:;=@_~]/.test(character) ? character : Buffer.from(character).toString('hex').toUpperCase().replace(/../g, '%$&'),
  ).join('')
}
