/**
 * `npm run bench:ledger`: what the record costs a call. Calls are taken through every mark of the record stage and end, 32 at a time, with no
 * ledger behind it (off), with lines that are written, and with lines that are synced: the three in turn, in one run. A call is two lines.
 * `--json` prints the figures, `--rounds` and `--calls` do more or less.
 */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { idSource } from '../src/id.ts'
import type { Entry } from '../src/record/record.ts'
import { openRecorder, type OpenRecorder } from '../src/record/recorder.ts'
import { sketchDecision, sketchOutcome, sketchOwnLease, sketchPermit } from '../test/support/decision.ts'
import { sketchCall, sketchQuestion, sketchTarget } from '../test/support/question.ts'

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, rounds: { type: 'string', default: '9' }, calls: { type: 'string', default: '6000' } },
})
const rounds = Number(values.rounds)
const calls = Number(values.calls)
const inFlight = 32

interface Round {
  /** Microseconds of the process for each call. */
  readonly cpu: number
  /** From the marks to the decision in the ledger, microseconds. */
  readonly p50: number
  readonly p99: number
}

const modes = ['off', 'written', 'synced'] as const
type Mode = (typeof modes)[number]

/** One call; gives how long its commit took, ms. */
type Call = () => Promise<number>

async function measure(call: Call): Promise<Round> {
  const times: number[] = []
  const began = process.cpuUsage()
  let left = calls
  const lane = async (): Promise<void> => {
    while (left-- > 0) times.push(await call())
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  const { user, system } = process.cpuUsage(began)
  const sorted = times.toSorted((a, b) => a - b)
  const at = (part: number): number => (sorted[Math.floor((sorted.length - 1) * part)] ?? 0) * 1000
  return { cpu: (user + system) / calls, p50: at(0.5), p99: at(0.99) }
}

const newId = idSource(Date.now)
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** A call through every mark up to its commit. */
function judged(recorder: OpenRecorder): Entry {
  const question = sketchQuestion({ call: Object.assign(sketchCall(), { id: newId('c') }), target: sketchTarget() })
  const entry = recorder.call(question.call)
  entry.identified(question.caller)
  entry.tasked(question.task)
  entry.matched(question.target)
  entry.permitted(sketchPermit(entry.decided(sketchDecision(question))))
  return entry
}

const recorded =
  (recorder: OpenRecorder): Call =>
  async () => {
    const entry = judged(recorder)
    const began = performance.now()
    await entry.commit()
    const took = performance.now() - began
    entry.leased(sketchOwnLease())
    entry.close(sketchOutcome())
    return took
  }

/** The same marks with nothing behind them. */
const unrecorded =
  (recorder: OpenRecorder): Call =>
  async () => {
    judged(recorder)
    const began = performance.now()
    await turn()
    return performance.now() - began
  }

async function run(folder: string): Promise<Record<Mode, Round[]>> {
  const found: Record<Mode, Round[]> = { off: [], written: [], synced: [] }
  const lanes = await Promise.all(
    modes.map(async (mode) => {
      const recorder = await openRecorder({
        dir: join(folder, mode),
        ledgerId: 'bench',
        labels: { id: 'bench', version: '0' },
        durability: mode === 'synced' ? 'synced' : 'written',
        quota: 2 ** 36,
        key: generateKeyPairSync('ed25519').privateKey,
        clock: Date.now,
        newId,
        log: quiet,
        flushState: () => undefined,
      })
      return { mode, recorder, call: mode === 'off' ? unrecorded(recorder) : recorded(recorder) }
    }),
  )
  for (let round = -2; round < rounds; round++)
    for (let at = 0; at < lanes.length; at++) {
      const lane = lanes[(at + round + 2) % lanes.length]
      if (lane === undefined) continue
      const figures = await measure(lane.call)
      if (round >= 0) found[lane.mode].push(figures)
    }
  await Promise.all(lanes.map(({ recorder }) => recorder.close()))
  return found
}

const median = (all: readonly number[]): number => all.toSorted((a, b) => a - b)[Math.floor((all.length - 1) / 2)] ?? Number.NaN

const folder = mkdtempSync(join(tmpdir(), 'ledger-bench-'))
const found = await run(folder).finally(() => rmSync(folder, { recursive: true }))
const rows = modes.map((mode) => ({
  ledger: mode,
  'CPU µs/call': median(found[mode].map(({ cpu }) => cpu)),
  'p50 µs': median(found[mode].map(({ p50 }) => p50)),
  'p99 µs': median(found[mode].map(({ p99 }) => p99)),
}))
if (values.json === true) process.stdout.write(`${JSON.stringify(rows)}\n`)
else console.table(rows)
