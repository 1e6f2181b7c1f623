/** The request as members of the policy input. */

import type { Call } from '../listen/call.ts'
import type { JudgedBody } from '../match/match.ts'
import type { Route } from '../match/route.ts'
import { Refusal } from '../refusal.ts'
import { mostInputText } from './input-text.ts'
import { exceeded, number, text, textOrNull, texts, Members, type Cap } from './fragment.ts'

const agent = (most: number, what: string): Cap => ({ most, what, fault: 'agent' })
const operator = (most: number, what: string): Cap => ({ most, what, fault: 'operator' })

const caps = {
  name: operator(256, 'a name'),
  // of each call another: not among the texts that are remembered
  id: agent(256, 'a name'),
  method: agent(64, 'the method'),
  host: agent(512, 'the Host'),
  path: agent(2048, 'the path'),
  segments: agent(64, 'the path'),
  query: agent(4096, 'the query'),
  names: agent(50, 'the query'),
  values: agent(100, 'the query'),
  header: agent(1024, 'a header'),
  headers: operator(64, 'the headers of a route'),
} as const

/** `request` with a NUL for each piece that a call has of its own. */
export function requestFrame({ method, scheme, host, listener }: Call): string {
  return (
    `{"id":\0,"method":${text(method, caps.method)},"scheme":"${scheme}","host":${text(host, caps.host)},"port":${number(listener.port, 'port')}` +
    ',"path":\0,"segments":\0,"query":\0,"headers":\0,"protocol":"http","body":\0}'
  )
}

/** Those pieces but for the body. */
export function requestPieces(call: Call, route: Route): readonly string[] {
  const { path, segments, query } = call.address
  return [
    text(call.id, caps.id),
    text(path, caps.path),
    texts(segments, caps.segments, caps.path),
    query === null || query === '' ? '{}' : queryText(query),
    headersText(call, route),
  ]
}

const noBodyText = '{"kind":"none","sha256":null,"size":0,"judged":true}'

/** `request.body` but for `parsed`, which goes last. */
export function bodyText({ kind, sha256, size, judged }: JudgedBody): string {
  if (kind === 'none' && sha256 === null && size === 0 && judged) return noBodyText
  const bytes = size === null ? 'null' : number(size, 'size')
  return `{"kind":"${kind}","sha256":${textOrNull(sha256, caps.id)},"size":${bytes},"judged":${judged}}`
}

/**
 * Whether a document that was read from these bytes is surely one that an engine takes: half a surrogate pair takes an escape, whoever reads
 * a body bounds its depth, and nothing is written eight times as long as it came.
 */
export function isPlain(bytes: Uint8Array | null): boolean {
  return bytes !== null && bytes.length > 0 && bytes.length < mostInputText / 16 && !bytes.includes(0x5c)
}

/** As forms are read (WHATWG URL §5.1): `&` separates, the first `=` splits, `+` is a blank. A name may have several values. */
function queryText(query: string): string {
  if (query.length > caps.query.most) throw exceeded(caps.query)
  const values = new Map<string, string>()
  const pieces = query.split('&')
  if (pieces.length > caps.values.most) throw exceeded(caps.values)
  for (const piece of pieces) {
    if (piece === '') continue
    const equals = piece.indexOf('=')
    const name = decodeForm(equals === -1 ? piece : piece.slice(0, equals))
    const value = text(equals === -1 ? '' : decodeForm(piece.slice(equals + 1)), caps.query)
    const before = values.get(name)
    values.set(name, before === undefined ? value : `${before},${value}`)
  }
  const members = new Members(caps.names)
  for (const [name, list] of values) members.add(name, `[${list}]`, caps.query)
  return members.end()
}

function decodeForm(piece: string): string {
  const spaced = piece.replaceAll('+', ' ')
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch (cause) {
    throw new Refusal('listen.malformed', { reasons: ['the query is not percent-encoded UTF-8'], cause })
  }
}

/** Route → the header names that policy sees: what it selects by, what it lists, and the type of the body. */
const visible = new WeakMap<Route, readonly string[]>()

function headersText(call: Call, route: Route): string {
  let names = visible.get(route)
  if (names === undefined) visible.set(route, (names = [...new Set(['content-type', ...route.selects, ...route.policyHeaders])]))
  const members = new Members(caps.headers)
  for (const name of names) {
    const value = call.header(name)
    if (value !== undefined) members.add(name, text(value, caps.header), caps.name)
  }
  return members.end()
}
