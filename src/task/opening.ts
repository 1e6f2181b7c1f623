/** The row of a task that is opened, and what the ledger is told of it. */
import type { Caller } from '../identify/identify.ts'
import type { Secret } from '../secret.ts'
import type { Call } from '../listen/call.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { Correlation, Intent, Link, OnBehalfOf, TaskRow } from '../state/state.ts'
import type { Agent } from './agents.ts'
import type { TaskEvent } from './events.ts'
import { answeredBy, type Named, type Opener } from './question.ts'
import type { ProvenSubject } from './subject.ts'

/** On whose behalf a task is opened, proven by `token`. */
export interface Subject extends OnBehalfOf, Partial<Pick<ProvenSubject, 'acting'>> {
  readonly token: Secret
}

export interface Opening {
  /** Who is to use it. */
  readonly caller: Named
  /** The registration of that caller. */
  readonly agent: Agent
  readonly intent: Intent
  /** Milliseconds. */
  readonly ttl: number
  readonly subject: Subject | null
  readonly implicit: boolean
  /** Absent: its caller. */
  readonly opener?: Opener
  /** Why a person opens it. */
  readonly reason?: string
  readonly correlation?: Correlation
  /** The request that asks for it; absent: a person does. */
  readonly call?: Call
}

/** What a row is made of besides what was asked. */
export interface Circumstances {
  readonly id: string
  /** Epoch ms. */
  readonly now: number
  readonly revision: string
  readonly session: string | null
  /** Sealed; null without a token or a seal. */
  readonly subjectToken: string | null
  /** Who handed on before; empty: nobody. */
  readonly chain: readonly Link[]
}

export function openerOf({ opener, implicit, caller }: Opening): Opener {
  return opener ?? { kind: implicit ? 'implicit' : 'self', name: caller.id }
}

/** Who a chain of tasks answers to: the person, where one stands behind it, else whoever opened its first task. */
export function rootOf(opening: Opening): string {
  if (opening.subject !== null) return `user:${opening.subject.subject}`
  const { kind, name } = openerOf(opening)
  return kind === 'person' ? name : `agent:${name}`
}

/** An active task, bound to its caller alone, without a parent. */
export function taskRow(opening: Opening, { id, now, revision, session, subjectToken, chain }: Circumstances): TaskRow {
  const { caller, agent, intent, ttl, implicit, subject, correlation } = opening
  const limit = implicit ? now + (agent.implicit?.max ?? ttl) : now + ttl
  return {
    id,
    caller: caller.id,
    openedBy: openerOf(opening).name,
    agent: agent.id,
    implicit,
    state: 'active',
    intent,
    onBehalfOf: subject && { subject: subject.subject, issuer: subject.issuer },
    subjectToken,
    opened: now,
    expires: Math.min(now + ttl, limit),
    limit,
    session,
    revision,
    judged: now,
    correlation: correlation ?? { traceId: null, transaction: null },
    paused: null,
    ended: null,
    parent: null,
    root: rootOf(opening),
    depth: 0,
    ...(chain.length === 0 ? {} : { chain }),
  }
}

/** `task.opened`. */
export function openedEvent(row: TaskRow, opening: Opening, approval: ApprovalRow | null): TaskEvent {
  const { kind, name, method } = openerOf(opening)
  const { purpose, ...scope } = row.intent
  return {
    kind: 'task.opened',
    task: row.id,
    caller: row.caller,
    by: name,
    detail: {
      agent: row.agent,
      implicit: row.implicit,
      opener: kind,
      method,
      purpose,
      ...scope,
      on_behalf_of: row.onBehalfOf,
      root: row.root,
      ...(row.chain === undefined ? {} : { chain: row.chain.map(({ party }) => party) }),
      expires: row.expires,
      ...(opening.reason === undefined ? {} : { reason: opening.reason }),
      ...(opening.correlation === undefined ? {} : { correlation: opening.correlation }),
      ...answeredBy(approval),
      revision: row.revision,
    },
  }
}

/** Whether the workload has proven itself in this very request; a person opens for one that has not. */
export function isProven(caller: Opening['caller']): caller is Caller {
  return caller.method !== 'none'
}
