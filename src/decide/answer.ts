/** The text that a module answers, read: anything but a result set is a failure. */

import { plain, readTree } from './bundle/json-tree.ts'
import { EngineFailure } from './engine.ts'

/** Longest text of an answer: a decision is a few KiB, and reading takes the path's time. */
export const mostAnswer = 1024 * 1024

/** Takes `[{"result": …}]` and gives what is in it; undefined for an empty set. Throws EngineFailure, or what the reader throws for what is not JSON. */
export function readAnswer(text: string): unknown {
  // V8 may give a key spelled with escapes the name of another (nodejs/node#63785), and a detail may be keyed by an agent's text
  const results: unknown = text.includes('\\') ? plain(readTree(Buffer.from(text), 'the answer')) : JSON.parse(text)
  if (!Array.isArray(results)) throw new EngineFailure('policy gave no result set')
  const result: unknown = results[0]
  return typeof result === 'object' && result !== null && 'result' in result ? result.result : undefined
}
