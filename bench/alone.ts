/** What the measurements of Countersign alone have in common: a folder, an upstream, and the results. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { callers, type Callers } from './callers.ts'
import { startEvents } from './events.ts'
import { goalTable, type Goal } from './goals.ts'
import type { Bench, Started } from './started.ts'
import { startUpstream } from './targets.ts'

export interface Rig {
  readonly bench: Bench
  readonly who: Callers
  /** Port of the upstream. */
  readonly upstream: number
  /** Is ended with the rig. */
  readonly keep: (started: Started) => Started
}

/** Runs a measurement, prints its rows and writes them to `results/NAME.json`, with the rounds behind them. */
export async function alone(
  name: string,
  work: (rig: Rig) => Promise<{ readonly goals: readonly Goal[]; readonly rounds: unknown }>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  const bench: Bench = { folder, proxyCore: 0, loadCore: 1, nice: 0, env: { PATH: process.env['PATH'] } }
  const running: Started[] = []
  const keep = (started: Started): Started => {
    running.push(started)
    return started
  }
  try {
    const events = keep(await startEvents(bench))
    const upstream = keep(await startUpstream(bench, events.port))
    const { goals, rounds } = await work({ bench, who: await callers(), upstream: upstream.port, keep })
    const results = join(import.meta.dirname, 'results')
    mkdirSync(results, { recursive: true })
    writeFileSync(join(results, `${name}.json`), `${JSON.stringify({ goals, rounds }, null, 2)}\n`)
    console.log(goalTable(goals))
  } finally {
    for (const one of running.toReversed()) await one.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
