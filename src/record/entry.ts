/** The record of one call: marks on the way, then its lines. */

import type { Call } from '../listen/call.ts'
import type { Caller } from '../identify/identify.ts'
import type { Task } from '../task/task.ts'
import type { Target } from '../match/match.ts'
import type { Decision } from '../decide/decide.ts'
import type { Permit } from '../decide/permit.ts'
import type { Lease } from '../credential/credential.ts'
import type { Outcome } from '../forward/forward.ts'
import { Refusal } from '../refusal.ts'
import type { Trace } from '../trace-context.ts'
import type { Entry } from './record.ts'
import type { CallEnd, CallFacts } from './call-lines.ts'
import { decisionPart, outcomePart, refusalPart } from './call-lines.ts'
import type { Ledger } from './ledger.ts'
import type { Masking } from './mask.ts'
import type { OpaForm } from './opa.ts'
import type { UnknownCallers } from './unknown-callers.ts'

export type RecordStage = 'identify' | 'task' | 'match' | 'decide' | 'approve' | 'commit' | 'credential' | 'forward'

/** What metrics may know of a finished call: nothing in it is chosen by an agent. */
export interface EntrySummary {
  readonly route: string | null
  readonly tool: string | null
  /** How the caller was proven. */
  readonly method: Caller['method'] | null
  /** Provider of the route's credential. */
  readonly provider: string | null
  readonly effect: Decision['effect'] | null
  /** Refusal code; null when the upstream's answer went through. */
  readonly code: Refusal['code'] | null
  /** What the agent got; null when it got no status. */
  readonly status: number | null
  readonly durationMs: number
  readonly stageMs: Readonly<Partial<Record<RecordStage, number>>>
}

/** A finished call that is traced: what spans are made of. */
export interface TracedCall {
  readonly trace: Trace
  readonly call: Call
  readonly caller: Caller | null
  readonly task: Task | null
  readonly target: Target | null
  readonly decision: Decision | null
  readonly lease: Lease | null
  /** Null: it was not forwarded, or refused after its decision was written. */
  readonly outcome: Outcome | null
  readonly refusal: Refusal | null
  readonly durationMs: number
  readonly stageMs: Readonly<Partial<Record<RecordStage, number>>>
}

/** What all entries of one recorder share. */
export interface EntryRig {
  readonly ledger: Ledger
  readonly form: OpaForm
  readonly unknown: UnknownCallers
  readonly masking: Masking
  /** By SPIFFE ID. */
  readonly registered: (caller: string) => boolean
  /** Monotonic ms. */
  readonly now: () => number
  readonly observe: ((summary: EntrySummary) => void) | null
  readonly traced: ((call: TracedCall) => void) | null
}

/** One per call; owned by the request path of that call. */
export class CallEntry implements Entry {
  readonly #rig: EntryRig
  readonly #call: Call
  readonly #began: number
  #last: number
  readonly #stageMs: Partial<Record<RecordStage, number>> = {}
  #caller: Caller | null = null
  #task: Task | null = null
  #target: Target | null = null
  #decision: Decision | null = null
  #lease: Lease | null = null
  #state: 'open' | 'committed' | 'ended' = 'open'

  constructor(call: Call, rig: EntryRig) {
    this.#rig = rig
    this.#call = call
    this.#began = this.#last = rig.now()
  }

