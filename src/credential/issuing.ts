import { Refusal } from '../refusal.ts'
import type { Secret } from '../secret.ts'
import type { NewId } from '../id.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { Seal, State, TaskRow } from '../state/state.ts'
import type { Issued, Lease, Wanted } from './credential.ts'
import { digestOf, digestsOf } from './digest.ts'
import { issuedEvent, type TellLease } from './lease-event.ts'
import { revokerOf, type LeaseEnds, type Log } from './lease-ends.ts'
import type { Held, LeaseBook } from './leases.ts'
import type { Narrowed, Offering } from './narrow.ts'
import { unanswered, Unanswered } from './provider.ts'
import { unusable } from './usable.ts'

/** What one lease is asked for, by whom, for what. */
export interface Ask {
  readonly slot: string
  readonly key: string
  readonly task: TaskRow
  readonly tool: string
  readonly destination: string
  readonly offering: Offering
  readonly narrowed: Narrowed
  readonly revision: string
  /** As in the row. */
  readonly context: string
  /** The call that asked first. */
  readonly call: string
}

export interface IssuingOptions {
  readonly book: LeaseBook
  readonly ends: LeaseEnds
  readonly state: State
  readonly seal: Seal | null
  /** The token a task was opened with on behalf of a person; throws when it cannot be opened. */
  readonly subjectToken: (task: TaskRow) => Secret | null
  readonly clock: () => number
  readonly ticks: () => number
  readonly newId: NewId
  readonly event: TellLease
  readonly log: Log
}

/** When a request to an issuer ends. */
export interface Until {
  /** Nothing of it may be used any more: aborts with a Refusal. */
  readonly stop: AbortSignal
  /** Its issuer is not waited for any longer. Aborts no sooner than `stop`. */
  readonly late: AbortSignal
}

/**
 * Gets one credential. The row is written as `issuing` before the issuer is asked, so no credential exists that the state does not
 * know of; what came is checked, written and told to the ledger before any call can use it.
 * Rejects with `credential.unavailable`, `credential.too-wide`, `task.ended` or `record.failed`; whatever came by then is taken back.
 */
export async function issue(ask: Ask, options: IssuingOptions, until: Until): Promise<Lease> {
  const { state, clock, ticks } = options
  await alive(ask.task.id, state)
  const start = { now: clock(), tick: ticks() }
  const ttl = Math.min(ask.narrowed.ttl, ask.task.expires - start.now)
  if (ttl <= 0) throw new Refusal('task.ended', { reasons: ['the task has expired'] })
  const row = rowOf(ask, options.newId('l'), start.now, ttl)
  await written(() => state.putLease(row))
  const came = await asked(ask, row, ttl, options, until)
  const held = heldOf(ask, came, start, ttl, options.seal)
  options.book.keep(held)
  try {
    await accept(ask, held, came.issued, options, until.stop)
  } catch (error) {
    await options.ends.end(held, error instanceof Refusal ? error.code : 'internal')
    throw error
  }
  return held.lease
}

/** Lets the credential into use, or throws why not. */
async function accept(ask: Ask, held: Held, issued: Issued, options: IssuingOptions, stop: AbortSignal): Promise<void> {
  const { book, state, event } = options
  await written(() => state.changeLease(held.row.id, ['issuing'], held.row))
  await event(issuedEvent(held.row, held.lease, ask.call, book.served(held.slot)?.lease.id ?? null))
  if (issued.excess !== null) throw new Refusal('credential.too-wide', { detail: issued.excess })
  const fault = unusable(held.lease)
  if (fault !== null) throw new Refusal('credential.unavailable', { detail: fault })
  if (held.lease.expires <= options.clock()) throw new Refusal('credential.unavailable', { detail: 'what came had expired' })
  await alive(ask.task.id, state)
  if (stop.aborted) throw stop.reason
  // from the last look at the task to here there was one tick; a task that ends later finds the lease in the book
  if (!book.serve(held)) throw new Refusal('task.ended')
}

/** A task that ended while the issuer was asked gets nothing. A paused one keeps its leases: pausing is not an end. */
async function alive(id: string, state: State): Promise<void> {
  const task = await state.task(id)
  if (task === null || (task.state !== 'active' && task.state !== 'paused')) throw new Refusal('task.ended')
}

/** What the issuer gave, with what could take it back before anybody knew what it gives. */
interface Came {
  readonly row: LeaseRow
  readonly issued: Issued
  readonly prepared: Secret | null
}

async function asked(ask: Ask, first: LeaseRow, ttl: number, options: IssuingOptions, { stop, late }: Until): Promise<Came> {
  const { provider } = ask.offering
  let prepared: Secret | null = null
  let row = first
  let asking = false
  try {
    const wanted = wantedOf(ask, row, ttl, options.subjectToken)
    prepared = (await provider.prepare?.(wanted, stop)) ?? null
    if (prepared !== null) row = await preparedRow(row, prepared, options)
    if (stop.aborted) throw stop.reason
    asking = true
    // what only its answer can take back is waited for, though nobody will use it
    const signal = provider.revoke !== undefined && prepared === null ? late : stop
    return { row, prepared, issued: timed(await provider.issue(wanted, signal, prepared), row) }
  } catch (error) {
    const refusal = error instanceof Refusal ? error : unexpected(error)
    // what was prepared and never asked for may be something already
    const unsure = refusal.cause instanceof Unanswered || (prepared !== null && !asking)
    const detail = refusal.detail ?? 'the answer was not seen'
    if (!unsure) await written(() => options.state.changeLease(row.id, ['issuing'], { state: 'discarded', sealed: null }))
    else if (prepared === null) await options.ends.orphan(row, detail)
    else await options.ends.take({ row, revoke: revokerOf(provider, prepared), standing: provider.standing, cause: detail })
    options.log.warn({ lease: row.id, provider: row.provider, why: refusal.detail }, 'no credential came')
    throw refusal
  }
}

