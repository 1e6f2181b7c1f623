/** Reads a bundle in a thread of its own: what a server sends may cost seconds to take apart before it is known to be nobody's. */

import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { readFiles, type Bundle } from '../bundle/bundle.ts'
import { BundleFault } from '../bundle/fault.ts'
import type { Verification } from '../bundle/key.ts'
import type { Content } from './source.ts'

/** What the thread is given. */
export interface Apart {
  readonly bytes: Uint8Array
  readonly trust: Verification | null
}

/** What it answers: the bundle, or what is wrong with it. Before, it says `unpacked` when it has got so far. */
export type Read = { readonly bundle: Bundle } | { readonly fault: string }

export interface ApartOptions {
  /** Longest that it may take, ms. */
  readonly time?: number
  /** Most memory of the thread, MiB. */
  readonly memory?: number
}

const usualTime = 30_000
const usualMemory = 512

/**
 * `readBundle`, while calls go on. Rejects with BundleFault, also when it takes longer than 30 s or more than 512 MiB, and with the
 * reason of the signal. The files of a folder are whoever's the configuration is, and are read here.
 */
export async function readApart(
  content: Content,
  trust: Verification | null,
  signal: AbortSignal,
  { time = usualTime, memory = usualMemory }: ApartOptions = {},
): Promise<Bundle> {
  signal.throwIfAborted()
  if (content.form === 'files') return readFiles(content.files, trust)
  const worker = startThread({ bytes: content.bytes, trust }, memory)
  const unpacked = firstWord(worker)
  const limit = AbortSignal.any([signal, AbortSignal.timeout(time)])
  try {
    const read = await answerOf(worker, limit)
    if ('fault' in read) throw new BundleFault(read.fault)
    return read.bundle
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof BundleFault) throw error
    throw new BundleFault(
      limit.aborted ? 'the bundle took too long to read' : 'the bundle could not be read in the memory there is for it',
      {
        cause: error,
      },
    )
  } finally {
    // a thread that is ended in the moment in which it makes a decompressor takes the whole process along
    await unpacked
    await worker.terminate()
  }
}

/** Resolves when the thread has unpacked the bundle, which has a bound of its own, or will never. */
function firstWord(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['message', 'error', 'exit']) worker.once(event, () => resolve())
  })
}

function answerOf(worker: Worker, limit: AbortSignal): Promise<Read> {
  return new Promise((resolve, reject) => {
    worker.on('message', (read: Read | 'unpacked') => {
      if (read !== 'unpacked') resolve(read)
    })
    worker.on('error', reject)
    worker.on('exit', (status) => reject(new Error(`the thread ended (${status})`)))
    limit.addEventListener('abort', () => reject(new Error('stopped')), { once: true })
  })
}

function startThread(data: Apart, memory: number): Worker {
  // the compiled package has `.js` where the sources have `.ts`
  const file = new URL(`./reading${extname(import.meta.url)}`, import.meta.url)
  const resourceLimits = { maxOldGenerationSizeMb: memory, maxYoungGenerationSizeMb: 32 }
  return new Worker(file, { workerData: data, env: {}, execArgv: [], name: 'bundle', resourceLimits })
}
