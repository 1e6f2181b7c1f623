/** A narrower registration: what was used would still have been allowed, and nothing that is not allowed now. */

import { narrowest } from '../author/narrowest.ts'
import { covers, type ListName } from '../task/intent.ts'
import { counted } from '../task/budget.ts'
import type { AgentUse } from './agent-use.ts'
import { yamlOf, type Grant, type Registration } from './registration.ts'

/** What budget and life get above what one task used at most. */
const headRoom = 1.2
/** Longer lists say less than the pattern that they come from. */
const mostEntries = 100

export interface Proposal {
  readonly registration: Registration
  /** As `task.agents` takes it. */
  readonly yaml: string
  /** Lines of the present registration and of this one: ` ` both, `-` present, `+` proposed. */
  readonly diff: string
  readonly changes: readonly { readonly place: string; readonly from: unknown; readonly to: unknown }[]
}

/** Null when nothing would be narrower, or when nothing was used: that is for people, not for a proposal. */
export function proposalFor(present: Registration, use: AgentUse): Proposal | null {
  if (use.tools.size === 0) return null
  const registration = { ...present, grant: narrowed(present.grant, use) }
  const places = ['tools', 'resources', 'data', 'egress', 'budget', 'ttl'] as const
  const changes = places
    .map((name) => ({ place: `intent.${name}`, from: present.grant[name], to: registration.grant[name] }))
    .filter(({ from, to }) => JSON.stringify(from) !== JSON.stringify(to))
  if (changes.length === 0) return null
  const yaml = yamlOf(registration)
  return { registration, yaml, diff: lineDiff(yamlOf(present), yaml), changes }
}

/** What the record hides is not narrowed: nobody knows what was used there. */
export function narrowed(present: Grant, use: AgentUse): Grant {
  const lost = use.overflow
  const unsure = lost || use.hidden > 0
  const resources = [...use.tools.values()].flatMap(({ resources: found }) => [...found])
  const full = [...use.tools.values()].some(({ resources: found }) => found.size >= 10_000)
  return {
    tools: lost ? present.tools : narrowList('tools', present.tools, [...use.tools.keys()], (used) => used),
    resources: unsure || full ? present.resources : narrowList('resources', present.resources, resources, narrowest),
    // public data is always within, and stays where it was named
    data: unsure ? present.data : present.data.filter((one) => one === 'public' || use.data.has(one)),
    egress: unsure ? present.egress : present.egress.filter((one) => use.egress.has(one)),
    // children spend what was set apart for them: their parent's limits are left alone
    budget: unsure || use.handed > 0 ? present.budget : narrowBudget(present.budget, use.spent),
    ttl: use.handed > 0 ? present.ttl : Math.min(present.ttl, Math.max(60_000, Math.ceil((use.life * headRoom) / 60_000) * 60_000)),
  }
}

/**
 * The entries that cover what was used and as little else as can be said, each within the present ones. What cannot be said without
 * a `*` that is not meant so keeps the entries that cover it now.
 */
function narrowList(
  name: ListName,
  present: readonly string[],
  used: readonly string[],
  shorter: (used: readonly string[]) => readonly string[],
): readonly string[] {
  const inside = [...new Set(used)].filter((one) => covers(name, present, one)).sort()
  const plain = inside.filter((one) => !one.includes('*'))
  const kept = present.filter((entry) => inside.some((one) => one.includes('*') && covers(name, [entry], one)))
  const wanted = shorter(plain).flatMap((entry) =>
    covers(name, present, entry) ? [entry] : plain.filter((one) => covers(name, [entry], one)),
  )
  const found = [...new Set([...kept, ...wanted])]
  // an entry that another covers says nothing
  const needed = found.filter((entry) => !found.some((other) => other !== entry && covers(name, [other], entry)))
  if (needed.length > mostEntries) return present.filter((entry) => inside.some((one) => covers(name, [entry], one)))
  // the same as now: leave their order as it is
  return needed.length === present.length && needed.every((entry) => present.includes(entry)) ? present : needed.sort()
}

/** A meter that was never named is dropped: then nothing may be spent of it. Those that count of themselves are never dropped, for that would be wider. */
function narrowBudget(present: Grant['budget'], spent: ReadonlyMap<string, number>): Grant['budget'] {
  const limits: [string, number][] = []
  for (const [meter, most] of Object.entries(present)) {
    const used = spent.get(meter)
    if (meter === 'bytes_out') limits.push([meter, most])
    else if (used !== undefined) limits.push([meter, Math.min(most, roomFor(used))])
    else if (counted.has(meter)) limits.push([meter, most])
  }
  return Object.fromEntries(limits)
}

/** Whole numbers stay whole. */
function roomFor(amount: number): number {
  return Number.isInteger(amount) ? Math.ceil(amount * headRoom - 1e-9) : Math.ceil(amount * headRoom * 100) / 100
}

/** The longest common lines stay; both texts are short. */
function lineDiff(before: string, after: string): string {
  const [from, to] = [before.trimEnd().split('\n'), after.trimEnd().split('\n')]
  const common: number[][] = Array.from({ length: from.length + 1 }, () => Array.from({ length: to.length + 1 }, () => 0))
  const at = (row: number, column: number): number => common[row]?.[column] ?? 0
  for (let row = from.length - 1; row >= 0; row--) {
    for (let column = to.length - 1; column >= 0; column--) {
      const cells = common[row] ?? []
      cells[column] = from[row] === to[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1))
    }
  }
  const lines: string[] = []
  let [row, column] = [0, 0]
  while (row < from.length || column < to.length) {
    const [old, next] = [from[row], to[column]]
    if (old !== undefined && old === next) {
      lines.push(` ${old}`)
      row++
      column++
    } else if (old !== undefined && (next === undefined || at(row + 1, column) >= at(row, column + 1))) {
      lines.push(`-${old}`)
      row++
    } else {
      lines.push(`+${next ?? ''}`)
      column++
    }
  }
  return `${lines.join('\n')}\n`
}
