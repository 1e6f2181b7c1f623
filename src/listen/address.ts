/** Where a request is addressed: by the own port of a route, by exact Host, or by prefix, in this order. */
import type { RefusalShape } from './call.ts'
import type { Relaxations } from './target.ts'

/** What listen knows of a route: how it is reached, and what may be sent there. */
export interface RouteAddress {
  readonly name: string
  /** Prefix on the shared port such as `/crm`, matched on whole segments; null for none. */
  readonly at: string | null
  /** Exact Host on the shared port; without a port it fits any. Null for none. */
  readonly host: string | null
  readonly relax: Relaxations
  /** Lower-case header names that choose the operation. */
  readonly selects: readonly string[]
  /** Bodies on GET, HEAD, DELETE and OPTIONS. */
  readonly allowBody: boolean
  /** Requests with `Origin` or `Sec-Fetch-Site`. */
  readonly browsers: boolean
  readonly refusals: RefusalShape
}

/** The routes, ready to be looked up; built once per configuration. */
export interface AddressTable {
  readonly byName: ReadonlyMap<string, RouteAddress>
  readonly byHost: ReadonlyMap<string, RouteAddress>
  readonly byPrefix: ReadonlyMap<string, RouteAddress>
  /** Segments of the longest prefix. */
  readonly depth: number
  readonly hosts: ReadonlySet<string>
}

/** Where a request target leads; `problem` says why nowhere. */
export interface Place {
  readonly kind: 'route' | 'agent-api' | 'none'
  readonly route: RouteAddress | null
  readonly task: string | null
  readonly prefix: string
  /** What follows the prefix: starts with `/` unless there is a problem. */
  readonly target: string
  readonly problem: string | null
}

/** Where the agent's own API lives on the shared port. Reserved, as `/t/` is. */
const apiPrefix = '/.countersign'
const taskPrefix = '/t/'
const loopback = ['127.0.0.1', '[::1]', 'localhost']

/** Takes the routes and the Hosts that prefix routes accept besides the loopback literals. */
export function addressTable(routes: readonly RouteAddress[], hosts: readonly string[]): AddressTable {
  const byPrefix = new Map<string, RouteAddress>()
  const byHost = new Map<string, RouteAddress>()
  let depth = 0
  for (const route of routes) {
    if (route.host !== null) byHost.set(route.host.toLowerCase(), route)
    if (route.at === null) continue
    const prefix = route.at.endsWith('/') ? route.at.slice(0, -1) : route.at
    byPrefix.set(prefix, route)
    depth = Math.max(depth, prefix.split('/').length - 1)
  }
  const byName = new Map(routes.map((route) => [route.name, route]))
  return { byName, byHost, byPrefix, depth, hosts: new Set([...loopback, ...hosts.map((host) => host.toLowerCase())]) }
}

/**
 * Takes the route that owns the listener (null on the shared port), the scheme, the Host in lower case and the request target as it came.
 * Absolute-form is accepted only when its scheme is that of the connection and its authority the Host (RFC 9112 §3.2.2); its remainder
 * then counts, byte for byte.
 */
export function locate(table: AddressTable, owner: string | null, scheme: string, host: string, requestTarget: string): Place {
  const target = originForm(requestTarget, scheme, host)
  if (target === null) return nowhere(requestTarget, 'the request target is in no form that is served here')
  if (owner !== null) return routed(table.byName.get(owner), null, '', target)
  const name = hostName(host)
  const exact = table.byHost.get(host) ?? table.byHost.get(name)
  if (exact !== undefined) return routed(exact, null, '', target)
  // a name that a web page made point here (DNS rebinding) ends before anybody asks who is calling
  if (!table.hosts.has(name) && !table.hosts.has(host)) return nowhere(requestTarget, 'the Host is not served here')
  if (startsWithSegment(target, apiPrefix)) {
    return { kind: 'agent-api', route: null, task: null, prefix: apiPrefix, target: afterPrefix(target, apiPrefix), problem: null }
  }
  if (target.startsWith(taskPrefix)) return inTask(table, target)
  return longestPrefix(table, target, null, '')
}

/** A task id is `t_` and a ULID. */
export function isTaskId(text: string): boolean {
  return /^t_[0-9A-HJKMNP-TV-Z]{26}$/.test(text)
}

/** Path and query of a request target in origin- or absolute-form; null for every other. */
function originForm(target: string, scheme: string, host: string): string | null {
  if (target.startsWith('/')) return target
  const start = scheme.length + 3
  if (target.slice(0, start).toLowerCase() !== `${scheme}://`) return null
  const end = target.slice(start).search(/[/?#]/)
  const authority = end === -1 ? target.slice(start) : target.slice(start, start + end)
  if (authority.toLowerCase() !== host) return null
  const rest = target.slice(start + authority.length)
  return rest.startsWith('/') ? rest : `/${rest}`
}

function inTask(table: AddressTable, target: string): Place {
  const end = boundary(target, taskPrefix.length)
  const task = target.slice(taskPrefix.length, end)
  if (!isTaskId(task)) return nowhere(target, 'the path names no well-formed task')
  return longestPrefix(table, target.slice(end), task, target.slice(0, end))
}

/** Longest prefix first, on whole segments; the bytes are compared as they came, never decoded. */
function longestPrefix(table: AddressTable, target: string, task: string | null, before: string): Place {
  const ends: number[] = [0]
  for (let end = 0; ends.length <= table.depth && target.charCodeAt(end) === 0x2f;) {
    end = boundary(target, end + 1)
    ends.push(end)
  }
  for (let end = ends.pop(); end !== undefined; end = ends.pop()) {
    const prefix = target.slice(0, end)
    const route = table.byPrefix.get(prefix)
    if (route !== undefined) return routed(route, task, before + prefix, afterPrefix(target, prefix))
  }
  return { kind: 'none', route: null, task, prefix: before, target: afterPrefix(target, ''), problem: null }
}

/** Where the segment that starts at `from` ends. */
function boundary(target: string, from: number): number {
  for (let at = from; at < target.length; at++) {
    const code = target.charCodeAt(at)
    if (code === 0x2f || code === 0x3f) return at
  }
  return target.length
}

function startsWithSegment(target: string, prefix: string): boolean {
  return target.startsWith(prefix) && boundary(target, prefix.length) === prefix.length
}

/** `/crm` leaves `/`, `/crm?x` leaves `/?x`. */
function afterPrefix(target: string, prefix: string): string {
  const rest = target.slice(prefix.length)
  return rest.startsWith('/') ? rest : `/${rest}`
}

function routed(route: RouteAddress | undefined, task: string | null, prefix: string, target: string): Place {
  return { kind: route === undefined ? 'none' : 'route', route: route ?? null, task, prefix, target, problem: null }
}

function nowhere(target: string, problem: string): Place {
  return { kind: 'none', route: null, task: null, prefix: '', target, problem }
}

/** A Host without its port. */
function hostName(host: string): string {
  const colon = host.lastIndexOf(':')
  return colon > host.lastIndexOf(']') ? host.slice(0, colon) : host
}
