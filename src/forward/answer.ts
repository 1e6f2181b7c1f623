/** What the head of an answer says of its body, and what is left of that head once the body was changed. */
import { codingsIn } from './codings.ts'
import { holds, type Echoes } from './echoes.ts'
import type { Fields } from './respond.ts'

/** The head of an answer as far as judging and masking go by it. All of it is the upstream's word. */
export interface AnswerHead {
  /** `other` too where the type is missing, given twice, or in a charset that JSON is not written in. */
  readonly kind: 'json' | 'none' | 'stream' | 'other'
  /** The body is text that a sample can be taken of. */
  readonly text: boolean
  /** Announced bytes of the body; null when not announced. */
  readonly length: number | null
  /** The body is compressed or otherwise coded: nothing of it can be read. */
  readonly coded: boolean
  /** The body is a part of a document. */
  readonly partial: boolean
}

/** Takes the final head of an answer to a request with this method. */
export function readAnswerHead(method: string, status: number, fields: Fields): AnswerHead {
  const announced = fields['content-length']
  const length = typeof announced === 'string' && /^\d{1,15}$/.test(announced) ? Number(announced) : null
  const bodiless = method === 'HEAD' || status === 204 || status === 304 || length === 0
  const { essence, charset } = mediaType(fields['content-type'])
  const json = isJson(essence) && (charset === null || charset === 'utf-8' || charset === 'us-ascii')
  return {
    kind: bodiless ? 'none' : essence === 'text/event-stream' ? 'stream' : json ? 'json' : 'other',
    text: !bodiless && (charset === null || !/^(utf-?(16|32|7)|ucs)/.test(charset)) && isText(essence),
    length,
    coded: codingsIn(fields['content-encoding']).length > 0,
    partial: status === 206 || fields['content-range'] !== undefined,
  }
}

/** The headers that policy may see, by lower-case name; one that echoes the lent secret is left out. */
export function visibleHeaders(fields: Fields, names: readonly string[], echoes: Echoes): Map<string, string> {
  const seen = new Map<string, string>()
  for (const name of ['content-type', ...names]) {
    const value = fields[name]
    if (value === undefined) continue
    const text = typeof value === 'string' ? value : value.join(', ')
    if (!holds(text, echoes)) seen.set(name, text)
  }
  return seen
}

/** What describes the bytes of a body (RFC 9110 §8, RFC 9530) and is no longer true of a changed one. */
const bound: ReadonlySet<string> = new Set([
  'content-length',
  'transfer-encoding',
  'etag',
  'content-md5',
  'digest',
  'repr-digest',
  'content-digest',
  'accept-ranges',
  // trailers may hold a digest too
  'trailer',
])

/** The head of a changed body; `length` is the new one, null where it is not known yet. */
export function changedFields(fields: Fields, length: number | null): Fields {
  const kept: Record<string, string | string[] | undefined> = Object.create(null)
  for (const name in fields) if (!bound.has(name)) kept[name] = fields[name]
  if (length !== null) kept['content-length'] = String(length)
  return kept
}

/** RFC 9110 §8.3.1, lower case. */
function mediaType(field: Fields[string]): { readonly essence: string; readonly charset: string | null } {
  if (typeof field !== 'string') return { essence: '', charset: null }
  const [essence = '', ...parameters] = field.toLowerCase().split(';')
  const charsets = parameters.map((each) => /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/.exec(each)?.[1]).filter((each) => each !== undefined)
  // two charsets are two readings
  return { essence: essence.trim(), charset: charsets.length > 1 ? '?' : (charsets[0] ?? null) }
}

function isJson(essence: string): boolean {
  return (
    essence === 'application/json' || essence === 'text/json' || /^([a-z]+\/[^/]+\+json|application\/x-amz-json-1\.[01])$/.test(essence)
  )
}

function isText(essence: string): boolean {
  return isJson(essence) || essence.startsWith('text/') || /^application\/(xml|javascript|x-ndjson|json-seq|yaml|[^/]+\+xml)$/.test(essence)
}
