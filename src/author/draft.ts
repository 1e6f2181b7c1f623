/** Writes what was learned of one agent as files: its intent, rules with tests, cases. */

import { stringify } from 'yaml'
import { isRecord, type JsonRecord } from './json-path.ts'
import type { LearnedAgent } from './learn.ts'
import { rulesText, testsText } from './draft-rego.ts'
import { caseOf } from './write-case.ts'

export interface DraftOptions {
  /** What budget and life get above what was used, as a factor: 1.2. */
  readonly headRoom: number
  /** Rules for the order of calls too. */
  readonly sequence: boolean
}

/** Path → text, below the folder of the draft. */
export function draftFiles(agent: LearnedAgent, options: DraftOptions): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  const rego = `learned_${agent.name.replaceAll('-', '_')}`
  files.set(`agents/${agent.name}.yaml`, registrationText(agent, options))
  files.set(`countersign/call/${rego}.rego`, rulesText(agent, options))
  files.set(`countersign/call/${rego}_test.rego`, testsText(agent, options))
  const cases = agent.samples.map((input) => caseOf(input, 'countersign/decision', { effect: 'allow', rules: [] }, caseName(input)))
  files.set(`cases/${agent.name}.json`, `${JSON.stringify(cases, null, 2)}\n`)
  return files
}

function caseName(input: JsonRecord): string {
  const { tool, request } = input
  const [name, resource] = isRecord(tool) ? [tool['name'], tool['resource']] : ['', null]
  return `${String(name)}${typeof resource === 'string' ? ` of ${resource}` : ''} (${isRecord(request) ? String(request['id']) : ''})`
}

/** The registration, as `task.agents` takes it, narrowed to what was used. */
function registrationText(agent: LearnedAgent, { headRoom }: DraftOptions): string {
  const { id, purpose, owners, autonomy, hosting, tools, spent, life, tasks, hosts } = agent
  const union = (lists: readonly (readonly string[])[]): string[] => [...new Set(lists.flat())].sort()
  const budget = Object.fromEntries(Object.entries(spent).map(([meter, amount]) => [meter, roomFor(amount, headRoom)]))
  const document = {
    id,
    purpose,
    ...(owners === null ? {} : { owners }),
    autonomy,
    ...(hosting === '' || hosting === 'own' ? {} : { hosting }),
    intent: {
      tools: tools.map(({ name }) => name),
      resources: union(tools.map(({ patterns }) => patterns)),
      data: union([['public'], ...tools.map(({ data }) => data)]),
      egress: union(tools.map(({ egress }) => egress)),
      budget,
      ttl: `${Math.max(1, Math.ceil((life * headRoom) / 60_000))}m`,
    },
  }
  const calls = tools.reduce((sum, tool) => sum + tool.calls, 0)
  const head = [
    `# A draft from ${calls} call${calls === 1 ? '' : 's'} of ${tasks.length} task${tasks.length === 1 ? '' : 's'}. Review it, then put it under task.agents.`,
    `# Budget and ttl are what one task used at most, times ${headRoom}.`,
    `# It reached: ${hosts.join(', ') || 'nothing'}`,
  ]
  return `${head.map((line) => line.replaceAll(/[\r\n]/g, ' ')).join('\n')}\n${stringify([document], { lineWidth: 0 })}`
}

/** Whole numbers stay whole. */
function roomFor(amount: number, headRoom: number): number {
  return Number.isInteger(amount) ? Math.ceil(amount * headRoom - 1e-9) : Math.ceil(amount * headRoom * 100) / 100
}
