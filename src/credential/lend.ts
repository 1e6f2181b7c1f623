import { Refusal } from '../refusal.ts'
import type { Permit } from '../decide/permit.ts'
import type { Secret } from '../secret.ts'
import type { NewId } from '../id.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { Seal, State, TaskRow } from '../state/state.ts'
import type { Credential, CredentialProvider, Lease } from './credential.ts'
import { soonEnough } from './attempt.ts'
import { contextOf } from './context.ts'
import { issue, type Ask, type IssuingOptions } from './issuing.ts'
import type { TellLease, Why } from './lease-event.ts'
import { LeaseEnds, type Log } from './lease-ends.ts'
import { LeaseBook, type Held } from './leases.ts'
import { narrow, offering, type Offering } from './narrow.ts'
import { Renewals } from './renewing.ts'
import { sweep } from './sweep.ts'
import { unlessAborted } from './unless-aborted.ts'

export interface CredentialOptions {
  readonly providers: ReadonlyMap<string, CredentialProvider>
  readonly state: State
  /** Seals what revocation needs; null: it lives in memory only, and a crash leaves leases to their expiry. */
  readonly seal: Seal | null
  /** The token a task was opened with on behalf of a person; throws when it cannot be opened. */
  readonly subjectToken: (task: TaskRow) => Secret | null
  /** Epoch ms. */
  readonly clock: () => number
  /** ms on a clock that nobody can set; `performance.now` by default. */
  readonly ticks?: () => number
  /** How long a revocation may take before it is overdue, ms. */
  readonly within: () => number
  readonly newId: NewId
  /** Throws unless the permit was minted: `Permit.check`. */
  readonly check: (permit: Permit) => void
  readonly event: TellLease
  /** Told of each lease when calls can use it: by then another policy may be in force than the one it was asked for under. */
  readonly issued?: (row: LeaseRow) => void
  readonly log: Log
}

/** The stage, and what ends its leases. */
export interface CredentialStage {
  readonly credential: Credential
  readonly book: LeaseBook
  /**
   * Takes back every lease of a task: no call can have one of them from this tick on, and calls that wait for one are refused with
   * `why` (by default that the task ended). Resolves when each is gone or queued for retry.
   */
  revokeTask(task: string, cause: string, why?: Refusal): Promise<void>
  /** Takes back one lease, if it is still out; resolves when it is gone or queued for retry. */
  takeBack(lease: string, cause: string, why: Why): Promise<void>
  /** Call once, before the first call: deals with what an earlier process left, then keeps time. */
  sweep(): Promise<void>
  /** Ends what has expired and retries revocations; `sweep` runs it every second. */
  tick(): Promise<void>
  /** Uses other providers from now on; leases of those that are gone or were replaced are taken back. */
  change(providers: ReadonlyMap<string, CredentialProvider>): Promise<void>
  /** Stops keeping time and takes back every lease; resolves when each is gone or left to the next start. */
  close(): Promise<void>
  sizes(): Sizes
}

/** Leases out, leases on their way out, and those of them that should be gone by now. */
export interface Sizes {
  readonly out: number
  readonly ending: number
  readonly overdue: number
}

/** Longest wait for an issuer; at a shutdown; and for the rows of those that did not answer by then. */
const issueTime = 15_000
const lastAnswers = 3000
const lastWrites = 1000

interface Flight {
  readonly task: string
  readonly provider: CredentialProvider
  readonly lease: Promise<Lease>
  /** Aborts with a Refusal when nothing of it may be used any more: its task ended, its provider went, the issuer is late. */
  readonly stop: AbortController
  /** Aborts when the issuer is not waited for any longer, not even to take back what it gives. */
  readonly late: AbortController
}

/** Makes the credential stage: the one function that every provider sits behind. */
export function makeCredential(options: CredentialOptions): CredentialStage {
  return new Lender(options)
}

