/** Judges whether open work, a stream or a lease, may go on now that a fact it rests on has changed. */

import type { Call, Progress } from '../listen/call.ts'
import type { Caller } from '../identify/identify.ts'
import type { Task } from '../task/task.ts'
import type { Target } from '../match/match.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { Facts } from '../state/state.ts'
import { Refusal } from '../refusal.ts'
import { enforcedOf, type DecideOptions } from './decide.ts'
import { delegationText } from './delegation.ts'
import { dutiesOf, type Duties } from './duties.ts'
import { number, numbers, text, textOrNull, texts, type Cap } from './fragment.ts'
import { contextText, readText, settingOf, standingText, taskText, toolText, type Seen, type Setting } from './input.ts'
import { inForce, judge, type JudgeOptions } from './judge.ts'
import type { JudgedReason } from './result.ts'
import { divergenceText, sourcesText } from './sequence-text.ts'
import { signalsText } from './signal-input.ts'
import { agentMembers, parties } from './subject.ts'

/** What changed. */
export type ContinueCause = 'policy' | 'configuration' | 'agent' | 'sensitivity' | 'pause' | 'lapse' | 'signal'

interface OpenWork {
  readonly cause: ContinueCause
  /** With the row and the agent as they are now. */
  readonly task: Task
  /** As they are now. */
  readonly facts: Facts
  /** What its tool is by now. */
  readonly target: Pick<Target, 'route' | 'tool' | 'resource' | 'body'>
  /** Epoch ms at which it was permitted, and the policy revision that did. */
  readonly since: number
  readonly revision: string
}

/** A permitted call whose last byte has not gone. */
export interface OpenStream extends OpenWork {
  readonly kind: 'stream'
  readonly call: Pick<Call, 'id' | 'method' | 'address'>
  readonly caller: Caller
  /** Null when it was not forwarded yet. */
  readonly progress: Progress | null
  /** Whether the agent may yet send more of its body. */
  readonly sending: boolean
}

/** A credential that is out. */
export interface OpenLease extends OpenWork {
  readonly kind: 'lease'
  readonly caller: Pick<Caller, 'id' | 'trustDomain'>
  readonly row: LeaseRow
}

export interface Continuation {
  readonly goesOn: boolean
  /** Why not; also when observe mode lets it go on all the same. */
  readonly reasons: readonly JudgedReason[]
  /** Notices, and leases taken back: done whatever became of the work. */
  readonly duties: Duties
  /** Policy revision. */
  readonly revision: string
}

export type JudgeContinue = (asked: OpenStream | OpenLease) => Continuation

export interface JudgeContinueOptions extends JudgeOptions, Setting, Pick<DecideOptions, 'signals'> {
  /** Epoch ms. */
  readonly clock: () => number
  /** Whether a notice may go to this name. */
  readonly knows: (to: string) => boolean
}

/**
 * Makes the judge of open work. Only an allow lets it go on, or a refusal by nothing but rules in observe mode, as for a call.
 *
 * Throws as the stage does, `decide.denied` when the policy says nothing about open work, and `decide.malformed` for a narrower
 * credential (what was lent can no longer be changed) and for a notice to nobody. Whatever is thrown ends the work.
 */
export function makeJudgeContinue(options: JudgeContinueOptions): JudgeContinue {
  return (asked) => {
    const now = options.clock()
    const engine = inForce(options)
    if (!engine.answers('countersign/continue')) throw unanswered(engine.revision)
    const { row } = asked.task
    const signals = options.signals?.({ task: row.id, caller: row.caller, resource: asked.target.resource }, now) ?? []
    const { result, revision } = judge({ engine: () => engine, log: options.log }, 'countersign/continue', (policy) =>
      buildContinueInput(asked, { now, revision: policy, signals }, options),
    )
    const { effect, reasons, obligations, credential } = result
    if (credential !== null) throw new Refusal('decide.malformed', { detail: 'policy narrows a credential that was lent' })
    const duties = dutiesOf(obligations)
    for (const { to } of duties.notices)
      if (!options.knows(to)) throw new Refusal('decide.malformed', { detail: `policy notifies "${to}", and no notifier is called that` })
    return { goesOn: effect === 'allow' || enforcedOf(options, asked, reasons) === 'allow', reasons, duties, revision }
  }
}

