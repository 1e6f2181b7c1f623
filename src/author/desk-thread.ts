/** The thread of `readAtDesk`: opens the one policy that it was given, says what was asked of it, and ends. */
import { parentPort, workerData } from 'node:worker_threads'
import { openCandidate } from './candidate.ts'
import type { Asked, Told } from './desk.ts'
import { explain } from './explain.ts'

try {
  parentPort?.postMessage(told(workerData as Asked), [])
} catch (error) {
  parentPort?.postMessage({ fault: error instanceof Error ? error.message : 'it cannot be read' }, [])
}

function told({ policy, settings, explain: given }: Asked): Told {
  const candidate = openCandidate(policy, {}, settings)
  const explanation = given === null ? null : explain(given.input, candidate, given.entrypoint, given.recorded)
  candidate.close()
  return { revision: candidate.bundle.revision, rules: candidate.catalogue.rules, explanation }
}
