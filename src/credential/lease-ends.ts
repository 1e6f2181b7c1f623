import { Refusal } from '../refusal.ts'
import type { Secret } from '../secret.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { State } from '../state/state.ts'
import type { CredentialProvider } from './credential.ts'
import { endedEvent, failedEvent, type Ended, type LeaseEvent, type TellLease, type Why } from './lease-event.ts'
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
  attempts: number
  /** Of the next attempt, in ticks: a wall clock put back must not put it off. Infinite while one is under way. */
  next: number
}

/** Longest wait for one revocation. */
const attemptTime = 5000
const firstWait = 1000
const longestWait = 60_000

/**
 * How leases end. A state is written only when it is true: `revoked` when the issuer confirmed, `expired` when the time had passed,
 * `discarded` when dropping it is all that can be done. Until then the row says `revoking`, so that the next start goes on with it.
 */
export class LeaseEnds {
  readonly #options: LeaseEndsOptions
  /** By lease id. Written by `take` and `#close`. */
  readonly #pending = new Map<string, Pending>()

  constructor(options: LeaseEndsOptions) {
    this.#options = options
  }

  /** Ends a lease that is out; resolves when it is gone or queued. Does nothing the second time. */
  async end(held: Held, cause: string, why: Why = {}): Promise<void> {
    if (!this.#options.book.drop(held)) return
    await this.take({ row: held.row, revoke: revokerOf(held.provider, held.handle), standing: held.lease.standing, cause, why })
  }

  /** Takes over a lease that no call can use any more; resolves when it is gone or queued. */
  async take(ending: Ending): Promise<void> {
    const { row } = ending
    if (row.revocation === 'discard') return this.#close(ending, 'discarded')
    if (this.#options.clock() >= row.expires) return this.#over(ending)
    const pending: Pending = { ...ending, attempts: 0, next: Number.POSITIVE_INFINITY }
    this.#pending.set(row.id, pending)
    await this.#write(row, { state: 'revoking' })
    if (pending.revoke !== null) await this.#attempt(pending, pending.revoke)
  }

  /** What a crash or an unseen answer left: nobody can take it back, and the row says so. */
  async orphan(row: LeaseRow, cause: string, why: Why = {}): Promise<void> {
    this.#pending.delete(row.id)
    if (await this.#write(row, { state: 'orphaned', revocation: 'expiry', sealed: null }))
      await this.#tell(endedEvent(row, 'orphaned', cause, false, 'expiry', why))
  }

  /** Closes what has expired and tries again what is due. Call it about once a second. */
  async retry(): Promise<void> {
    const now = this.#options.clock()
    const tick = this.#options.ticks()
    const work: Promise<void>[] = []
    for (const pending of this.#pending.values()) {
      if (now >= pending.row.expires) work.push(this.#over(pending))
      else if (pending.revoke !== null && tick >= pending.next) work.push(this.#attempt(pending, pending.revoke))
    }
    await Promise.all(work)
  }

  has(id: string): boolean {
    return this.#pending.has(id)
  }

  /** Leases that still have to be confirmed gone. */
  get size(): number {
    return this.#pending.size
  }

  async #attempt(pending: Pending, revoke: NonNullable<Pending['revoke']>): Promise<void> {
    pending.next = Number.POSITIVE_INFINITY
    try {
      await within(attemptTime, revoke)
    } catch (error) {
      pending.attempts++
      pending.next = this.#options.ticks() + Math.min(longestWait, firstWait * 2 ** (pending.attempts - 1))
      const { row, cause, attempts } = pending
      const failure = (error instanceof Refusal ? error.detail : null) ?? 'the issuer did not confirm'
      this.#options.log.warn({ lease: row.id, provider: row.provider, attempts, why: failure }, 'a credential could not be revoked yet')
      if (attempts === 1) await this.#tell(failedEvent(row, cause, failure, pending.why))
      return
    }
    await this.#close(pending, 'revoked')
  }

  /** The time that its issuer gave it has passed. Of one that nobody saw, nobody knows how much that was. */
  #over(ending: Ending): Promise<void> {
    const { row, cause, why } = ending
    return row.digest === null ? this.orphan(row, cause, why) : this.#close(ending, 'expired')
  }

  async #close(ending: Ending, state: Ended): Promise<void> {
    const { row, cause, standing } = ending
    this.#pending.delete(row.id)
    if (await this.#write(row, { state, sealed: null }))
      await this.#tell(endedEvent(row, state, cause, standing, row.revocation, ending.why))
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

/** Runs one attempt; rejects after `ms` also when it ignores its signal. */
async function within(ms: number, run: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const signal = AbortSignal.timeout(ms)
  const late = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Refusal('credential.unavailable', { detail: 'the issuer did not answer in time' })), {
      once: true,
    })
  })
  await Promise.race([run(signal), late])
}
