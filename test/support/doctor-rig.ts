import { parseConfig, type Loaded } from '../../src/config/load.ts'
import type { Check } from '../../src/doctor/findings.ts'
import type { Means } from '../../src/doctor/means.ts'
import { agentId, ownId } from './workload-company.ts'

/** Settings over those of a configuration that would start. */
export interface DoctorConfig {
  readonly sources: readonly object[]
  readonly audience?: string
  readonly agents?: readonly string[]
  readonly listeners?: readonly object[]
  readonly route?: object
}

/** YAML is a superset of JSON. */
export function doctorConfig({ sources, audience = ownId, agents = [agentId], listeners, route = {} }: DoctorConfig): string {
  const owners = { business: 'a@acme.example', security: 'b@acme.example', incident: 'c@acme.example' }
  const tools = [{ name: 'crm.read', match: 'GET /a', effect: 'read', risk: 'low', egress: 'internal' }]
  return JSON.stringify({
    version: 1,
    ...(listeners === undefined ? {} : { listen: { agent: listeners } }),
    identify: { audience, sources },
    task: {
      state: { path: 'state.db' },
      agents: agents.map((id) => ({ id, purpose: 'test', owners, autonomy: 'bounded', intent: { tools: ['crm.read'] } })),
    },
    forward: { routes: { crm: { at: '/crm', to: 'https://crm.acme.example', tools, ...route } } },
    record: { ledger: { path: 'ledger' } },
  })
}

export function loadedConfig(config: DoctorConfig): Loaded {
  return parseConfig(doctorConfig(config), '/nowhere/countersign.yaml', {})
}

export function means(over: Partial<Means> = {}): Means {
  return { clock: Date.now, env: {}, wait: 0, signal: new AbortController().signal, progress: () => undefined, ...over }
}

/** What is wrong: `severity code subject`, in order. */
export function wrongs(checks: readonly Check[]): string[] {
  return checks.filter(({ code }) => code !== null).map(({ severity, code, subject }) => `${severity} ${code} ${subject}`)
}

/** The one finding of a code. */
export function findingOf(checks: readonly Check[], code: string): Check {
  const [found, ...more] = checks.filter((check) => check.code === code)
  if (found === undefined || more.length > 0) throw new Error(`not one ${code} in ${JSON.stringify(checks, null, 2)}`)
  return found
}
