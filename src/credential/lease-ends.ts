import { setMaxListeners } from 'node:events'
import { Refusal } from '../refusal.ts'
import type { Secret } from '../secret.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { State } from '../state/state.ts'
import { attempt, Lanes, soonEnough } from './attempt.ts'
import type { CredentialProvider } from './credential.ts'
import { endedEvent, failedEvent, overdueEvent, type Ended, type LeaseEvent, type TellLease, type Why } from './lease-event.ts'
import type { Held, LeaseBook } from './leases.ts'

export interface Log {
  info(o: object, m: string): void
  warn(o: object, m: string): void
  error(o: object, m: string): void
}

export interface LeaseEndsOptions {
  readonly book: LeaseBook
  readonly state: State
  readonly clock: () => number
  /** ms on a clock that nobody can set. */
  readonly ticks: () => number
  /** How long a revocation may take before it is overdue, ms. */
  readonly within: () => number
  readonly event: TellLease
  readonly log: Log
}

/** A lease on its way out: dropped here, not yet confirmed gone. */
export interface Ending {
  readonly row: LeaseRow
  /** Null when nothing can be revoked: then only its expiry ends it. */
  readonly revoke: ((signal: AbortSignal) => Promise<void>) | null
  readonly standing: boolean
  readonly cause: string
  /** What more the events of its end say of the cause. */
  readonly why?: Why
}

interface Pending extends Ending {
  /** When it began, in ticks. */
  readonly begun: number
  attempts: number
  /** Why the last attempt failed; null before one has. */
  failure: string | null
  overdue: boolean
  /** Of the next attempt, in ticks: a wall clock put back must not put it off. Infinite while one is under way or waits for its turn. */
  next: number
}

/** Longest wait for one revocation. */
const attemptTime = 5000
const firstWait = 1000
const longestWait = 60_000
/** How long what nobody saw is tried: its issuer may let it live longer than was asked. */
const unseenTime = 86_400_000
/** Revocations under way at a time at one provider: an issuer that hangs holds up its own leases and nobody else's. */
const mostAtOnce = 32

/**
 * How leases end. A state is written only when it is true: `revoked` when the issuer confirmed, `expired` when the time had passed,
 * `discarded` when dropping it is all that can be done. Until then the row says `revoking`, so that the next start goes on with it.
 */
export class LeaseEnds {
  readonly #options: LeaseEndsOptions
  readonly #lanes = new Lanes(mostAtOnce)
  readonly #stop = new AbortController()
  /** By lease id. Written by `take`, `orphan` and `#close`. */
  readonly #pending = new Map<string, Pending>()

