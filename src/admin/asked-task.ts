/** The form that opens a task: what was typed, what is asked with it, and which field a fault is about. */
import type { Agent } from '../task/agents.ts'
import { counted } from '../task/budget.ts'
import { covers } from '../task/intent.ts'
import { lineOf } from './visit.ts'

/** A tool of the catalogue, as far as whoever opens a task chooses by it. */
export interface Offered {
  readonly name: string
  readonly route: string
  readonly effect: string
  readonly risk: string
}

/** Fields of the form, in its order. */
export const fields = ['caller', 'purpose', 'tools', 'resources', 'data', 'egress', 'budget', 'ttl', 'reason'] as const
export type Field = (typeof fields)[number]

/** What is wrong, and where; `null`: with the whole. */
export interface FormFault {
  readonly field: Field | null
  readonly message: string
}

/** What a task is asked with, as `Tasks.narrowed` takes it, and why, and what cannot be read of it. */
export interface Read {
  readonly asked: Readonly<Record<string, unknown>>
  readonly reason: string
  readonly faults: readonly FormFault[]
}

/** Tools of the catalogue within what an agent is registered for. */
export function offeredTo({ intent }: Agent, catalogue: readonly Offered[]): readonly Offered[] {
  return catalogue.filter(({ name }) => covers('tools', intent.tools, name))
}

/** The form as an agent's registration fills it: as wide as it goes but for the tools, which whoever opens it chooses. */
export function blank(agent: Agent): URLSearchParams {
  const { intent, ttl } = agent
  const form = new URLSearchParams({ resources: intent.resources.join('\n'), ttl: durationOf(ttl) })
  for (const name of ['data', 'egress'] as const) for (const one of intent[name]) form.append(name, one)
  for (const [meter, most] of Object.entries(intent.budget)) form.set(`budget.${meter}`, String(most))
  return form
}

/** Meters that the form has a field for: those of the registration, and those that count of themselves. */
export function metersOf({ intent }: Agent): readonly string[] {
  return [...new Set([...Object.keys(intent.budget), ...counted])]
}

/** Reads a form. What is left empty is a fault: nobody opens more than they said. */
export function readForm(form: URLSearchParams, agent: Agent): Read {
  const faults: FormFault[] = []
  const fault = (field: Field, message: string): void => void faults.push({ field, message })
  const lines = (name: string): string[] =>
    (form.get(name) ?? '')
      .split(/[\r\n,]+/)
      .map((one) => one.trim())
      .filter((one) => one !== '')
  const tools = form.has('all_tools') ? [...agent.intent.tools] : [...new Set([...form.getAll('tools'), ...lines('more_tools')])]
  if (tools.length === 0) fault('tools', 'choose the tools that it may use, or all that the agent is registered for')
  const resources = lines('resources')
  if (resources.length === 0) fault('resources', `say which resources, such as ${agent.intent.resources[0] ?? '*'}`)
  const purpose = lineOf(form, 'purpose')
  if (purpose === '') fault('purpose', 'say what it is for')
  const reason = lineOf(form, 'reason')
  if (reason === '') fault('reason', 'say why you open it: it stands in the ledger')
  const ttl = lineOf(form, 'ttl')
  if (ttl === '') fault('ttl', `say how long it lives, at most ${durationOf(agent.ttl)}`)
  const budget: Record<string, number> = {}
  for (const meter of metersOf(agent)) {
    const text = lineOf(form, `budget.${meter}`)
    const most = agent.intent.budget[meter]
    if (text === '' && most === undefined) continue
    if (/^\d{1,15}(\.\d{1,6})?$/.test(text)) budget[meter] = Number(text)
    else fault('budget', `${meter} must be a number${most === undefined ? '' : `, at most ${most}`}`)
  }
  const asked = { purpose, tools, resources, data: form.getAll('data'), egress: form.getAll('egress'), budget, ttl }
  return { asked, reason, faults }
}

/** Says of a reason why it was not taken which field it is about, and which of its entries. */
export function faultOf(reason: string, asked: Read['asked']): FormFault {
  const [, name = '', at] = /^(\w+)(?:\[(\d+)\])?/.exec(reason) ?? []
  const field = fields.find((one) => one === name) ?? null
  const list = field === null ? undefined : asked[field]
  const entry: unknown = at === undefined || !Array.isArray(list) ? undefined : list[Number(at)]
  if (typeof entry !== 'string') return { field, message: reason }
  return { field, message: reason.replace(`${name}[${at}]`, entry) }
}

/** A time in its largest whole unit, as `ttl` takes it. */
export function durationOf(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const
  const [unit, size] = units.find(([, each]) => ms >= each && ms % each === 0) ?? ['ms', 1]
  return `${ms / size}${unit}`
}
