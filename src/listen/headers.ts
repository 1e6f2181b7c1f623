/** Request headers: made canonical once, and refused where two readers could read them differently. */
import { Refusal, type Code } from '../refusal.ts'
import { isTaskId } from './address.ts'
import type { Carried } from './call.ts'

/** Most bytes and most lines of a request head. */
export interface HeadLimits {
  readonly headerBytes: number
  readonly headerCount: number
}

/** What the headers of a request say. When `problem` is there, the rest is as far as it could be read. */
export interface Head {
  /** Flat list of lower-cased names and values, in the order they came, without what `Connection` names. */
  readonly headers: readonly string[]
  /** Lower case; empty when there is none. */
  readonly host: string
  readonly task: string | null
  /** Null when it carries nothing for its task. */
  readonly carried: Carried | null
  /** Announced bytes; null when chunked; 0 when there is no body. */
  readonly length: number | null
  readonly expectsContinue: boolean
  /** `Origin` or `Sec-Fetch-Site` is there: a web page may be behind it. */
  readonly browser: boolean
  /** Headers that would choose another operation than the request line does. */
  readonly overrides: readonly string[]
  /** Headers that `Connection` names; they were dropped. */
  readonly nominated: readonly string[]
  readonly problem: Refusal | null
}

type Draft = { -readonly [Key in keyof Head]: Head[Key] } & {
  headers: string[]
  overrides: string[]
  nominated: string[]
  contentLength: string | null
  transferEncoding: string | null
  /** Bits of the singletons seen so far. */
  seen: number
}

/** Headers that may come once, each with its bit: of two, two readers could each take another. */
const singletons = new Map(
  words(
    'host content-length transfer-encoding content-type expect countersign-task countersign-prompt countersign-depends-on txn-token authorization proxy-authorization x-api-key x-goog-api-key',
  ).map((name, at) => [name, 1 << at]),
)

/** Headers that `Connection` must not take away: who calls, how the body is read, what is signed, what makes a repeat harmless. */
const kept = new Set([
  ...singletons.keys(),
  ...words('cookie content-encoding content-digest digest date signature signature-input dpop'),
  ...words('idempotency-key if-match prefer forwarded via origin referer'),
])
const keptPrefixes = [
  ...words('countersign- sec- x-forwarded- x-amz- x-goog- x-ms- x-auth- x-api- x-csrf-'),
  ...words('x-http-method x-method- x-original- x-rewrite-'),
]

/** No task token of ours is longer. */
const longestToken = 4096

/** Tokens of `Connection` that are about the connection itself. */
const connectionOptions = new Set(['close', 'keep-alive', 'te', 'upgrade', 'http2-settings', 'trailer', 'proxy-connection'])

type Reader = (draft: Draft, value: string, name: string) => void

/** What each header that listen reads does to the draft. */
const readers = new Map<string, Reader>([
  ['host', readHost],
  ['content-length', (draft, value) => (draft.contentLength = value)],
  ['transfer-encoding', (draft, value) => (draft.transferEncoding = value)],
  ['connection', readConnection],
  ['upgrade', (draft) => fail(draft, 'the request asks to upgrade the connection')],
  ['expect', readExpect],
  ['countersign-task', readTask],
  ['countersign-prompt', readPrompt],
  ['countersign-depends-on', readDependsOn],
  ['txn-token', (draft, value) => carry(draft, { transaction: value })],
  ['origin', (draft) => (draft.browser = true)],
  ['sec-fetch-site', (draft) => (draft.browser = true)],
  ...['x-http-method-override', 'x-http-method', 'x-method-override', 'x-original-url', 'x-rewrite-url'].map(
    (name) => [name, (draft: Draft) => void draft.overrides.push(name)] as const,
  ),
])

/** A pattern, not a loop: four times as fast on a token of 600 characters, and one pass by its form. */
const outsideFieldContent = /[^\t -~\u0080-\u00ff]/
const nameCharacters = characters("!#$%&'*+-.^`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

/**
 * Takes `rawHeaders` of an HTTP/1.1 request and gives the canonical head; never throws, the first problem found is in it.
 * Refused: names with `_` or outside the token grammar, controls in a value, repeated singletons, every framing that is not
 * exactly one `Content-Length` or exactly `chunked` (RFC 9112 §6.3), `Upgrade`, and a `Connection` that names a header that counts.
 */
export function readHead(raw: readonly string[], limits: HeadLimits): Head {
  const draft = blank()
  if (raw.length / 2 > limits.headerCount) fail(draft, 'there are too many headers', 'listen.too-large')
  let bytes = 0
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const came = raw[at] ?? ''
    const value = raw[at + 1] ?? ''
    bytes += came.length + value.length + 4
    const { name, bit, read, problem } = learned.get(came) ?? learn(came)
    if (problem !== null) fail(draft, problem)
    checkValue(draft, value)
    once(draft, bit)
    if (read !== null) read(draft, value, name)
    // without an upgrade it means nothing, and a reader that knows h2c must not see it
    if (name !== 'http2-settings') draft.headers.push(name, value)
  }
  if (bytes > limits.headerBytes) fail(draft, 'the headers are too long', 'listen.too-large')
  if (draft.host === '') fail(draft, 'the request has no Host')
  frame(draft)
  if (draft.nominated.length > 0) draft.headers = without(draft.headers, draft.nominated)
  return draft
}

