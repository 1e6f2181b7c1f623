import { isIPv4, isIPv6 } from 'node:net'
import { printable, WorkloadApiFault } from './fault.ts'

/** Where the endpoint listens, as it was given and as a target for gRPC. */
export interface EndpointAddress {
  readonly text: string
  /** `unix:/path`, `ipv4:1.2.3.4:80` or `ipv6:[::1]:80`. */
  readonly target: string
}

/** The variable that names the endpoint when nothing else does (Workload Endpoint §4). */
export const addressVariable = 'SPIFFE_ENDPOINT_SOCKET'

/** What a socket's path may be long on Linux, without its final NUL. */
const longestSocketPath = 107
/** RFC 3986 §3.3, after the percent signs. */
const pathForm = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/

/**
 * Finds the endpoint: the explicit address, else the variable in `env` (Workload Endpoint §4).
 * Throws `WorkloadApiFault` with the code `address`, whose message says what to write instead.
 */
export function endpointAddress(explicit: string | undefined, env: Readonly<Record<string, string | undefined>>): EndpointAddress {
  if (explicit !== undefined) return parseAddress(explicit)
  const fromEnvironment = env[addressVariable]
  if (fromEnvironment === undefined || fromEnvironment === '') {
    throw new WorkloadApiFault(
      'address',
      `no address of the Workload API: give one, or set ${addressVariable}, such as unix:///run/spire/agent.sock`,
    )
  }
  return parseAddress(fromEnvironment)
}

/**
 * Reads `unix:/abs`, `unix:///abs`, `tcp://1.2.3.4:80` or `tcp://[::1]:80` by the letter of Workload Endpoint §4.
 * No URL parser: one would fold the path, drop tabs and take `tcp://1:80` for an address.
 */
export function parseAddress(text: string): EndpointAddress {
  if (text.startsWith('unix:')) return { text, target: `unix:${socketPath(text)}` }
  if (text.startsWith('tcp:')) return { text, target: tcpTarget(text) }
  throw wrong(text, 'must start with unix: or tcp:, in lower case')
}

function socketPath(text: string): string {
  const rest = text.slice('unix:'.length)
  checkNothingElse(text, rest)
  const path = rest.startsWith('//') ? rest.slice(2) : rest
  if (!path.startsWith('/')) {
    throw wrong(
      text,
      rest.startsWith('//')
        ? 'must not name a host: write unix:///absolute/path'
        : 'must hold an absolute path: write unix:///absolute/path',
    )
  }
  if (!pathForm.test(path)) throw wrong(text, 'holds a character that a URI must percent-encode: write %20 for a space')
  const decoded = decode(text, path)
  if (decoded.endsWith('/')) throw wrong(text, 'must name a socket, not a folder')
  if (Buffer.byteLength(decoded) > longestSocketPath)
    throw wrong(text, `has a path longer than ${longestSocketPath} bytes, which no socket can have`)
  return decoded
}

function decode(text: string, path: string): string {
  let decoded: string
  try {
    decoded = decodeURIComponent(path)
  } catch {
    throw wrong(text, 'has a percent-encoded path that is not UTF-8')
  }
  if (decoded.includes('\0')) throw wrong(text, 'has a NUL in its path')
  return decoded
}

function tcpTarget(text: string): string {
  const rest = text.slice('tcp:'.length)
  checkNothingElse(text, rest)
  if (!rest.startsWith('//')) throw wrong(text, 'must be written tcp://IP:port')
  const authority = rest.slice(2)
  if (authority.includes('/')) throw wrong(text, 'must not have a path: write tcp://IP:port and nothing behind it')
  if (authority.includes('@')) throw wrong(text, 'must not name a user')
  const [, host = '', port] = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(authority) ?? []
  const six = host.startsWith('[') ? host.slice(1, -1) : ''
  if (!isIPv4(host) && !(isIPv6(six) && !six.includes('%'))) {
    throw wrong(text, 'must name an IP address, not a host name: write tcp://127.0.0.1:8000 or tcp://[::1]:8000')
  }
  if (port === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw wrong(text, 'must name a port from 1 to 65535: write tcp://IP:port')
  return `${six === '' ? 'ipv4' : 'ipv6'}:${host}:${Number(port)}`
}

function checkNothingElse(text: string, rest: string): void {
  if (rest.includes('?')) throw wrong(text, 'must not have a query')
  if (rest.includes('#')) throw wrong(text, 'must not have a fragment')
}

function wrong(text: string, why: string): WorkloadApiFault {
  return new WorkloadApiFault('address', `the address of the Workload API, "${printable(text)}", ${why}`)
}