  constructor(options: LeaseEndsOptions) {
    this.#options = options
    // one for each attempt that is under way
    setMaxListeners(0, this.#stop.signal)
  }

  /** Ends a lease that is out; resolves when it is gone or queued. Does nothing the second time. */
  async end(held: Held, cause: string, why: Why = {}): Promise<void> {
    const out = this.#options.book.drop(held)
    if (out === null) return
    await this.take({ row: out.row, revoke: revokerOf(out.provider, out.handle), standing: out.lease.standing, cause, why })
  }

  /** Takes over a lease that no call can use any more; resolves when it is gone or queued, which is no later than one attempt may take. */
  async take(ending: Ending): Promise<void> {
    const { row, cause } = ending
    const { clock, ticks } = this.#options
    if (row.revocation === 'discard') return this.#close(ending, 'discarded')
    // what nobody saw may live longer than was asked: it is taken back all the same
    if (clock() >= row.expires && (row.digest !== null || ending.revoke === null)) return this.#over(ending)
    // an earlier process may have begun
    const since = row.ending?.since ?? clock()
    const begun = ticks() - Math.max(0, clock() - since)
    const pending: Pending = { ...ending, begun, attempts: 0, failure: null, overdue: false, next: Number.POSITIVE_INFINITY }
    this.#pending.set(row.id, pending)
    await this.#write(row, { state: 'revoking', ending: { since, cause } })
    if (pending.revoke !== null) await soonEnough(attemptTime, this.#attempt(pending, pending.revoke))
  }

  /** What a crash or an unseen answer left: nobody can take it back, and the row says so. */
  async orphan(row: LeaseRow, cause: string, why: Why = {}): Promise<void> {
    this.#pending.delete(row.id)
    if (await this.#write(row, { state: 'orphaned', revocation: 'expiry', sealed: null }))
      await this.#tell(endedEvent({ ...row, revocation: 'expiry' }, 'orphaned', { cause, why, standing: false }))
  }

  /** Closes what has expired, tries again what is due, and tells what is overdue. Call it about once a second. */
  async retry(): Promise<void> {
    const now = this.#options.clock()
    const tick = this.#options.ticks()
    const within = this.#options.within()
    const work: Promise<void>[] = []
    for (const pending of this.#pending.values()) {
      if (now >= pending.row.expires && (pending.row.digest !== null || tick - pending.begun >= unseenTime)) work.push(this.#over(pending))
      else if (pending.revoke !== null) {
        if (!pending.overdue && tick - pending.begun >= within) work.push(this.#overdue(pending, within))
        if (tick >= pending.next) work.push(soonEnough(attemptTime, this.#attempt(pending, pending.revoke)))
      }
    }
    await Promise.all(work)
  }

  has(id: string): boolean {
    return this.#pending.has(id)
  }

  /** Leases that still have to be confirmed gone, and how many of them should have been by now. */
  sizes(): { readonly ending: number; readonly overdue: number } {
    let overdue = 0
    for (const pending of this.#pending.values()) if (pending.overdue) overdue++
    return { ending: this.#pending.size, overdue }
  }

  /** Asks and writes no more: what is still to be taken back is left to the next start. */
  stop(): void {
    this.#stop.abort()
  }

  #attempt(pending: Pending, revoke: NonNullable<Pending['revoke']>): Promise<void> {
    pending.next = Number.POSITIVE_INFINITY
    return this.#lanes.run(pending.row.provider, async () => {
      // it may have ended while it waited for its turn
      if (this.#stop.signal.aborted || this.#pending.get(pending.row.id) !== pending) return
      try {
        await attempt(attemptTime, revoke, this.#stop.signal)
      } catch (error) {
        if (!this.#stop.signal.aborted) await this.#failed(pending, error)
        return
      }
      await this.#close(pending, 'revoked')
    })
  }

  async #failed(pending: Pending, error: unknown): Promise<void> {
    pending.attempts++
    pending.next = this.#options.ticks() + Math.min(longestWait, firstWait * 2 ** (pending.attempts - 1))
    const { row, cause, attempts, why } = pending
    const failure = (error instanceof Refusal ? error.detail : null) ?? 'the issuer did not confirm'
    pending.failure = failure
    this.#options.log.warn({ lease: row.id, provider: row.provider, attempts, why: failure }, 'a credential could not be revoked yet')
    if (attempts === 1) await this.#tell(failedEvent(row, { cause, failure, why }))
  }

  async #overdue(pending: Pending, within: number): Promise<void> {
    pending.overdue = true
    const { row, cause, attempts, failure, why } = pending
    this.#options.log.error({ lease: row.id, provider: row.provider, attempts, within }, 'the revocation of a credential is overdue')
    await this.#tell(overdueEvent(row, { cause, failure, attempts, within, why }))
  }

  /** The time that its issuer gave it has passed. Of one that nobody saw, nobody knows how much that was. */
  #over(ending: Ending): Promise<void> {
    const { row, cause, why } = ending
    return row.digest === null ? this.orphan(row, cause, why) : this.#close(ending, 'expired')
  }

  async #close(ending: Ending | Pending, state: Ended): Promise<void> {
    const { row, cause, standing, why } = ending
    this.#pending.delete(row.id)
    const took = state === 'revoked' && 'begun' in ending ? Math.round(this.#options.ticks() - ending.begun) : null
    if (await this.#write(row, { state, sealed: null })) await this.#tell(endedEvent(row, state, { cause, why, standing, took }))
  }

  /** False when the row had reached its end before. A state that cannot be written is an operator's matter: the lease is gone from here all the same. */
  async #write(row: LeaseRow, change: Partial<LeaseRow>): Promise<boolean> {
    try {
      return (await this.#options.state.changeLease(row.id, ['issuing', 'live', 'revoking'], change)) !== null
    } catch {
      this.#options.log.error({ lease: row.id, state: change.state }, 'the end of a lease could not be written to the state')
      return true
    }
  }

  async #tell(event: LeaseEvent): Promise<void> {
    try {
      await this.#options.event(event)
    } catch {
      this.#options.log.error({ kind: event.kind, ...event.detail }, 'an event of a lease could not be written to the ledger')
    }
  }
}

/** How a lease of this provider is revoked; null when there is no way. */
export function revokerOf(provider: CredentialProvider | undefined, handle: Secret | null): Ending['revoke'] {
  if (provider?.revoke === undefined || handle === null) return null
  const revoke = provider.revoke.bind(provider)
  return (signal) => revoke(handle, signal)
}
