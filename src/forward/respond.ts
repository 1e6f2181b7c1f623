/** The head of an answer as the agent gets it: checked, hop-by-hop names gone, links turned homewards, the secret not in it. */
import { STATUS_CODES } from 'node:http'
import { Refusal } from '../refusal.ts'
import type { Call } from '../listen/call.ts'
import { codingsIn } from './codings.ts'
import { holds, namesSecret, noEchoes, type Echoes } from './echoes.ts'
import type { Finds } from './finds.ts'
import { namedByConnection } from './headers.ts'
import { agentLinks, agentReference } from './rewrite.ts'
import type { Upstream } from './upstream.ts'

/** Header as undici parses it: lower-case names; several of one name as a list, in order. */
export type Fields = Readonly<Record<string, string | string[] | undefined>>

export interface Head {
  readonly status: number
  /** Null: the standard phrase. */
  readonly phrase: string | null
  readonly list: string[]
  /** Announced bytes of the body that follows; null when not announced. 0 when no body can follow. */
  readonly length: number | null
  /** Trailer names that may follow a chunked answer; null when none. */
  readonly trailers: ReadonlySet<string> | null
  /** An event stream may be silent for as long as it likes. */
  readonly events: boolean
}

export interface HeadOptions {
  /** The secrets of the lease. */
  readonly echoes: Echoes
  /** Told of a header that holds one of them. */
  readonly finds: Finds
  readonly maxHeaders: number
}

/** Hop-by-hop, challenges of a proxy that is not us, and headers that send a client past us. */
const dropped: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-connection',
  'alt-svc',
  'refresh',
])

/** Besides, where the credential is ours: sessions and challenges that belong to it. */
const droppedCredentialed: ReadonlySet<string> = new Set(['set-cookie', 'set-cookie2', 'www-authenticate', 'authentication-info'])

/** Names that RFC 9110 §6.5.1 keeps out of trailers, and those that are rewritten or dropped in a header. */
const noTrailers: ReadonlySet<string> = new Set([
  ...dropped,
  ...droppedCredentialed,
  'content-length',
  'content-encoding',
  'content-type',
  'content-range',
  'host',
  'cache-control',
  'expires',
  'date',
  'age',
  'vary',
  'location',
  'content-location',
  'link',
])

/**
 * Takes an upstream's final head (status 200 and up). Gives what `writeHead` is called with.
 * Throws `forward.response-refused` for a head that cannot be trusted to end where it says, `forward.redirect` for a redirect elsewhere.
 */
export function answerHead(status: number, fields: Fields, phrase: string, upstream: Upstream, call: Call, options: HeadOptions): Head {
  if (status < 200 || status > 599) throw refused(`status ${status}`)
  const bodiless = call.method === 'HEAD' || status === 204 || status === 304
  const length = announcedLength(fields, status)
  // what could be decoded was; the rest cannot be searched for the secret
  if (!bodiless && upstream.searched && codingsIn(fields['content-encoding']).length > 0) throw refused('a coding that cannot be searched')
  const list: string[] = []
  const connection = fields['connection']
  const named = connection === undefined ? null : namedByConnection(['connection', String(connection)])
  const clean = isClean(fields, options, 'header', (name, value) => mapped(name, value, upstream, call) ?? value)
  let count = 0
  for (const name in fields) {
    const value = fields[name]
    if (value === undefined || dropped.has(name) || name.startsWith('countersign-') || named?.has(name)) continue
    if (upstream.credentialed && (droppedCredentialed.has(name) || namesSecret(name, options.echoes))) continue
    if (name === 'content-length' && (length === null || status === 204)) continue
    count += typeof value === 'string' ? 1 : value.length
    if (typeof value === 'string') add(list, name, value, status, upstream, call, clean ? noEchoes : options.echoes)
    else for (const each of several(name, value, status)) add(list, name, each, status, upstream, call, clean ? noEchoes : options.echoes)
  }
  if (count > options.maxHeaders) throw refused(`${count} headers`)
  const trailers = bodiless || length !== null || upstream.credentialed ? null : declaredTrailers(fields['trailer'], call, named)
  if (trailers !== null) list.push('trailer', [...trailers].join(', '))
  list.push('countersign-call', call.id, 'countersign-decision', 'allow')
  const type = fields['content-type']
  const events = typeof type === 'string' && type.startsWith('text/event-stream')
  return { status, phrase: ownPhrase(status, phrase, upstream), list, length: bodiless ? 0 : length, trailers, events }
}

