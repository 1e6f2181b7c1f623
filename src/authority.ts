/** Tasks, leases and open work, wired to each other: they outlive a configuration. */
import { makeCredential, type CredentialStage } from './credential/lend.ts'
import type { PolicyInForce } from './decide/in-force.ts'
import { Permit } from './decide/permit.ts'
import type { InForce, Log } from './foundation.ts'
import type { NewId } from './id.ts'
import { Notices } from './notify/notices.ts'
import type { Delivery } from './notify/queue.ts'
import type { LedgerEvent } from './record/record.ts'
import type { OpenRecorder } from './record/recorder.ts'
import { makeRejudge, makeSharing, type Rejudge } from './rejudge.ts'
import { Revoke } from './revoke.ts'
import type { SqliteState } from './state/sqlite.ts'
import type { Seal } from './state/state.ts'
import { Delegation } from './task/delegation.ts'
import { Tasks } from './task/tasks.ts'

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
}

/** What may do what, for how long, and what ends it. */
export interface Authority {
  readonly revoke: Revoke
  /** To be called whenever a fact that open work rests on has changed. */
  readonly rejudge: Rejudge
  readonly tasks: Tasks
  readonly delegation: Delegation
  readonly credential: CredentialStage
  /** What policy tells, to the ledger and to notifiers. */
  readonly notices: Notices
}

/** Tasks, their leases and their open work: parts that end each other; and what policy tells of them. */
export function authority(parts: AuthorityParts): Authority {
  const { clock, newId, log, state, recorder, seal, issuer, policy, inForce } = parts
  const event = (told: LedgerEvent): Promise<void> => {
    inForce()?.told(told)
    return recorder.event(told)
  }
  const revoke: Revoke = new Revoke((task, cause) => credential.revokeTask(task, cause))
  const revision = (): string => policy.revision
  const tasks = new Tasks({
    state,
    clock,
    newId,
    seal,
    revision,
    judge: (question) => (inForce() ?? unwired()).judgeTask(question),
    event,
    ended: (task, cause, caller) => revoke.taskEnded(task, cause, caller),
    paused: ({ id, caller }) => void rejudge({ cause: 'pause', task: id, caller }),
  })
  const credential = makeCredential({
    providers: new Map(),
    state,
    seal,
    subjectToken: (row) => tasks.subjectToken(row),
    clock,
    newId,
    check: (permit) => Permit.check(permit),
    event,
    issued: ({ revision: under, task, caller }) => {
      if (under !== revision()) void rejudge({ cause: 'policy', task, caller })
    },
    log,
  })
  const rejudge = rejudgeOf(parts, { revoke, credential, revision, event })
  const delegation = delegationOf(parts, { tasks, rejudge, revision, event })
  const count = (notifier: string, delivery: Delivery): void => inForce()?.delivered(notifier, delivery)
  return { revoke, rejudge, tasks, delegation, credential, notices: new Notices({ event, clock, newId, source: issuer, log, count }) }
}

function delegationOf(
  { state, clock, newId, inForce }: AuthorityParts,
  { tasks, rejudge, revision, event }: Pick<Authority, 'tasks' | 'rejudge'> & Pick<RejudgeParts, 'revision' | 'event'>,
): Delegation {
  return new Delegation({
    state,
    tasks,
    clock,
    newId,
    revision,
    event,
    agent: (id) => inForce()?.standing.agent(id) ?? null,
    depth: () => inForce()?.loaded.config.task.delegation.depth ?? 0,
    raised: makeSharing({ rejudge, fades: () => true }),
  })
}

interface RejudgeParts extends Pick<Authority, 'revoke' | 'credential'> {
  readonly revision: () => string
  readonly event: (event: LedgerEvent) => Promise<void>
}

/** Judges open work again by the wiring in force, on the state as it is. */
function rejudgeOf(parts: AuthorityParts, { revoke, credential, revision, event }: RejudgeParts): Rejudge {
  const { state, clock, log, inForce } = parts
  const { book } = credential
  return makeRejudge({
    revoke,
    standing: () => inForce()?.standing ?? null,
    revision,
    task: (id) => state.task(id),
    ancestors: (id) => state.ancestors(id),
    facts: (task, caller) => state.facts(task, caller),
    clock,
    tasksOf: (caller) => (['active', 'paused'] as const).flatMap((each) => state.tasks({ caller, state: each }).map(({ id }) => id)),
    leases: (tasks) => (tasks === undefined ? book.all() : tasks.flatMap((task) => book.ofTask(task))).map(({ row }) => row),
    isOut: (lease) => book.has(lease),
    takeBack: (lease, cause, why) => credential.takeBack(lease, cause, why),
    event,
    log,
  })
}

function unwired(): never {
  throw new Error('a task was judged before the stages were wired')
}
