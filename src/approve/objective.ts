/** Objectives: these tools, so many calls, until then; so that people approve what it is for and machines do the steps. */
import type { ApprovalAnswer, ApprovalRow, Objective, OfferedObjective } from '../state/approvals.ts'
import { ApprovalFault } from './fault.ts'

const mostCalls = 10_000
const mostTools = 128
/** A working day, ms: whoever means longer says so again. */
const longest = 86_400_000

/**
 * Checks what a person offers for a task with these tools. Throws ApprovalFault unless each tool is one of them, the one that was asked for is
 * among them, and calls and time are bounded.
 */
export function offered(
  objective: OfferedObjective,
  asked: Pick<ApprovalRow, 'tool' | 'single'>,
  taskTools: readonly string[],
): OfferedObjective {
  const { tools, calls, ttl } = objective
  if (asked.single) throw fault('this needs an answer of its own: approve it without an objective')
  if (tools.length === 0 || tools.length > mostTools) throw fault(`name 1 to ${mostTools} tools`)
  const strange = tools.find((tool) => !within(tool, taskTools))
  if (strange !== undefined) throw fault('an objective names no tool that its task has not')
  if (asked.tool !== '' && !tools.some((tool) => fits(tool, asked.tool))) throw fault('the tool that was asked for must be among them')
  if (!Number.isInteger(calls) || calls < 1 || calls > mostCalls) throw fault(`calls must be 1 to ${mostCalls}`)
  if (!Number.isInteger(ttl) || ttl < 1000 || ttl > longest) throw fault('ttl must be one second to 24 hours, in ms')
  return { tools: [...new Set(tools)], calls, ttl }
}

/** The narrowest that all who approve agree to, from now on; null for the one action alone, as soon as one of them says so. */
export function granted(answers: readonly ApprovalAnswer[], now: number): Objective | null {
  const approving = answers.filter(({ verdict }) => verdict === 'approve').map(({ objective }) => objective)
  let narrowest: OfferedObjective | null = approving[0] ?? null
  for (const one of approving) {
    if (one === null || narrowest === null) return null
    narrowest = narrower(narrowest, one)
  }
  if (narrowest === null || narrowest.tools.length === 0) return null
  const { tools, calls, ttl } = narrowest
  return { tools, calls, until: now + ttl }
}

/** Whether calls of a tool may be made under it. */
export function covers({ tools }: Objective, tool: string): boolean {
  return within(tool, tools)
}

function narrower(one: OfferedObjective, other: OfferedObjective): OfferedObjective {
  const tools = [...one.tools.filter((tool) => within(tool, other.tools)), ...other.tools.filter((tool) => within(tool, one.tools))]
  return { tools: [...new Set(tools)], calls: Math.min(one.calls, other.calls), ttl: Math.min(one.ttl, other.ttl) }
}

function within(tool: string, tools: readonly string[]): boolean {
  return tools.some((pattern) => fits(pattern, tool))
}

/** A name or pattern is within a pattern that is it, or that begins it. */
function fits(pattern: string, tool: string): boolean {
  return pattern.endsWith('*') ? tool.startsWith(pattern.slice(0, -1)) : tool === pattern
}

function fault(message: string): ApprovalFault {
  return new ApprovalFault('objective', message)
}