/** One that ends at no time would never be seen to end: it counts as too wide, and as ending when it was asked to. */
function timed(issued: Issued, { expires }: LeaseRow): Issued {
  const told = Math.floor(issued.expires)
  if (Number.isSafeInteger(told)) return { ...issued, expires: told }
  return { ...issued, expires, excess: issued.excess ?? 'its expiry is not told' }
}

/** From here on a crash leaves a row that can be revoked. */
async function preparedRow(row: LeaseRow, prepared: Secret, { seal, state }: IssuingOptions): Promise<LeaseRow> {
  const change = { sealed: sealedOf(row.id, prepared, seal), revocation: 'issuer' } as const
  await written(() => state.changeLease(row.id, ['issuing'], change))
  return { ...row, ...change }
}

function sealedOf(lease: string, handle: Secret | null, seal: Seal | null): string | null {
  return handle !== null && seal !== null ? seal.seal(handle.reveal(), handlePurpose(lease)) : null
}

function rowOf(ask: Ask, id: string, now: number, ttl: number): LeaseRow {
  const { key, task, tool, destination, offering, narrowed, revision } = ask
  return {
    id,
    key,
    task: task.id,
    caller: task.caller,
    tool,
    destination,
    provider: offering.name,
    scopes: narrowed.scopes,
    audience: narrowed.audience,
    state: 'issuing',
    issued: now,
    // until the issuer says when it ends
    expires: now + Math.max(ttl, offering.provider.floor ?? 0),
    revision,
    revocation: 'expiry',
    digest: null,
    sealed: null,
    context: ask.context,
  }
}

function wantedOf(ask: Ask, row: LeaseRow, ttl: number, subjectToken: IssuingOptions['subjectToken']): Wanted {
  const { id: lease, task, caller, tool, destination, scopes, audience } = row
  const { onBehalfOf } = ask.task
  const token = onBehalfOf !== null && ask.offering.provider.offer.subject ? opened(ask.task, subjectToken) : null
  return { lease, task, caller, tool, destination, scopes, audience, ttl, subject: onBehalfOf && { ...onBehalfOf, token } }
}

function opened(task: TaskRow, subjectToken: IssuingOptions['subjectToken']): Secret | null {
  try {
    return subjectToken(task)
  } catch {
    throw new Refusal('credential.unavailable', { detail: "the task's subject token cannot be opened with the state key" })
  }
}

/** Only the name is kept: the text of an unknown error may hold anything. */
function unexpected(error: unknown): Refusal {
  const name = error instanceof Error ? error.name : typeof error
  return unanswered(`the provider failed: ${name}`)
}

function heldOf(ask: Ask, came: Came, start: Start, ttl: number, seal: Seal | null): Held {
  const { provider, name } = ask.offering
  const { row, issued, prepared } = came
  const { secret, user, parts, scopes, revocation } = issued
  const digest = digestOf(secret, parts)
  const handle = issued.handle ?? (revocation === 'issuer' ? prepared : null)
  const expires = Math.min(issued.expires, start.now + ttl)
  return {
    lease: {
      id: row.id,
      provider: name,
      placement: provider.placement,
      secret,
      ...(user === undefined ? {} : { user }),
      ...(parts === undefined ? {} : { parts }),
      digest,
      expires,
      revocation,
      standing: provider.standing,
      scopes,
    },
    row: { ...row, state: 'live', scopes, expires: issued.expires, revocation, digest, sealed: sealedOf(row.id, handle, seal) },
    slot: ask.slot,
    provider,
    handle,
    digests: digestsOf(digest, secret, parts),
    ...timesOf(start, expires, start.now + ttl >= ask.task.expires),
  }
}

/** Both clocks as they were before the issuer was asked. */
export interface Start {
  readonly now: number
  readonly tick: number
}

/** When a lease is used until `expires`, from which moments on a fresh one is asked for. `last`: one would live no longer, for the task ends. */
export function timesOf({ now, tick }: Start, expires: number, last: boolean): Pick<Held, 'renew' | 'renewTick' | 'endTick'> {
  const margin = last ? 0 : Math.min(5000, (expires - now) / 5)
  return { renew: expires - margin, renewTick: tick + (expires - margin - now), endTick: tick + (expires - now) }
}

/** What the handle of a lease is sealed for. */
export function handlePurpose(lease: string): string {
  return `lease:${lease}`
}

/** Runs one write to the state; rejects with `record.failed`. */
export async function written(write: () => unknown): Promise<void> {
  try {
    await write()
  } catch {
    throw new Refusal('record.failed', { detail: 'the lease could not be written to the state' })
  }
}
