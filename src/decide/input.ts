/** Builds what policy reads about a call: input v1, as JSON text assembled from quoted fragments. */

import type { Target } from '../match/match.ts'
import type { Tool } from '../match/tools.ts'
import type { Task } from '../task/task.ts'
import type { Facts, TaskRow } from '../state/state.ts'
import type { SignalRow } from '../state/signals.ts'
import type { Agent } from '../task/agents.ts'
import type { Caller } from '../identify/identify.ts'
import type { Question } from './decide.ts'
import { approvalText } from './approval-input.ts'
import { delegationText } from './delegation.ts'
import { exceeded, number, numbers, onePiece, text, textOrNull, texts, Members, type Cap } from './fragment.ts'
import { modeOf, type Moded, type Modes } from './mode.ts'
import { bodyMembers, requestMembers } from './request.ts'
import { signalsText } from './signal-input.ts'
import { sequenceText } from './sequence-text.ts'
import type { SumsOf } from './sums.ts'
import { agentMembers, callerText, intentMembers } from './subject.ts'

/** What holds for every call until the configuration changes. */
export interface Setting extends Modes {
  /** Such as `production`. */
  readonly environment: string
  /** What policy adds up over the calls of a caller; absent: nothing. */
  readonly sums?: SumsOf
}

/** What was looked up for this call. */
export interface Seen {
  readonly facts: Facts
  /** Epoch ms. */
  readonly now: number
  /** Policy revision. */
  readonly revision: string
  /** What was given from outside about the call. */
  readonly signals?: readonly SignalRow[] | undefined
}

export interface InputText {
  /** What the engine gets. */
  readonly engine: string
  /** The same without `request.body.parsed`, which the digest beside it stands for. */
  readonly record: string
}

const operator = (most: number, what: string): Cap => ({ most, what, fault: 'operator' })

const caps = {
  name: operator(256, 'a name'),
  classes: operator(64, 'a list of data classes'),
  meters: operator(64, 'the budget'),
  resource: { most: 4096, what: 'the resource', fault: 'agent' },
  subject: operator(512, 'the subject'),
  whole: operator(65_536, 'the input'),
} as const satisfies Record<string, Cap>

/**
 * Assembles input v1 (`rego/schemas/input.json`): closed, times in integer ms. Static parts are quoted once per agent, intent,
 * caller and tool. Throws `listen.too-large` or `decide.unavailable` when a part passes its cap: policy judges all or nothing.
 */
export function buildInput(question: Question, seen: Seen, setting: Setting): InputText {
  const { call, caller, task, target } = question
  const head = `{"v":1,"request":{${requestMembers(call, target.route)},"body":{${bodyMembers(target.body)}`
  const standing = standingText(caller, task)
  const tail =
    `}},${whoText(standing, target, seen)},"delegation":${standing.delegation},"tool":${toolText(target)}` +
    `,"sequence":${sequenceText(question, seen, setting.sums)},"approval":${approvalText(question.approval)},"signals":${signalsText(seen.signals, seen.now)},"context":${contextText(seen, settingOf(question, setting))}}`
  const record = head + tail
  if (record.length > caps.whole.most) throw exceeded(caps.whole)
  const { kind, judged, parsed } = target.body
  if (kind !== 'json' || !judged || parsed === undefined) return { engine: record, record }
  return { engine: `${head},"parsed":${JSON.stringify(parsed)}${tail}`, record }
}

/** The setting with the mode that holds for this call. */
export function settingOf(question: Moded, setting: Setting): Setting {
  const mode = modeOf(setting, question, null)
  return mode === setting.mode ? setting : { mode, environment: setting.environment }
}

/** `caller`, `agent` and `task` of a call. */
export function whoText({ who }: Pick<Standing, 'who'>, target: Target, { facts, now }: Pick<Seen, 'facts' | 'now'>): string {
  return `${who},"spent":${numbers(facts.task.spent, caps.meters, caps.name)},"debit":${numbers(target.debit, caps.meters, caps.name)}}${readText(facts, now)}`
}

