import type { Secret } from '../secret.ts'
import type { Caller } from '../identify/identify.ts'
import type { Intent, Link, OnBehalfOf, Seal, TaskRow } from '../state/state.ts'
import type { Agent } from './agents.ts'

/** What a new task comes of. */
export interface Beginning {
  readonly caller: Caller
  readonly agent: Agent
  readonly intent: Intent
  /** ms. */
  readonly ttl: number
  readonly implicit: boolean
  readonly onBehalfOf: OnBehalfOf | null
  /** The token that proves it; it stands in the row only with a seal. */
  readonly token: Secret | null
  /** Who handed on before; absent: nobody. */
  readonly chain?: readonly Link[]
}

export interface RowOptions {
  readonly seal: Seal | null
  readonly now: number
  /** The active policy revision. */
  readonly revision: string
}

/** The row of a task that begins, active and without a parent. */
export function newRow(id: string, beginning: Beginning, { seal, now, revision }: RowOptions): TaskRow {
  const { caller, agent, intent, ttl, implicit, onBehalfOf, token, chain = [] } = beginning
  const limit = implicit ? now + (agent.implicit?.max ?? ttl) : now + ttl
  return {
    id,
    caller: caller.id,
    agent: agent.id,
    implicit,
    state: 'active',
    intent,
    onBehalfOf,
    subjectToken: token && seal ? seal.seal(token.reveal(), subjectPurpose(id)) : null,
    opened: now,
    expires: Math.min(now + ttl, limit),
    limit,
    session: caller.proof,
    revision,
    paused: null,
    ended: null,
    parent: null,
    root: rootOf(caller, onBehalfOf),
    depth: 0,
    ...(chain.length === 0 ? {} : { chain }),
  }
}

/** Who a chain of tasks answers to: the person, where one stands behind it, else the agent that began it. */
export function rootOf(caller: Pick<Caller, 'id'>, onBehalfOf: OnBehalfOf | null): string {
  return onBehalfOf === null ? `agent:${caller.id}` : `user:${onBehalfOf.subject}`
}

/** What a subject token is sealed for. */
export function subjectPurpose(task: string): string {
  return `task.subject:${task}`
}
