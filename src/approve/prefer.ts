/** How long a client is ready to wait (RFC 7240). */
import type { Call } from '../listen/call.ts'

/** One preference of a list: nothing but what is quoted may hold a comma. */
const preference = /(?:[^,"]|"(?:[^"\\]|\\.)*")+/g
const wait = /^\s*wait\s*=\s*(?:(\d{1,9})|"(\d{1,9})")\s*(?:;.*)?$/is

/** Call → until when it is ready to wait: for all that it waits for together. */
const deadlines = new WeakMap<object, number>()

/** Until when a call may wait, ms on the clock that nobody can set: as `waitOf` says, from the first time that it is asked on. */
export function deadlineOf(call: Pick<Call, 'header'>, most: number): number {
  let until = deadlines.get(call)
  if (until === undefined) deadlines.set(call, (until = performance.now() + waitOf(call, most)))
  return until
}

/** Takes a call and the most it may wait, ms; gives what `Prefer: wait=N` asks, no more than that. 0: not at all. The first one counts (§2). */
export function waitOf(call: Pick<Call, 'header'>, most: number): number {
  const preferred = call.header('prefer')
  if (preferred === undefined) return 0
  for (const [one] of preferred.matchAll(preference)) {
    const [found, plain, quoted] = wait.exec(one) ?? []
    if (found !== undefined) return Math.min(Number(plain ?? quoted) * 1000, most)
  }
  return 0
}
