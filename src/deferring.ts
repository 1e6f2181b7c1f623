/** What calls wait for besides people, wired to what wakes them; it outlives a configuration. */
import { Defer } from './approve/defer.ts'
import { Line } from './approve/line.ts'
import { Signals } from './signals.ts'
import type { AuthorityParts } from './authority.ts'
import type { Loaded } from './config/load.ts'
import type { Decide, Decision, Question } from './decide/decide.ts'
import type { Foundation } from './foundation.ts'
import type { LedgerEvent } from './record/record.ts'
import type { Rejudge } from './rejudge.ts'

export interface Deferring {
  /** Calls that wait, and who is behind whom. */
  readonly line: Line
  readonly signals: Signals
  readonly rejudge: Rejudge
}

/** Whatever has open work judged again wakes calls that wait; so does a signal. */
export function deferringOf(on: AuthorityParts, rejudge: Rejudge, event: (event: LedgerEvent) => Promise<void>): Deferring {
  const { state, clock } = on
  const line = new Line(clock)
  const both: Rejudge = (change) => {
    line.wake(change)
    return rejudge(change)
  }
  const signals = new Signals({
    book: state.signals,
    task: (id) => state.task(id),
    clock,
    event,
    changed: (whose) => {
      // of a task that is not known nothing is open
      if (whose.task !== undefined && whose.caller === undefined) line.wake(whose)
      else void both({ cause: 'signal', ...whose })
    },
  })
  return { line, signals, rejudge: both }
}

interface DeferParts {
  readonly decide: Decide
  readonly again: (question: Question) => Question
  readonly refused: (decision: Decision) => void
}

/** Holds what policy defers. */
export function deferOf({ config }: Loaded, on: Foundation, { decide, again, refused }: DeferParts): Defer {
  return new Defer({
    line: on.line,
    register: (question) => on.revoke.hold(question),
    judge: decide,
    again,
    event: (event) => {
      on.inForce()?.told(event)
      return on.recorder.event(event)
    },
    lost: (error) => on.log.error({ err: error }, 'a turn of a call that waits could not be written to the ledger'),
    setting: config.approve.defer,
    refused,
  })
}