function blank(): Draft {
  return {
    headers: [],
    host: '',
    task: null,
    carried: null,
    length: 0,
    expectsContinue: false,
    browser: false,
    overrides: [],
    nominated: [],
    problem: null,
    contentLength: null,
    transferEncoding: null,
    seen: 0,
  }
}

function fail(draft: Draft, reason: string, code: Code = 'listen.malformed'): void {
  draft.problem ??= new Refusal(code, { reasons: [reason] })
}

/** Header names as clients write them come back with every request: what is to be known of each is found out once. */
interface Name {
  /** Lower case. */
  readonly name: string
  readonly bit: number
  readonly read: Reader | null
  readonly problem: string | null
}

/** Name as it came → what is known of it. Written by `learn`, up to a bound: clients choose names. */
const learned = new Map<string, Name>()
const mostLearned = 512
const longestLearned = 64

function learn(came: string): Name {
  const name = came.toLowerCase()
  const known: Name = { name, bit: singletons.get(name) ?? 0, read: readers.get(name) ?? null, problem: problemOf(came) }
  if (learned.size < mostLearned && came.length <= longestLearned) learned.set(came, known)
  return known
}

function problemOf(name: string): string | null {
  if (name === '') return 'a header has no name'
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at)
    // origins of the CGI family read `_` as `-`: the name would be a twin of one that was judged
    if (code === 0x5f) return 'a header name holds an underscore'
    if (nameCharacters[code] !== 1) return 'a header name holds a character that is not allowed'
  }
  return null
}

/** RFC 9110 §5.5: visible ASCII, blanks and obs-text. */
function checkValue(draft: Draft, value: string): void {
  if (outsideFieldContent.test(value)) fail(draft, 'a header value holds a control character')
}

function once(draft: Draft, bit: number): void {
  if ((draft.seen & bit) !== 0) fail(draft, 'a header that may come once came twice')
  draft.seen |= bit
}

function readHost(draft: Draft, value: string): void {
  if (draft.host !== '') return
  if (/^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$/.test(value)) draft.host = value.toLowerCase()
  else fail(draft, 'the Host is not well-formed')
}

function readConnection(draft: Draft, value: string): void {
  for (const piece of value.split(',')) {
    const token = piece.trim().toLowerCase()
    if (token === '' || connectionOptions.has(token)) continue
    if (kept.has(token) || keptPrefixes.some((prefix) => token.startsWith(prefix))) {
      return fail(draft, 'Connection names a header that must not be dropped')
    }
    const problem = problemOf(token)
    if (problem !== null) fail(draft, problem)
    draft.nominated.push(token)
  }
}

function readExpect(draft: Draft, value: string): void {
  if (value.toLowerCase() === '100-continue') draft.expectsContinue = true
  else fail(draft, 'the request expects something that is not offered')
}

/** An id, or a token in which the task stage looks for one. A token without a signature has the form of one: it is refused there. */
function readTask(draft: Draft, value: string): void {
  if (isTaskId(value)) draft.task = value
  else if (value.length <= longestToken && /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/.test(value)) carry(draft, { token: value })
  else fail(draft, 'Countersign-Task names no well-formed task')
}

function readPrompt(draft: Draft, value: string): void {
  if (/^sha256:[0-9a-f]{64}$/.test(value)) carry(draft, { prompt: value })
  else fail(draft, 'Countersign-Prompt must be sha256: and 64 lower-case hex digits')
}

function readDependsOn(draft: Draft, value: string): void {
  if (/^c_[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(value)) carry(draft, { dependsOn: value })
  else fail(draft, 'Countersign-Depends-On must be the id of a call')
}

function carry(draft: Draft, one: Partial<Carried>): void {
  draft.carried = { token: null, transaction: null, prompt: null, dependsOn: null, ...draft.carried, ...one }
}

/** RFC 9112 §6: one way to tell where the body ends, written in one way. */
function frame(draft: Draft): void {
  const { contentLength, transferEncoding } = draft
  if (transferEncoding !== null) {
    draft.length = null
    if (contentLength !== null) fail(draft, 'Content-Length and Transfer-Encoding are both there')
    if (transferEncoding !== 'chunked') fail(draft, 'Transfer-Encoding is not exactly chunked')
  } else if (contentLength !== null) {
    if (/^(0|[1-9]\d{0,14})$/.test(contentLength)) draft.length = Number(contentLength)
    else fail(draft, 'Content-Length is not a plain number')
  }
}

function without(headers: readonly string[], names: readonly string[]): string[] {
  const left: string[] = []
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? ''
    if (!names.includes(name)) left.push(name, headers[at + 1] ?? '')
  }
  return left
}

function words(text: string): string[] {
  return text.split(' ')
}

function characters(text: string): Uint8Array {
  const table = new Uint8Array(256)
  for (const char of text) table[char.charCodeAt(0)] = 1
  return table
}
