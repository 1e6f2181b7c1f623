/** The stage that turns a decision into a permit, or into the refusal it means. */

import type { Decision, Question } from '../decide/decide.ts'
import type { Permit, Swap } from '../decide/permit.ts'
import { Refusal } from '../refusal.ts'
import type { Oblige } from './oblige.ts'
import { unanswered, type Ask } from './ask.ts'
import type { Defer } from './defer.ts'
import { ApprovalGone, StaleFacts } from './swap.ts'

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
  /** Asks people. Absent: nobody can be asked. */
  readonly ask?: Ask
  /** Waits for facts and for calls before. Absent: nothing can be waited for. */
  readonly defer?: Defer
}

/** How often a call that lost the swap is judged again, and how often one that lost its approval to another asks again. */
const mostRejudged = 5
const mostAsked = 16

/**
 * Makes the stage. Allow mints in the same tick; the permit carries the decision it was minted from, which is another than the
 * one handed in when facts changed in between, or a person answered, and the call was judged again.
 *
 * Throws `decide.denied` for deny, what `Ask.answered` throws for ask (without one, `approve.required`), what `Defer.settled` throws for
 * defer and for whatever waits behind another call (without one, `approve.deferred`), what the swap throws,
 * `decide.unavailable` when the facts changed each time, and `decide.malformed` for an obligation that nobody can fulfil.
 * What is obliged for a refusal too is done before the permit or the refusal comes out.
 */
export function makeApprove(options: ApproveOptions): Approve {
  const { oblige, ask, defer } = options
  const permitted = (permit: Permit): Permit | Promise<Permit> => {
    const done = oblige.fulfil(permit.decision)
    return done === null ? permit : done.then(() => permit)
  }
  /** Waits for what stands in the way, one after the other: calls before, facts, people. */
  const waited = async (first: Decision, entry: Rejudged | undefined): Promise<Permit> => {
    const place = defer?.enter(first.question)
    const until = ask?.until(first.question.call) ?? 0
    let now = first
    const told = (next: Decision): void => entry?.rejudged((now = next))
    for (let turn = 0; ; turn++) {
      try {
        if (turn === mostAsked) throw unsettled(new ApprovalGone())
        if (defer !== undefined && place !== undefined) now = await defer.settled(now, place, told)
        if (now.effect === 'ask' && ask !== undefined) now = await ask.answered(now, until, told)
      } catch (error) {
        return refuse(error, oblige.fulfil(now))
      }
      entry?.rejudged(now)
      const came = attempt(options, now, entry)
      if (!(came instanceof Stopped)) {
        if (place !== undefined) place.permitted = true
        return permitted(came)
      }
      if (came.why !== null) return refuse(came.why, oblige.fulfil(came.decision))
      now = came.decision
    }
  }
  return (first, entry) => {
    if (defer?.concerns(first.question) === true) return waited(first, entry)
    const came = attempt(options, first, entry)
    if (!(came instanceof Stopped)) return permitted(came)
    if (came.why !== null) return refuse(came.why, oblige.fulfil(came.decision))
    return waited(came.decision, entry)
  }
}

/** A decision that gave no permit: `why` is the refusal, null where a person is to be asked or something to be waited for. */
class Stopped {
  readonly decision: Decision
  readonly why: unknown

  constructor(decision: Decision, why: unknown) {
    this.decision = decision
    this.why = why
  }
}

/** One tick: mints, or says why not. Whoever lost a race for facts or for an approval is judged again. */
function attempt(
  { mint, swap, oblige, rejudge, refused, ask, defer }: ApproveOptions,
  first: Decision,
  entry: Rejudged | undefined,
): Permit | Stopped {
  let decision = first
  for (let again = 0; ; again++) {
    try {
      oblige.check(decision)
      if (decision.effect === 'allow') return mint(decision, swap)
      if (decision.effect === 'ask' && ask !== undefined) return new Stopped(decision, null)
      if (decision.effect === 'defer' && defer !== undefined) return new Stopped(decision, null)
      refused?.(decision)
      return new Stopped(decision, refusalOf(decision))
    } catch (error) {
      if (!(error instanceof StaleFacts || error instanceof ApprovalGone)) return new Stopped(decision, error)
      if (rejudge === undefined || again === mostRejudged) return new Stopped(decision, unsettled(error))
      decision = rejudge(error instanceof ApprovalGone ? unanswered(decision.question) : decision.question)
      entry?.rejudged(decision)
    }
  }
}

function refuse(refusal: unknown, done: Promise<void> | null): Promise<never> {
  if (done === null) throw refusal
  return done.then(() => {
    throw refusal
  })
}

function unsettled(cause: StaleFacts | ApprovalGone): Refusal {
  return new Refusal('decide.unavailable', { retry: 'later', detail: cause.message, cause })
}

function refusalOf({ effect, reasons: found }: Decision): Refusal {
  const reasons = [...new Set(found.map(({ message_agent }) => message_agent))]
  if (effect === 'ask') return new Refusal('approve.required', { reasons, retry: 'after-approval' })
  if (effect === 'defer') return new Refusal('approve.deferred', { reasons, retry: 'later' })
  return new Refusal('decide.denied', { reasons })
}
