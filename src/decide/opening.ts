/** Judges whether a task may be opened or resumed, and with what intent. */

import type { Agent } from '../task/agents.ts'
import type { Intent } from '../state/state.ts'
import type { Cause, Named, Opener } from '../task/question.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import { approvalText } from './approval-input.ts'
import type { Decision, Reason } from './decide.ts'
import { delegationText, type Delegated } from './delegation.ts'
import { number, text, type Cap } from './fragment.ts'
import { contextText, type Seen, type Setting } from './input.ts'
import { judge, type JudgeOptions } from './judge.ts'
import { agentMembers, budgetText, callerText, parties, purposeMembers, scopeMembers } from './subject.ts'

/** A task that a caller asks for, or asks to go on with. */
export interface Opening {
  readonly action: 'open' | 'resume'
  readonly caller: Named
  readonly agent: Agent
  /** What is asked for; policy holds it against the agent's own. */
  readonly intent: Intent
  /** How long it is to live, ms. */
  readonly ttl: number
  /** Of the task that is resumed. */
  readonly id?: string
  /** Who opens it. */
  readonly opener?: Opener
  /** Why it is judged although nobody paused it. */
  readonly cause?: Cause
  /** For whom, and who handed on until it came to the caller; absent: the caller for itself. */
  readonly delegation?: Delegated
  /** What people answered about it; absent: nobody was asked, or nobody has answered. */
  readonly approval?: ApprovalRow
}

export interface OpeningDecision {
  readonly effect: 'allow' | 'deny' | 'ask'
  readonly reasons: readonly Reason[]
  /** Who is asked; null unless policy says so. */
  readonly approval: Decision['approval']
  /** Policy revision. */
  readonly revision: string
}

export type JudgeTask = (asked: Opening) => OpeningDecision

export interface JudgeTaskOptions extends JudgeOptions, Setting {
  /** Epoch ms. */
  readonly clock: () => number
}

/** Makes the judge of tasks. Throws as the stage does; what it answers is always enforced, observe mode or not. */
export function makeJudgeTask(options: JudgeTaskOptions): JudgeTask {
  return (asked) => {
    const now = options.clock()
    const { result, revision } = judge(options, 'countersign/task', (policy) => buildTaskInput(asked, { now, revision: policy }, options))
    // the reader of results lets no task wait
    return { effect: result.effect === 'defer' ? 'deny' : result.effect, reasons: result.reasons, approval: result.approval, revision }
  }
}

const idCap: Cap = { most: 256, what: 'the task id', fault: 'agent' }

/** Assembles the input of `countersign/task` (`rego/schemas/task.json`): closed, times in integer ms. */
export function buildTaskInput(asked: Opening, seen: Pick<Seen, 'now' | 'revision'>, setting: Setting): string {
  const { action, caller, agent, intent, ttl, id, opener, cause, delegation, approval } = asked
  const why = cause === undefined ? '' : `,"cause":"${cause}"`
  const by = opener === undefined ? '' : `,"opener":{"kind":"${opener.kind}","name":${text(opener.name, parties)}}`
  return (
    `{"v":1,"action":"${action}"${why}${by},"caller":${callerText(caller)}` +
    `,"agent":{${agentMembers(agent)},"intent":{${scopeMembers(agent.intent)},"budget":${budgetText(agent.intent)}},"ttl":${number(agent.ttl, 'ttl')}}` +
    `,"task":{${id === undefined ? '' : `"id":${text(id, idCap)},`}"intent":{${purposeMembers(intent)},${scopeMembers(intent)}` +
    `,"budget":${budgetText(intent)}},"ttl":${number(ttl, 'ttl')}},"delegation":${delegationText(delegation ?? { root: `agent:${caller.id}` }, caller)},"approval":${approvalText(approval)},"context":${contextText(seen, setting)}}`
  )
}
