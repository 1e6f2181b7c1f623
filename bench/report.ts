/** Turns rounds into figures, and figures into a table. */

import type { DelayRow } from './delays.ts'
import type { HeardRound } from './events.ts'
import type { Goal } from './goals.ts'
import type { PacedRound } from './open-loop.ts'
import type { TargetName } from './targets.ts'

/** One target in one round of one workload. */
export interface Round {
  readonly target: TargetName
  readonly workload: string
  readonly round: number
  readonly requestsPerSecond: number
  /** Of answers, 10^6 bytes, heads included. */
  readonly megabytesPerSecond: number
  /** Of the proxy and everything it started, µs per answer; null for the upstream itself. */
  readonly cpuPerRequest: number | null
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Share of one core that the proxy used while it was measured. */
  readonly own: number
  /** Share of the proxy's core that others used meanwhile. */
  readonly foreign: number
  readonly errors: number
}

/** Middle value with the least and the most. */
export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

export interface Row {
  readonly target: TargetName
  readonly workload: string
  readonly requestsPerSecond: Spread
  readonly megabytesPerSecond: Spread
  /** To each other target, of the same round: req/s of this one by req/s of that one. */
  readonly ratios: Readonly<Partial<Record<TargetName, Spread>>>
  /** The same of CPU per request: this one by that one. */
  readonly cpuRatios: Readonly<Partial<Record<TargetName, Spread>>>
  readonly cpuPerRequest: Spread | null
  readonly p50: Spread
  readonly p99: Spread
  /** MiB after the load; null for the upstream itself. */
  readonly memory: number | null
}

export interface Report {
  /** What class of machine it was: no name of it. */
  readonly machine: Readonly<Record<string, string | number>>
  readonly settings: Readonly<Record<string, string | number>>
  readonly rows: readonly Row[]
  readonly noise: { readonly noisyRounds: number; readonly rounds: number; readonly foreign: Spread }
  readonly errors: number
  /** At fixed rates, and of streams. */
  readonly delays: readonly DelayRow[]
  readonly goals: readonly Goal[]
  readonly rounds: readonly Round[]
  readonly paced: readonly PacedRound[]
  readonly heard: readonly HeardRound[]
}

/** A round in which others had more of the proxy's core than this says little about req/s. */
const tolerable = 0.05

export function summarise(
  rounds: readonly Round[],
  memory: ReadonlyMap<TargetName, number | null>,
): Pick<Report, 'rows' | 'noise' | 'errors'> {
  const rows: Row[] = []
  for (const workload of new Set(rounds.map((round) => round.workload))) {
    const own = rounds.filter((round) => round.workload === workload)
    for (const target of new Set(own.map((round) => round.target))) rows.push(rowOf(target, workload, own, memory.get(target) ?? null))
  }
  const through = rounds.filter(({ cpuPerRequest }) => cpuPerRequest !== null)
  return {
    rows,
    noise: {
      noisyRounds: through.filter(({ foreign }) => foreign > tolerable).length,
      rounds: through.length,
      foreign: spread(through.map(({ foreign }) => foreign)),
    },
    errors: rounds.reduce((sum, { errors }) => sum + errors, 0),
  }
}

function rowOf(target: TargetName, workload: string, own: readonly Round[], memory: number | null): Row {
  const mine = own.filter((round) => round.target === target)
  const cpu = mine.flatMap(({ cpuPerRequest }) => cpuPerRequest ?? [])
  return {
    target,
    workload,
    requestsPerSecond: spread(mine.map((round) => round.requestsPerSecond)),
    megabytesPerSecond: spread(mine.map((round) => round.megabytesPerSecond)),
    ratios: paired(mine, own, (round) => round.requestsPerSecond),
    cpuRatios: paired(mine, own, (round) => round.cpuPerRequest),
    cpuPerRequest: cpu.length === 0 ? null : spread(cpu),
    p50: spread(mine.map((round) => round.p50)),
    p99: spread(mine.map((round) => round.p99)),
    memory,
  }
}

