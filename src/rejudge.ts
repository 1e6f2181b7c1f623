import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Why } from './credential/lease-event.ts'
import type { ContinueCause } from './decide/continue.ts'
import type { LedgerEvent } from './record/record.ts'
import type { OpenWork, Revoke } from './revoke.ts'
import type { LeaseRow } from './state/leases.ts'
import type { Raised } from './state/mint.ts'
import type { Facts } from './state/state.ts'
import { isMore } from './task/sensitivity.ts'
import { leaseVerdict, streamVerdict, type Looked, type Standing } from './verdict.ts'

/** What changed, and whose open work rests on it: that of one task, of one caller, or all there is. */
export interface Change {
  readonly cause: ContinueCause
  readonly caller?: string
  /** Of that caller. */
  readonly task?: string
  /** The call that changed it: it was judged on what it changes. */
  readonly except?: OpenWork
}

/** How open work was judged. */
export interface Rejudged {
  readonly streams: { readonly kept: number; readonly cut: number }
  readonly leases: { readonly kept: number; readonly revoked: number }
}

/** Judges again what is open; resolves when all of it was judged and what was refused is cut, taken back or queued for retry. Never rejects. */
export type Rejudge = (change: Change) => Promise<Rejudged>

export interface RejudgeOptions extends Looked {
  readonly revoke: Pick<Revoke, 'list' | 'isOpen'>
  /** What holds now; asked for each piece of work, so that the newest policy wins. Null before there is any. */
  readonly standing: () => Standing | null
  /** Of the policy in force. */
  readonly revision: () => string
  /** Leases that are out, of these tasks or of all. */
  readonly leases: (tasks?: readonly string[]) => readonly LeaseRow[]
  /** Tasks of a caller that have not ended. */
  readonly tasksOf: (caller: string) => readonly string[]
  readonly isOut: (lease: string) => boolean
  /** `why` goes into the event of its end. */
  readonly takeBack: (lease: string, cause: string, why: Why) => Promise<void>
  readonly event: (event: LedgerEvent) => Promise<void>
  readonly log: { error(o: object, m: string): void }
  /** Longest that judging holds the event loop at a time, ms. */
  readonly turn?: number
}

/** Told of what a call reads, before the facts of its caller say so. */
export type Reading = (by: OpenWork, before: Facts, classes: readonly string[]) => void

/**
 * Has what a caller has open judged again when a call makes it know more: before another byte moves, and on the facts as they are then.
 * `fades`: policy forgets what was read long ago.
 */
export function makeReading({ rejudge, clock, fades }: { rejudge: Rejudge; clock: () => number; fades: boolean }): Reading {
  return (by, before, classes) => {
    if (!isMore(before, classes, fades ? clock() : null)) return
    queueMicrotask(() => void rejudge({ cause: 'sensitivity', caller: by.question.caller.id, except: by }))
  }
}

/** Told of callers that know of what another read: they work on one tree of tasks. */
export type Sharing = (raised: readonly Raised[]) => void

/** Has what they have open judged again, where they know more by it; `fades` as above. */
export function makeSharing({ rejudge, fades }: { rejudge: Rejudge; fades: () => boolean }): Sharing {
  return (raised) => {
    for (const { caller, more } of raised) if (more || fades()) queueMicrotask(() => void rejudge({ cause: 'sensitivity', caller }))
  }
}

/** Far below what a call notices, far above one judgement. */
const usualTurn = 4

/**
 * Makes the one function that judges open work again. What one caller has open is judged in the tick of the change, up to `turn`;
 * the rest, as all open work is, turn by turn. While all of it is being judged, further changes of all wait and are judged as one.
 */
