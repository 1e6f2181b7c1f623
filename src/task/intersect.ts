/** What two intents both allow. */
import type { Intent } from '../state/state.ts'
import { counted } from './budget.ts'
import type { AskedTask } from './intent.ts'
import { covers, type ListName } from './intent.ts'

/**
 * What is handed on, as far as its receiver is registered for it: in everything the narrower of both, and never more than either.
 * Purpose and prompt are those of the hand-off. `longest`: how long it may live whoever asks, ms.
 */
export function intersect(handed: AskedTask, receiver: AskedTask, longest: number): AskedTask {
  const both = (name: ListName): readonly string[] => narrower(name, handed.intent[name], receiver.intent[name])
  const intent: Intent = {
    purpose: handed.intent.purpose,
    tools: both('tools'),
    resources: both('resources'),
    data: both('data'),
    egress: both('egress'),
    budget: smaller(handed.intent.budget, receiver.intent.budget),
    prompt: handed.intent.prompt,
  }
  return { intent, ttl: Math.min(handed.ttl, receiver.ttl, longest) }
}

/** Of two patterns that overlap one lies within the other, for a `*` stands at the end alone. */
function narrower(name: ListName, one: readonly string[], other: readonly string[]): readonly string[] {
  const found = one.filter((each) => covers(name, other, each))
  for (const each of other) if (covers(name, one, each) && !found.includes(each)) found.push(each)
  return found
}

/** A meter that one of both does not have is nothing that may be spent, except what counts of itself (`counted`), which is unbounded where nobody bounds it. */
function smaller(one: Intent['budget'], other: Intent['budget']): Intent['budget'] {
  const both: [string, number][] = []
  for (const meter of new Set([...Object.keys(one), ...Object.keys(other)])) {
    const [a, b] = [limitOf(one, meter), limitOf(other, meter)]
    if (a !== undefined && b !== undefined) both.push([meter, Math.min(a, b)])
    else if (counted.has(meter)) both.push([meter, a ?? b ?? 0])
  }
  return Object.fromEntries(both)
}

function limitOf(budget: Intent['budget'], meter: string): number | undefined {
  return Object.hasOwn(budget, meter) ? budget[meter] : undefined
}
