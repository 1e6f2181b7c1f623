/** The thread of the watchdog: looks now and then whether the same evaluation is still going on. */

import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { Session } from 'node:inspector'
import { workerData } from 'node:worker_threads'
import { entrypoints } from './engine.ts'
import { bits, cells, slots, stalledStatus, type Watching } from './watch.ts'

const { shared, marker } = workerData as Watching
const words = new Int32Array(shared, 0, cells.count)

/** The evaluation at the last look, when it was first seen, and what was counted since. */
let seen = 0
let since = 0
let counted = 0
let spent = 0

while (Atomics.load(words, cells.closing) === 0) {
  const stall = Atomics.load(words, cells.stall)
  const tick = Math.min(100, Math.max(10, stall / 10))
  Atomics.wait(words, cells.closing, 0, tick)
  const now = Atomics.load(words, cells.running)
  if (now === 0 || now !== seen) begin(now)
  else if (isStalled(stall, tick)) finish(now)
}

function begin(evaluation: number): void {
  seen = evaluation
  since = Date.now()
  counted = 0
  if (evaluation !== 0) spent = processorMs()
}

/**
 * Time is counted in looks, and only while the process works: a machine that slept, a process that was stopped and one that waits in a
 * debugger look as if an evaluation lasted long, and it did nothing. A quarter, as others may hold the processors meanwhile.
 */
function isStalled(stall: number, tick: number): boolean {
  counted += tick
  return counted >= stall && processorMs() - spent >= stall / 4
}

function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Says why, on the disk before all else, and ends the process; unless the evaluation ended after all. */
function finish(evaluation: number): void {
  const text = JSON.stringify({ ...policyOf(evaluation), since, ms: Math.round(counted) })
  try {
    write(text)
  } catch (error) {
    say({ cause: error instanceof Error ? error.message : 'unknown' }, 'what stalled could not be written down')
  }
  if (Atomics.load(words, cells.running) !== evaluation) {
    rmSync(marker, { force: true })
    return begin(0)
  }
  say({ stalled: JSON.parse(text) }, 'an evaluation of policy did not end; the process is killed')
  process.kill(process.pid, 'SIGKILL')
  // still here: the first process of a container does not get signals that it sends itself
  const session = new Session()
  session.connectToMainThread()
  session.post('Runtime.terminateExecution')
  process.exit(stalledStatus)
}

function policyOf(evaluation: number): object {
  const entrypoint = entrypoints[(evaluation & ((1 << bits.entrypoint) - 1)) - 1] ?? 'unknown'
  const slot = (evaluation >> bits.entrypoint) & ((1 << bits.slot) - 1)
  const bytes = Buffer.from(shared, cells.count * 4 + slot * slots.bytes, slots.bytes)
  const [digest = '', revision = ''] = bytes.toString('latin1').replace(/\0+$/, '').split(' ')
  return { entrypoint, revision, digest }
}

function write(text: string): void {
  const file = openSync(marker, 'w', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** One line for the operator, past the thread that would have to pass it on. */
function say(fields: object, message: string): void {
  writeSync(2, `${JSON.stringify({ level: 60, time: new Date().toISOString(), code: 'CS1713', ...fields, msg: message })}\n`)
}
