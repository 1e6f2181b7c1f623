import type { Call } from './listen/call.ts'
import type { Caller } from './identify/identify.ts'
import type { Task } from './task/task.ts'
import type { Target } from './match/match.ts'
import type { Decision, Question } from './decide/decide.ts'
import type { Permit } from './decide/permit.ts'
import type { Lease } from './credential/credential.ts'
import type { Outcome } from './forward/forward.ts'
import type { Entry } from './record/record.ts'
import { Refusal } from './refusal.ts'

/** The stages of the request path, in order. The order is the security property: it is fixed, not configured. */
export interface Stages {
  readonly record: (call: Call) => Entry
  readonly identify: (call: Call) => Caller | Promise<Caller>
  readonly task: (call: Call, caller: Caller) => Task | Promise<Task>
  readonly match: (call: Call, task: Task) => Target | Promise<Target>
  /** Synchronous by type: nobody can hide I/O in policy. */
  readonly decide: (question: Question) => Decision
  readonly approve: (decision: Decision, entry: Pick<Entry, 'rejudged'>) => Permit | Promise<Permit>
  readonly credential: (permit: Permit) => Lease | null | Promise<Lease | null>
  readonly forward: (permit: Permit, lease: Lease | null) => Promise<Outcome>
  /** The call is over: it is no longer counted or registered as open work. */
  readonly done: (call: Call) => void
}

/**
 * The request path: every call of every agent goes through this function and nothing else does.
 *
 *     listen → identify → task → match → decide → approve → (commit) → credential → forward → record
 *
 * Takes a call and the wired stages; never rejects. The call has been answered, or its connection cut, when it resolves.
 */
export async function countersign(call: Call, stages: Stages): Promise<void> {
  const entry = stages.record(call) // first line: even a malformed call leaves an entry
  try {
    call.admit() // what listen found wrong is refused here, inside the record
    const caller = entry.identified(await stages.identify(call)) // proven, or refused
    call.occupy(caller.id) // calls in flight are counted per caller
    const task = entry.tasked(await stages.task(call, caller)) // known, live, bound to this caller; or refused
    const target = entry.matched(await stages.match(call, task)) // the body is read only now, and only if it is judged
    const decision = entry.decided(stages.decide({ call, caller, task, target }))
    const permit = entry.permitted(await stages.approve(decision, entry)) // deny throws; allow mints
    await entry.commit() // the decision is written before anything leaves; cannot write ⇒ refuse
    const lease = entry.leased(await stages.credential(permit))
    const outcome = await stages.forward(permit, lease)
    entry.close(outcome) // the effect, as observed
  } catch (error) {
    const refusal = await entry.refuse(Refusal.from(error)) // written before it is answered
    call.refuse(refusal) // cuts the connection if bytes were already sent
  } finally {
    stages.done(call)
  }
}
