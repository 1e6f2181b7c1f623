import { bundleSource } from './bundle.ts'
import { claimedBy } from '../identify/registry.ts'
import { agreeAgents } from './agree-agents.ts'
import { applyFindings } from './agree-apply.ts'
import { unclassified } from './catalogue.ts'
import type { Finding } from './findings.ts'
import { oidcIssuers } from './issuers.ts'
import type { Place } from './yaml-text.ts'
import { modeFindings } from './modes.ts'
import { peopleFindings } from './people.ts'
import type { Config } from './schema.ts'
import { stopFindings } from './stops.ts'

type Check = (config: Config, place: Place) => Finding[]

/** What no single setting can show: names that must exist elsewhere, collisions, weakenings. Takes a well-formed configuration. */
export const agree: Check = (config, place) => [
  ...listeners(config, place),
  ...sources(config, place),
  ...endpoints(config, place),
  ...oidcIssuers(config, place),
  ...subjects(config, place),
  ...routes(config, place),
  ...applyFindings(config, place),
  ...tools(config, place),
  ...agreeAgents(config, place),
  ...modeFindings(config, place),
  ...stopFindings(config, place),
  ...peopleFindings(config, place),
  ...bundleSource(config, place),
  ...weakenings(config, place),
]

const listeners: Check = (config, place) => {
  const { listen, admin } = config
  const found: Finding[] = []
  const plain = (path: PropertyKey[], at: string, allowed: boolean): void => {
    if (!at.startsWith('unix:') && !isLoopback(hostOf(at)) && !allowed)
      found.push(place('CS1501', 'error', path, `"${at}" is reachable from outside without TLS: use loopback, or say unsafe_plain: true`))
  }
  for (const [index, { at, ambient, tls, unsafe_plain: unsafePlain, client_certificates: asks }] of listen.agent.entries()) {
    const path = ['listen', 'agent', index]
    plain([...path, 'at'], at, unsafePlain || tls !== undefined)
    if (tls === undefined && !asks)
      found.push(place('CS1403', 'warning', [...path, 'client_certificates'], 'a plain listener asks for no certificate anyway'))
    if (tls === undefined) continue
    if (ambient !== undefined)
      found.push(place('CS1502', 'error', [...path, 'ambient'], 'a TLS listener is reached from outside: callers must prove themselves'))
    if (unsafePlain)
      found.push(place('CS1403', 'warning', [...path, 'unsafe_plain'], 'the listener speaks TLS: unsafe_plain changes nothing'))
    if (tls === 'svid' && !knowsOwnSvid(config)) found.push(place('CS1401', 'error', [...path, 'tls'], ownSvid))
  }
  plain(['listen', 'health', 'at'], listen.health.at, listen.health.unsafe_plain)
  if (!admin.at.startsWith('unix:') && !isLoopback(hostOf(admin.at)))
    found.push(place('CS1501', 'error', ['admin', 'at'], 'the admin port is plain HTTP: keep it on loopback or on a unix socket'))
  return found
}

/** What `tls: svid` of a route needs, and what stands there for nothing. */
function upstreamTls(config: Config, name: string, place: Place): Finding[] {
  const route = config.forward.routes[name]
  const path = ['forward', 'routes', name]
  if (route?.tls === undefined) {
    if (route?.id === undefined) return []
    return [place('CS1403', 'error', [...path, 'id'], 'nobody proves an id without tls: svid')]
  }
  const found: Finding[] = []
  if (route.id === undefined) found.push(place('CS1202', 'error', [...path, 'tls'], 'tls: svid needs id: the SPIFFE ID of the upstream'))
  if (!route.to.startsWith('https:')) found.push(place('CS1201', 'error', [...path, 'to'], 'tls: svid needs an https URL'))
  if (route.ca !== undefined)
    found.push(place('CS1403', 'warning', [...path, 'ca'], 'with tls: svid the bundle of the trust domain counts, not ca'))
  if (!knowsOwnSvid(config)) found.push(place('CS1401', 'error', [...path, 'tls'], ownSvid))
  const strange = [route.id ?? []]
    .flat()
    .map(domainOf)
    .find((domain) => !hasAuthorities(config, domain))
  if (strange !== undefined)
    found.push(place('CS1401', 'error', [...path, 'id'], `no source of type spiffe or bundle has trust domain "${strange}"`))
  return found
}

