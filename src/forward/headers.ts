/** The header list an upstream gets, built anew from the canonical call: nothing is passed through raw. */
import type { Call } from '../listen/call.ts'
import { traceparentOf } from '../trace-context.ts'
import type { Upstream } from './upstream.ts'

/**
 * Names that end here on every route: hop-by-hop (RFC 9110 §7.6.1), what frames the message (undici writes its own),
 * every slot a credential of the agent can come in, and what the agent claims about hops before us.
 */
const ended: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'expect',
  'host',
  'content-length',
  'authorization',
  'proxy-authorization',
  'x-api-key',
  'x-goog-api-key',
  'dpop',
  'cookie',
  'cookie2',
  'forwarded',
  'x-real-ip',
  // a certificate that some hop before is said to have seen (RFC 9440 and its forerunners): over our own TLS it would pass for our word
  'client-cert',
  'client-cert-chain',
  'ssl-client-cert',
  'x-client-cert',
  'x-ssl-cert',
  'x-ssl-client-cert',
  'x-arr-clientcert',
  'x-amzn-mtls-clientcert',
  'x-amzn-mtls-clientcert-leaf',
  // workload credentials of WIMSE: they are for us, if for anybody
  'workload-identity-token',
  'workload-proof-token',
])

/** Where vendors' clients put a key of their own: beside a lent credential it would be a second one, and the agent's. */
const vendorKeys: ReadonlySet<string> = new Set([
  'api-key',
  'apikey',
  'private-token',
  'job-token',
  'x-auth-token',
  'x-access-token',
  'x-vault-token',
  'x-amz-security-token',
  'x-amz-s3session-token',
  'x-goog-iam-authorization-token',
  'dd-api-key',
  'x-shopify-access-token',
])

/**
 * Takes the call, its upstream and the length of a body that streams with a known one (null: none, chunked, or a buffer).
 * `readable`: the answer will be read here. Gives a flat list of names and values for undici, without a credential: `applyLease` adds that last.
 */
export function upstreamHeaders(call: Call, upstream: Upstream, length: number | null, readable = false): string[] {
  const identity = upstream.credentialed || readable
  const given = call.headers
  const list: string[] = upstream.host === null ? [] : ['host', upstream.host]
  const named = namedByConnection(given)
  const trace = call.trace ?? null
  for (let index = 0; index + 1 < given.length; index += 2) {
    const name = given[index] ?? ''
    const value = given[index + 1] ?? ''
    if (isEnded(name) || named?.has(name)) continue
    if (identity && name === 'accept-encoding') continue
    if (name === 'txn-token' && upstream.route.transactions !== true) continue
    if (upstream.credentialed && vendorKeys.has(name)) continue
    if (trace !== null && name === 'traceparent') continue
    if (name === 'referer' && namesUs(value, call.host)) continue
    list.push(name, value)
  }
  if (trace !== null) list.push('traceparent', traceparentOf(trace))
  // An answer that may echo the credential, or is judged, must be readable here.
  if (identity) list.push('accept-encoding', 'identity')
  if (length !== null) list.push('content-length', String(length))
  return list
}

/** Whether a header of this name ends here on every route. */
export function isEnded(name: string): boolean {
  return ended.has(name) || endedByPrefix(name)
}

/** Where clients put a key that is not for us, and that is dropped on its way: a placeholder is looked for there. */
export function isKeySlot(name: string): boolean {
  return name === 'authorization' || name === 'x-api-key' || name === 'x-goog-api-key' || vendorKeys.has(name)
}

/** What the agent says of the bytes of its body is not true of a changed one (RFC 9530, RFC 1864). */
const digests: ReadonlySet<string> = new Set(['content-digest', 'repr-digest', 'digest', 'content-md5'])

export function withoutDigests(list: readonly string[]): string[] {
  return list.filter((_, index) => !digests.has(list[index - (index % 2)] ?? ''))
}

/** Header names that any `Connection` field lists; null in the usual case that it names none. */
export function namedByConnection(list: readonly string[]): ReadonlySet<string> | null {
  let names: Set<string> | null = null
  for (let index = 0; index + 1 < list.length; index += 2) {
    if (list[index] !== 'connection') continue
    const value = list[index + 1] ?? ''
    if (value === 'keep-alive' || value === 'close') continue
    names ??= new Set()
    for (const piece of value.split(',')) names.add(piece.trim().toLowerCase())
  }
  return names
}

function endedByPrefix(name: string): boolean {
  switch (name.charCodeAt(0)) {
    case 0x63: // c
      return name.startsWith('countersign-')
    case 0x70: // p
      return name.startsWith('proxy-')
    case 0x78: // x
      return name.startsWith('x-forwarded-')
    default:
      return false
  }
}

/** True when a Referer tells the upstream where we listen, and with it perhaps a task. */
function namesUs(referer: string, host: string): boolean {
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(referer)?.[1]?.toLowerCase()
  if (authority === undefined) return false
  const named = authority.slice(authority.lastIndexOf('@') + 1)
  return named === host || loopback.test(named)
}

/** Any name of this machine: the agent reaches us by whichever it likes. */
const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\]|\[::ffff:127[.0-9a-f:]*\])(:\d+)?$/
