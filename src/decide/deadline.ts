/** Runs what nobody vouches for yet, and interrupts it. */

import { createContext, Script } from 'node:vm'

/** What was interrupted. */
export class Overdue extends Error {
  constructor(ms: number) {
    super(`it was interrupted after ${ms} ms`)
    this.name = 'Overdue'
  }
}

const call = new Script('work()')
/** Where it is called from; made when it is first needed, and lent `work` for the time of one call. */
let realm: { work: (() => void) | null } | null = null

/**
 * Gives what `work` gives, or throws what it throws; throws Overdue when it is not done after `ms`. It is interrupted wherever it is,
 * also inside a module: the runtime looks at each turn of a loop. What it worked on must not be used again then.
 * Takes a thread and a fifth of a millisecond, so it is for activation and not for the path.
 */
export function within<Result>(ms: number, work: () => Result): Result {
  const done: { value?: Result } = {}
  realm ??= createContext({ work: null }) as { work: (() => void) | null }
  realm.work = () => void (done.value = work())
  try {
    call.runInContext(realm, { timeout: ms })
  } catch (error) {
    throw isTimeout(error) ? new Overdue(ms) : error
  } finally {
    realm.work = null
  }
  return done.value as Result
}

/** It comes from another realm, so it is no Error of ours. */
function isTimeout(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
}
