/** Searches what would have made a refusal an allow. Every answer was judged by the policy itself. */

import type { Entrypoint } from '../decide/engine.ts'
import type { Candidate, Verdict } from './candidate.ts'
import { ruleOf } from './catalogue.ts'
import { changed, changesOf, listDifference, ownerOf, type Change } from './change.ts'
import { isRecord, textsAt, valueAt, type JsonRecord } from './json-path.ts'

export interface Allowing {
  /** The smallest sets of changes found that make it an allow, the easiest first; empty when none was found. */
  readonly ways: readonly (readonly Change[])[]
  /** Inputs judged. */
  readonly tried: number
  /** Whether every smaller set of the changes that were thought of was judged. */
  readonly complete: boolean
}

export interface SearchBounds {
  readonly mostTried: number
  readonly mostMs: number
}

const usual: SearchBounds = { mostTried: 6000, mostMs: 3000 }
/** Of one size, as found and as shown. */
const mostWays = 64
const mostShown = 6
const mostSteps = 8

/** Looks for the smallest changes to the facts of the rules that fired. `base` is what policy says of `input` as it is. */
export function findAllowing(
  input: JsonRecord,
  base: Verdict,
  candidate: Candidate,
  entrypoint: Entrypoint,
  bounds: SearchBounds = usual,
): Allowing {
  const search = new Search(candidate, entrypoint, bounds)
  const singles = search.changesFor(input, base)
  const judged = singles.map((change) => ({ change, verdict: search.judge(input, [change]) }))
  const direct = judged.filter(({ verdict }) => verdict?.effect === 'allow').map(({ change }) => [change])
  if (direct.length > 0) return { ways: search.ranked(input, direct), tried: search.tried, complete: !search.spent }
  const found = search.greedy(input, base)
  // what leaves every rule as it was alone may still matter beside another change, so it comes last, not never
  const order = judged.toSorted((left, right) => remaining(left.verdict, base) - remaining(right.verdict, base)).map(({ change }) => change)
  let complete = !search.spent
  for (let size = 2; size <= (found?.length ?? 3); size++) {
    const ways = search.combinations(input, order, size)
    if (ways.length > 0) return { ways: search.ranked(input, ways), tried: search.tried, complete }
    complete &&= !search.spent
    if (!complete) break
  }
  return { ways: found === null ? [] : search.ranked(input, [found]), tried: search.tried, complete }
}

/** Reasons left, so that changes that take one away come first. */
function remaining(verdict: Verdict | null, base: Verdict): number {
  return verdict?.result?.reasons.length ?? base.rules.length + 1
}

class Search {
  tried = 0
  readonly #candidate: Candidate
  readonly #entrypoint: Entrypoint
  readonly #bounds: SearchBounds
  readonly #until: number

  constructor(candidate: Candidate, entrypoint: Entrypoint, bounds: SearchBounds) {
    this.#candidate = candidate
    this.#entrypoint = entrypoint
    this.#bounds = bounds
    this.#until = performance.now() + bounds.mostMs
  }

  /** Whether a bound was met; what was found until then counts. */
  get spent(): boolean {
    return this.tried >= this.#bounds.mostTried || performance.now() > this.#until
  }

  /** Null when the bounds are spent. */
  judge(input: JsonRecord, changes: readonly Change[]): Verdict | null {
    if (this.spent) return null
    this.tried++
    return this.#candidate.judge(this.#entrypoint, JSON.stringify(changed(input, changes)))
  }

