import { Refusal } from '../refusal.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { State } from '../state/state.ts'
import { attempt } from './attempt.ts'
import { timesOf, written, type Ask, type Start } from './issuing.ts'
import type { Log } from './lease-ends.ts'
import { renewalFailedEvent, renewedEvent, type TellLease } from './lease-event.ts'
import type { Held, LeaseBook } from './leases.ts'
import { unanswered, Unanswered } from './provider.ts'

export interface RenewalsOptions {
  readonly book: LeaseBook
  readonly state: State
  readonly clock: () => number
  readonly ticks: () => number
  readonly event: TellLease
  readonly log: Log
}

/** Longest wait for an issuer. */
const renewalTime = 15_000

/**
 * Leases that are let live on at their issuer, one request for each. No call waits for it: the lease serves until its end, and longer
 * once the issuer has said until when.
 */
export class Renewals {
  readonly #options: RenewalsOptions
  /** By lease id. Written by `renew`. */
  readonly #underWay = new Map<string, { readonly stop: AbortController; readonly done: Promise<void> }>()

  constructor(options: RenewalsOptions) {
    this.#options = options
  }

  /** Has a lease renewed under the permit at hand, if it is not already; false when that cannot be, and a fresh one must be asked for. */
  renew(held: Held, ask: Ask): boolean {
    const { id } = held.lease
    if (held.row.context !== ask.context || held.spent === true || held.provider.renew === undefined || held.handle === null) return false
    if (this.#underWay.has(id)) return true
    const stop = new AbortController()
    const done = this.#run(held, ask, stop.signal)
      .catch(() => this.#options.log.error({ lease: id }, 'a renewal could not be written to the state or the ledger'))
      .finally(() => this.#underWay.delete(id))
    this.#underWay.set(id, { stop, done })
    return true
  }

  /** Stops asking for this lease: it is being taken back. */
  stop(lease: string): void {
    this.#underWay.get(lease)?.stop.abort()
  }

  /** Stops all of them and resolves when nothing is written any more. */
  async close(): Promise<void> {
    const all = [...this.#underWay.values()]
    for (const { stop } of all) stop.abort()
    await Promise.all(all.map(({ done }) => done))
  }

  async #run(held: Held, ask: Ask, stop: AbortSignal): Promise<void> {
    const { clock, ticks } = this.#options
    const start = { now: clock(), tick: ticks() }
    const ttl = Math.min(ask.narrowed.ttl, ask.task.expires - start.now)
    const before = held.row.expires
    // written before the issuer is asked: from here on it may live that long, whatever becomes of the answer
    if (!(await this.#until(held, Math.max(before, start.now + Math.max(ttl, held.provider.floor ?? 0))))) return
    let expires: number
    try {
      expires = await this.#asked(held, ask, ttl, stop)
    } catch (error) {
      return this.#failed(held, before, error)
    }
    await this.#renewed(held, ask, { start, ttl, before, expires })
  }

  async #asked({ provider, handle }: Held, ask: Ask, ttl: number, stop: AbortSignal): Promise<number> {
    if ((await this.#options.state.task(ask.task.id))?.state !== 'active') throw new Refusal('task.ended')
    if (provider.renew === undefined || handle === null) throw new Refusal('credential.unavailable')
    const renew = provider.renew.bind(provider, handle, ttl)
    const { expires } = await attempt(renewalTime, renew, stop)
    if (!Number.isSafeInteger(expires)) throw unanswered('the issuer does not say until when')
    return expires
  }

  /** What the issuer said counts, not what it was asked for; and no permit let it be used longer than its own `ttl`. */
  async #renewed(held: Held, ask: Ask, { start, ttl, before, expires }: Answered): Promise<void> {
    const { book, event } = this.#options
    const { id } = held.lease
    const old = book.get(id)
    if (old === undefined || !(await this.#until(old, expires))) return
    const end = Math.min(expires, start.now + ttl)
    if (end <= old.lease.expires || book.served(old.slot)?.lease.id !== id) {
      // it must not be used past an end that came nearer
      const use = Math.min(expires, old.lease.expires)
      book.change(id, {
        spent: true,
        lease: { ...old.lease, expires: use },
        endTick: Math.min(old.endTick, start.tick + (use - start.now)),
      })
      return this.#tellFailure(old.row, 'the issuer lets it live no longer')
    }
    await event(renewedEvent({ ...old.row, expires }, { before, use: end, used: old.lease.expires, call: ask.call }))
    book.change(id, { lease: { ...old.lease, expires: end }, ...timesOf(start, end, start.now + ttl >= ask.task.expires) })
  }

  async #failed(held: Held, before: number, error: unknown): Promise<void> {
    const out = this.#options.book.change(held.lease.id, { spent: true })
    if (out === null) return
    // an issuer that said no changed nothing; otherwise nobody knows, and the row goes on saying what was asked
    if (error instanceof Refusal && !(error.cause instanceof Unanswered)) await this.#until(out, before)
    const why = error instanceof Refusal ? (error.detail ?? error.code) : 'the provider failed'
    this.#options.log.warn(
      { lease: held.lease.id, provider: held.row.provider, why },
      'a lease was not renewed: the next call gets a fresh one',
    )
    await this.#tellFailure(out.row, why)
  }

  #tellFailure(row: LeaseRow, why: string): Promise<void> {
    return this.#options.event(renewalFailedEvent(row, why))
  }

  /** Writes down until when it may live at its issuer; false when it is not out any more. */
  async #until({ lease, row }: Held, expires: number): Promise<boolean> {
    const { book, state } = this.#options
    if (book.change(lease.id, { row: { ...row, expires } }) === null) return false
    await written(() => state.changeLease(lease.id, ['live'], { expires }))
    return book.has(lease.id)
  }
}

interface Answered {
  readonly start: Start
  readonly ttl: number
  /** Epoch ms, as the issuer had it and has it now. */
  readonly before: number
  readonly expires: number
}