const domainOf = (id: string): string => id.split('/')[2] ?? ''

/** Whether certificates of the trust domain can be judged. A domain that a source claims by name is no other source's. */
function hasAuthorities({ identify }: Config, trustDomain: string): boolean {
  const claims = identify.sources.find((source) => claimedBy(source).includes(trustDomain))
  if (claims !== undefined) return claims.type === 'bundle' || claims.type === 'spiffe'
  return identify.sources.some((source) => source.type === 'spiffe' && (source.trust_domains?.includes(trustDomain) ?? true))
}

const ownSvid = 'no identity source gives an SVID of our own: add one of type spiffe'

function knowsOwnSvid({ identify }: Config): boolean {
  return identify.sources.some(({ type }) => type === 'spiffe')
}

/** One bundle per trust domain: two sources would be two (SPIFFE Federation §4.2). */
const sources: Check = ({ identify }, place) => {
  const taken = new Set<string>()
  return identify.sources.flatMap((source, index) =>
    claimedBy(source).flatMap((name) => {
      const found = place('CS1402', 'error', ['identify', 'sources', index, 'trust_domain'], `trust domain "${name}" has a source already`)
      const twice = taken.has(name)
      taken.add(name)
      return twice ? [found] : []
    }),
  )
}

/** An https_spiffe endpoint proves itself with a bundle that has to come from elsewhere (SPIFFE Federation §5.2.2.2). */
const endpoints: Check = ({ identify }, place) => {
  // a source that names none may learn of any; issuers have no bundles
  const open = identify.sources.some((source) => source.type !== 'oidc' && claimedBy(source).length === 0)
  const known = new Set(identify.sources.flatMap(claimedBy))
  return identify.sources.flatMap((source, index) => {
    if (source.type !== 'bundle' || !('id' in source.from) || source.from.bootstrap !== undefined) return []
    const domain = source.from.id.split('/')[2] ?? ''
    const path = ['identify', 'sources', index, 'from', 'id']
    if (domain === source.trust_domain)
      return [
        place('CS1401', 'error', path, 'an endpoint in the trust domain that it serves needs bootstrap: { file } for its first answer'),
      ]
    if (open || known.has(domain)) return []
    return [place('CS1401', 'error', path, `no source has trust domain "${domain}": add one, or bootstrap: { file }`)]
  })
}

/** An issuer's tokens are held to one rule: of two entries one would not count. */
const subjects: Check = ({ task }, place) => {
  const issuers = task.subjects.map(({ issuer }) => issuer)
  return issuers.flatMap((issuer, index) =>
    issuers.indexOf(issuer) === index
      ? []
      : [place('CS1402', 'error', ['task', 'subjects', index, 'issuer'], `subjects of "${issuer}" are known already`)],
  )
}

