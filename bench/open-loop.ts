/** The load of an open loop: fixed rates, and what a target adds to them over the upstream alone. */

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { asking, type Asking } from './load.ts'
import type { Paced, Pace } from './paced.ts'
import { pinned, type Bench } from './started.ts'
import type { Countersign, Target, TargetName } from './targets.ts'

/** One target at one rate in one round, ms from the intended moment. */
export interface PacedRound extends Paced {
  readonly target: TargetName
  readonly rate: number
  readonly round: number
}

export interface PacedOptions {
  readonly rounds: number
  readonly seconds: number
  /** Seconds at the rate before anything is measured. */
  readonly warmUp: number
}

/** Calls a second. */
export const rates = [500, 3000] as const
const connections = 32
/** Milliseconds at the median, which only a queue that grows and grows takes. */
const overloaded = 500
/** More than a task remembers of its calls. */
const items = 256

/** Each rate for every target in turn, round by round. Answers that are wrong, and rates that are not kept, end it. */
export async function measurePaced(
  bench: Bench,
  targets: readonly Target[],
  given: { readonly tokens: readonly string[]; readonly first: Countersign; readonly options: PacedOptions },
): Promise<PacedRound[]> {
  const { rounds, seconds, warmUp } = given.options
  const found: PacedRound[] = []
  for (const rate of rates) {
    const kept = new Set(targets)
    for (const target of targets) {
      const first = await paced(bench, { ...paceOf(target, asking(given.tokens, target, given.first)), rate, seconds: warmUp })
      // what is beyond what a target can do says nothing of its latency
      if (first.p50 < overloaded) continue
      kept.delete(target)
      console.log(`${target.name} does not keep up with ${rate}/s and is left out there`)
    }
    for (let round = 0; round < rounds; round++) {
      const ordered = [...kept]
      for (const [at] of ordered.entries()) {
        const target = ordered[(at + round) % ordered.length]
        if (target === undefined) continue
        const one = await paced(bench, { ...paceOf(target, asking(given.tokens, target, given.first)), rate, seconds })
        if (one.wrong > 0) throw new Error(`${target.name} at ${rate}/s: ${one.wrong} of ${one.sent} answers were wrong`)
        found.push({ target: target.name, rate, round, ...one })
      }
    }
  }
  return found
}

/** What a target is asked at any rate. */
export function paceOf(target: Target, by: Asking): Pick<Pace, 'port' | 'connections' | 'requests'> {
  const { port, host = `127.0.0.1:${port}` } = target
  const rest = `Host: ${host}\r\nAuthorization: Bearer ${by.tokens[0]}\r\nCountersign-Task: ${by.tasks[0]}\r\n\r\n`
  return { port, connections, requests: Array.from({ length: items }, (_, at) => `GET /api/items/${at} HTTP/1.1\r\n${rest}`) }
}

const run = promisify(execFile)

/** Runs the load on its core; gives what it saw. */
export async function paced(bench: Bench, pace: Pace): Promise<Paced> {
  const given = join(bench.folder, `pace-${pace.port}.json`)
  writeFileSync(given, JSON.stringify(pace))
  const words = [process.execPath, join(import.meta.dirname, 'paced.ts'), given]
  const [file = '', ...all] = pinned(bench, bench.loadCore, words)
  const { stdout } = await run(file, all)
  return JSON.parse(stdout)
}