/** Whether no field, as it would be told, holds a secret; looked at in one go, since nearly none does. */
function isClean(
  fields: Fields,
  { echoes, finds }: Pick<HeadOptions, 'echoes' | 'finds'>,
  where: 'header' | 'trailer',
  told: (name: string, value: string) => string = (_name, value) => value,
): boolean {
  if (echoes === noEchoes) return true
  let all = ''
  let named = false
  for (const name in fields) {
    named ||= namesSecret(name, echoes)
    const value = fields[name]
    // a byte that no field holds, and no spelling
    for (const each of typeof value === 'string' ? [value] : (value ?? [])) all += `\0${told(name, each)}`
  }
  const found = holds(all, echoes)
  if (found || named) finds.at(where)
  return !found
}

/** Takes trailer fields; gives `[name, value]` pairs of those that were declared. `declared` null: none may go, as on every route with a credential. */
export function answerTrailers(
  fields: Fields,
  declared: ReadonlySet<string> | null,
  options: Pick<HeadOptions, 'echoes' | 'finds'>,
): [string, string][] {
  const list: [string, string][] = []
  if (!isClean(fields, options, 'trailer') || declared === null) return list
  for (const name in fields) {
    if (!declared.has(name)) continue
    const value = fields[name]
    for (const each of typeof value === 'string' ? [value] : (value ?? [])) list.push([name, each])
  }
  return list
}

/** RFC 9112 §6.3: one length, or chunks and nothing else; null where none is announced. Throws `forward.response-refused`. */
export function announcedLength(fields: Fields, status: number): number | null {
  const length = fields['content-length']
  const coding = fields['transfer-encoding']
  if (coding !== undefined && (typeof coding !== 'string' || coding.toLowerCase() !== 'chunked')) throw refused('transfer coding')
  if (length === undefined) return null
  if (typeof length !== 'string' || !/^\d{1,15}$/.test(length)) throw refused('content length')
  if (coding !== undefined && status !== 204) throw refused('content length and transfer coding')
  return Number(length)
}

/** Fields that only mean something once. */
function several(name: string, values: readonly string[], status: number): readonly string[] {
  if (name === 'location' || name === 'content-location' || name === 'content-type')
    throw refused(`${values.length} ${name} fields in a ${status}`)
  return values
}

function add(list: string[], name: string, value: string, status: number, upstream: Upstream, call: Call, echoes: Echoes): void {
  const told = mapped(name, value, upstream, call)
  if (told !== null && !holds(told, echoes)) list.push(name, told)
  else if (name === 'location' && status >= 300 && status < 400 && status !== 304)
    throw new Refusal('forward.redirect', { detail: `status ${status}` })
}

/** The field as the agent may follow it, without a credential that stands in the base path; null where it leads elsewhere. */
function mapped(name: string, value: string, upstream: Upstream, call: Call): string | null {
  if (name === 'location' || name === 'content-location') return agentReference(value, upstream, call)
  return name === 'link' ? agentLinks(value, upstream, call) : value
}

function declaredTrailers(field: string | string[] | undefined, call: Call, named: ReadonlySet<string> | null): ReadonlySet<string> | null {
  if (field === undefined || call.incoming.httpVersionMinor === 0) return null
  const names = new Set<string>()
  for (const piece of String(field).split(',')) {
    const name = piece.trim().toLowerCase()
    const token = /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name)
    if (token && !noTrailers.has(name) && !name.startsWith('countersign-') && !named?.has(name)) names.add(name)
  }
  return names.size === 0 ? null : names
}

/** A phrase means nothing to a client; one that is odd, or could carry the credential, is replaced by the standard one. */
function ownPhrase(status: number, phrase: string, upstream: Upstream): string | null {
  if (upstream.credentialed || phrase === STATUS_CODES[status] || phrase.length > 64) return null
  for (let index = 0; index < phrase.length; index++) {
    const code = phrase.charCodeAt(index)
    if (code < 0x20 || code > 0x7e) return null
  }
  return phrase === '' ? null : phrase
}

function refused(detail: string): Refusal {
  return new Refusal('forward.response-refused', { detail })
}
