/** The thread of a trial: what has to be run of an activation, and the word on it. */

import { parentPort, workerData } from 'node:worker_threads'
import { checkCost, makeTried } from './activation.ts'
import { BundleFault } from './bundle/fault.ts'
import type { Outcome, Tried } from './trial.ts'

parentPort?.postMessage(outcomeOf(workerData as Tried), [])

/** What is no fault of the bundle ends the thread, and is told as that. */
function outcomeOf({ bundle, now, budgetMs, ...parts }: Tried): Outcome {
  const mould = { ...parts, clock: () => now, print: () => undefined }
  try {
    makeTried(bundle, mould)
    return { ms: checkCost(bundle, mould, budgetMs) }
  } catch (error) {
    if (!(error instanceof BundleFault)) throw error
    return { fault: error.message }
  }
}