function unanswered(revision: string): Refusal {
  return new Refusal('decide.denied', {
    reasons: ['policy does not say whether this may go on'],
    detail: `policy ${revision} has no entrypoint countersign/continue`,
  })
}

const operator = (most: number, what: string): Cap => ({ most, what, fault: 'operator' })

const caps = {
  name: operator(256, 'a name'),
  method: operator(64, 'the method'),
  path: operator(2048, 'the path'),
  classes: operator(64, 'a list of data classes'),
  meters: operator(64, 'the budget'),
  scopes: operator(64, 'the scopes'),
  scope: operator(512, 'a scope'),
  destination: operator(4096, 'a destination'),
} as const satisfies Record<string, Cap>

/** Assembles the input of `countersign/continue` (`rego/schemas/continue.json`): closed, times in integer ms. */
export function buildContinueInput(
  asked: OpenStream | OpenLease,
  seen: Pick<Seen, 'now' | 'revision' | 'signals'>,
  setting: Setting,
): string {
  const { kind, cause, facts, target, task } = asked
  const stream = kind === 'stream' ? asked : null
  const spent = numbers(facts.task.spent, caps.meters, caps.name)
  return (
    `{"v":1,"kind":"${kind}","cause":"${cause}","request":${stream === null ? 'null' : requestText(stream)}` +
    `,${kind === 'stream' ? standingText(asked.caller, task).who : ownerText(asked)},"spent":${spent}}${readText(facts, seen.now)}` +
    `,"delegation":${stream === null ? delegationText(task.row) : standingText(stream.caller, task).delegation},"tool":${toolText(target)},"lease":${kind === 'lease' ? leaseText(asked.row) : 'null'}` +
    `,"sequence":${sequenceText(facts.task, seen.now)},"work":${workText(asked, stream, seen.now)},"signals":${signalsText(seen.signals, seen.now)},"context":${contextText(seen, settingOf(asked, setting))}}`
  )
}

function requestText({ call }: OpenStream): string {
  return `{"id":${text(call.id, caps.name)},"method":${text(call.method, caps.method)},"path":${text(call.address.path, caps.path)}}`
}

/** As for a call, but of the caller only the name is known. */
function ownerText({ caller, task }: OpenLease): string {
  return (
    `"caller":{"spiffe_id":${text(caller.id, parties)},"trust_domain":${text(caller.trustDomain, caps.name)}}` +
    `,"agent":{${agentMembers(task.agent)}},"task":${taskText(task.row)}`
  )
}

function leaseText(row: LeaseRow): string {
  return (
    `{"id":${text(row.id, caps.name)},"provider":${text(row.provider, caps.name)},"tool":${text(row.tool, caps.name)}` +
    `,"scopes":${texts(row.scopes, caps.scopes, caps.scope)},"audience":${textOrNull(row.audience, caps.scope)}` +
    `,"destination":${text(row.destination, caps.destination)},"issued":${number(row.issued, 'issued')}` +
    `,"expires":${number(row.expires, 'expires')},"revision":${text(row.revision, caps.name)}}`
  )
}

/** How the task came by what it read. */
function sequenceText({ step, sensitivity, sources, diverged, divergence }: Facts['task'], now: number): string {
  const taint = texts(sensitivity, caps.classes, caps.name)
  return `{"step":${number(step, 'step')},"taint":${taint},"sources":${sourcesText(sources, now)},"diverged":${diverged},"divergence":${divergenceText(divergence)}}`
}

function workText({ since, revision }: OpenWork, stream: OpenStream | null, now: number): string {
  const { bytesOut = null, bytesIn = null } = stream?.progress ?? {}
  return (
    `{"age":${number(Math.max(0, now - since), 'age')},"sending":${stream?.sending ?? false}` +
    `,"bytes_out":${bytesOut},"bytes_in":${bytesIn},"revision":${text(revision, caps.name)}}`
  )
}