export function makeRejudge(options: RejudgeOptions): Rejudge {
  /** Runs over everything: the one under way, and the one that will serve all changes since it began. Written here only. */
  let running: Promise<Rejudged> | null = null
  let next: Promise<Rejudged> | null = null
  let newest: Change | null = null
  const all = (change: Change): Promise<Rejudged> => {
    running = new Run(options, change).judge().finally(() => (running = null))
    return running
  }
  return (change) => {
    if (change.caller !== undefined) return new Run(options, change).judge()
    if (running === null) return all(change)
    newest = change
    next ??= running.then(() => {
      const last = newest ?? change
      next = newest = null
      return all(last)
    })
    return next
  }
}

/** One walk over what is open. */
class Run {
  readonly #options: RejudgeOptions
  readonly #change: Change
  readonly #ends: Promise<void>[] = []
  readonly #streams = { kept: 0, cut: 0 }
  readonly #leases = { kept: 0, revoked: 0 }

  constructor(options: RejudgeOptions, change: Change) {
    this.#options = options
    this.#change = change
  }

  async judge(): Promise<Rejudged> {
    // streams first: a byte that is out cannot be taken back
    await this.#turns(this.#work(), (work, standing) => this.#stream(work, standing))
    await this.#turns(this.#rows(), (row, standing) => this.#lease(row, standing))
    await Promise.all(this.#ends)
    await this.#tell()
    return { streams: this.#streams, leases: this.#leases }
  }

  /** Without a wait while it fits into one turn. */
  async #turns<T>(items: readonly T[], judge: (item: T, standing: Standing) => void): Promise<void> {
    const { turn = usualTurn, log, standing } = this.#options
    let until = performance.now() + turn
    for (const item of items) {
      const now = standing()
      if (now === null) return
      try {
        judge(item, now)
      } catch (error) {
        log.error({ err: error }, 'open work could not be ended')
      }
      if (performance.now() < until) continue
      await nextTurn()
      until = performance.now() + turn
    }
  }

  #work(): readonly OpenWork[] {
    const { caller, task, except } = this.#change
    const open = this.#options.revoke.list(caller)
    if (task === undefined && except === undefined) return open
    return open.filter((work) => work !== except && (task === undefined || work.question.task.row.id === task))
  }

  #rows(): readonly LeaseRow[] {
    const { caller, task } = this.#change
    if (caller === undefined) return this.#options.leases()
    return this.#options.leases(task === undefined ? this.#options.tasksOf(caller) : [task])
  }

  #stream(work: OpenWork, standing: Standing): void {
    const { call } = work.question
    if (call.signal.aborted || !this.#options.revoke.isOpen(call)) return
    const refusal = streamVerdict(work, this.#change.cause, standing, this.#options)
    if (refusal === null) {
      this.#streams.kept++
      return
    }
    this.#streams.cut++
    call.cut(refusal)
  }

  #lease(row: LeaseRow, standing: Standing): void {
    const { cause } = this.#change
    if (!this.#options.isOut(row.id)) return
    const refusal = leaseVerdict(row, cause, standing, this.#options)
    if (refusal === null) {
      this.#leases.kept++
      return
    }
    this.#leases.revoked++
    const why = { judged: { revision: this.#options.revision(), code: refusal.code, detail: refusal.detail } }
    this.#ends.push(this.#options.takeBack(row.id, cause, why).catch((error: unknown) => this.#lost(row.id, error)))
  }

  #lost(lease: string, error: unknown): void {
    this.#options.log.error({ lease, err: error }, 'a lease that policy refused could not be taken back')
  }

  /** Only when something was open. */
  async #tell(): Promise<void> {
    const { event, revision, log } = this.#options
    const { cause, caller, task } = this.#change
    const [streams, leases] = [this.#streams, this.#leases]
    if (streams.kept + streams.cut + leases.kept + leases.revoked === 0) return
    const whose = { ...(task === undefined ? {} : { task }), ...(caller === undefined ? {} : { caller }) }
    const detail = { cause, revision: revision(), streams, leases }
    try {
      await event({ kind: 'work.rejudged', ...whose, by: 'countersign', detail })
    } catch (error) {
      log.error({ err: error, ...detail }, 'a judgement on open work could not be written to the ledger')
    }
  }
}
