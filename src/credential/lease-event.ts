import type { Lease } from './credential.ts'
import type { LeaseRow, LeaseState } from '../state/leases.ts'

/** What the ledger is told of a lease; the same form as every other event. */
export interface LeaseEvent {
  readonly kind: `lease.${'issued' | 'renewed' | 'renewal-failed' | 'revoked' | 'expired' | 'discarded' | 'orphaned' | 'revocation-failed' | 'revocation-overdue'}`
  readonly task: string
  readonly caller: string
  readonly by: string
  readonly detail: Readonly<Record<string, unknown>>
}

/** Resolves when the line is in the ledger; rejects when it cannot be written. */
export type TellLease = (event: LeaseEvent) => Promise<void>

/** A new lease: what it is, where it goes and how it will end. Never the value, only its digest. */
export function issuedEvent(row: LeaseRow, lease: Lease, call: string, replaces: string | null): LeaseEvent {
  const { key: _key, sealed: _sealed, task, caller, issued, expires, ...facts } = row
  const times = { issued, use_until: lease.expires, expires }
  const detail = { ...facts, ...times, standing: lease.standing, call, ...(replaces === null ? {} : { replaces }) }
  return { kind: 'lease.issued', task, caller, by: 'countersign', detail }
}

/** A lease that lives on at its issuer: until when it lived and was used before, and from now on. */
export function renewedEvent(
  row: LeaseRow,
  { before, use, used, call }: { readonly before: number; readonly use: number; readonly used: number; readonly call: string },
): LeaseEvent {
  const { id, provider, tool, destination, digest, expires, revision, context, task, caller } = row
  const times = { expires_before: before, expires, use_until_before: used, use_until: use }
  return {
    kind: 'lease.renewed',
    task,
    caller,
    by: 'countersign',
    detail: { id, provider, tool, destination, digest, ...times, revision, context, call },
  }
}

/** A lease that its issuer did not renew: it ends when it would have, and the next call gets a fresh one. */
export function renewalFailedEvent({ id, provider, digest, expires, task, caller }: LeaseRow, why: string): LeaseEvent {
  return { kind: 'lease.renewal-failed', task, caller, by: 'countersign', detail: { id, provider, digest, expires, why } }
}

interface About {
  readonly cause: string
  readonly why?: Why | undefined
}

/** The end of a lease, as it really was. `took`: ms from its end here to the issuer's word. */
export function endedEvent(
  row: LeaseRow,
  state: Ended,
  { cause, why, standing, took = null }: About & { standing: boolean; took?: number | null },
): LeaseEvent {
  const { task, caller } = row
  const detail = { ...whichOf(row), ...why, standing, cause, ...(took === null ? {} : { took }) }
  return { kind: `lease.${state}`, task, caller, by: state === 'expired' ? 'clock' : 'countersign', detail }
}

/** A revocation that the issuer did not confirm; it is tried again until the credential expires. */
export function failedEvent(row: LeaseRow, { cause, failure, why }: About & { readonly failure: string }): LeaseEvent {
  const { task, caller } = row
  return { kind: 'lease.revocation-failed', task, caller, by: 'countersign', detail: { ...whichOf(row), ...why, cause, why: failure } }
}

/** A revocation that took longer than it may, ms; it is still tried again. */
export function overdueEvent(
  row: LeaseRow,
  {
    cause,
    failure,
    attempts,
    within,
    why,
  }: About & { readonly failure: string | null; readonly attempts: number; readonly within: number },
): LeaseEvent {
  const { task, caller } = row
  return {
    kind: 'lease.revocation-overdue',
    task,
    caller,
    by: 'clock',
    detail: { ...whichOf(row), ...why, cause, why: failure, attempts, within },
  }
}

function whichOf({ id, provider, digest, expires, revocation }: LeaseRow) {
  return { id, provider, digest, expires, revocation }
}

/** What was found when a lease was judged again: the policy revision, the refusal code and what the operator reads of it. */
export interface Why {
  readonly judged?: { readonly revision: string; readonly code: string; readonly detail: string | null }
}

/** The states in which a lease stays. */
export type Ended = Extract<LeaseState, 'revoked' | 'expired' | 'discarded' | 'orphaned'>
