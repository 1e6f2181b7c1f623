/** Single changes of an input that could turn a refusal into an allow. None is believed before it was judged. */

import type { Entrypoint } from '../decide/engine.ts'
import { schemaAt, wordsAt } from './input-schema.ts'
import { isRecord, textsAt, valueAt, withValue, type JsonRecord } from './json-path.ts'

export interface Change {
  /** Place in the input: `task.intent.tools`. */
  readonly fact: string
  /** Undefined when it is not there. */
  readonly from: unknown
  readonly to: unknown
}

/** What the changes of one fact are made of. */
export interface ChangeSource {
  readonly entrypoint: Entrypoint
  readonly input: JsonRecord
  /** Texts that may belong into a list: from the other facts of the rule and from what it found. */
  readonly pool: readonly string[]
}

/** What makes a call another call, or an agent another agent, is no change of it. */
const fixed = new Set(['tool.name', 'tool.route', 'tool.resource', 'agent.id', 'caller.spiffe_id', 'context.now', 'task.id'])

/** Every change of one fact worth judging. */
export function changesOf(fact: string, source: ChangeSource): readonly Change[] {
  if (fixed.has(fact)) return []
  const { entrypoint, input } = source
  const from = valueAt(input, fact)
  const special = specials[fact]
  if (special !== undefined) return special(input).map((to) => ({ fact, from, to }))
  const words = wordsAt(entrypoint, fact)
  if (words.length > 0) return nearestFirst(words, from).map((to) => ({ fact, from, to }))
  const type = schemaAt(entrypoint, fact)?.['type']
  if (typeof from === 'boolean' || type === 'boolean') return [true, false].filter((to) => to !== from).map((to) => ({ fact, from, to }))
  if (typeof from === 'number' || type === 'integer') return from === 0 ? [] : [{ fact, from, to: 0 }]
  if (Array.isArray(from) || type === 'array' || (isNullish(from) && source.pool.length > 0)) return listChanges(fact, from, source.pool)
  return isRecord(from) ? leafChanges(fact, from, source) : []
}

/** Words of a closed list but the present one; those beside it come first, for most lists go from little to much. */
function nearestFirst(words: readonly string[], from: unknown): readonly string[] {
  const place = words.findIndex((word) => word === from)
  const away = (word: string): number => Math.abs(words.indexOf(word) - place)
  return words.filter((word) => word !== from).sort((left, right) => away(left) - away(right))
}

/** Facts whose change is known better than their type tells. */
const specials: Readonly<Record<string, (input: JsonRecord) => readonly unknown[]>> = {
  'agent.owners': (input) => {
    const there = valueAt(input, 'agent.owners')
    const named = isRecord(there) ? Object.fromEntries(Object.entries(there).filter(([, owner]) => owner !== '' && owner !== null)) : {}
    return [{ business: 'someone', security: 'someone', incident: 'someone', ...named }]
  },
  'caller.confirmed': () => ['mtls'],
  'task.expires': (input) => {
    const now = valueAt(input, 'context.now')
    return typeof now === 'number' ? [now + 60_000] : []
  },
  'task.budget': (input) => {
    const [limit, spent, debit] = ['limit', 'spent', 'debit'].map((name) => numbersAt(input, `task.budget.${name}`))
    const raised: Record<string, number> = { ...limit }
    for (const [meter, amount] of Object.entries(debit ?? {}))
      if (meter !== 'calls' || limit?.[meter] !== undefined) raised[meter] = Math.max(limit?.[meter] ?? 0, (spent?.[meter] ?? 0) + amount)
    const budget = valueAt(input, 'task.budget')
    return [{ ...(isRecord(budget) ? budget : { spent: {}, debit: {} }), limit: raised }]
  },
}

function numbersAt(input: JsonRecord, place: string): Readonly<Record<string, number>> {
  const found = valueAt(input, place)
  const entries = isRecord(found) ? Object.entries(found) : []
  return Object.fromEntries(entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'))
}

const mostEach = 16

/** One more, all that may belong in, one less, none. */
function listChanges(fact: string, from: unknown, pool: readonly string[]): readonly Change[] {
  const there = textsAt({ from }, 'from')
  const more = [...new Set(pool)].filter((text) => !there.includes(text)).slice(0, mostEach)
  const lists: string[][] = more.map((text) => [...there, text])
  if (more.length > 1) lists.push([...there, ...more])
  for (const text of there.slice(0, mostEach)) lists.push(there.filter((other) => other !== text))
  if (there.length > 1) lists.push([])
  return lists.map((to) => ({ fact, from, to }))
}

/** Numbers and flags within an object, such as the amount in a judged body. */
function leafChanges(fact: string, from: JsonRecord, source: ChangeSource): readonly Change[] {
  const changes: Change[] = []
  for (const [name, value] of Object.entries(from).slice(0, mostEach)) {
    if (name.includes('.')) continue
    if (typeof value === 'number' || typeof value === 'boolean' || isRecord(value)) changes.push(...changesOf(`${fact}.${name}`, source))
  }
  return changes
}

function isNullish(value: unknown): boolean {
  return value === null || value === undefined
}

/** What a change of a list adds and takes away; null for any other change. */
export function listDifference({ from, to }: Change): { readonly added: readonly string[]; readonly removed: readonly string[] } | null {
  if (!Array.isArray(to)) return null
  const [before, after] = [textsAt({ from }, 'from'), textsAt({ to }, 'to')]
  return { added: after.filter((text) => !before.includes(text)), removed: before.filter((text) => !after.includes(text)) }
}

/** The input with these changes made. */
export function changed(input: JsonRecord, changes: readonly Change[]): JsonRecord {
  let made = input
  for (const { fact, to } of changes) made = withValue(made, fact, to)
  return made
}

/** Who can bring a change about; the order is from the task at hand to the whole installation. */
export const owners = [
  { prefix: 'request.', who: 'the call' },
  { prefix: 'task.intent.', who: 'the intent of the task, as far as its agent may go' },
  { prefix: 'task.', who: 'the task' },
  { prefix: 'sequence.', who: 'what the task did before' },
  { prefix: 'caller.', who: 'how the caller proves itself' },
  { prefix: 'tool.', who: 'the catalogue' },
  { prefix: 'agent.', who: 'the registration of the agent' },
  { prefix: '', who: 'elsewhere' },
] as const

/** Place in `owners`. */
export function ownerOf({ fact }: Change): number {
  return owners.findIndex(({ prefix }) => fact.startsWith(prefix))
}
