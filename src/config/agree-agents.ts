/** What `check` says about registered agents. */
import { fits } from '../decide/mode.ts'
import type { AgentConfig } from './agent.ts'
import type { Finding } from './findings.ts'
import type { Config } from './schema.ts'
import type { Place } from './yaml-text.ts'

type Check = (config: Config, place: Place) => Finding[]

/** Takes a well-formed configuration, with the agents of its folder among the others. */
export const agreeAgents: Check = (config, place) => [...registered(config, place), ...hosted(config, place)]

const registered: Check = ({ task, forward, decide }, place) => {
  const found: Finding[] = []
  if (task.agents.length === 0 && task.agents_from === undefined)
    found.push(place('CS1202', 'error', ['task', 'agents'], 'missing: task.agents, or task.agents_from with a folder of reviewed files'))
  const tools = Object.values(forward.routes).flatMap((route) => route.tools.map((tool) => tool.name))
  const seen = new Set<string>()
  for (const [index, agent] of task.agents.entries()) {
    const path = ['task', 'agents', index]
    if (seen.has(agent.id)) found.push(place('CS1402', 'error', [...path, 'id'], `agent "${agent.id}" stands twice`))
    seen.add(agent.id)
    const missing = (['business', 'security', 'incident'] as const).filter((role) => !agent.owners?.[role])
    if (missing.length > 0)
      found.push(
        place(
          'CS1601',
          'warning',
          [...path, agent.owners ? 'owners' : 'id'],
          `agent has no ${missing.join(', ')} owner: its calls are refused`,
        ),
      )
    if (agent.environment !== undefined && agent.environment !== decide.environment)
      found.push(
        place(
          'CS1601',
          'note',
          [...path, 'environment'],
          `it is registered for ${agent.environment}, and this is ${decide.environment}: its calls are refused`,
        ),
      )
    for (const [at, tool] of agent.intent.tools.entries()) {
      if (!tools.some((name) => fits(tool, name)))
        found.push(place('CS1401', 'warning', [...path, 'intent', 'tools', at], `no route has a tool "${tool}"`))
    }
    found.push(...outOfBounds(agent, path, place))
  }
  return found
}

/** An intent that names what a reviewer put out of bounds promises what is refused anyway. */
function outOfBounds({ intent, reviewers }: AgentConfig, path: readonly PropertyKey[], place: Place): Finding[] {
  return Object.entries(reviewers).flatMap(([role, reviewer]) => {
    const { data = [], tools = [] } = reviewer?.out_of_bounds ?? {}
    const told = (list: 'data' | 'tools', at: number, what: string): Finding =>
      place('CS1604', 'warning', [...path, 'intent', list, at], `${role} has put ${what} out of bounds: such calls are refused`)
    return [
      ...intent.data.flatMap((name, at) => (data.includes(name) ? [told('data', at, `data "${name}"`)] : [])),
      ...intent.tools.flatMap((name, at) => (tools.some((bound) => fits(bound, name)) ? [told('tools', at, `tool "${name}"`)] : [])),
    ]
  })
}

/** Agents that others run: nobody vouches for them, and their approval ends. */
const hosted: Check = ({ listen, task }, place) => {
  const found: Finding[] = []
  for (const [index, { hosting, approved }] of task.agents.entries())
    if (hosting !== 'own' && approved.until === undefined)
      found.push(
        place('CS1602', 'warning', ['task', 'agents', index, 'approved'], `hosting is ${hosting}: say until when it is approved (until)`),
      )
  for (const [index, { ambient }] of listen.agent.entries()) {
    if (ambient === undefined) continue
    const folder = ambient.slice(0, ambient.lastIndexOf('/') + 1)
    const agent = task.agents.find(({ id }) => id === ambient) ?? task.agents.find(({ id }) => id === `${folder}*`)
    if (agent !== undefined && agent.hosting !== 'own')
      found.push(
        place(
          'CS1402',
          'error',
          ['listen', 'agent', index, 'ambient'],
          `hosting of "${agent.id}" is ${agent.hosting}: it has to prove itself`,
        ),
      )
  }
  return found
}
