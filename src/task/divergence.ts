/** How far a task has left what it declared: a score from 0 to 100 with its reasons, added up from what the task did. */
import type { DivergenceReason } from '../state/facts.ts'
import type { MintRequest } from '../state/mint.ts'
import type { TaskFacts } from '../state/state.ts'

/** What one event of a kind is worth, and how many of them count. In the order in which reasons are told. */
const weights = {
  /** Refusals: a tool, resource, data class or destination that the intent does not have. */
  tool: { points: 10, most: 4 },
  resource: { points: 8, most: 4 },
  data: { points: 10, most: 4 },
  egress: { points: 12, most: 4 },
  /** Refusals: data or secrets on their way to where they may not go. */
  flow: { points: 12, most: 3 },
  /** Refusals: calls in an order, or as often, as they must not come. */
  order: { points: 8, most: 3 },
  /** Refusals: more than a budget has. */
  budget: { points: 4, most: 3 },
  /** First uses once a task is settled: of a host, of a tool that changes something, of a data class. */
  'new-host': { points: 6, most: 4 },
  'new-tool': { points: 3, most: 4 },
  'new-class': { points: 5, most: 4 },
  /** Far above its own pace, or past a rate that was set. */
  rate: { points: 6, most: 4 },
  /** A body far larger than any before. */
  size: { points: 6, most: 3 },
  /** Failures in a row. */
  failures: { points: 5, most: 4 },
  /** From reading to changing things. */
  turn: { points: 6, most: 2 },
} as const satisfies Record<string, { readonly points: number; readonly most: number }>

type Kind = keyof typeof weights

const kinds = Object.keys(weights) as Kind[]

/** The rules whose refusals say that a task leaves its intent. What a person is asked about otherwise is no divergence. */
const refusals: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ['intent.tool', 'tool'],
  ['tool.uncatalogued', 'tool'],
  ['intent.resource', 'resource'],
  ['intent.data', 'data'],
  ['intent.egress', 'egress'],
  ['data.beyond-destination', 'flow'],
  ['secrets.egress', 'flow'],
  ['sequence.chain', 'order'],
  ['sequence.needs', 'order'],
  ['sequence.forbids', 'order'],
  ['sequence.repeats', 'order'],
  ['sequence.discovery-then-privilege', 'order'],
  ['sequence.split', 'order'],
  ['budget.exceeded', 'budget'],
])

const highest = 100
/** Calls in which a task finds its feet: what is new in them is no news. */
const settled = 10
/** A minute is a burst when it has more calls than this and than four times the busiest before, of at least three. */
const leastBurst = 60
const burst = 4
const leastMinutes = 3
const minute = 60_000
/** A body is a jump when it is this large, bytes, and 16 times the largest before. */
const leastJump = 262_144
const jump = 16
/** Failures in a row, and changes in a row, that count once. */
const streak = 5

/** What a task's file keeps of its course besides the reasons: numbers in the order of `kept`. */
export type KeptCourse = readonly number[]

/**
 * The score of one task and what it is made of. It is live, and deterministic: the same calls, refusals and outcomes at the same times
 * give the same score. It only grows. Written by the state.
 */
export class Course {
  score = 0
  /** Replaced when the score grows; the same list while it does not. */
  reasons: readonly DivergenceReason[] = []
  #minute = 0
  #calls = 0
  #busiest = 0
  #minutes = 0
  #largest = 0
  #run = 0
  #changed = 0

  constructor(reasons: readonly DivergenceReason[] = [], numbers: KeptCourse = []) {
    this.#settle(new Map(reasons.map(({ kind, count }) => [kind, count])))
    const [last = 0, calls = 0, busiest = 0, minutes = 0, largest = 0, run = 0, changed = 0] = numbers
    this.#minute = last
    this.#calls = calls
    this.#busiest = busiest
    this.#minutes = minutes
    this.#largest = largest
    this.#run = run
    this.#changed = changed
  }

  kept(): KeptCourse {
    return [this.#minute, this.#calls, this.#busiest, this.#minutes, this.#largest, this.#run, this.#changed]
  }

  /** One more permitted call of a task that has these facts before it is counted in them. */
  walk({ step: { tool, effect }, host, data, now }: MintRequest, facts: TaskFacts): void {
    if (facts.step >= settled) {
      if (facts.hosts.times(host) === 0) this.#raise('new-host')
      if (effect !== 'read' && facts.counts[tool] === undefined) this.#raise('new-tool')
      if (data.length > 0) this.learns(data, facts)
    }
    this.#pace(now)
    this.#mix(effect === 'read', facts.step)
  }

  /** Data classes that become known, by a call or by what an answer held. True when the score grew. */
  learns(classes: readonly string[], { step, sensitivity }: TaskFacts): boolean {
    let grew = false
    if (step < settled) return grew
    for (const name of classes) if (name !== 'public' && !sensitivity.includes(name)) grew = this.#raise('new-class') || grew
    return grew
  }

  /** Policy refused a call by these rules. True when the score grew. */
  refused(rules: readonly string[]): boolean {
    let grew = false
    for (const rule of rules) {
      const kind = refusals.get(rule)
      if (kind !== undefined) grew = this.#raise(kind) || grew
    }
    return grew
  }

  /** A rate limit that policy set stopped a call. True when the score grew. */
  overRate(): boolean {
    return this.#raise('rate')
  }

  /** A call is over: it was the `failures`th in a row to fail, and took a body of `sent` bytes along. True when the score grew. */
  concluded(step: number, failures: number, sent: number): boolean {
    let grew = failures > 0 && failures % streak === 0 && this.#raise('failures')
    if (sent > this.#largest) {
      if (step > settled && sent >= leastJump && sent > this.#largest * jump) grew = this.#raise('size') || grew
      this.#largest = sent
    }
    return grew
  }

  #pace(now: number): void {
    const at = Math.floor(now / minute)
    // a clock that was put back begins no new minute
    if (at > this.#minute) {
      if (this.#calls > 0) this.#minutes++
      this.#busiest = Math.max(this.#busiest, this.#calls)
      this.#minute = at
      this.#calls = 0
    }
    this.#calls++
    if (this.#calls > leastBurst && this.#minutes >= leastMinutes && this.#calls === Math.max(leastBurst, burst * this.#busiest) + 1) {
      this.#raise('rate')
    }
  }

  #mix(reads: boolean, step: number): void {
    if (reads) {
      this.#run = 0
      return
    }
    this.#run++
    this.#changed++
    if (this.#run !== streak) return
    const before = step + 1 - streak
    // fewer than one call in five changed anything before
    if (before >= settled && (this.#changed - streak) * 5 < before) this.#raise('turn')
  }

  #raise(kind: Kind): boolean {
    const before = this.reasons.find((reason) => reason.kind === kind)?.count ?? 0
    if (before >= weights[kind].most) return false
    this.#settle(new Map([...this.reasons.map(({ kind: known, count }) => [known, count] as const), [kind, before + 1]]))
    return true
  }

  #settle(counts: ReadonlyMap<string, number>): void {
    this.reasons = kinds.flatMap((kind) => {
      const count = Math.min(counts.get(kind) ?? 0, weights[kind].most)
      return count > 0 ? [{ kind, count, points: count * weights[kind].points }] : []
    })
    const sum = this.reasons.reduce((total, { points }) => total + points, 0)
    this.score = Math.min(highest, sum)
  }
}
