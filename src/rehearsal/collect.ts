/** Garbage of a start is let go before agents are served: what is not collected then is collected while the first of them wait. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Collects all garbage of this thread now, which holds it up for some 20 ms. Does nothing where the engine does not lend its collector. */
export function collect(): void {
  setFlagsFromString('--expose-gc')
  const lent: unknown = runInNewContext('typeof gc === "function" ? gc : null')
  setFlagsFromString('--no-expose-gc')
  if (typeof lent === 'function') lent()
}
