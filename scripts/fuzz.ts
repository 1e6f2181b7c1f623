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
/** An input that takes longer is a finding, ms. */
const slowest = 1000
const largest = 64 * 1024

interface Found {
  readonly input: Buffer
  readonly why: string
}

/** Blocks of our code that have run, by script and place. */
class Coverage {
  readonly #session = new Session()
  readonly #seen = new Set<string>()

  async start(): Promise<void> {
    this.#session.connect()
    await this.#session.post('Profiler.enable')
    await this.#session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true })
  }

  get size(): number {
    return this.#seen.size
  }

  /** Blocks that have run since the last look and never before. */
  async more(): Promise<number> {
    const before = this.#seen.size
    const { result } = await this.#session.post('Profiler.takePreciseCoverage')
    for (const { url, functions } of result) {
      if (!url.includes('/src/')) continue
      for (const { ranges } of functions)
        for (const { startOffset, endOffset, count } of ranges) if (count > 0) this.#seen.add(`${url}:${startOffset}-${endOffset}`)
    }
    return this.#seen.size - before
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
  console.log(`${target.name.padEnd(16)} ${String(runs).padStart(9)} inputs, ${kept.length} kept, ${coverage.size - before} blocks of code reached`)
  return null
}

/** Why it is a finding; null when it is none. */
function tryOne(target: FuzzTarget, input: Buffer): string | null {
  const began = performance.now()
  try {
    target.run(input)
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  const ms = performance.now() - began
  return ms > slowest ? `it took ${Math.round(ms)} ms` : null
}

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, only: { type: 'string' }, seed: { type: 'string' } } })
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
  console.error(`${target.name}: ${found.why}\ninput, base64: ${found.input.toString('base64')}\nagain: npm run fuzz -- --seed ${seed} --only "${target.name}"`)
  process.exit(1)
}
