/** Warms every target up, then measures them in turn, round by round. */

import { coreTime, cpuTime } from './cpu.ts'
import { asking, load, writeScript, type Workload } from './load.ts'
import type { Round } from './report.ts'
import type { Bench } from './started.ts'
import type { Countersign, Target, TargetName } from './targets.ts'

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

/** Answers that a target gave in all, warm-up included: well, refused, and in how many loads. */
export interface Asked {
  well: number
  refused: number
  loads: number
}

export interface Measured {
  readonly rounds: readonly Round[]
  readonly asked: ReadonlyMap<TargetName, Asked>
}

/** One target under one load. */
interface Lane {
  readonly target: Target
  readonly workload: Workload
  readonly script: string
  readonly connections: number
}

/** All workloads are gone through in each round, so that ratios between workloads are of one round too. */
export async function measure(
  bench: Bench,
  targets: readonly Target[],
  chosen: readonly Workload[],
  given: { readonly tokens: readonly string[]; readonly first: Countersign; readonly options: RoundsOptions },
): Promise<Measured> {
  const { rounds, seconds, connections, warmUp, longestWarmUp } = given.options
  const asked = new Map(targets.map(({ name }) => [name, { well: 0, refused: 0, loads: 0 }]))
  const once = async (lane: Lane, round: number, longer = seconds): Promise<{ round: Round; answers: number }> => {
    const found = await measureOnce(bench, lane, longer)
    const sum = asked.get(lane.target.name)
    if (sum !== undefined) {
      sum.well += found.answers - found.refused
      sum.refused += found.refused
      sum.loads += 1
    }
    return { answers: found.answers, round: { ...found.round, round } }
  }
  const lanes = chosen.map((workload) =>
    targets
      .filter(({ name }) => workload.of === undefined || workload.of.includes(name))
      .map((target): Lane => {
        const script = writeScript(bench, workload, target, asking(given.tokens, target, given.first))
        return { target, workload, script, connections: workload.connections ?? connections }
      }),
  )
  for (const [at, ofOne] of lanes.entries()) {
    // the code is the same from one workload to the next, what is kept is not
    const before = at === 0 ? warmUp : warmUp / 4
    for (const lane of ofOne) {
      const enough = before * Math.min(1, 16_384 / lane.workload.answer)
      for (let answers = 0, spent = 0; answers < enough && spent < longestWarmUp; spent += seconds)
        answers += (await once(lane, -1)).answers
    }
  }
  const found: Round[] = []
  for (let round = 0; round < rounds; round++) {
    // another order each round: what one target leaves behind (caches, dirty pages) is not always another's to bear
    for (const ofOne of lanes) for (const lane of rotated(ofOne, round)) found.push((await once(lane, round)).round)
  }
  return { rounds: found, asked }
}

async function measureOnce(bench: Bench, { target, workload, script, connections }: Lane, seconds: number) {
  const cpu = (): number => target.processes.reduce((sum, { pid }) => sum + cpuTime(pid), 0)
  const [ownBefore, coreBefore, began] = [cpu(), coreTime(bench.proxyCore), performance.now()]
  const seen = await load(bench, target.port, { seconds, connections, script })
  const took = (performance.now() - began) * 1e6
  const own = cpu() - ownBefore
  const well = seen.requests - seen.refused
  expectRefusals(target, workload, seen, connections)
  if (seen.bytes < well * workload.answer * 0.99)
    throw new Error(`${target.name}, ${workload.name}: ${seen.bytes} bytes in ${well} answers`)
  return {
    answers: seen.requests,
    refused: seen.refused,
    round: {
      target: target.name,
      workload: workload.name,
      requestsPerSecond: seen.requests / seen.seconds,
      megabytesPerSecond: seen.bytes / seen.seconds / 1e6,
      cpuPerRequest: target.processes.length === 0 ? null : own / 1000 / seen.requests,
      p50: seen.p50,
      p99: seen.p99,
      own: own / took,
      foreign: Math.max(0, coreTime(bench.proxyCore) - coreBefore - own) / took,
      errors: seen.errors,
    },
  }
}

/** Who judges refuses just what is to be refused; a request may be under way on each connection at the end. */
function expectRefusals(
  target: Target,
  { name, refusedOf }: Workload,
  seen: { requests: number; refused: number },
  connections: number,
): void {
  const expected = target.judges && refusedOf > 0 ? seen.requests / refusedOf : 0
  const slack = expected === 0 ? 0 : connections + 1
  if (Math.abs(seen.refused - expected) > slack)
    throw new Error(`${target.name}, ${name}: ${seen.refused} of ${seen.requests} calls were refused`)
}

function rotated<Item>(items: readonly Item[], by: number): Item[] {
  return items.map((_item, at) => items[(at + by) % items.length]).filter((item) => item !== undefined)
}
