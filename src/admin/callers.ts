/** What stays with callers after their tasks, as people may change it. */
import { problem } from './answer.ts'
import { wordsOf, type Noun, type Words } from './noun.ts'

/** `/v1/callers`: a person says that what a caller has read no longer counts. */
export function callerNoun(clearSensitivity: (caller: string, words: Words) => Promise<void>): Noun {
  return async ({ method, path: [caller, verb, ...rest], who, body }) => {
    if (method !== 'POST' || caller === undefined || verb !== 'clear-sensitivity' || rest.length > 0) return null
    const words = wordsOf({ who }, await body())
    if (words === null) return problem(400, 'the body must be {"reason": …, "by": …}')
    await clearSensitivity(caller, words)
    return { status: 200, json: { cleared: caller } }
  }
}
