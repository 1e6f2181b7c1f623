import { z } from 'zod'
import { fits } from '../decide/mode.ts'
import type { Finding } from './findings.ts'
import type { Place } from './yaml-text.ts'
import type { Config } from './schema.ts'

const mode = z.enum(['enforce', 'observe'])

/** `decide.mode`: of whatever no entry of `decide.modes` fits. */
export const modeConfig = mode.default('enforce').describe('observe: rules marked observable are recorded, not enforced.')

/** `decide.modes`: the mode by agent, tool, risk and rule. */
export const modesConfig = z
  .array(
    z.strictObject({
      agent: z
        .string()
        .min(1)
        .optional()
        .describe('SPIFFE ID of a caller or an agent as it is registered; a `*` at the end matches the rest.'),
      tool: z.string().min(1).optional().describe('Tool name; a `*` at the end matches the rest.'),
      risk: z
        .array(z.enum(['low', 'medium', 'high', 'critical']))
        .min(1)
        .optional()
        .describe('Risks of a tool.'),
      rule: z.string().min(1).optional().describe('Rule id; a `*` at the end matches the rest.'),
      mode: mode.describe('Mode of what fits all that the entry names.'),
    }),
  )
  .max(64)
  .default([])
  .describe('Exceptions from `mode`; the first that fits counts. A call is let through only if every rule that refuses it is observed.')

/** Entries that fit everything, or nothing that is configured. */
export function modeFindings({ decide, forward, task }: Config, place: Place): Finding[] {
  const tools = Object.values(forward.routes).flatMap((route) => route.tools.map(({ name }) => name))
  return decide.modes.flatMap((entry, index) => {
    const path = ['decide', 'modes', index]
    const found: Finding[] = []
    if (entry.agent === undefined && entry.tool === undefined && entry.risk === undefined && entry.rule === undefined)
      found.push(place('CS1402', 'error', path, 'name an agent, a tool, a risk or a rule: for everything there is decide.mode'))
    const { tool, agent } = entry
    if (tool !== undefined && !tools.some((name) => fits(tool, name)))
      found.push(place('CS1401', 'warning', [...path, 'tool'], `no route has a tool "${tool}"`))
    if (agent !== undefined && !task.agents.some(({ id }) => id === agent || fits(agent, id) || fits(id, agent)))
      found.push(place('CS1401', 'warning', [...path, 'agent'], `no agent is registered as "${agent}"`))
    return found
  })
}
