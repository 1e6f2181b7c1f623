/** Streams of tokens: how long the first takes through each target, and how long each is on its way. */

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Heard, Listening } from './listen.ts'
import { asking } from './load.ts'
import { freePort, pinned, start, type Bench, type Started } from './started.ts'
import type { Countersign, Target, TargetName } from './targets.ts'

/** One target in one round. */
export interface HeardRound extends Heard {
  readonly target: TargetName
  readonly round: number
}

export interface EventsOptions {
  readonly rounds: number
  /** Of each round, one after the other. */
  readonly streams: number
}

/** The upstream of the upstream, on the core of the load. */
export async function startEvents(bench: Bench): Promise<Started> {
  const port = await freePort()
  const command = [process.execPath, join(import.meta.dirname, 'peers/events.ts'), String(port)]
  return start(bench, 'events', bench.loadCore, port, command)
}

/** Every target in turn, round by round, after one round that does not count. */
export async function measureEvents(
  bench: Bench,
  targets: readonly Target[],
  given: { readonly tokens: readonly string[]; readonly first: Countersign; readonly options: EventsOptions },
): Promise<HeardRound[]> {
  const { rounds, streams } = given.options
  const found: HeardRound[] = []
  for (let round = -1; round < rounds; round++) {
    for (const [at] of targets.entries()) {
      const target = targets[(at + round + 1) % targets.length]
      if (target === undefined) continue
      const { tokens, tasks } = asking(given.tokens, target, given.first)
      const host = target.host === undefined ? {} : { host: target.host }
      const headers = { authorization: `Bearer ${tokens[0]}`, 'countersign-task': tasks[0] ?? '', ...host }
      const heard = await listen(bench, { port: target.port, streams, headers })
      if (round >= 0) found.push({ target: target.name, round, ...heard })
    }
  }
  return found
}

const run = promisify(execFile)

async function listen(bench: Bench, listening: Listening): Promise<Heard> {
  const given = join(bench.folder, `listen-${listening.port}.json`)
  writeFileSync(given, JSON.stringify(listening))
  const [file = '', ...all] = pinned(bench, bench.loadCore, [process.execPath, join(import.meta.dirname, 'listen.ts'), given])
  const { stdout } = await run(file, all)
  return JSON.parse(stdout)
}
