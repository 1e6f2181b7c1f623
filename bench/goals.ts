/**
 * What is to be reached, and what was: the rows of one run, and of the measurements beside it, whose results lie in `results/`. `npm run
 * bench:goals` prints them from there.
 */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { addedRatio, rateName } from './delays.ts'
import { spread, type Report, type Round, type Spread } from './report.ts'
import type { TargetName } from './targets.ts'

export interface Goal {
  readonly measure: string
  readonly must: number
  readonly aim: number
  /** What is better. */
  readonly better: 'more' | 'less'
  readonly unit: '×' | 'ms' | 'MB/s' | 'MiB' | 'KiB'
  /** Null: not measured in this run. */
  readonly found: Spread | null
}

type Figure = 'requestsPerSecond' | 'cpuPerRequest' | 'megabytesPerSecond'
/** A target under a load. */
type Point = readonly [TargetName, string]

const [get, post, thousand, cold, streams] = ['GET 1 KiB', 'POST 4 KiB', '1,000 tokens', 'cold tokens', '10 MB streams'] as const

/** The rows that one run gives. */
export function goalsOf(report: Pick<Report, 'rounds' | 'paced' | 'delays'>): Goal[] {
  const { rounds } = report
  const ours = (load: string): Point => ['countersign', load]
  const rate = (one: Point, to: Point): Spread | null => ratio(rounds, one, to, 'requestsPerSecond')
  const more = { better: 'more', unit: '×' } as const
  const less = { better: 'less', unit: '×' } as const
  const speed = rounds.filter(({ target, workload }) => target === 'countersign' && workload === streams)
  return [
    { ...more, measure: 'req/s against Envoy + OPA with its log, GET', must: 8, aim: 12, found: rate(ours(get), ['envoy + opa', get]) },
    { ...more, measure: 'req/s against Envoy + OPA with its log, POST', must: 8, aim: 12, found: rate(ours(post), ['envoy + opa', post]) },
    {
      ...more,
      measure: 'req/s against Envoy + OPA, no-op policy, no log',
      must: 3,
      aim: 5,
      found: rate(ours(get), ['envoy + opa no-op', get]),
    },
    { ...more, measure: 'req/s against agentgateway, GET', must: 1.5, aim: 2.2, found: rate(ours(get), ['agentgateway', get]) },
    { ...more, measure: 'req/s against agentgateway, POST', must: 1.4, aim: 2, found: rate(ours(post), ['agentgateway', post]) },
    { ...more, measure: '1,000 tokens in rotation against one', must: 0.9, aim: 1, found: rate(ours(thousand), ours(get)) },
    { ...more, measure: 'no token known, against agentgateway', must: 0.8, aim: 1, found: rate(ours(cold), ['agentgateway', cold]) },
    {
      ...less,
      measure: 'CPU per request against our bare forwarder',
      must: 2,
      aim: 1.4,
      found: ratio(rounds, ours(get), ['bare undici', get], 'cpuPerRequest'),
    },
    { ...more, measure: 'req/s against bare Envoy', must: 0.6, aim: 1, found: rate(ours(get), ['envoy', get]) },
    ...[500, 3000].flatMap((perSecond) => delayGoals(report, perSecond)),
    { ...more, measure: 'req/s synced against written', must: 0.75, aim: 0.9, found: rate(['countersign synced', get], ours(get)) },
    {
      measure: '10 MB streams',
      must: 650,
      aim: 850,
      better: 'more',
      unit: 'MB/s',
      found: speed.length === 0 ? null : spread(speed.map((one) => one.megabytesPerSecond)),
    },
    { measure: 'added time to first token', must: 0.8, aim: 0.4, better: 'less', unit: 'ms', found: addedBy(report, 'first token') },
    { measure: 'added relay of each token', must: 0.2, aim: 0.1, better: 'less', unit: 'ms', found: addedBy(report, 'each token') },
  ]
}

function delayGoals({ paced }: Pick<Report, 'paced'>, perSecond: number): Goal[] {
  const of = (figure: 'p50' | 'p99'): Spread | null =>
    addedRatio(paced, { what: rateName(perSecond), figure, target: 'countersign', to: 'envoy' })
  const at = `over direct at ${perSecond}/s against bare Envoy's`
  return [
    { measure: `added p50 ${at}`, must: 1.3, aim: 1, better: 'less', unit: '×', found: of('p50') },
    { measure: `added p99 ${at}`, must: 1.6, aim: 1.1, better: 'less', unit: '×', found: of('p99') },
  ]
}

function addedBy({ delays }: Pick<Report, 'delays'>, what: string): Spread | null {
  return delays.find((row) => row.target === 'countersign' && row.what === what)?.addedP50 ?? null
}

/** Of one figure, one point by another in the same round. */
function ratio(rounds: readonly Round[], one: Point, to: Point, figure: Figure): Spread | null {
  const at = ([target, workload]: Point, round: number): number | null =>
    rounds.find((each) => each.target === target && each.workload === workload && each.round === round)?.[figure] ?? null
  const pairs = [...new Set(rounds.map(({ round }) => round))].flatMap((round) => {
    const [a, b] = [at(one, round), at(to, round)]
    return a === null || b === null ? [] : [a / b]
  })
  return pairs.length === 0 ? null : spread(pairs)
}

export type Verdict = 'aim' | 'must' | 'missed' | 'not measured'

export function verdictOf({ must, aim, better, found }: Goal): Verdict {
  if (found === null) return 'not measured'
  const reaches = (bound: number): boolean => (better === 'more' ? found.median >= bound : found.median <= bound)
  return reaches(aim) ? 'aim' : reaches(must) ? 'must' : 'missed'
}

/** Markdown, which a terminal shows as well. */
export function goalTable(goals: readonly Goal[]): string {
  const lines = ['| measure | must | aim | measured | least to most | reached |', '| --- | --- | --- | --- | --- | --- |']
  for (const goal of goals) {
    const { measure, must, aim, better, unit, found } = goal
    const sign = better === 'more' ? '≥' : '≤'
    const amount = (value: number): string => `${shown(value)}${unit === '×' ? unit : ` ${unit}`}`
    const measured = found === null ? ['', ''] : [amount(found.median), `${shown(found.least)} to ${shown(found.most)}`]
    lines.push(`| ${[measure, `${sign} ${amount(must)}`, amount(aim), ...measured, verdictOf(goal)].join(' | ')} |`)
  }
  return lines.join('\n')
}

function shown(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** All rows, as far as the folder has results of them: of a run and of each measurement beside it. */
export function goalsIn(folder: string): Goal[] {
  const read = (name: string): { readonly goals: readonly Goal[] } | null => {
    const file = join(folder, `${name}.json`)
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { goals: Goal[] }) : null
  }
  const run = read('full') ?? read('quick')
  return [
    ...(run?.goals ?? goalsOf({ rounds: [], paced: [], delays: [] })),
    ...['start', 'through', 'idle', 'growth'].flatMap((name) => read(name)?.goals ?? []),
  ]
}

if (import.meta.main) console.log(goalTable(goalsIn(join(import.meta.dirname, 'results'))))
