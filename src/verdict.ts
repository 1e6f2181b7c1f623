/** Whether one piece of open work goes on, on the facts as they are now. */

import type { Concerned } from './approve/oblige.ts'
import type { ContinueCause, JudgeContinue, OpenLease, OpenStream } from './decide/continue.ts'
import type { Duties } from './decide/duties.ts'
import type { Again, Place } from './match/again.ts'
import type { Covering } from './kill/covering.ts'
import { lapsed } from './match/approval.ts'
import type { JudgedBody } from './match/match.ts'
import { Refusal } from './refusal.ts'
import type { OpenWork } from './revoke.ts'
import type { LeaseRow } from './state/leases.ts'
import type { Facts, TaskRow } from './state/state.ts'
import { notLive, type Agent } from './task/agents.ts'
import { within } from './task/intent.ts'
import type { Task } from './task/task.ts'

/** What open work is judged by: it follows from the configuration in force. */
export interface Standing {
  readonly judge: JudgeContinue
  /** The registration of a caller; null when there is none. */
  readonly agent: (caller: string) => Agent | null
  readonly again: Again
  /** Does what policy obliges to, whatever it said; not waited for. */
  readonly fulfil: (about: Concerned, effect: 'allow' | 'deny', duties: Duties) => void
}

/** What is looked up in the state, in one tick. */
export interface Looked {
  readonly task: (id: string) => TaskRow | null
  /** The tasks that a task came from. */
  readonly ancestors: (id: string) => readonly TaskRow[]
  readonly facts: (task: string, caller: string) => Facts
  /** What is killed: agents and owners may be others since it was engaged. */
  readonly stopped: Pick<Covering, 'call' | 'lease'>
  /** Epoch ms. */
  readonly clock: () => number
}

/** Why a stream ends, or null when it goes on. Never throws: whoever cannot be judged ends. */
export function streamVerdict({ question, now, revision }: OpenWork, cause: ContinueCause, by: Standing, on: Looked): Refusal | null {
  const { call, caller, task, target } = question
  const { body } = target
  return verdict(by, call.id, () => {
    const standing = standingOf(task.row.id, caller.id, by, on)
    const place = { ...target, ...placed(by.again.call(call, target), on.clock()) }
    refuse(on.stopped.call({ caller, task: standing.task, target: place }))
    return {
      kind: 'stream',
      cause,
      ...standing,
      target: place,
      since: now,
      revision,
      call,
      caller,
      progress: call.progress ?? null,
      // what has arrived was written before the facts changed
      sending: call.length !== 0 && body.bytes === null && !call.incoming.complete,
    }
  })
}

/** What a lease is used for, each call says anew. */
const noBody: JudgedBody = { kind: 'none', parsed: undefined, bytes: null, sha256: null, size: 0, judged: true }

/** Why a lease ends, or null when it goes on. Never throws. */
export function leaseVerdict(row: LeaseRow, cause: ContinueCause, by: Standing, on: Looked): Refusal | null {
  return verdict(by, row.id, () => {
    const standing = standingOf(row.task, row.caller, by, on)
    const place = placed(by.again.lease(row), on.clock())
    refuse(on.stopped.lease(row, place))
    return {
      kind: 'lease',
      cause,
      ...standing,
      target: { ...place, body: noBody },
      since: row.issued,
      revision: row.revision,
      caller: { id: row.caller, trustDomain: row.caller.split('/')[2] ?? '' },
      row,
    }
  })
}

function refuse(stopped: Refusal | null): void {
  if (stopped !== null) throw stopped
}

function verdict(by: Standing, id: string, look: () => OpenStream | OpenLease): Refusal | null {
  try {
    const asked = look()
    const { goesOn, reasons, duties, revision } = by.judge(asked)
    by.fulfil({ ...asked, call: { id } }, goesOn ? 'allow' : 'deny', duties)
    if (goesOn) return null
    const rules = reasons.map(({ rule }) => rule).join(' ')
    return new Refusal('decide.denied', {
      reasons: [...new Set(reasons.map(({ message_agent }) => message_agent))],
      detail: `${rules} (judged again by policy ${revision}: ${asked.cause})`,
    })
  } catch (error) {
    return Refusal.from(error)
  }
}

/** The looks that a call gets before it is judged, with the codes of their stages. */
function standingOf(id: string, caller: string, by: Standing, on: Looked): { readonly task: Task; readonly facts: Facts } {
  const row = on.task(id)
  if (row === null || row.ended !== null) throw new Refusal('task.ended')
  const agent = agentFor(row, by, on)
  if (row.parent !== null) for (const up of on.ancestors(id)) agentFor(up, by, on)
  return { task: { row, agent }, facts: on.facts(id, caller) }
}

/** The agent of a task, which must still be registered for all of it: the next call under it ends the task. */
function agentFor({ caller, intent }: TaskRow, by: Standing, on: Looked): Agent {
  const agent = liveAgent(caller, by, on)
  if (within(intent, agent.intent)) return agent
  throw new Refusal('task.ended', { detail: 'the agent is registered for less than this task was opened for' })
}

function liveAgent(caller: string, by: Standing, on: Looked): Agent {
  const agent = by.agent(caller)
  if (agent === null) throw new Refusal('task.agent-not-live', { detail: `no agent is registered for ${caller}` })
  const dead = notLive(agent, on.clock())
  if (dead !== null) throw new Refusal('task.agent-not-live', { detail: dead })
  return agent
}

function placed(place: Place | null, now: number): Place {
  if (place === null) throw new Refusal('match.unroutable', { reasons: ['its route is gone, or leads elsewhere now'] })
  const over = lapsed(place, now)
  if (over !== null) throw over
  return place
}