  /** Changes of every fact that a fired rule names; of all facts when one of them names none. */
  changesFor(input: JsonRecord, verdict: Verdict): readonly Change[] {
    const { catalogue } = this.#candidate
    const pools = new Map<string, Set<string>>()
    const add = (facts: readonly string[], found: readonly string[]): void => {
      for (const fact of facts) {
        const pool = pools.get(fact) ?? new Set(found)
        for (const text of [...found, ...facts.filter((other) => other !== fact).flatMap((other) => textsOf(valueAt(input, other)))])
          pool.add(text)
        pools.set(fact, pool)
      }
    }
    for (const { rule: id, detail } of verdict.result?.reasons ?? []) {
      const rule = ruleOf(catalogue, id, this.#entrypoint)
      if (rule !== null && rule.facts.length > 0) add(rule.facts, textsOf(detail))
      else
        for (const one of catalogue.rules)
          add(
            one.facts.filter((fact) => valueAt(input, fact.split('.')[0] ?? '') !== undefined),
            [],
          )
    }
    return [...pools].flatMap(([fact, pool]) => changesOf(fact, { entrypoint: this.#entrypoint, input, pool: [...pool] }))
  }

  /** One change after the other, each the one that leaves the fewest reasons; then what turns out not to be needed is taken back. */
  greedy(input: JsonRecord, base: Verdict): readonly Change[] | null {
    let steps: readonly Change[] = []
    let verdict = base
    while (steps.length < mostSteps && verdict.effect !== 'allow') {
      const here = changed(input, steps)
      let best: { readonly change: Change; readonly verdict: Verdict } | null = null
      for (const change of this.changesFor(here, verdict)) {
        if (steps.some(({ fact }) => fact === change.fact)) continue
        const next = this.judge(here, [change])
        if (next !== null && weight(next) < weight(best?.verdict ?? verdict)) best = { change, verdict: next }
      }
      if (best === null) return null
      steps = [...steps, best.change]
      verdict = best.verdict
    }
    if (verdict.effect !== 'allow') return null
    for (const step of steps) {
      const fewer = steps.filter((other) => other !== step)
      if (fewer.length > 0 && this.judge(input, fewer)?.effect === 'allow') steps = fewer
    }
    return steps
  }

  /** Sets of `size` changes of different facts that make it an allow. */
  combinations(input: JsonRecord, changes: readonly Change[], size: number): readonly (readonly Change[])[] {
    const ways: (readonly Change[])[] = []
    const extend = (chosen: readonly Change[], from: number): void => {
      for (let at = from; at < changes.length && ways.length < mostWays && !this.spent; at++) {
        const change = changes[at]
        if (change === undefined || chosen.some(({ fact }) => fact === change.fact)) continue
        const next = [...chosen, change]
        if (next.length < size) extend(next, at + 1)
        else if (this.judge(input, next)?.effect === 'allow') ways.push(next)
      }
    }
    extend([], 0)
    return ways
  }

  /** The easiest first; no way that only does more than another; numbers no further from what they were than needed. */
  ranked(input: JsonRecord, ways: readonly (readonly Change[])[]): readonly (readonly Change[])[] {
    const rank = (way: readonly Change[]): number =>
      Math.max(...way.map(ownerOf)) * 1000 + way.reduce((sum, change) => sum + distance(change), 0)
    const kept: (readonly Change[])[] = []
    for (const way of ways.toSorted((left, right) => rank(left) - rank(right)))
      if (!kept.some((other) => doesLess(other, way))) kept.push(way)
    return kept.slice(0, mostShown).map((way) => way.map((change) => this.#nearest(input, way, change)))
  }

  /** A whole number is moved back towards what it was, as far as it still allows. */
  #nearest(input: JsonRecord, way: readonly Change[], change: Change): Change {
    const { from, to } = change
    if (typeof from !== 'number' || to !== 0 || from < 1) return change
    let [good, bad] = [0, Math.ceil(from)]
    while (bad - good > 1) {
      const middle = Math.floor((good + bad) / 2)
      const tried = way.map((one) => (one === change ? { ...change, to: middle } : one))
      const verdict = this.judge(input, tried)
      if (verdict === null) break
      if (verdict.effect === 'allow') good = middle
      else bad = middle
    }
    return { ...change, to: good }
  }
}

/** Denials weigh more than questions. */
function weight({ effect, result, rules }: Verdict): number {
  if (effect === 'allow') return 0
  const reasons = result?.reasons ?? rules.map(() => ({ effect: 'deny' }))
  return reasons.reduce((sum, reason) => sum + (reason.effect === 'deny' ? 10 : 1), 0)
}

/** How much a change adds or takes away; to take is the further step. */
function distance(change: Change): number {
  const lists = listDifference(change)
  return lists === null ? 1 : lists.added.length + lists.removed.length * 2
}

/** Whether `other` changes the same facts in the same direction, and no more of them. */
function doesLess(other: readonly Change[], way: readonly Change[]): boolean {
  if (other.length !== way.length) return false
  return way.every((change) => {
    const same = other.find(({ fact }) => fact === change.fact)
    if (same === undefined) return false
    const [less, more] = [listDifference(same), listDifference(change)]
    if (less === null || more === null) return true
    return less.added.every((text) => more.added.includes(text)) && less.removed.every((text) => more.removed.includes(text))
  })
}

/** Texts in a value, one level deep. */
function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return textsAt({ value }, 'value').filter((text) => !text.includes('*'))
  return isRecord(value)
    ? Object.values(value).flatMap((inner) => (typeof inner === 'string' || Array.isArray(inner) ? textsOf(inner) : []))
    : []
}