const routes: Check = (config, place) => {
  const { credential, forward } = config
  const found: Finding[] = []
  const taken = new Map<string, string>()
  for (const [name, route] of Object.entries(forward.routes)) {
    const path = ['forward', 'routes', name]
    const ways = [route.at, route.host, route.port].filter((way) => way !== undefined)
    if (ways.length !== 1) found.push(place('CS1402', 'error', path, `route "${name}" needs exactly one of at, host and port`))
    if (route.at?.startsWith('/t/') || route.at === '/t' || route.at?.startsWith('/.countersign'))
      found.push(place('CS1402', 'error', [...path, 'at'], '/t/ and /.countersign/ are reserved'))
    const address = route.at ?? route.host?.toLowerCase() ?? (route.port ? String(route.port) : undefined)
    const other = address === undefined ? undefined : taken.get(address)
    if (other !== undefined) found.push(place('CS1402', 'error', path, `route "${name}" is addressed like route "${other}"`))
    else if (address !== undefined) taken.set(address, name)
    const target = new URL(route.to)
    if (!['http:', 'https:'].includes(target.protocol) || target.username || target.password || target.search || target.hash)
      found.push(place('CS1201', 'error', [...path, 'to'], 'must be http(s)://host[:port][/path] without user, query or fragment'))
    if (target.protocol === 'http:' && route.credential && route.reach !== 'private')
      found.push(place('CS1501', 'error', [...path, 'to'], 'a credential would travel in clear: use https, or reach: private'))
    found.push(...upstreamTls(config, name, place))
    if (route.credential !== undefined && !Object.hasOwn(credential.providers, route.credential))
      found.push(place('CS1401', 'error', [...path, 'credential'], `no provider is called "${route.credential}"`))
  }
  for (const [at, to] of (credential.revocation.notify ?? []).entries())
    if (to !== 'ledger' && !Object.hasOwn(config.decide.notifiers, to))
      found.push(place('CS1401', 'error', ['credential', 'revocation', 'notify', at], `no notifier is called "${to}"`))
  const used = new Set(Object.values(forward.routes).map((route) => route.credential))
  for (const name of Object.keys(credential.providers))
    if (!used.has(name)) found.push(place('CS1403', 'warning', ['credential', 'providers', name], `no route uses provider "${name}"`))
  return found
}

const tools: Check = ({ forward }, place) => {
  const found: Finding[] = []
  const owners = new Map<string, string>()
  for (const [name, route] of Object.entries(forward.routes)) {
    for (const [index, tool] of route.tools.entries()) {
      const path = ['forward', 'routes', name, 'tools', index]
      const owner = owners.get(tool.name)
      if (owner !== undefined && owner !== name)
        found.push(place('CS1402', 'error', [...path, 'name'], `tool "${tool.name}" stands on route "${owner}" too`))
      owners.set(tool.name, name)
      const pointed = Object.values(tool.debit).some((amount) => typeof amount === 'string')
      if (pointed && tool.args !== 'json')
        found.push(place('CS1403', 'error', [...path, 'debit'], 'a pointer into the body needs args: json'))
      for (const header of Object.keys(tool.headers ?? {}))
        if (!route.selects.includes(header.toLowerCase()))
          found.push(place('CS1401', 'error', [...path, 'headers'], `header "${header}" is not listed in the route's selects`))
      if (tool.accepts?.includes(unclassified))
        found.push(
          place(
            'CS1402',
            'error',
            [...path, 'accepts'],
            `no destination can be approved for "${unclassified}": label what answers hold (data)`,
          ),
        )
      const names = new Set([...tool.match.matchAll(/\{\+?([^}]*)\}/g)].map((match) => match[1]))
      for (const [, part] of (tool.resource ?? '').matchAll(/\{([^}]*)\}/g))
        if (!names.has(part)) found.push(place('CS1401', 'error', [...path, 'resource'], `{${part}} does not stand in match`))
    }
  }
  return found
}

const weakenings: Check = (config, place) => {
  const found: Finding[] = []
  walk(config, [], (path, value) => {
    const key = path.at(-1)
    if (typeof key === 'string' && key.startsWith('unsafe_') && value === true)
      found.push(place('CS1901', 'note', path, `${path.map(String).join('.')} weakens protection`))
  })
  return found
}

function walk(value: unknown, path: PropertyKey[], visit: (path: PropertyKey[], value: unknown) => void): void {
  if (path.length > 0) visit(path, value)
  if (value === null || typeof value !== 'object') return
  for (const [key, inner] of Object.entries(value)) walk(inner, [...path, Array.isArray(value) ? Number(key) : key], visit)
}

function hostOf(at: string): string {
  return at.slice(0, at.lastIndexOf(':')).replace(/^\[|\]$/g, '')
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}
