/** How long a client is ready to wait (RFC 7240). */
import type { Call } from '../listen/call.ts'

/** One preference of a list: nothing but what is quoted may hold a comma. */
const preference = /(?:[^,"]|"(?:[^"\\]|\\.)*")+/g
const wait = /^\s*wait\s*=\s*(?:(\d{1,9})|"(\d{1,9})")\s*(?:;.*)?$/is

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
