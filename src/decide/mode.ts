/** Which mode a call, and each rule that refuses it, is judged in: a team starts with its riskiest actions and widens. */

import type { Caller } from '../identify/identify.ts'
import type { Task } from '../task/task.ts'
import type { Target } from '../match/match.ts'

export type Mode = 'enforce' | 'observe'

/** Sets the mode of what fits every selector that it has. A `*` at the end of a pattern stands for the rest. */
export interface ModeException {
  /** SPIFFE ID of the caller, a pattern, or the agent's registration as it is written. */
  readonly agent?: string | undefined
  readonly tool?: string | undefined
  readonly risk?: readonly string[] | undefined
  /** Rule id or pattern. */
  readonly rule?: string | undefined
  readonly mode: Mode
}

/** What of a call, or of open work, its mode follows from. */
export interface Moded {
  readonly caller: Pick<Caller, 'id'>
  readonly task: Pick<Task, 'agent'>
  readonly target: Pick<Target, 'route' | 'tool'>
}

export interface Modes {
  /** Of whatever no exception fits. */
  readonly mode: Mode
  /** The first that fits counts. */
  readonly modes?: readonly ModeException[]
}

/** The mode of a call, or of one rule about it: `rule` null asks for the rules that no exception names. */
export function modeOf({ mode, modes }: Modes, question: Moded, rule: string | null): Mode {
  if (modes === undefined) return mode
  for (const exception of modes) if (covers(exception, question, rule)) return exception.mode
  return mode
}

function covers({ agent, tool, risk, rule: named }: ModeException, { caller, task, target }: Moded, rule: string | null): boolean {
  if (named !== undefined && (rule === null || !fits(named, rule))) return false
  if (tool !== undefined && !fits(tool, target.tool.name)) return false
  if (risk !== undefined && !risk.includes(target.tool.risk)) return false
  return agent === undefined || agent === task.agent.id || fits(agent, caller.id)
}

/** Whether a name is the pattern, or begins with what stands before the `*` that ends it. */
export function fits(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}
