/** The one language in which a ledger is searched: the options of `countersign logs`, the query of the admin API, the form of the page. */

import { parseDuration } from '../duration.ts'
import { decisions, type Facts } from './facts.ts'

/** Each takes a list with commas, any of which is enough. A `*` at the end of a word stands for the rest. */
export const listed = ['decision', 'agent', 'task', 'route', 'tool', 'rule', 'code', 'kind'] as const
export type Listed = (typeof listed)[number]

/** Every name of the language, in the order in which people are shown them. */
export const filterNames = [...listed, 'since', 'until', 'not'] as const
export type FilterName = (typeof filterNames)[number]

/** What somebody wrote. */
export type FilterWords = Readonly<Partial<Record<FilterName, string>>>

export interface Filter {
  /** What is asked of each, and absent for what is not asked. */
  readonly lists: ReadonlyMap<Listed, readonly string[]>
  /** Epoch ms, included. */
  readonly since: number | null
  /** Epoch ms, not included. */
  readonly until: number | null
  /** What the lists do not fit is wanted; times stay as they are. */
  readonly not: boolean
}

/** A filter that cannot be: `name` says where, the message why and what would do. */
export class FilterFault extends Error {
  readonly filter: FilterName

  constructor(filter: FilterName, message: string) {
    super(message)
    this.name = 'FilterFault'
    this.filter = filter
  }
}

const mostText = 2048
const mostWords = 32
const lineKinds = ['decision', 'outcome', 'refusal', 'event', 'checkpoint']

/** Reads what somebody wrote; empty texts count as not written. `now`, epoch ms, is what spans count back from. Throws FilterFault. */
export function parseFilter(words: FilterWords, now: number): Filter {
  const lists = new Map<Listed, readonly string[]>()
  for (const name of listed) {
    const list = listOf(name, words[name] ?? '')
    if (list.length > 0) lists.set(name, list)
  }
  const not = words.not ?? ''
  if (!['', 'true', 'false'].includes(not)) throw new FilterFault('not', 'it takes true or false')
  return { lists, since: moment('since', words, now), until: moment('until', words, now), not: not === 'true' }
}

/** The words of a query string, of those that the language knows. */
export function wordsOf(query: URLSearchParams): FilterWords {
  const words: Partial<Record<FilterName, string>> = {}
  for (const name of filterNames) {
    // a form sends a box that may be ticked several times once for each
    const given = query.getAll(name).filter((text) => text !== '')
    if (given.length > 0) words[name] = given.join(',')
  }
  return words
}

/** The query string that stands for what somebody wrote, without its question mark. */
export function queryOf(words: FilterWords): string {
  return String(new URLSearchParams(filterNames.flatMap((name) => (words[name] ? [[name, words[name]]] : []))))
}

/** Whether a line, or a call, is wanted. */
export function fits(filter: Filter, facts: Facts): boolean {
  if (!inTime(filter, facts.times)) return false
  for (const [name, wanted] of filter.lists) {
    const values = valuesOf(name, facts)
    if (!wanted.some((word) => values.some((value) => like(word, value)))) return filter.not
  }
  return filter.lists.size === 0 || !filter.not
}

/** Whether a decision that does not fit may do so with its outcome, which changes no task, route nor tool that is known. */
export function mayFitYet({ lists, not }: Filter, facts: Facts): boolean {
  if (not) return true
  return settled.every((name) => facts[name] === '' || (lists.get(name)?.some((word) => like(word, facts[name])) ?? true))
}

const settled = ['task', 'route', 'tool'] as const

/** Whether any of these times is within those of the filter. */
export function inTime({ since, until }: Pick<Filter, 'since' | 'until'>, times: readonly number[]): boolean {
  if (since === null && until === null) return true
  return times.some((time) => (since === null || time >= since) && (until === null || time < until))
}

/** Whether it lets everything through. */
export function isOpen({ lists, since, until }: Filter): boolean {
  return lists.size === 0 && since === null && until === null
}

function valuesOf(name: Listed, facts: Facts): readonly string[] {
  switch (name) {
    case 'decision':
      return facts.decision === null ? [] : [facts.decision]
    case 'agent':
      // people know a workload by the end of its SPIFFE ID
      return facts.agents.flatMap((id) => [id, id.slice(id.lastIndexOf('/') + 1)])
    case 'rule':
      return facts.rules
    case 'kind':
      return facts.kinds
    default:
      return facts[name] === '' ? [] : [facts[name]]
  }
}

function like(word: string, value: string): boolean {
  return word.endsWith('*') ? value.startsWith(word.slice(0, -1)) : value === word
}

function listOf(name: Listed, text: string): readonly string[] {
  if (text.length > mostText) throw new FilterFault(name, `it takes at most ${mostText} characters`)
  const list = text.split(',').flatMap((word) => (word.trim() === '' ? [] : [word.trim()]))
  if (list.length > mostWords) throw new FilterFault(name, `it takes at most ${mostWords} words`)
  if (name === 'decision' && !list.every((word) => (decisions as readonly string[]).includes(word)))
    throw new FilterFault(name, `it takes ${decisions.join(', ')}; several with commas`)
  // the name of an event has a dot in it; one word without is a line that there is not
  const odd = name === 'kind' ? list.find((word) => !lineKinds.includes(word) && !/[.*]/.test(word)) : undefined
  if (odd !== undefined) throw new FilterFault(name, `it takes ${lineKinds.join(', ')}, or the name of an event such as lease.revoked`)
  return list
}

function moment(name: 'since' | 'until', words: FilterWords, now: number): number | null {
  const text = words[name]?.trim() ?? ''
  if (text === '') return null
  const span = parseDuration(text)
  const at = span === null ? instant(text) : now - span
  if (Number.isNaN(at)) throw new FilterFault(name, 'it takes a time such as 2026-11-22T10:00:00Z, or a span back from now such as 10m')
  return at
}

/** A time that does not say where it is meant is UTC: so are those of the ledger. */
function instant(text: string): number {
  const form = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}:\d{2})?)?$/i.exec(text)
  return form === null ? Number.NaN : Date.parse(`${form[1]}T${form[2] ?? '00:00'}${form[3] ?? 'Z'}`)
}
