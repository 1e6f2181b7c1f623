/** Ends the process when one evaluation does not end: nothing else can, and a proxy that hangs answers nobody. */

import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { cells, slots, stalledStatus, Watch, type Watching } from './watch.ts'

export interface Watchdog {
  readonly watch: Watch
  /** Whether somebody looks: false while the thread cannot be had. */
  readonly watching: boolean
  /** Changes how long an evaluation may last, ms. */
  setStall(ms: number): void
  close(): Promise<void>
}

export interface WatchdogOptions {
  /** Longest that one evaluation may last, ms. */
  readonly stall: number
  readonly marker: string
  readonly log: { error(o: object, m: string): void }
}

/**
 * Starts the thread. It writes `marker` and kills the process; where a process cannot kill itself, as the first one of a container
 * cannot, it interrupts the evaluation and the process exits with 70. Never throws: a thread that cannot be had is logged, and calls go on.
 */
export function startWatchdog({ stall, marker, log }: WatchdogOptions): Watchdog {
  const shared = new SharedArrayBuffer(cells.count * 4 + slots.count * slots.bytes)
  const words = new Int32Array(shared, 0, cells.count)
  Atomics.store(words, cells.stall, stall)
  let worker: Worker | null = null
  const lost = (cause: unknown): void => {
    worker = null
    if (Atomics.load(words, cells.closing) === 0)
      log.error(
        { code: 'CS1712', cause: cause instanceof Error ? cause.message : String(cause) },
        'no watchdog looks after policy evaluations',
      )
  }
  try {
    worker = startThread({ shared, marker })
    worker.on('error', lost)
    worker.on('exit', (status) => {
      if (status === stalledStatus) process.exit(70)
      if (worker !== null) lost(`the thread ended (${status})`)
    })
  } catch (error) {
    lost(error)
  }
  return {
    watch: new Watch(shared),
    get watching() {
      return worker !== null
    },
    setStall: (ms) => void Atomics.store(words, cells.stall, ms),
    close: async () => {
      Atomics.store(words, cells.closing, 1)
      Atomics.notify(words, cells.closing)
      await worker?.terminate()
    },
  }
}

/** It holds nothing of this thread's: no environment, little memory. */
function startThread(data: Watching): Worker {
  // the compiled package has `.js` where the sources have `.ts`
  const file = new URL(`./watching${extname(import.meta.url)}`, import.meta.url)
  const worker = new Worker(file, {
    workerData: data,
    env: {},
    execArgv: [],
    name: 'watchdog',
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
  })
  worker.unref()
  return worker
}
