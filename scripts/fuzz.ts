/**
 * Fuzzes every parser of ours, guided by what of the code each input reaches: an input that reaches more is kept and changed further.
 * `npm run fuzz [-- --seconds N] [--only NAME] [--seed N]`. Coverage is V8's own, so nothing has to be installed. What it finds is
 * printed with its input and ends it with status 1; put the input into a test, then mend what it found.
 */

import { Session } from 'node:inspector/promises'
import { parseArgs } from 'node:util'
import { edited, randomEdits } from '../test/support/edits.ts'
import { fuzzTargets, type FuzzTarget } from '../test/support/fuzz-targets.ts'
import { Random, seedOf } from '../test/support/random.ts'

/** Inputs between two looks at the coverage; all of them are kept when together they reached something new. */
const between = 16
/** Most inputs that are kept; one at random makes room. */
const mostKept = 4000
/** An input that takes more time of the processor is a finding, ms: how busy the machine is does not count. */
const slowest = 1000
const largest = 64 * 1024

interface Found {
  readonly input: Buffer
  readonly why: string
}

/** No file of ours is larger, characters. */
const largestFile = 64 * 1024

/** Which characters of our code have run. */
class Coverage {
  readonly #session = new Session()
  /** File → a byte for each of its characters. */
  readonly #run = new Map<string, Uint8Array>()
  size = 0

  async start(): Promise<void> {
    this.#session.connect()
    await this.#session.post('Profiler.enable')
    await this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** How many have run since the last look and never before. */
  async more(): Promise<number> {
    const before = this.size
    const { result } = await this.#session.post('Profiler.takePreciseCoverage')
    for (const { url, functions } of result) {
      if (!url.includes('/src/')) continue
      const run = this.#run.get(url) ?? new Uint8Array(largestFile)
      this.#run.set(url, run)
      for (const { ranges } of functions) this.#add(run, ranges)
    }
    return this.size - before
  }

  /** The first range is the whole function; those that follow lie in one before them and say otherwise. */
  #add(run: Uint8Array, ranges: readonly { readonly startOffset: number; readonly endOffset: number; readonly count: number }[]): void {
    const [whole] = ranges
    if (whole === undefined || whole.count === 0) return
    const from = whole.startOffset
    const now = new Uint8Array(whole.endOffset - from)
    for (const { startOffset, endOffset, count } of ranges) now.fill(count > 0 ? 1 : 0, startOffset - from, endOffset - from)
    for (const [at, ran] of now.entries()) {
      if (ran === 0 || run[from + at] !== 0) continue
      run[from + at] = 1
      this.size += 1
    }
  }
}

/** Runs a target for so many seconds; null when it found nothing. */
async function fuzz(target: FuzzTarget, seconds: number, random: Random, coverage: Coverage): Promise<Found | null> {
  const kept: Uint8Array[] = [...target.seeds]
  const end = performance.now() + seconds * 1000
  const before = coverage.size
  let runs = 0
  while (performance.now() < end) {
    const tried: Buffer[] = []
    for (let at = 0; at < between; at++) {
      const input = edited(random.pick(kept), randomEdits(random), target.words).subarray(0, largest)
      const why = tryOne(target, input)
      if (why !== null) return { input, why }
      tried.push(input)
    }
    runs += between
    if ((await coverage.more()) === 0) continue
    for (const input of tried) {
      if (kept.length < mostKept) kept.push(input)
      else kept[random.below(kept.length)] = input
    }
  }
  console.log(
    `${target.name.padEnd(16)} ${String(runs).padStart(9)} inputs, ${kept.length} kept, ${coverage.size - before} characters of code reached that none before it had`,
  )
  return null
}

/** Why it is a finding; null when it is none. */
function tryOne(target: FuzzTarget, input: Buffer): string | null {
  const began = process.cpuUsage()
  try {
    target.run(input)
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  const { user, system } = process.cpuUsage(began)
  const ms = (user + system) / 1000
  return ms > slowest ? `it took ${Math.round(ms)} ms` : null
}

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, only: { type: 'string' }, seed: { type: 'string' } },
})
const seed = seedOf({ COUNTERSIGN_SEED: values.seed })
const wanted = fuzzTargets.filter(({ name }) => values.only === undefined || name === values.only)
if (wanted.length === 0) {
  console.error(`there is no ${values.only}; there are: ${fuzzTargets.map(({ name }) => name).join(', ')}`)
  process.exit(2)
}
const coverage = new Coverage()
await coverage.start()
console.log(`fuzz: seed ${seed}, ${values.seconds} s for each of ${wanted.length} parsers`)
for (const [at, target] of wanted.entries()) {
  const found = await fuzz(target, Number(values.seconds), new Random(seed + at), coverage)
  if (found === null) continue
  console.error(
    `${target.name}: ${found.why}\ninput, base64: ${found.input.toString('base64')}\nagain: npm run fuzz -- --seed ${seed} --only "${target.name}"`,
  )
  process.exit(1)
}
