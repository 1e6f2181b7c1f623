import type { Apply } from '../credential/placement.ts'
import { isLookedAt } from '../forward/apply-placeholder.ts'
import { readShape } from '../identify/token-shape.ts'
import type { Finding } from './findings.ts'
import type { Config } from './schema.ts'
import type { Place } from './yaml-text.ts'

type Provider = Config['credential']['providers'][string]

/** Ways to put a credential on a request that cannot work: with the kind of credential, or on a route that uses it. */
export function applyFindings(config: Config, place: Place): Finding[] {
  return Object.entries(config.credential.providers).flatMap(([name, provider]) => {
    const apply: Apply | undefined = 'apply' in provider ? provider.apply : undefined
    if (apply === undefined) return []
    const path = ['credential', 'providers', name, 'apply']
    const fault = (message: string): Finding => place('CS1404', 'error', path, message)
    return [...ofCredential(provider, apply).map(fault), ...ofRoutes(config, name, apply).map(fault)]
  })
}

/** Kinds that give a token and nothing else: no user, no certificate, no access key. */
const tokens: ReadonlySet<string> = new Set(['jwt', 'oauth'])

function ofCredential(provider: Provider, apply: Apply): string[] {
  const bare = tokens.has(provider.type)
  const fixed = provider.type === 'static' ? provider : null
  const unnamed = bare || (fixed !== null && fixed.user === undefined)
  const found: string[] = []
  if ('basic' in apply && typeof apply.basic !== 'string' && unnamed)
    found.push(`no user comes with ${a(provider)}: name one, as in basic: api${fixed ? ', or set user' : ''}`)
  if ('sigv4' in apply && unnamed)
    found.push(`no access key id comes with ${a(provider)}: ${fixed ? 'set user to it' : 'use a provider of AWS credentials'}`)
  if ('tls' in apply && (bare || (fixed !== null && fixed.certificate === undefined)))
    found.push(`no certificate comes with ${a(provider)}: ${fixed ? 'set certificate' : 'use a provider of certificates'}`)
  if ('placeholder' in apply && readShape(apply.placeholder) !== null)
    found.push('a placeholder that reads as a signed token would be taken for an identity, and refused: choose another text')
  for (const at of 'placeholder' in apply ? (apply.at ?? []) : [])
    if ('header' in at && !isLookedAt(at.header.toLowerCase()))
      found.push(`no placeholder is looked for in header ${at.header}: leave it out of at`)
  return found
}

function a({ type }: Provider): string {
  return type === 'static' ? 'this static credential' : `a credential of type ${type}`
}

function ofRoutes({ forward }: Config, provider: string, apply: Apply): string[] {
  const routes = Object.entries(forward.routes).filter(([, { credential }]) => credential === provider)
  return routes.flatMap(([name, route]) => {
    if (!('tls' in apply)) return []
    if (route.tls !== undefined) return [`route "${name}" shows our own SVID (tls: svid): one connection cannot show two certificates`]
    return route.to.startsWith('https:') ? [] : [`route "${name}" is plain HTTP: a client certificate needs an https URL in to`]
  })
}
