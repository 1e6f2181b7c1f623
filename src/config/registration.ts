/** Registrations as the admin API and the state hold them, and as files declare them. */
import { RegistrationFault, type DeclaredAgent } from '../task/registrations.ts'
import type { Agent } from '../task/agents.ts'
import { agentConfig } from './agent.ts'
import { agentOf } from './catalogue.ts'
import type { Loaded } from './load.ts'

/** Reads one in the words of the configuration. Throws RegistrationFault with every reason. */
export function readRegistration(declared: Readonly<Record<string, unknown>>): Agent {
  const parsed = agentConfig.safeParse(declared)
  if (parsed.success) return agentOf(parsed.data)
  const why = parsed.error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`))
  throw new RegistrationFault('malformed', why.join('; '))
}

/** The same; null when it is not well-formed any more. */
export function registrationOrNull(declared: Readonly<Record<string, unknown>>): Agent | null {
  const parsed = agentConfig.safeParse(declared)
  return parsed.success ? agentOf(parsed.data) : null
}

/** What a configuration and its folder of agents declare, with where it stands. */
export function declaredAgents({ config, declared }: Loaded): DeclaredAgent[] {
  return config.task.agents.flatMap((agent, index) => {
    const place = declared[index]
    return place === undefined ? [] : [{ agent: agentOf(agent), ...place }]
  })
}
