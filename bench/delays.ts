/** Turns rounds at fixed rates, and rounds of streams, into what a target adds over the upstream alone. */

import type { HeardRound } from './events.ts'
import type { PacedRound } from './open-loop.ts'
import { spread, type Spread } from './report.ts'
import type { TargetName } from './targets.ts'

/** Milliseconds; `added` is over the upstream alone, in the same round. */
export interface DelayRow {
  readonly target: TargetName
  readonly what: string
  readonly p50: Spread
  readonly p99: Spread
  readonly addedP50: Spread | null
  readonly addedP99: Spread | null
}

interface Delay {
  readonly target: TargetName
  readonly round: number
  readonly what: string
  readonly p50: number
  readonly p99: number
}

/** One row for each target and rate, and for each target the time to the first token and the time of each other one. */
export function delayRows(paced: readonly PacedRound[], heard: readonly HeardRound[]): DelayRow[] {
  const delays = delaysOf(paced, heard)
  const rows: DelayRow[] = []
  for (const what of new Set(delays.map((one) => one.what))) {
    const own = delays.filter((one) => one.what === what)
    for (const target of new Set(own.map((one) => one.target))) {
      const mine = own.filter((one) => one.target === target)
      rows.push({
        target,
        what,
        p50: spread(mine.map(({ p50 }) => p50)),
        p99: spread(mine.map(({ p99 }) => p99)),
        addedP50: added(mine, own, 'p50'),
        addedP99: added(mine, own, 'p99'),
      })
    }
  }
  return rows
}

/** Of one figure, what a target adds by what another adds, in each round in which both add something. */
export function addedRatio(
  paced: readonly PacedRound[],
  {
    what,
    figure,
    target,
    to,
  }: { readonly what: string; readonly figure: 'p50' | 'p99'; readonly target: TargetName; readonly to: TargetName },
): Spread | null {
  const own = delaysOf(paced, []).filter((one) => one.what === what)
  const ratios = own
    .filter((one) => one.target === target)
    .flatMap((mine) => {
      const other = own.find((one) => one.target === to && one.round === mine.round)
      const [a, b] = [addedIn(mine, own, figure), other === undefined ? null : addedIn(other, own, figure)]
      return a === null || b === null || b <= 0 ? [] : [a / b]
    })
  return ratios.length === 0 ? null : spread(ratios)
}

export function rateName(rate: number): string {
  return `${rate}/s`
}

/** Rows as text. */
export function delayTable(rows: readonly DelayRow[]): string {
  const lines: string[] = []
  for (const what of new Set(rows.map((row) => row.what))) {
    lines.push(
      '',
      `${what}, ms`,
      ['', 'p50', 'p99', 'added p50', 'added p99'].map((cell, at) => (at === 0 ? cell.padEnd(18) : cell.padStart(10))).join(''),
    )
    for (const row of rows.filter((one) => one.what === what)) {
      const figures = [row.p50, row.p99, row.addedP50, row.addedP99].map((one) => (one === null ? '' : one.median.toFixed(3)))
      lines.push(row.target.padEnd(18) + figures.map((cell) => cell.padStart(10)).join(''))
    }
  }
  return lines.join('\n')
}

function delaysOf(paced: readonly PacedRound[], heard: readonly HeardRound[]): Delay[] {
  return [
    ...paced.map(({ target, round, rate, p50, p99 }): Delay => ({ target, round, what: rateName(rate), p50, p99 })),
    ...heard.map(({ target, round, first: [p50, p99] }): Delay => ({ target, round, what: 'first token', p50, p99 })),
    ...heard.map(({ target, round, relay: [p50, p99] }): Delay => ({ target, round, what: 'each token', p50, p99 })),
  ]
}

function added(mine: readonly Delay[], all: readonly Delay[], figure: 'p50' | 'p99'): Spread | null {
  const found = mine.flatMap((one) => addedIn(one, all, figure) ?? [])
  return found.length === 0 ? null : spread(found)
}

function addedIn(mine: Delay, all: readonly Delay[], figure: 'p50' | 'p99'): number | null {
  const direct = all.find((one) => one.target === 'direct' && one.round === mine.round)
  return direct === undefined || direct === mine ? null : mine[figure] - direct[figure]
}
