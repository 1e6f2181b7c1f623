/** The stage that turns a decision into a permit, or into the refusal it means. */

import type { Decision, Question } from '../decide/decide.ts'
import type { Permit, Swap } from '../decide/permit.ts'
import { Refusal } from '../refusal.ts'
import type { Oblige } from './oblige.ts'
import { StaleFacts } from './swap.ts'

/** A promise only where something is obliged that takes time. `entry`: told of each decision that takes the place of the one before. */
export type Approve = (decision: Decision, entry?: Rejudged) => Permit | Promise<Permit>

/** What keeps the record of the call: a refusal has to stand beside the decision that it came of. */
export interface Rejudged {
  rejudged(decision: Decision): void
}

export interface ApproveOptions {
  /** `Permit.mint`: the only door to a permit. */
  readonly mint: (decision: Decision, swap: Swap) => Permit
  readonly swap: Swap
  readonly oblige: Oblige
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
 * swap throws, `decide.unavailable` when the facts changed each time, and `decide.malformed` for an obligation that nobody can fulfil.
 * What is obliged for a refusal too is done before the permit or the refusal comes out.
 */
export function makeApprove({ mint, swap, oblige, rejudge, refused }: ApproveOptions): Approve {
  return (first, entry) => {
    let decision = first
    for (let again = 0; ; again++) {
      let permit: Permit
      try {
        oblige.check(decision)
        if (decision.effect !== 'allow') {
          refused?.(decision)
          throw refusalOf(decision)
        }
        permit = mint(decision, swap)
      } catch (error) {
        if (error instanceof StaleFacts && rejudge !== undefined && again < mostRejudged) {
          decision = rejudge(first.question)
          entry?.rejudged(decision)
          continue
        }
        return refuse(error instanceof StaleFacts ? unsettled(error) : error, oblige.fulfil(decision))
      }
      const done = oblige.fulfil(decision)
      return done === null ? permit : done.then(() => permit)
    }
  }
}

function refuse(refusal: unknown, done: Promise<void> | null): Promise<never> {
  if (done === null) throw refusal
  return done.then(() => {
    throw refusal
  })
}

function unsettled(cause: StaleFacts): Refusal {
  return new Refusal('decide.unavailable', { retry: 'later', detail: cause.message, cause })
}

function refusalOf({ effect, reasons: found }: Decision): Refusal {
  const reasons = [...new Set(found.map(({ message_agent }) => message_agent))]
  if (effect === 'ask') return new Refusal('approve.required', { reasons, retry: 'after-approval' })
  // no fact can be waited for yet, and unknown means no
  if (effect === 'defer') return new Refusal('decide.malformed', { detail: 'a decision to wait for a fact' })
  return new Refusal('decide.denied', { reasons })
}
