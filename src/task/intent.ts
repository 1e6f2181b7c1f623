/** What an agent asks to do, narrowed against what it was registered for. */
import type { Intent } from '../state/state.ts'
import type { Agent } from './agents.ts'
import { counted } from './budget.ts'

/** What a task is asked to be. */
export interface AskedTask {
  readonly intent: Intent
  /** Milliseconds. */
  readonly ttl: number
}

export type Narrowed = { readonly asked: AskedTask } | { readonly reasons: readonly string[] }

const lists = ['tools', 'resources', 'data', 'egress'] as const
export type ListName = (typeof lists)[number]

const known: ReadonlySet<string> = new Set(['purpose', ...lists, 'budget', 'ttl', 'prompt'])
const longestPurpose = 500
const longestName = 256
const mostNames = 128
const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * Reads what an agent asks for (`purpose`, and by choice `tools`, `resources`, `data`, `egress`, `budget`, `ttl`, `prompt`).
 * What it leaves out is what it was registered for; what it asks must be within that. Answers every reason at once, none of
 * which repeats what was asked: that text is not ours.
 */
export function narrow(
  body: Readonly<Record<string, unknown>>,
  agent: Pick<Agent, 'intent' | 'ttl'>,
  bound = 'what this agent was registered for',
): Narrowed {
  const reasons: string[] = []
  if (Object.keys(body).some((key) => !known.has(key))) reasons.push(`only ${[...known].join(', ')}, caller and on_behalf_of may be asked`)
  const purpose = readLine(body['purpose'], longestPurpose)
  if (purpose === null) reasons.push(`purpose must be one line of 1 to ${longestPurpose} characters`)
  const declared = agent.intent
  const intent: Intent = {
    purpose: purpose ?? '',
    tools: readList('tools', body, declared, reasons, bound),
    resources: readList('resources', body, declared, reasons, bound),
    data: readList('data', body, declared, reasons, bound),
    egress: readList('egress', body, declared, reasons, bound),
    budget: readBudget(body['budget'], declared.budget, reasons, bound),
    prompt: readPrompt(body['prompt'], reasons),
  }
  const ttl = readTtl(body['ttl'], agent.ttl, reasons, bound)
  return reasons.length > 0 ? { reasons } : { asked: { intent, ttl } }
}

/** True when nothing in `inner` goes beyond `outer`: a task opened earlier against its agent as registered now. */
export function within(inner: Intent, outer: Intent): boolean {
  for (const name of lists) {
    if (!inner[name].every((one) => covers(name, outer[name], one))) return false
  }
  // a meter without a limit is nothing that may be spent, unless it counts of itself
  for (const meter of counted) if (Object.hasOwn(outer.budget, meter) && !Object.hasOwn(inner.budget, meter)) return false
  return Object.entries(inner.budget).every(([meter, most]) =>
    Object.hasOwn(outer.budget, meter) ? most <= (outer.budget[meter] ?? 0) : counted.has(meter),
  )
}

/** One line of text that is safe to show: no controls, no line or paragraph separators, no bidirectional controls, well-formed; else null. */
export function readLine(value: unknown, longest: number): string | null {
  if (typeof value !== 'string' || value.length > longest || value.trim() === '' || !value.isWellFormed()) return null
  return /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\ufeff]/u.test(value) ? null : value
}

function readList(
  name: ListName,
  body: Readonly<Record<string, unknown>>,
  declared: Intent,
  reasons: string[],
  bound: string,
): readonly string[] {
  const asked = body[name]
  if (asked === undefined) return declared[name]
  if (!Array.isArray(asked) || asked.length > mostNames || !asked.every(isName)) {
    reasons.push(`${name} must be a list of at most ${mostNames} names; * may only stand at the end`)
    return []
  }
  asked.forEach((one, at) => {
    if (!covers(name, declared[name], one)) reasons.push(`${name}[${at}] is not within ${bound}`)
  })
  return [...new Set(asked)]
}

function isName(value: unknown): value is string {
  const name = readLine(value, longestName)
  return name !== null && (!name.includes('*') || name.indexOf('*') === name.length - 1)
}

/** Tools and resources may end in `*`, which stands for any rest; classes and egress are plain names. */
export function covers(name: ListName, outer: readonly string[], one: string): boolean {
  if (outer.includes(one)) return true
  if (name === 'data' || name === 'egress') return false
  return outer.some((pattern) => pattern.endsWith('*') && one.startsWith(pattern.slice(0, -1)))
}

function readBudget(asked: unknown, declared: Intent['budget'], reasons: string[], bound: string): Intent['budget'] {
  if (asked === undefined) return declared
  if (typeof asked !== 'object' || asked === null || Array.isArray(asked)) {
    reasons.push('budget must be an object of meters and numbers')
    return {}
  }
  const budget: Record<string, number> = { ...declared }
  for (const [meter, most] of Object.entries(asked)) {
    const isDeclared = Object.hasOwn(declared, meter)
    if (!isDeclared && !counted.has(meter)) reasons.push(`budget names a meter that is not within ${bound}`)
    else if (typeof most !== 'number' || !(most >= 0 && most <= Number.MAX_SAFE_INTEGER))
      reasons.push('budget limits must be numbers of at least 0')
    else if (isDeclared && most > (declared[meter] ?? 0)) reasons.push(`budget ${meter} is above ${bound}`)
    else budget[meter] = most
  }
  return budget
}

function readTtl(asked: unknown, longest: number, reasons: string[], bound: string): number {
  if (asked === undefined) return longest
  const ttl = typeof asked === 'number' ? asked : milliseconds(asked)
  if (!Number.isInteger(ttl) || ttl < 1) reasons.push('ttl must be a duration such as 30s or 10m, or milliseconds')
  else if (ttl > longest) reasons.push(`ttl is longer than ${bound} lets it live`)
  return ttl
}

/** A duration such as `30s` in ms; NaN for anything else. */
export function milliseconds(text: unknown): number {
  const parts = typeof text === 'string' ? /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) : null
  return parts === null ? Number.NaN : Number(parts[1]) * (units[parts[2] ?? ''] ?? Number.NaN)
}

function readPrompt(asked: unknown, reasons: string[]): string | null {
  if (asked === undefined || asked === null) return null
  if (typeof asked === 'string' && /^sha256:[0-9a-f]{64}$/.test(asked)) return asked
  reasons.push('prompt must be sha256: and 64 lower-case hex digits')
  return null
}
