/** The stage that turns a decision into a permit, or into the refusal it means. */

import type { Decision, Question } from '../decide/decide.ts'
import type { Permit, Swap } from '../decide/permit.ts'
import { Refusal } from '../refusal.ts'
import { StaleFacts } from './swap.ts'

export type Approve = (decision: Decision) => Permit

export interface ApproveOptions {
  /** `Permit.mint`: the only door to a permit. */
  readonly mint: (decision: Decision, swap: Swap) => Permit
  readonly swap: Swap
  /** Judges again on fresh facts. Absent: a decision whose facts changed is refused at once. */
  readonly rejudge?: (question: Question) => Decision
  /** Counts a refusal by policy among the facts of its task. The refusal stands whatever becomes of that, and waits for nothing. */
  readonly refused?: (decision: Decision) => void
}

/** How often a call that lost the swap is judged again. */
const mostRejudged = 5

/**
 * Makes the stage. Allow mints in the same tick; the permit carries the decision it was minted from, which is another than the
 * one handed in when facts changed in between and the call was judged again.
 *
 * Throws `decide.denied` for deny and `approve.required` for ask, both with what the agent may read of the reasons, what the
 * swap throws, and `decide.unavailable` when the facts changed each time.
 */
export function makeApprove({ mint, swap, rejudge, refused }: ApproveOptions): Approve {
  return (first) => {
    let decision = first
    for (let again = 0; ; again++) {
      if (decision.effect !== 'allow') {
        refused?.(decision)
        throw refusalOf(decision)
      }
      try {
        return mint(decision, swap)
      } catch (error) {
        if (!(error instanceof StaleFacts)) throw error
        if (rejudge === undefined || again === mostRejudged)
          throw new Refusal('decide.unavailable', { retry: 'later', detail: error.message, cause: error })
        decision = rejudge(first.question)
      }
    }
  }
}

function refusalOf({ effect, reasons: found }: Decision): Refusal {
  const reasons = [...new Set(found.map(({ message_agent }) => message_agent))]
  if (effect === 'ask') return new Refusal('approve.required', { reasons, retry: 'after-approval' })
  // no fact can be waited for yet, and unknown means no
  if (effect === 'defer') return new Refusal('decide.malformed', { detail: 'a decision to wait for a fact' })
  return new Refusal('decide.denied', { reasons })
}
