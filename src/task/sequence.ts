/** The history of a task as a rule may see it: bounded, and cheap to carry from one call to the next. */
import { spend } from './budget.ts'
import { withRead } from './sensitivity.ts'
import type { Course } from './divergence.ts'
import type { Trail } from './trail.ts'
import type { Tally } from '../state/facts.ts'
import type { MintRequest, Observation } from '../state/mint.ts'
import type { TaskFacts } from '../state/state.ts'

const lastSteps = 5
const mostHosts = 256
const mostNames = 512
const mostDistinct = 64
const mostRules = 16
/** A count that has come this far changes no more: an agent that keeps being refused has nothing written any more. */
const mostDenials = 1000

/** Calls per tool or per host, in one live record. Written by the state when it mints. */
export class Counts implements Tally {
  readonly record: Record<string, number> = Object.create(null)
  readonly #most: number
  #names = 0

  constructor(from: Readonly<Record<string, number>> = {}, most = mostNames) {
    this.#most = most
    for (const name in from) this.#set(name, from[name] ?? 0)
  }

  /** The calls of one host each. */
  static ofHosts(from: Readonly<Record<string, number>> = {}): Counts {
    return new Counts(from, mostHosts)
  }

  get size(): number {
    return this.#names
  }

  times(name: string): number {
    return this.record[name] ?? 0
  }

  add(name: string): void {
    const known = this.record[name]
    if (known !== undefined) this.record[name] = known + 1
    else if (this.#names < this.#most) this.#set(name, 1)
    else this.record['*'] = (this.record['*'] ?? 0) + 1
  }

  #set(name: string, times: number): void {
    this.record[name] = times
    this.#names++
  }
}

/** How often each of the last distinct calls was made, or resources touched, in one live record. Written by the state when it mints. */
export class Repeats {
  readonly record: Record<string, number> = Object.create(null)
  /** Digests, longest unused first. */
  readonly #order = new Set<string>()

  constructor(from: readonly (readonly [digest: string, times: number])[] = []) {
    for (const [digest, times] of from) {
      this.record[digest] = times
      this.#order.add(digest)
    }
  }

  add(digest: string): void {
    this.#order.delete(digest)
    this.#order.add(digest)
    this.record[digest] = (this.record[digest] ?? 0) + 1
    if (this.#order.size > mostDistinct) this.#forgetOldest()
  }

  /** The latest `most`, for the file: longest unused first. After a crash the older ones are counted anew. */
  latest(most: number): [digest: string, times: number][] {
    const kept: [string, number][] = []
    let skip = this.#order.size - most
    for (const digest of this.#order) {
      if (skip-- <= 0) kept.push([digest, this.record[digest] ?? 0])
    }
    return kept
  }

  #forgetOldest(): void {
    for (const digest of this.#order) {
      this.#order.delete(digest)
      delete this.record[digest]
      return
    }
  }
}

/** What a task did, in records that live as long as it does. */
export interface Past {
  readonly counts: Counts
  readonly hosts: Counts
  readonly resources: Repeats
  readonly repeats: Repeats
  readonly trail: Trail
  readonly course: Course
}

/** The facts of a task that has made no call. */
export function firstFacts({ counts, hosts, resources, repeats, trail, course }: Past): TaskFacts {
  return {
    version: 0,
    step: 0,
    last: [],
    counts: counts.record,
    steps: trail.steps,
    spent: {},
    sensitivity: [],
    sources: trail.sources,
    hosts,
    resources: resources.record,
    repeats: repeats.record,
    failures: 0,
    denials: {},
    diverged: false,
    model: null,
    divergence: course,
    brought: [],
  }
}

/** The facts after one more permitted call. Pure: the live records are counted up by their owner. */
export function advance(facts: TaskFacts, request: MintRequest): TaskFacts {
  return {
    version: facts.version + 1,
    step: facts.step + 1,
    last: [...(facts.last.length < lastSteps ? facts.last : facts.last.slice(1 - lastSteps)), request.step],
    counts: facts.counts,
    steps: facts.steps,
    spent: spend(facts.spent, request.debit),
    sensitivity: withRead(facts.sensitivity, request.data),
    sources: facts.sources,
    hosts: facts.hosts,
    resources: facts.resources,
    repeats: facts.repeats,
    failures: facts.failures,
    denials: facts.denials,
    diverged: facts.diverged,
    model: facts.model ?? null,
    divergence: facts.divergence,
    brought: facts.brought,
  }
}

/**
 * The facts after policy refused a call by these rules; the same object when it changes nothing. A rule of an intent
 * (`intent.…`) that refused says that the task left it.
 */
export function refused(facts: TaskFacts, rules: readonly string[]): TaskFacts {
  let denials: Record<string, number> | null = null
  let { diverged } = facts
  for (const rule of rules) {
    if (rule.startsWith('intent.')) diverged = true
    const now: Readonly<Record<string, number>> = denials ?? facts.denials
    const name = Object.hasOwn(now, rule) || Object.keys(now).length < mostRules ? rule : '*'
    const times = Object.hasOwn(now, name) ? (now[name] ?? 0) : 0
    if (times >= mostDenials) continue
    denials ??= { ...facts.denials }
    denials[name] = times + 1
  }
  if (denials === null && diverged === facts.diverged) return facts
  return { ...facts, version: facts.version + 1, denials: denials ?? facts.denials, diverged }
}

/** The facts after the outcome of a permitted call; the same object when it changes nothing. */
export function concluded(facts: TaskFacts, { failed, debit, model }: Observation): TaskFacts {
  const failures = failed ? facts.failures + 1 : 0
  if (failures === facts.failures && debit === undefined && model === undefined) return facts
  const spent = debit === undefined ? facts.spent : spend(facts.spent, debit)
  return { ...facts, version: facts.version + 1, failures, spent, model: model ?? facts.model ?? null }
}
