/** Tries a bundle on a thread of its own, so that no call waits while its worst case is measured. */

import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Bundle } from './bundle/bundle.ts'
import { BundleFault } from './bundle/fault.ts'
import type { Mould } from './instance.ts'

export interface TrialOptions {
  /** What the worst input must stay below, ms on a processor. */
  readonly budgetMs: number
  /** Ends the trial. */
  readonly signal: AbortSignal
  readonly limits?: TrialLimits
}

/** What the thread may take before it is ended. */
export interface TrialLimits {
  /** On the wall, ms: what does not end is interrupted long before by the trial itself. */
  readonly ms: number
  /** Of its heap, MiB. What instances are lent comes on top, and is bounded by the mould. */
  readonly heapMb: number
}

type Tryable = Pick<Bundle, 'manifest' | 'data'>

/** What the thread is handed: parts of a mould that can be. The module is shared with this thread, code and all. */
export interface Tried extends Pick<Mould, 'module' | 'data' | 'initialPages' | 'maxPages'> {
  readonly bundle: Tryable
  /** Epoch ms, for all of the trial. */
  readonly now: number
  readonly budgetMs: number
}

/** What the thread says, once: the longest evaluation, ms, or why the bundle may not judge. */
export type Outcome = { readonly ms: number } | { readonly fault: string }

/** An evaluation is tried some thirty times, a few times over when it is slow: this is when a busy machine took far too long for it. */
const usualLimits = (budgetMs: number): TrialLimits => ({ ms: 30_000 + 100 * budgetMs, heapMb: 256 })

/** As deep as calls may go on the main thread: 984 KiB, and what the runtime takes off. A rule must not fit here and overflow there. */
const stackMb = (984 + 192) / 1024

/**
 * Puts an activated module through its answers, its self-tests and its worst case. Gives the longest evaluation, ms of that thread on a
 * processor. Rejects with BundleFault when the bundle fails, or its thread is not done in time, dies or cannot be had; with the reason
 * of `signal` when that ends it. The thread is gone then, whatever comes out.
 */
export async function measureApart({ manifest, data }: Tryable, mould: Mould, options: TrialOptions): Promise<number> {
  const { budgetMs, signal, limits = usualLimits(budgetMs) } = options
  signal.throwIfAborted()
  const { module, initialPages, maxPages, clock } = mould
  // copies: small data lies among other things, which would come along. The same stays the same, there as here
  const own = new Uint8Array(data)
  const merged = mould.data === data ? own : new Uint8Array(mould.data)
  const tried = { bundle: { manifest, data: own }, module, data: merged, initialPages, maxPages, now: clock(), budgetMs }
  const worker = startThread(tried, limits)
  let timer: NodeJS.Timeout | undefined
  const outcome = new Promise<number>((resolve, reject) => {
    const refuse = (why: string): void => reject(untried(why))
    timer = setTimeout(refuse, limits.ms, `it was not done after ${limits.ms} ms`).unref()
    worker.once('message', (said: Outcome) => ('ms' in said ? resolve(said.ms) : reject(new BundleFault(said.fault))))
    worker.once('error', (error: Error) => refuse(error.message))
    worker.once('exit', (status) => refuse(`its thread ended (${status})`))
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  try {
    return await outcome
  } finally {
    clearTimeout(timer)
    await worker.terminate()
  }
}

/** It holds nothing of this thread's but what it is handed, and keeps no process alive that has nothing else to do. */
function startThread(tried: Tried, { heapMb }: TrialLimits): Worker {
  // the compiled package has `.js` where the sources have `.ts`
  const file = new URL(`./trying${extname(import.meta.url)}`, import.meta.url)
  try {
    const worker = new Worker(file, {
      workerData: tried,
      env: {},
      execArgv: [],
      name: 'trial',
      resourceLimits: { maxOldGenerationSizeMb: heapMb, stackSizeMb: stackMb },
    })
    worker.unref()
    return worker
  } catch (error) {
    throw untried(error instanceof Error ? error.message : 'unknown')
  }
}

function untried(why: string): BundleFault {
  return new BundleFault(`the policy cannot be tried: ${why.slice(0, 256)}`)
}
