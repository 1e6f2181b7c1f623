/** Warms every target up, then measures them in turn, round by round. */

import { coreTime, cpuTime } from './cpu.ts'
import { load, type Workload } from './load.ts'
import type { Round } from './report.ts'
import type { Bench } from './started.ts'
import type { Target, TargetName } from './targets.ts'

export interface RoundsOptions {
  readonly rounds: number
  /** Of each load; whole seconds. */
  readonly seconds: number
  readonly connections: number
  /** Answers that each target gives before it is measured: what runs compiled later runs interpreted at first. */
  readonly warmUp: number
  /** Most seconds that may take, for each target and workload. */
  readonly longestWarmUp: number
}

export interface Measured {
  readonly rounds: readonly Round[]
  /** Answers that each target gave in all, warm-up included, and in how many loads. */
  readonly asked: ReadonlyMap<TargetName, { answers: number; loads: number }>
}

/** Takes each workload with the script that makes it. */
export async function measure(
  bench: Bench,
  targets: readonly Target[],
  scripts: ReadonlyMap<Workload, string>,
  options: RoundsOptions,
): Promise<Measured> {
  const { rounds, seconds, connections, warmUp, longestWarmUp } = options
  const found: Round[] = []
  const asked = new Map(targets.map(({ name }) => [name, { answers: 0, loads: 0 }]))
  const once = async (target: Target, workload: Workload, round: number): Promise<{ round: Round; answers: number }> => {
    const given = await measureOnce(bench, target, { port: target.port, seconds, connections, script: scripts.get(workload) ?? '' })
    const sum = asked.get(target.name)
    if (sum !== undefined) {
      sum.answers += given.answers
      sum.loads += 1
    }
    return { answers: given.answers, round: { ...given.round, workload: workload.name, round } }
  }
  for (const workload of scripts.keys()) {
    for (const target of targets) {
      for (let answers = 0, spent = 0; answers < warmUp && spent < longestWarmUp; spent += seconds)
        answers += (await once(target, workload, -1)).answers
    }
    for (let round = 0; round < rounds; round++) {
      // another order each round: what one target leaves behind (caches, dirty pages) is not always another's to bear
      for (const target of rotated(targets, round)) found.push((await once(target, workload, round)).round)
    }
  }
  return { rounds: found, asked }
}

async function measureOnce(bench: Bench, target: Target, options: Parameters<typeof load>[1]) {
  const pid = target.process?.pid
  const [ownBefore, coreBefore, began] = [pid === undefined ? 0 : cpuTime(pid), coreTime(bench.proxyCore), performance.now()]
  const seen = await load(bench, options)
  const took = (performance.now() - began) * 1e6
  const own = (pid === undefined ? 0 : cpuTime(pid)) - ownBefore
  if (seen.bytesEach < 1024) throw new Error(`${target.name}: answers of ${seen.bytesEach} bytes under load`)
  return {
    answers: seen.requests,
    round: {
      target: target.name,
      requestsPerSecond: seen.requests / seen.seconds,
      cpuPerRequest: pid === undefined ? null : own / 1000 / seen.requests,
      p50: seen.p50,
      p99: seen.p99,
      own: own / took,
      foreign: Math.max(0, coreTime(bench.proxyCore) - coreBefore - own) / took,
      errors: seen.errors,
    },
  }
}

function rotated<Item>(items: readonly Item[], by: number): Item[] {
  return items.map((_item, at) => items[(at + by) % items.length]).filter((item) => item !== undefined)
}
