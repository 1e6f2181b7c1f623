/** One request as listen reads it: head, address and framing, with the first thing found wrong. */
import { Refusal } from '../refusal.ts'
import { locate, type AddressTable, type Place, type RouteAddress } from './address.ts'
import type { Address, RefusalShape } from './call.ts'
import { readHead, type Head, type HeadLimits } from './headers.ts'
import { parseTarget, type Relaxations, type TargetParts } from './target.ts'

/** The request line and headers, as the parser hands them over. */
export interface RawRequest {
  readonly method: string
  /** What the connection speaks, not what the request says. */
  readonly scheme: 'http' | 'https'
  readonly target: string
  readonly version: string
  readonly headers: readonly string[]
}

/** Most bytes of a head, a target and a body. */
export interface RequestLimits extends HeadLimits {
  readonly target: number
  readonly body: number
}

/** What came of it. With a `problem` the address leads nowhere. */
export interface ReadRequest {
  readonly head: Head
  readonly address: Address
  readonly shape: RefusalShape
  readonly problem: Refusal | null
}

const strict: Relaxations = { encodedSlash: false, emptySegments: false, encodedPercent: false }

/** Methods whose body has no meaning (RFC 9110 §9.3): some origins leave it on the connection, where it becomes the next request. */
const bodiless = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS'])

/**
 * Takes a request, the route that owns its listener (null on the shared port), the address table and the limits.
 * Never throws: the first problem found is in the answer. HTTP/1.1 only: HTTP/1.0 has no chunked framing and no obligatory Host.
 */
export function readRequest(raw: RawRequest, owner: string | null, table: AddressTable, limits: RequestLimits): ReadRequest {
  const head = readHead(raw.headers, limits)
  const place = locate(table, owner, raw.scheme, head.host, raw.target)
  const shape = place.route?.refusals ?? 'problem'
  try {
    if (head.problem !== null) throw head.problem
    checkLine(raw, place, limits)
    checkRoute(raw.method, head, place.route)
    checkSize(head, limits)
    const task = sameTask(head, place)
    const parts = parseTarget(place.target, place.route?.relax ?? strict)
    return { head, address: address(place, task, parts), shape, problem: null }
  } catch (error) {
    return { head, address: unaddressed(raw.target, head.task), shape, problem: Refusal.from(error) }
  }
}

function checkLine(raw: RawRequest, place: Place, limits: RequestLimits): void {
  if (raw.version !== '1.1') throw malformed('only HTTP/1.1 is served')
  if (raw.method === 'TRACE' || raw.method === 'CONNECT') throw malformed('the method is not served')
  if (raw.target.length > limits.target) throw new Refusal('listen.too-large', { reasons: ['the request target is too long'] })
  if (place.problem !== null) throw malformed(place.problem)
}

function checkRoute(method: string, head: Head, route: RouteAddress | null): void {
  if (head.browser && route?.browsers !== true) throw malformed('the request comes from a web page')
  for (const name of head.overrides) {
    if (route === null || !route.selects.includes(name)) throw malformed('a header chooses another method or target')
  }
  for (const name of head.nominated) {
    if (route?.selects.includes(name)) throw malformed('Connection names a header that must not be dropped')
  }
  for (const name of route?.selects ?? []) {
    if (isRepeated(head.headers, name)) throw malformed('a header that chooses the operation came twice')
  }
  if (head.length !== 0 && bodiless.has(method) && route?.allowBody !== true) throw malformed('the method takes no body')
}

function isRepeated(headers: readonly string[], name: string): boolean {
  let seen = false
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at] !== name) continue
    if (seen) return true
    seen = true
  }
  return false
}

function checkSize(head: Head, limits: RequestLimits): void {
  if (head.length !== null && head.length > limits.body) throw new Refusal('listen.too-large', { reasons: ['the body is too long'] })
}

function sameTask(head: Head, place: Place): string | null {
  if (head.task !== null && place.task !== null && head.task !== place.task) throw malformed('header and path name different tasks')
  return head.task ?? place.task
}

function address(place: Place, task: string | null, parts: TargetParts): Address {
  return {
    kind: place.kind,
    route: place.route?.name ?? null,
    task,
    prefix: place.prefix,
    target: place.target,
    path: parts.path,
    query: parts.query,
    segments: parts.segments,
  }
}

/** The target as it came, for the record alone: nothing is looked up by it. */
function unaddressed(target: string, task: string | null): Address {
  return { kind: 'none', route: null, task, prefix: '', target, path: target, query: null, segments: [] }
}

function malformed(reason: string): Refusal {
  return new Refusal('listen.malformed', { reasons: [reason] })
}
