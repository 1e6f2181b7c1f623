/** Tasks, leases and open work, wired to each other: they outlive a configuration. */
import type { Approvals } from './approve/approvals.ts'
import type { Holds } from './approve/hold.ts'
import { askTasks, openApprovals } from './approving.ts'
import type { CredentialStage } from './credential/lend.ts'
import { digestOf } from './config/agents-from.ts'
import { declaredAgents, readRegistration } from './config/registration.ts'
import type { PolicyInForce } from './decide/in-force.ts'
import { deferringOf, type Deferring } from './deferring.ts'
import type { InForce, Log } from './foundation.ts'
import type { NewId } from './id.ts'
import { openLending } from './lending.ts'
import { ApprovalNotices } from './notify/approval-notices.ts'
import { Notices } from './notify/notices.ts'
import type { Delivery } from './notify/queue.ts'
import type { LedgerEvent } from './record/record.ts'
import type { OpenRecorder } from './record/recorder.ts'
import { makeRejudge, makeSharing, type Rejudge } from './rejudge.ts'
import { Revoke } from './revoke.ts'
import { stoppingOf, type Stopping } from './stopping.ts'
import type { SqliteState } from './state/sqlite.ts'
import type { Seal } from './state/state.ts'
import { Delegation } from './task/delegation.ts'
import type { TaskQuestion, TaskVerdict } from './task/question.ts'
import { Registrations } from './task/registrations.ts'
import { sessionOf } from './task/session.ts'
import { Tasks, type TasksOptions } from './task/tasks.ts'
import { TaskTokens } from './task/token.ts'
import type { SigningKey } from './credential/keys.ts'

export interface AuthorityParts {
  readonly clock: () => number
  readonly newId: NewId
  readonly state: SqliteState
  readonly policy: PolicyInForce
  readonly inForce: () => InForce | null
  readonly log: Log
  readonly recorder: OpenRecorder
  readonly seal: Seal | null
  readonly issuer: string
  /** A file or folder that asks for kills; null: there is none. */
  readonly killPath: string | null
  readonly signingKey: SigningKey
}

/** What may do what, for how long, and what ends it. */
export interface Authority extends Stopping, Deferring {
  readonly revoke: Revoke
  /** To be called whenever a fact that open work rests on has changed; wakes calls that wait, too. */
  readonly rejudge: Rejudge
  /** To be called in the tick in which a registration changed: null when any may have. */
  readonly agentsChanged: (id: string | null) => void
  readonly tasks: Tasks
  /** What people are asked and what they answered. */
  readonly approvals: Approvals
  /** Calls that wait for a person. */
  readonly holds: Holds
  readonly tokens: TaskTokens
  readonly delegation: Delegation
  /** What people are told of approvals. */
  readonly approvalNotices: ApprovalNotices
  readonly registrations: Registrations
  readonly credential: CredentialStage
  /** What policy tells, to the ledger and to notifiers. */
  readonly notices: Notices
}

/** Tasks, their leases and their open work: parts that end each other; and what policy tells of them. */
export function authority(parts: AuthorityParts): Authority {
  const { recorder, policy, inForce } = parts
  const event = (told: LedgerEvent): Promise<void> => {
    inForce()?.told(told)
    return recorder.event(told)
  }
  const revoke: Revoke = new Revoke((task, cause) => credential.revokeTask(task, cause))
  const revision = (): string => policy.revision
  const judge = (question: TaskQuestion): TaskVerdict => {
    stopping.covering.admit(question)
    return (inForce() ?? unwired()).judgeTask(question)
  }
  const tasks: Tasks = tasksOf(parts, {
    judge,
    ask: (...asked) => ask(...asked),
    wentOn: (task) => approvals.taskWentOn(task),
    event,
    ended: (task, cause, caller) => both(revoke.taskEnded(task, cause, caller), approvals.taskEnded(task, cause)),
    paused: ({ id, caller }) => void rejudge({ cause: 'pause', task: id, caller }),
  })
  const credential = openLending(parts, {
    subjectToken: (row) => tasks.subjectToken(row),
    issued: ({ revision: under, task, caller }) => {
      if (under !== revision()) void rejudge({ cause: 'policy', task, caller })
    },
    event,
    notify: (notice) => people.notices.notify(notice),
  })
  const { approvals, holds } = openApprovals(parts, { revoke, credential, tasks, event, killed: (row) => stopping.covering.asked(row) })
  const ask = askTasks(parts, { approvals, judge, setting: () => (inForce() ?? unwired()).loaded.config.approve })
  const stopping = stoppingOf(parts, { revoke, credential, tasks, approvals, event })
  const judged = rejudgeOf(parts, { revoke, credential, covering: stopping.covering, revision, event })
  const { rejudge, ...deferring } = deferringOf(parts, judged, event)
  const delegation = delegationOf(parts, { tasks, rejudge, covering: stopping.covering, revision, event })
  const ending = { revoke, rejudge, ...deferring, credential, ...stopping }
  const people = peopled(parts, { rejudge, approvals, event })
  return { ...ending, tasks, delegation, approvals, holds, ...people }
}

