/** Holds every registered agent, and every upstream with a SPIFFE ID, against what the sources can prove. */
import type { Config } from '../config/schema.ts'
import { claimedBy, type SourceConfig } from '../identify/registry.ts'
import { error, ok, type Check } from './findings.ts'

export interface Coverage {
  readonly config: Config
  /** Trust domains that Workload APIs gave bundles of; null when one of them gave nothing, so that nobody can say. */
  readonly learned: ReadonlySet<string> | null
  readonly authorities: (trustDomain: string) => readonly Uint8Array[] | null
}

/** The trust domains that agents are registered in. */
export function neededDomains({ task, listen }: Config): ReadonlySet<string> {
  const vouched = new Set(listen.agent.map(({ ambient }) => ambient))
  return new Set(task.agents.filter(({ id }) => !vouched.has(id)).map(({ id }) => domainOf(id)))
}

export function coverageChecks({ config, learned, authorities }: Coverage): Check[] {
  const named = new Set(config.identify.sources.flatMap(domainsOf))
  if (learned === null) return []
  const ambient = new Set(config.listen.agent.map((listener) => listener.ambient))
  const checks = config.task.agents.flatMap(({ id }, index) => {
    const domain = domainOf(id)
    if (named.has(domain) || learned.has(domain) || ambient.has(id)) return []
    return [uncovered(`task.agents[${index}].id`, `the agent ${id}`, domain)]
  })
  for (const [name, { id, tls }] of Object.entries(config.forward.routes)) {
    if (tls === undefined || id === undefined) continue
    const strange = [id].flat().find((one) => (authorities(domainOf(one)) ?? []).length === 0)
    if (strange !== undefined) checks.push(uncovered(`forward.routes.${name}.id`, `the upstream ${strange}`, domainOf(strange)))
  }
  if (checks.length > 0) return checks
  const count = neededDomains(config).size
  return [ok('task.agents', `a source has the trust domain of every agent (${count} trust domain${count === 1 ? '' : 's'})`)]
}

/** The trust domains that a source is for, by its settings. An oidc source makes IDs of one: it stands in the template as it is. */
function domainsOf(settings: SourceConfig): readonly string[] {
  return settings.type === 'oidc' ? [domainOf(settings.id)] : claimedBy(settings)
}

function uncovered(subject: string, who: string, domain: string): Check {
  return error('CS2401', {
    subject,
    seen: `${who} is in ${domain}, of which no source has a bundle: whatever it shows is refused`,
    fix: `Federate with it (spire-server bundle set -id spiffe://${domain}, and -federatesWith spiffe://${domain} on the registration entry of Countersign), or add a source { type: bundle, trust_domain: ${domain}, … }. A trust_domains list has to name it.`,
  })
}

/** Of a SPIFFE ID that the schema has looked at, or of a template of one. */
export function domainOf(id: string): string {
  return id.split('/')[2] ?? ''
}