class Lender implements CredentialStage {
  readonly book = new LeaseBook()
  readonly #options: CredentialOptions
  readonly #issuing: IssuingOptions
  readonly #ends: LeaseEnds
  readonly #renewals: Renewals
  readonly #ticks: () => number
  /** Slot → the one request to an issuer under way for it; and all of them, those too that were stopped and replaced. Written by `#fly`. */
  readonly #flights = new Map<string, Flight>()
  readonly #flying = new Set<Flight>()
  #offerings: ReadonlyMap<string, Offering>
  #timer: NodeJS.Timeout | null = null

  constructor(options: CredentialOptions) {
    this.#options = options
    this.#ticks = options.ticks ?? (() => performance.now())
    this.#ends = new LeaseEnds({ ...options, ticks: this.#ticks, book: this.book })
    this.#issuing = { ...options, ticks: this.#ticks, book: this.book, ends: this.#ends }
    this.#renewals = new Renewals({ ...options, ticks: this.#ticks, book: this.book })
    this.#offerings = offeringsOf(options.providers)
  }

  /** Throws `decide.malformed`, or why the permit may not be used; a lease that is there comes back without a promise. */
  readonly credential: Credential = (permit) => {
    this.#options.check(permit)
    const { question, credential: wish, duties, revision } = permit.decision
    const { target, call } = question
    const { route, tool } = target
    if (route.credential === null) return null
    if (permit.signal.aborted) throw permit.signal.reason
    const found = this.#offerings.get(route.credential)
    if (found === undefined) throw new Refusal('credential.unavailable', { detail: `no provider is called "${route.credential}"` })
    const task = question.task.row
    const narrowed = narrow(found, wish, duties.narrow)
    const destination = route.to.origin + route.to.basePath
    const key = `${task.id}\n${question.caller.id}\n${tool.name}\n${destination}\n${narrowed.suffix}`
    const slot = narrowed.capped === null ? key : `${key}\n${narrowed.capped}`
    const hit = this.book.hit(slot, this.#options.clock(), this.#ticks(), task.expires)
    if (hit !== null) return hit
    const context = contextOf(permit.decision)
    const ask = { slot, key, task, tool: tool.name, destination, offering: found, narrowed, revision, context, call: call.id }
    return this.#renewed(ask) ?? this.#wait(ask, permit.signal)
  }

  async revokeTask(task: string, cause: string, why = new Refusal('task.ended')): Promise<void> {
    for (const flight of this.#flights.values()) if (flight.task === task) flight.stop.abort(why)
    await Promise.all(this.book.ofTask(task).map((held) => this.#end(held, cause)))
  }

  async takeBack(lease: string, cause: string, why: Why): Promise<void> {
    const held = this.book.get(lease)
    if (held !== undefined) await this.#end(held, cause, why)
  }

  async sweep(): Promise<void> {
    const { state, seal, clock } = this.#options
    const provider = (name: string) => this.#offerings.get(name)?.provider
    await sweep({ state, seal, clock, ends: this.#ends, provider, known: (id) => this.book.has(id) || this.#ends.has(id) })
    this.#timer ??= setInterval(() => void this.tick(), 1000).unref()
  }

  async tick(): Promise<void> {
    const due = this.book.due(this.#options.clock(), this.#ticks())
    await Promise.all([...due.map((held) => this.#end(held, 'expired')), this.#ends.retry()])
  }

  async change(providers: ReadonlyMap<string, CredentialProvider>): Promise<void> {
    const before = providersOf(this.#offerings)
    this.#offerings = offeringsOf(providers)
    const kept = new Set(providers.values())
    const stop = new Refusal('credential.unavailable', { detail: 'its provider was replaced', retry: 'later' })
    const flying = [...this.#flying].filter(({ provider }) => !kept.has(provider))
    for (const flight of flying) flight.stop.abort(stop)
    const gone = this.book.all().filter((held) => !kept.has(held.provider))
    await Promise.all(gone.map((held) => this.#end(held, 'provider-changed')))
    // what an issuer still owes an answer for is not waited for here: it is taken back when it comes, and then its provider is closed
    void Promise.allSettled(flying.map(({ lease }) => lease)).then(() => closed(before.filter((provider) => !kept.has(provider))))
  }

  async close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
    for (const flight of this.#flying) flight.stop.abort(new Refusal('listen.draining'))
    const under = Promise.allSettled([this.#renewals.close(), ...[...this.#flying].map(({ lease }) => lease)])
    await soonEnough(lastAnswers, under)
    for (const flight of this.#flying) flight.late.abort(new Refusal('listen.draining'))
    await soonEnough(lastWrites, under)
    await Promise.all(this.book.all().map((held) => this.#end(held, 'shutdown')))
    this.#ends.stop()
    await closed(providersOf(this.#offerings))
  }

  sizes(): Sizes {
    return { out: this.book.size, ...this.#ends.sizes() }
  }

  /** The lease at hand when it can be renewed: it serves until its end, and longer when that comes off. Null: a fresh one is needed. */
  #renewed(ask: Ask): Lease | null {
    const held = this.book.last(ask.slot, this.#options.clock(), this.#ticks(), ask.task.expires)
    return held !== null && this.#renewals.renew(held, ask) ? held.lease : null
  }

  #end(held: Held, cause: string, why?: Why): Promise<void> {
    this.#renewals.stop(held.lease.id)
    return this.#ends.end(held, cause, why)
  }

  /**
   * Waits for the one request per slot, as long as this call lives. When the last call leaves, it goes on: what comes is the task's, for its next
   * call, and an agent that hangs up again and again leaves one credential and not many.
   */
  async #wait(ask: Ask, signal: AbortSignal): Promise<Lease> {
    const known = this.#flights.get(ask.slot)
    // one that was stopped gives nothing any more, though calls that have not heard of it still wait for it
    const flight = known === undefined || known.stop.signal.aborted ? this.#fly(ask) : known
    const lease = await unlessAborted(flight.lease, signal, flight.stop.signal)
    // between the issuer's answer and this tick it may have been taken back
    if (!this.book.has(lease.id)) throw flight.stop.signal.aborted ? flight.stop.signal.reason : new Refusal('task.ended')
    return lease
  }

  #fly(ask: Ask): Flight {
    const [stop, late] = [new AbortController(), new AbortController()]
    const why = new Refusal('credential.unavailable', { detail: 'the issuer did not answer in time', retry: 'later' })
    const timer = setTimeout(() => {
      stop.abort(why)
      late.abort(why)
    }, issueTime).unref()
    const lease = issue(ask, this.#issuing, { stop: stop.signal, late: late.signal })
    const flight: Flight = { task: ask.task.id, provider: ask.offering.provider, lease, stop, late }
    this.#flights.set(ask.slot, flight)
    this.#flying.add(flight)
    const landed = (): void => {
      clearTimeout(timer)
      this.#flying.delete(flight)
      if (this.#flights.get(ask.slot) === flight) this.#flights.delete(ask.slot)
    }
    // every waiting call hears of a failure; this only ends the flight
    void lease.then(({ id }) => {
      landed()
      const row = this.book.get(id)?.row
      if (row !== undefined) this.#options.issued?.(row)
    }, landed)
    return flight
  }
}

/** Ends what providers hold for themselves. */
async function closed(providers: readonly CredentialProvider[]): Promise<void> {
  await Promise.allSettled(providers.map(async (provider) => provider.close?.()))
}

function providersOf(offerings: ReadonlyMap<string, Offering>): readonly CredentialProvider[] {
  return [...offerings.values()].map(({ provider }) => provider)
}

function offeringsOf(providers: ReadonlyMap<string, CredentialProvider>): ReadonlyMap<string, Offering> {
  return new Map([...providers].map(([name, provider]) => [name, offering(name, provider)]))
}
