/** The registry as it is now: agents that files declare and agents that owners accepted through the admin API, narrowed by what people said since. */
import type { RegistrationBook, RegistrationRow } from '../state/registrations.ts'
import { agentRegistry, type Agent, type AgentRegistry } from './agents.ts'
import { narrower, ownerRoles } from './lifecycle.ts'

export interface RegistryOptions {
  /** Agents that the configuration declares, and the files of its folder. */
  readonly declared: readonly Agent[]
  readonly book: Pick<RegistrationBook, 'version' | 'registrations'>
  /** Reads a registration in the words of the configuration; null when it is not well-formed (any more). */
  readonly read: (declared: NonNullable<RegistrationRow['declared']>) => Agent | null
  /** `decide.environment`. */
  readonly environment: string
}

/**
 * Makes the registry. Each look-up is of what holds in this tick: when a registration changed since the last one, all is put together
 * anew. An agent that did not change stays the same object, so whoever kept it can tell. A file goes before the admin API.
 */
export function liveRegistry(options: RegistryOptions): AgentRegistry {
  const { book } = options
  const made = new WeakMap<RegistrationRow, Agent | null>()
  const declared = options.declared.map((agent) => placed(agent, options.environment))
  let version = -1
  let now = agentRegistry([])
  const current = (): AgentRegistry => {
    if (version === book.version) return now
    now = agentRegistry(together(declared, options, made))
    version = book.version
    return now
  }
  current()
  return {
    get agents() {
      return current().agents
    },
    find: (id) => current().find(id),
  }
}

function together(
  declared: readonly Agent[],
  { book, read, environment }: RegistryOptions,
  made: WeakMap<RegistrationRow, Agent | null>,
): Agent[] {
  const rows = new Map(book.registrations().map((row) => [row.id, row]))
  const remembered = (row: RegistrationRow, make: () => Agent | null): Agent | null => {
    let agent = made.get(row)
    if (agent === undefined) made.set(row, (agent = make()))
    return agent
  }
  const agents = declared.map((agent) => {
    const row = rows.get(agent.id)
    rows.delete(agent.id)
    return row === undefined ? agent : (remembered(row, () => narrowed(agent, row)) ?? agent)
  })
  for (const row of rows.values()) {
    const { declared: words } = row
    if (words === null) continue // a file that is gone declared it
    const agent = remembered(row, () => accepted(read(words), row, environment))
    if (agent !== null) agents.push(agent)
  }
  return agents
}

function narrowed(agent: Agent, row: RegistrationRow): Agent {
  const lifecycle = narrower(agent.lifecycle, row.lifecycle)
  return lifecycle === agent.lifecycle ? agent : { ...agent, lifecycle }
}

/** The book never says live of what not all have accepted; nobody relies on that. */
function accepted(agent: Agent | null, { lifecycle, acceptances }: RegistrationRow, environment: string): Agent | null {
  if (agent === null) return null
  const missing = ownerRoles.filter((role) => !acceptances.some((one) => one.role === role))
  const barred = missing.length === 0 ? null : `${agent.id}: not accepted by its ${missing.join(', ')} owner`
  return placed({ ...agent, lifecycle, barred }, environment)
}

function placed(agent: Agent, environment: string): Agent {
  if (agent.environment === null || agent.environment === environment) return agent
  return { ...agent, barred: `${agent.id} is registered for ${agent.environment}, and this is ${environment}` }
}