/** The verbs of tasks, by the sessions that the configuration in force tells apart. */
function tasksOf(
  { state, clock, newId, seal, policy, inForce }: AuthorityParts,
  acting: Required<Pick<TasksOptions, 'judge' | 'ask' | 'wentOn' | 'event' | 'ended' | 'paused'>>,
): Tasks {
  const session: TasksOptions['session'] = (caller) => sessionOf(caller, (inForce() ?? unwired()).loaded.config.task.session)
  return new Tasks({ state, clock, newId, seal, revision: () => policy.revision, session, ...acting })
}

/** What people register and are told; and the tokens of tasks. */
function peopled(
  parts: AuthorityParts,
  { rejudge, approvals, event }: Pick<Authority, 'rejudge' | 'approvals'> & Pick<RejudgeParts, 'event'>,
): Pick<Authority, 'agentsChanged' | 'registrations' | 'tokens' | 'approvalNotices' | 'notices'> {
  const { clock, newId, log, issuer, signingKey, inForce } = parts
  const agentsChanged = (id: string | null): void =>
    void rejudge({ cause: 'agent', ...(id !== null && !id.endsWith('*') && { caller: id }) })
  const told = { event, clock, log, count: (notifier: string, delivery: Delivery) => inForce()?.delivered(notifier, delivery) }
  return {
    agentsChanged,
    registrations: registrationsOf(parts, event, agentsChanged),
    tokens: new TaskTokens(signingKey, issuer),
    approvalNotices: new ApprovalNotices({ approvals, ...told }),
    notices: new Notices({ ...told, newId, source: issuer }),
  }
}

/** The verbs of people on registrations. */
function registrationsOf(
  { state, clock, inForce }: AuthorityParts,
  event: (event: LedgerEvent) => Promise<void>,
  changed: (id: string) => void,
): Registrations {
  const wired = (): InForce => inForce() ?? unwired()
  return new Registrations({
    book: state.registrations,
    declared: () => declaredAgents(wired().loaded),
    registry: () => wired().agents,
    read: readRegistration,
    digest: digestOf,
    clock,
    event,
    changed,
  })
}

function delegationOf(
  { state, clock, newId, inForce }: AuthorityParts,
  {
    tasks,
    rejudge,
    covering,
    revision,
    event,
  }: Pick<Authority, 'tasks' | 'rejudge' | 'covering'> & Pick<RejudgeParts, 'revision' | 'event'>,
): Delegation {
  return new Delegation({
    state,
    tasks,
    clock,
    newId,
    revision,
    event,
    agent: (id) => inForce()?.standing.agent(id) ?? null,
    stopped: (caller, agent, task) => covering.party(caller, agent, task),
    depth: () => inForce()?.loaded.config.task.delegation.depth ?? 0,
    raised: makeSharing({ rejudge, fades: () => true }),
  })
}

interface RejudgeParts extends Pick<Authority, 'revoke' | 'credential' | 'covering'> {
  readonly revision: () => string
  readonly event: (event: LedgerEvent) => Promise<void>
}

/** Judges open work again by the wiring in force, on the state as it is. */
function rejudgeOf(parts: AuthorityParts, { revoke, credential, covering, revision, event }: RejudgeParts): Rejudge {
  const { state, clock, log, inForce } = parts
  const { book } = credential
  return makeRejudge({
    revoke,
    standing: () => inForce()?.standing ?? null,
    revision,
    task: (id) => state.task(id),
    ancestors: (id) => state.ancestors(id),
    facts: (task, caller) => state.facts(task, caller),
    stopped: covering,
    clock,
    tasksOf: (caller) => (['active', 'paused'] as const).flatMap((each) => state.tasks({ caller, state: each }).map(({ id }) => id)),
    leases: (tasks) => (tasks === undefined ? book.all() : tasks.flatMap((task) => book.ofTask(task))).map(({ row }) => row),
    isOut: (lease) => book.has(lease),
    takeBack: (lease, cause, why) => credential.takeBack(lease, cause, why),
    event,
    log,
  })
}

async function both(one: Promise<void>, other: Promise<void>): Promise<void> {
  for (const done of await Promise.allSettled([one, other])) if (done.status === 'rejected') throw done.reason
}

function unwired(): never {
  throw new Error('something was asked for before the stages were wired')
}
