/** What an exchange has done so far, as far as it can be told afterwards. */
import type { Effect } from '../refusal.ts'
import type { Progress } from '../listen/call.ts'
import type { Reached } from './dial.ts'
import type { Job } from './exchange.ts'

/** How an exchange went: an outcome (forward.ts) that is not a refusal. */
export interface Observed extends Effect {
  readonly status: number | null
  readonly ended: 'complete' | 'client-gone' | 'upstream-gone' | 'cut'
}

/** Asked for once, when the exchange is over: digests are read out. `began`: the agent has the head of an answer. */
export function effectOf(
  { upload, sha256, sent, given }: Job,
  { bytesOut, bytesIn }: Progress,
  reached: Reached | null,
  began: boolean,
): Effect {
  const bodySha256 = upload === null ? sha256 : upload.sha256
  const { address = null, proven = null } = reached ?? {}
  const effect = { bytesOut, bytesIn, bodySha256, dialled: address, proven }
  if (sent === null && given === null) return effect
  return {
    ...effect,
    ...(sent !== null && { sentSha256: sent }),
    ...(given !== null && began && { answerSha256: given.digest('hex') }),
  }
}