  identified(caller: Caller): Caller {
    this.#stageMs.identify = this.#mark()
    return (this.#caller = caller)
  }

  tasked(task: Task): Task {
    this.#stageMs.task = this.#mark()
    return (this.#task = task)
  }

  matched(target: Target): Target {
    this.#stageMs.match = this.#mark()
    return (this.#target = target)
  }

  decided(decision: Decision): Decision {
    this.#stageMs.decide = this.#mark()
    return (this.#decision = decision)
  }

  rejudged(decision: Decision): void {
    this.#decision = decision
  }

  /** The permit carries the final decision: after a hold it is not the first one. */
  permitted(permit: Permit): Permit {
    this.#stageMs.approve = this.#mark()
    this.#decision = permit.decision
    return permit
  }

  async commit(): Promise<void> {
    if (this.#decision === null) throw new Refusal('internal', { detail: 'a commit without a decision' })
    await this.#rig.ledger.append(decisionPart(this.#rig.form, this.#facts(), this.#rig.masking))
    this.#state = 'committed'
    this.#stageMs.commit = this.#mark()
  }

  leased(lease: Lease | null): Lease | null {
    this.#stageMs.credential = this.#mark()
    return (this.#lease = lease)
  }

  close(outcome: Outcome): void {
    if (this.#state !== 'committed') return
    this.#stageMs.forward = this.#mark()
    this.#state = 'ended'
    const cut = outcome.ended === 'cut' ? this.#reason() : null
    this.#rig.ledger.push(outcomePart(this.#rig.form, this.#facts(), this.#end(outcome, cut)))
    this.#report(cut, outcome.status, outcome)
  }

  async refuse(refusal: Refusal): Promise<Refusal> {
    const state = this.#state
    if (state === 'ended') return refusal
    this.#state = 'ended'
    const answer = await this.#writeRefusal(refusal, state === 'committed')
    this.#report(answer, answer.status, null)
    return answer
  }

  async #writeRefusal(refusal: Refusal, committed: boolean): Promise<Refusal> {
    const { form, ledger, unknown, masking } = this.#rig
    try {
      if (committed) {
        this.#stageMs.forward = this.#mark()
        // the outcome is owed: should it fail now, the agent hears so and the line is tried again
        await ledger.append(outcomePart(form, this.#facts(), this.#end(this.#cutShort(refusal), refusal)), true)
      } else if (this.#caller === null || !this.#rig.registered(this.#caller.id)) {
        await unknown.record(this.#call.listener.name, refusal.code, () => refusalPart(form, this.#facts(), refusal, masking))
      } else {
        await ledger.append(refusalPart(form, this.#facts(), refusal, masking))
      }
      return refusal
    } catch (error) {
      return error instanceof Refusal ? error : new Refusal('record.failed', { cause: error })
    }
  }

  #facts(): CallFacts {
    return {
      call: this.#call,
      caller: this.#caller,
      task: this.#task,
      target: this.#target,
      decision: this.#decision,
      lease: this.#lease,
      stages: stagesText(this.#stageMs),
    }
  }

  /** Why the call was cut when its answer had begun: the agent hears nothing of it, the record does. */
  #reason(): Refusal | null {
    const { signal } = this.#call
    return signal.aborted && signal.reason instanceof Refusal ? signal.reason : null
  }

  #end(outcome: Outcome, refusal: Refusal | null): CallEnd {
    return { outcome, refusal, durationMs: this.#last - this.#began }
  }

  /** What is known of a permitted call that ended in a refusal. */
  #cutShort({ effect }: Refusal): Outcome {
    const { signal } = this.#call
    const gone = signal.aborted && signal.reason instanceof Error && signal.reason.name === 'ClientGone'
    const ended = gone ? 'client-gone' : signal.aborted ? 'cut' : 'refused'
    return { status: null, ended, ...(effect ?? { bytesOut: 0, bytesIn: 0, bodySha256: null, dialled: null, proven: null }) }
  }

  /** Ends a stage; gives how long it took, ms. */
  #mark(): number {
    const now = this.#rig.now()
    const ms = now - this.#last
    this.#last = now
    return ms
  }

  #report(refusal: Refusal | null, status: number | null, outcome: Outcome | null): void {
    const { observe, traced, now } = this.#rig
    const trace = this.#call.trace ?? null
    if (trace !== null && traced !== null)
      traced({ ...this.#facts(), trace, outcome, refusal, durationMs: now() - this.#began, stageMs: this.#stageMs })
    if (observe === null) return
    const target = this.#target
    observe({
      route: target?.route.name ?? this.#call.address.route,
      tool: target?.tool.name ?? null,
      method: this.#caller?.method ?? null,
      provider: target?.route.credential ?? null,
      effect: this.#decision?.effect ?? null,
      code: refusal?.code ?? null,
      status,
      durationMs: now() - this.#began,
      stageMs: this.#stageMs,
    })
  }
}

/** The stages that no line tells of yet, as JSON text of stage → µs: those up to the commit, or those from it on. */
function stagesText({ identify, task, match, decide, approve, commit, credential, forward }: EntrySummary['stageMs']): string {
  let text = '{'
  if (commit === undefined) {
    // in order: none is there without the one before it
    if (identify !== undefined) text += `"identify":${micros(identify)}`
    if (task !== undefined) text += `,"task":${micros(task)}`
    if (match !== undefined) text += `,"match":${micros(match)}`
    if (decide !== undefined) text += `,"decide":${micros(decide)}`
    if (approve !== undefined) text += `,"approve":${micros(approve)}`
  } else {
    text += `"commit":${micros(commit)}`
    if (credential !== undefined) text += `,"credential":${micros(credential)}`
    if (forward !== undefined) text += `,"forward":${micros(forward)}`
  }
  return `${text}}`
}

function micros(ms: number): number {
  return Math.round(ms * 1000)
}