/** The end of `task`: what was read. */
export function readText(facts: Facts, now: number): string {
  return `,"sensitivity":${texts(sensitivity(facts), caps.classes, caps.name)},"inherited":${inheritedText(facts, now)}}`
}

/** `context` of every entrypoint. */
export function contextText(seen: Pick<Seen, 'now' | 'revision'>, setting: Setting): string {
  return `{"now":${number(seen.now, 'now')},"mode":"${setting.mode}","policy_revision":${text(seen.revision, caps.name)},"environment":${text(setting.environment, caps.name)}}`
}

/** What a task says of itself with every call, and for whom that was written down. */
interface Standing {
  readonly caller: Caller
  readonly agent: Agent
  /** From `caller` to the limits in `task.budget`. */
  readonly who: string
  readonly delegation: string
}

/** Row of a task → its text. A row is replaced when anything in it changes. */
const standings = new WeakMap<TaskRow, Standing>()

export function standingText(caller: Caller, { row, agent }: Task): Standing {
  let known = standings.get(row)
  if (known === undefined || known.caller !== caller || known.agent !== agent) {
    const who = onePiece(`"caller":${callerText(caller)},"agent":{${agentMembers(agent)}},"task":${taskText(row)}`)
    standings.set(row, (known = { caller, agent, who, delegation: onePiece(delegationText(row, caller)) }))
  }
  return known
}

/** `task` up to what changes from call to call. */
export function taskText(row: TaskRow): string {
  const person =
    row.onBehalfOf === null
      ? 'null'
      : `{"subject":${text(row.onBehalfOf.subject, caps.subject)},"issuer":${text(row.onBehalfOf.issuer, caps.subject)}}`
  return (
    `{"id":${text(row.id, caps.name)},"state":"${row.state}","implicit":${row.implicit},"intent":{${intentMembers(row.intent)}},"on_behalf_of":${person}` +
    `,"started":${number(row.opened, 'started')},"expires":${number(row.expires, 'expires')},"budget":{"limit":${numbers(row.intent.budget, caps.meters, caps.name)}`
  )
}

/** What the task and the caller's earlier tasks have read: an agent's memory outlives its task. */
function sensitivity(facts: Facts): readonly string[] {
  const read = facts.task.sensitivity
  let all: string[] | null = null
  for (const name in facts.caller.sensitivity) if (!read.includes(name)) (all ??= [...read]).push(name)
  return all === null ? read : all.sort()
}

/** Class → ms since another task of the caller read it, later than this one did or when this one did not. */
function inheritedText({ task, caller }: Facts, now: number): string {
  let members: Members | null = null
  for (const name in caller.sensitivity) {
    const at = caller.sensitivity[name] ?? now
    // what a caller read is kept in whole seconds, rounded up
    if (at <= Math.ceil((task.sources[name]?.at ?? -1) / 1000) * 1000) continue
    members ??= new Members(caps.classes)
    members.add(name, number(Math.max(0, now - at), 'ago'), caps.name)
  }
  return members === null ? '{}' : members.end()
}

/** Tool → its members that are the same for every call, with the route it stands on. */
const toolMembers = new WeakMap<Tool, { readonly route: string; readonly members: string }>()

export function toolText({ route, tool, resource, body }: Pick<Target, 'route' | 'tool' | 'resource' | 'body'>): string {
  let known = toolMembers.get(tool)
  if (known === undefined || known.route !== route.name) {
    const members =
      `"name":${text(tool.name, caps.name)},"kind":"${tool.kind}","effect":"${tool.effect}","risk":"${tool.risk}","data":${texts(tool.data, caps.classes, caps.name)}` +
      `,"egress":"${tool.egress}","accepts":${tool.accepts === null ? 'null' : texts(tool.accepts, caps.classes, caps.name)}` +
      `,"catalogued":${tool.catalogued},"prompt":${tool.prompt},"bound":${tool.bound},"route":${text(route.name, caps.name)}`
    toolMembers.set(tool, (known = { route: route.name, members: onePiece(members) }))
  }
  const digest = body.kind === 'json' && body.judged ? body.sha256 : null
  return `{${known.members},"resource":${textOrNull(resource, caps.resource)},"args_sha256":${textOrNull(digest, caps.name)}}`
}
