/** The thread of `readApart`: reads the one bundle that it was given, says what came of it, and ends. */

import { parentPort, workerData } from 'node:worker_threads'
import { readBundle } from '../bundle/bundle.ts'
import type { Apart, Read } from './apart.ts'

const { bytes, trust } = workerData as Apart
// views of what was unpacked would take all of it along
const own = (part: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(part)

try {
  const read = readBundle(bytes, trust, () => parentPort?.postMessage('unpacked', []))
  const [wasm, data] = [own(read.wasm), own(read.data)]
  answer({ bundle: { ...read, wasm, data } }, [wasm.buffer, data.buffer])
} catch (error) {
  answer({ fault: error instanceof Error ? error.message : 'it cannot be read' })
}

function answer(read: Read, parts: ArrayBuffer[] = []): void {
  parentPort?.postMessage(read, parts)
}
