/** What of tasks follows from one configuration: on whose behalf they are, when they are judged again, and what is told of their calls. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { HeldCall } from './agent-api/view.ts'
import { makeHeld, type Held } from './approve/held.ts'
import type { Loaded } from './config/load.ts'
import type { Stages } from './countersign.ts'
import type { Forward, Outcome } from './forward/forward.ts'
import type { Decision } from './decide/decide.ts'
import type { Foundation } from './foundation.ts'
import type { Target } from './match/match.ts'
import type { ModelCall, State } from './state/state.ts'
import type { AgentRegistry } from './task/agents.ts'
import { makeDue } from './task/going-on.ts'
import { readActing } from './identify/jwt/act.ts'
import { makeVerifySubject, type SubjectIssuer } from './task/subject.ts'
import { makeTask } from './task/task.ts'
import { makeReadTransaction, type ReadTransaction } from './task/transaction.ts'

/** Forwards, and tells the task's facts whether the upstream was content. */
export function observed(forward: Forward, state: State): Stages['forward'] {
  return (permit, lease) => {
    const { call, task, target } = permit.decision.question
    const { id } = task.row
    return forward.forward(permit, lease).then(
      (outcome) => {
        const failed = outcome.status === null || outcome.status >= 400
        const sent = outcome.bytesOut
        const told = state.observe(id, target.tool.prompt ? { failed, sent, model: modelCall(call.id, target, outcome) } : { failed, sent })
        return told instanceof Promise ? told.then(() => outcome) : outcome
      },
      async (error: unknown) => {
        await state.observe(id, { failed: true })
        throw error
      },
    )
  }
}

/** What a model was asked, as the agent sent it, and what the agent was given for it. */
function modelCall(call: string, { body }: Target, { bodySha256, answerSha256 }: Outcome): ModelCall {
  return { call, request: body.sha256 ?? bodySha256, answer: answerSha256 ?? null }
}

/** Waits for people who let a task be opened or go on. */
export function heldOf({ config }: Loaded, { holds }: Foundation): Held {
  return makeHeld({ holds, hold: config.approve.hold })
}

/** Calls of a task that wait for a fact, another call or a person. */
export function waitingOf({ line, holds }: Pick<Foundation, 'line' | 'holds'>, task: string): readonly HeldCall[] {
  return line.heldOf(task).map(({ deferred, question: { call, target } }) => {
    const approval = holds.approvalOf(call.id)
    const code = deferred ? 'approve.deferred' : 'approve.required'
    return { call: call.id, tool: target.tool.name, code, ...(approval !== null && { approval }) }
  })
}

/** The task stage. What a person must answer first is waited for, where the call is ready to wait. */
export function taskOf(
  loaded: Loaded,
  on: Foundation,
  { agents, transaction }: { readonly agents: AgentRegistry; readonly transaction: ReadTransaction },
): Stages['task'] {
  const held = heldOf(loaded, on)
  const task = makeTask({
    state: on.state,
    agents: () => agents,
    tasks: on.tasks,
    killed: (caller, agent, row) => on.covering.party(caller, agent, row),
    clock: on.clock,
    due: dueOf(loaded, on),
    tokens: on.tokens,
    transaction,
  })
  return (call, caller) => {
    if (call.header('prefer') === undefined) return task(call, caller)
    return held({ call, caller: caller.id }, () => task(call, caller))
  }
}

/** When an active task is judged before it goes on, as this configuration says. */
export function dueOf({ config }: Loaded, on: Foundation): ReturnType<typeof makeDue> {
  const { session, reauthorise } = config.task
  const { idle, policy } = reauthorise
  return makeDue({
    rules: { session: reauthorise.session ? session : null, idle: idle === false ? null : idle, policy },
    sessions: on.tasks.sessions,
    state: on.state,
    revision: () => on.policy.revision,
  })
}

/** Reads what calls carry in `Txn-Token`. */
export function transactionsOf({ config, folder }: Loaded, { clock }: Foundation): ReadTransaction {
  const { issuers, unverified } = config.task.transactions
  return makeReadTransaction({ issuers: withKeys(issuers, folder), unverified, clock })
}

/** Key documents are read at wiring time; others are fetched when they are needed. */
function withKeys(issuers: Loaded['config']['task']['subjects'], folder: string): SubjectIssuer[] {
  return issuers.map(({ issuer, audience, keys }) => ({
    issuer,
    audience,
    keys: 'url' in keys ? new URL(keys.url) : JSON.parse(readFileSync(resolve(folder, keys.file), 'utf8')),
  }))
}

/** Verifies on whose behalf a task is opened. */
export function subjectsOf({ config, folder }: Loaded, { clock }: Foundation): ReturnType<typeof makeVerifySubject> {
  return makeVerifySubject(withKeys(config.task.subjects, folder), clock, readActing)
}

/** Tells the task's facts that policy refused. What fails here is told to the operator and changes nothing of the refusal. */
export function countRefusal(
  { state, log }: { readonly state: State; readonly log: Foundation['log'] },
  { question, refusedBy }: Decision,
): void {
  const failed = (error: unknown): void => log.error({ err: error }, 'a refusal was not counted')
  try {
    const told = state.denied(question.task.row.id, [...new Set(refusedBy.map(({ rule }) => rule))])
    if (told instanceof Promise) told.catch(failed)
  } catch (error) {
    failed(error)
  }
}
