/** Reads a policy, and explains a call by it, in a thread of its own: calls of agents go on meanwhile. */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { BuiltPolicy } from './candidate.ts'
import type { CatalogueRule } from './catalogue.ts'
import type { Explanation } from './explain.ts'
import type { GivenInput } from './input-file.ts'

/** What the thread is given. */
export interface Asked {
  /** As `openCandidate` takes it. */
  readonly policy: string | BuiltPolicy
  /** What the operator sets for the rules. */
  readonly settings: Readonly<Record<string, unknown>> | undefined
  /** Null: only its rules are wanted. */
  readonly explain: GivenInput | null
}

/** What it answers. */
export interface Told {
  /** Of the bundle that was read. */
  readonly revision: string
  readonly rules: readonly CatalogueRule[]
  readonly explanation: Explanation | null
}

/** Longest that it may take, ms, and most memory of the thread, MiB. */
const most = 20_000
const memory = 512

/** Rejects with an Error that says what is wrong with the policy or the input, also when it takes too long. */
export async function readAtDesk(asked: Asked): Promise<Told> {
  // the compiled package has `.js` where the sources have `.ts`
  const file = new URL(`./desk-thread${extname(import.meta.url)}`, import.meta.url)
  const worker = new Worker(file, {
    workerData: asked,
    env: {},
    execArgv: [],
    name: 'policy-desk',
    resourceLimits: { maxOldGenerationSizeMb: memory },
  })
  const { promise, resolve, reject } = Promise.withResolvers<Told>()
  const late = setTimeout(() => reject(new Error('it took too long: ask countersign policy explain')), most)
  worker.on('message', (told: Told | { readonly fault: string }) => ('fault' in told ? reject(new Error(told.fault)) : resolve(told)))
  worker.on('error', reject)
  worker.on('exit', () => reject(new Error('the thread ended')))
  try {
    return await promise
  } finally {
    clearTimeout(late)
    await worker.terminate()
  }
}
