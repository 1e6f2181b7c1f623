import { createHash } from 'node:crypto'
import { Refusal } from '../refusal.ts'
import type { Secret } from '../secret.ts'
import type { NewId } from '../id.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { Seal, State, TaskRow } from '../state/state.ts'
import type { Issued, Lease, Wanted } from './credential.ts'
import { issuedEvent, type TellLease } from './lease-event.ts'
import type { LeaseEnds, Log } from './lease-ends.ts'
import type { Held, LeaseBook } from './leases.ts'
import type { Narrowed, Offering } from './narrow.ts'
import { fits } from './placement.ts'
import { Unanswered } from './provider.ts'

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

/**
 * Gets one credential. The row is written as `issuing` before the issuer is asked, so no credential exists that the state does not
 * know of; what came is checked, written and told to the ledger before any call can use it.
 * Rejects with `credential.unavailable`, `credential.too-wide`, `task.ended` or `record.failed`; whatever came by then is taken back.
 */
export async function issue(ask: Ask, options: IssuingOptions, signal: AbortSignal): Promise<Lease> {
  const { state, clock, ticks } = options
  await alive(ask.task.id, state)
  const start = { now: clock(), tick: ticks() }
  const ttl = Math.min(ask.narrowed.ttl, ask.task.expires - start.now)
  if (ttl <= 0) throw new Refusal('task.ended', { reasons: ['the task has expired'] })
  const row = rowOf(ask, options.newId('l'), start.now, ttl)
  await written(() => state.putLease(row))
  const issued = await asked(ask, row, ttl, options, signal).catch((error: unknown) => nothingCame(row, error, options))
  const held = heldOf(ask, row, issued, start, ttl, options.seal)
  options.book.keep(held)
  try {
    await accept(ask, held, issued, options, signal)
  } catch (error) {
    await options.ends.end(held, error instanceof Refusal ? error.code : 'internal')
    throw error
  }
  return held.lease
}

/** Lets the credential into use, or throws why not. */
async function accept(ask: Ask, held: Held, issued: Issued, options: IssuingOptions, signal: AbortSignal): Promise<void> {
  const { book, state, event } = options
  await written(() => state.changeLease(held.row.id, ['issuing'], held.row))
  await event(issuedEvent(held.row, held.lease, ask.call, book.served(held.slot)?.lease.id ?? null))
  if (issued.excess !== null) throw new Refusal('credential.too-wide', { detail: issued.excess })
  if (!fits(held.lease.secret.reveal(), held.lease.placement))
    throw new Refusal('credential.unavailable', { detail: 'what came cannot be put on a request' })
  if (held.lease.expires <= options.clock()) throw new Refusal('credential.unavailable', { detail: 'what came had expired' })
  await alive(ask.task.id, state)
  if (signal.aborted) throw signal.reason
  // from the last look at the task to here there was one tick; a task that ends later finds the lease in the book
  if (!book.serve(held)) throw new Refusal('task.ended')
}

/** A task that ended while the issuer was asked gets nothing. A paused one keeps its leases: pausing is not an end. */
async function alive(id: string, state: State): Promise<void> {
  const task = await state.task(id)
  if (task === null || (task.state !== 'active' && task.state !== 'paused')) throw new Refusal('task.ended')
}

async function asked(ask: Ask, row: LeaseRow, ttl: number, options: IssuingOptions, signal: AbortSignal): Promise<Issued> {
  return ask.offering.provider.issue(wantedOf(ask, row, ttl, options.subjectToken), signal)
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
    expires: now + ttl,
    revision,
    revocation: 'expiry',
    digest: null,
    sealed: null,
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

/** The issuer gave nothing, or nobody knows what it gave: then the row stays as an orphan that ends by expiry. */
async function nothingCame(row: LeaseRow, error: unknown, options: IssuingOptions): Promise<never> {
  const refusal = error instanceof Refusal ? error : unexpected(error)
  if (refusal.cause instanceof Unanswered) await options.ends.orphan(row, refusal.detail ?? 'the answer was not seen')
  else await written(() => options.state.changeLease(row.id, ['issuing'], { state: 'discarded' }))
  options.log.warn({ lease: row.id, provider: row.provider, why: refusal.detail }, 'no credential came')
  throw refusal
}

/** Only the name is kept: the text of an unknown error may hold anything. */
function unexpected(error: unknown): Refusal {
  const name = error instanceof Error ? error.name : typeof error
  return new Refusal('credential.unavailable', { detail: `the provider failed: ${name}`, retry: 'later', cause: new Unanswered() })
}

function heldOf(
  ask: Ask,
  row: LeaseRow,
  issued: Issued,
  start: { readonly now: number; readonly tick: number },
  ttl: number,
  seal: Seal | null,
): Held {
  const { provider, name } = ask.offering
  const digest = digestOf(issued.secret)
  const expires = Math.min(issued.expires, start.now + ttl)
  // when the task itself ends with the lease, a fresh one would live no longer
  const margin = start.now + ttl >= ask.task.expires ? 0 : Math.min(5000, (expires - start.now) / 5)
  const { id } = row
  const { scopes, revocation } = issued
  const sealed = issued.handle !== null && seal !== null ? seal.seal(issued.handle.reveal(), handlePurpose(id)) : null
  return {
    lease: {
      id,
      provider: name,
      placement: provider.placement,
      secret: issued.secret,
      ...(issued.user === undefined ? {} : { user: issued.user }),
      ...(issued.parts === undefined ? {} : { parts: issued.parts }),
      digest,
      expires,
      revocation,
      standing: provider.standing,
      scopes,
    },
    row: { ...row, state: 'live', scopes, expires: issued.expires, revocation, digest, sealed },
    slot: ask.slot,
    provider,
    handle: issued.handle,
    renew: expires - margin,
    renewTick: start.tick + (expires - margin - start.now),
    endTick: start.tick + (expires - start.now),
  }
}

/** `sha256:` and lower-case hex of a secret: names it without telling it. */
export function digestOf(secret: Secret): string {
  return `sha256:${createHash('sha256').update(secret.reveal()).digest('hex')}`
}

/** What the handle of a lease is sealed for. */
export function handlePurpose(lease: string): string {
  return `lease:${lease}`
}

async function written(write: () => unknown): Promise<void> {
  try {
    await write()
  } catch {
    throw new Refusal('record.failed', { detail: 'the lease could not be written to the state' })
  }
}
