import type { Call } from '../listen/call.ts'
import type { Caller } from '../identify/identify.ts'
import type { Task } from '../task/task.ts'
import type { Target } from '../match/match.ts'
import type { Decision } from '../decide/decide.ts'
import type { Permit } from '../decide/permit.ts'
import type { Lease } from '../credential/credential.ts'
import type { Outcome } from '../forward/forward.ts'
import type { Refusal } from '../refusal.ts'

/** The record of one call. Each mark keeps what it was told, stamps the time, and hands it back. */
export interface Entry {
  identified(caller: Caller): Caller
  tasked(task: Task): Task
  matched(target: Target): Target
  decided(decision: Decision): Decision
  /** Facts changed before the permit, and this decision counts instead. */
  rejudged(decision: Decision): void
  permitted(permit: Permit): Permit
  /** Resolves when the decision line is in the ledger (and the state it rests on is written); rejects with `record.failed`. */
  commit(): Promise<void>
  leased(lease: Lease | null): Lease | null
  /** Queues the outcome line. */
  close(outcome: Outcome): void
  /** Writes the refusal and resolves with what is to be answered: the same one, or `record.failed` when it cannot be written. */
  refuse(refusal: Refusal): Promise<Refusal>
}

/** Things that happen to tasks, leases, policy and the process itself; same ledger, own kind of line. */
export interface LedgerEvent {
  /** Such as `task.opened`, `lease.issued`, `policy.activated`. */
  readonly kind: string
  readonly task?: string
  readonly caller?: string
  /** Who did it: a SPIFFE ID, `person:<name>`, `clock`, `countersign`. */
  readonly by: string
  readonly detail: Readonly<Record<string, unknown>>
}

/** Opens the record of a call; `event` writes one of everything else. */
export interface Recorder {
  call(call: Call): Entry
  /** Resolves when the line is in the ledger; rejects with `record.failed`. */
  event(event: LedgerEvent): Promise<void>
  /** A request so malformed that no call came of it. */
  malformed(listener: string, reason: string): void
}
