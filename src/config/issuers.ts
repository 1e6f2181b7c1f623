import { resolveOidc } from '../identify/oidc/config.ts'
import { mayCollide } from '../identify/oidc/template.ts'
import type { Finding } from './findings.ts'
import type { Place } from './yaml-text.ts'
import type { Config } from './schema.ts'

/** Two issuers that could name the same caller, and one issuer that two sources would read differently. Takes a well-formed configuration. */
export function oidcIssuers({ identify }: Config, place: Place): Finding[] {
  const known = identify.sources.flatMap((source, index) => (source.type === 'oidc' ? [{ ...resolveOidc(source), index }] : []))
  return known.flatMap(({ issuer, template, index }, at): Finding[] => {
    const path = ['identify', 'sources', index]
    const before = known.slice(0, at)
    if (before.some((other) => other.issuer === issuer))
      return [place('CS1402', 'error', [...path, 'issuer'], `issuer "${issuer}" has a source already`)]
    const other = before.find((one) => mayCollide(one.template, template))
    if (other === undefined) return []
    return [place('CS1402', 'error', [...path, 'id'], `could make the same caller as "${other.issuer}": give each a path of its own`)]
  })
}
