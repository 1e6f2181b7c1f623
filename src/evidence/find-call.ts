/** Finds all that a ledger says of one call. */

import { tailBytes, type LedgerWatch } from '../record/tail.ts'
import { objectOf, parseLine, textOf, type ParsedLine } from './facts.ts'
import { firstSince } from './follow.ts'
import { idOf, isOutcome } from './line-head.ts'

export interface CallTrace {
  /** The decision, or the refusal that is the only line of its call. */
  readonly first: ParsedLine
  /** Null while it has not ended, and for a refusal. */
  readonly outcome: ParsedLine | null
  /** What happened for its sake: questions to people, waits, leases. At most 50. */
  readonly events: readonly ParsedLine[]
}

const mostEvents = 50
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** Null where there is no such call, or its lines were removed. Looks from the moment that the id names on. Rejects as the file system does. */
export async function findCall(dir: string, id: string, watch?: LedgerWatch, signal?: AbortSignal): Promise<CallTrace | null> {
  const needle = Buffer.from(id)
  const events: ParsedLine[] = []
  let first: ParsedLine | null = null
  const reading = tailBytes(dir, {
    fromSeq: firstSince(dir, timeOfId(id)),
    follow: false,
    chunkBytes: 256 * 1024,
    ...(watch === undefined ? {} : { watch }),
    ...(signal === undefined ? {} : { signal }),
  })
  for await (const lines of reading) {
    for (const { bytes } of lines) {
      if (!bytes.includes(needle)) continue
      const own = idOf(bytes) === id
      const line = parseLine(bytes.toString())
      if (line === null) continue
      if (own && isOutcome(bytes)) return first === null ? null : { first, outcome: line, events }
      if (own) first = line
      // another call may name this one wherever an agent writes
      else if (line.own['kind'] === 'event' && textOf(objectOf(line.own['detail'])['call']) === id && events.length < mostEvents)
        events.push(line)
      if (own && line.own['kind'] !== 'decision') return { first: line, outcome: null, events }
    }
  }
  return first === null ? null : { first, outcome: null, events }
}

/** When an id was made, epoch ms. */
function timeOfId(id: string): number {
  let time = 0
  for (const digit of id.slice(2, 12)) time = time * 32 + Math.max(0, alphabet.indexOf(digit))
  return time
}