/** What the machine did to one target of a round it mostly did to the others too: ratios are taken within a round. */
function paired(mine: readonly Round[], all: readonly Round[], figure: (round: Round) => number | null): Row['ratios'] {
  const ratios: Partial<Record<TargetName, Spread>> = {}
  for (const other of new Set(all.map(({ target }) => target))) {
    const pairs = mine.flatMap((round) => {
      const peer = all.find((candidate) => candidate.target === other && candidate.round === round.round)
      const [a, b] = [figure(round), peer === undefined ? null : figure(peer)]
      return a === null || b === null || peer === round ? [] : [a / b]
    })
    if (pairs.length > 0) ratios[other] = spread(pairs)
  }
  return ratios
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted[(sorted.length - 1) >> 1] ?? Number.NaN) + (sorted[sorted.length >> 1] ?? Number.NaN)
  return { median: middle / 2, least: sorted[0] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN }
}

/** The report for people. */
export function table(report: Pick<Report, 'rows' | 'noise' | 'errors'>): string {
  const lines: string[] = []
  for (const workload of new Set(report.rows.map((row) => row.workload))) {
    const cells = [['', 'req/s', 'least-most', 'of bare', 'least-most', 'CPU µs/req', 'of bare', 'p50 ms', 'p99 ms', 'PSS MiB']]
    for (const row of report.rows) if (row.workload === workload) cells.push(cellsOf(row))
    const widths = cells[0]?.map((_cell, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0))) ?? []
    lines.push('', workload)
    for (const row of cells)
      lines.push(row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  '))
  }
  return [...lines, '', ...remarks(report)].join('\n')
}

function cellsOf({ target, requestsPerSecond, ratios, cpuRatios, cpuPerRequest, p50, p99, memory }: Row): string[] {
  const rate = ratios['bare undici']
  const cpu = cpuRatios['bare undici']
  return [
    target,
    fixed(requestsPerSecond.median, 0),
    `${fixed(requestsPerSecond.least, 0)}-${fixed(requestsPerSecond.most, 0)}`,
    rate === undefined ? '' : fixed(rate.median, 2),
    rate === undefined ? '' : `${fixed(rate.least, 2)}-${fixed(rate.most, 2)}`,
    cpuPerRequest === null ? '' : fixed(cpuPerRequest.median, 1),
    cpu === undefined ? '' : fixed(cpu.median, 2),
    fixed(p50.median, 2),
    fixed(p99.median, 2),
    memory === null ? '' : fixed(memory, 0),
  ]
}

function remarks({ noise, errors, rows }: Pick<Report, 'rows' | 'noise' | 'errors'>): string[] {
  const said: string[] = []
  for (const row of rows) {
    if (row.target !== 'countersign') continue
    const against = Object.entries(row.ratios).map(([other, ratio]) => `${fixed(ratio.median, 2)} of ${other}`)
    said.push(`countersign, ${row.workload}: req/s ${against.join(', ')} (medians of ratios within a round)`)
  }
  if (errors > 0) said.push(`${errors} errors under load: these figures are not to be trusted`)
  const { noisyRounds, rounds, foreign } = noise
  if (rounds === 0) return said
  if (noisyRounds * 4 > rounds) {
    said.push(
      `the machine was too noisy: in ${noisyRounds} of ${rounds} rounds others had more than ${tolerable * 100} % of the proxy's core ` +
        `(at most ${fixed(foreign.most * 100, 0)} %). Trust ratios and CPU per request, not req/s`,
    )
  } else said.push(`others had ${fixed(foreign.median * 100, 1)} % of the proxy's core (median; at most ${fixed(foreign.most * 100, 0)} %)`)
  return said
}

function fixed(value: number, digits: number): string {
  return value.toFixed(digits)
}
