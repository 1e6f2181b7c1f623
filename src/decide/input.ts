/** Builds what policy reads about a call: input v1, as JSON text assembled from quoted fragments. */

import type { Target } from '../match/match.ts'
import type { Tool } from '../match/tools.ts'
import type { Task } from '../task/task.ts'
import type { Facts, Source, Span, Step, TaskFacts, TaskRow } from '../state/state.ts'
import type { Agent } from '../task/agents.ts'
import type { Caller } from '../identify/identify.ts'
import type { Question } from './decide.ts'
import { delegationText } from './delegation.ts'
import { exceeded, number, numbers, onePiece, text, textOrNull, texts, Members, type Cap } from './fragment.ts'
import { modeOf, type Moded, type Modes } from './mode.ts'
import { repeatDigest } from './repeat.ts'
import { bodyMembers, requestMembers } from './request.ts'
import { agentMembers, callerText, intentMembers } from './subject.ts'

/** What holds for every call until the configuration changes. */
export interface Setting extends Modes {
  /** Such as `production`. */
  readonly environment: string
}

/** What was looked up for this call. */
export interface Seen {
  readonly facts: Facts
  /** Epoch ms. */
  readonly now: number
  /** Policy revision. */
  readonly revision: string
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
  counts: operator(65, 'the counts of a task'),
  denials: operator(17, 'the denials of a task'),
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
  const { facts } = seen
  const head = `{"v":1,"request":{${requestMembers(call, target.route)},"body":{${bodyMembers(target.body)}`
  const standing = standingText(caller, task)
  const tail =
    `}},${whoText(standing, target, seen)},"delegation":${standing.delegation},"tool":${toolText(target)}` +
    `,"sequence":${sequenceText(question, facts.task, seen.now)},"approval":null,"context":${contextText(seen, settingOf(question, setting))}}`
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
      `"name":${text(tool.name, caps.name)},"effect":"${tool.effect}","risk":"${tool.risk}","data":${texts(tool.data, caps.classes, caps.name)}` +
      `,"egress":"${tool.egress}","accepts":${tool.accepts === null ? 'null' : texts(tool.accepts, caps.classes, caps.name)}` +
      `,"catalogued":${tool.catalogued},"prompt":${tool.prompt},"bound":${tool.bound},"route":${text(route.name, caps.name)}`
    toolMembers.set(tool, (known = { route: route.name, members: onePiece(members) }))
  }
  const digest = body.kind === 'json' && body.judged ? body.sha256 : null
  return `{${known.members},"resource":${textOrNull(resource, caps.resource)},"args_sha256":${textOrNull(digest, caps.name)}}`
}

const mostSteps = 5
const mostCounts = 64

function sequenceText(question: Question, facts: TaskFacts, now: number): string {
  let last = ''
  for (const step of facts.last.slice(-mostSteps)) last += `${last === '' ? '' : ','}${stepText(step, now)}`
  return (
    `{"step":${number(facts.step, 'step')},"last":[${last}],${toolsText(facts, question.target.tool.name)}` +
    `,"taint":${texts(facts.sensitivity, caps.classes, caps.name)},"sources":${sourcesText(facts.sources, now)},"hosts":${facts.hosts.length},"repeats":${facts.repeats[repeatDigest(question)] ?? 0}` +
    `,"failures":${number(facts.failures, 'failures')},"denials":${numbers(facts.denials, caps.denials, caps.name)},"diverged":${facts.diverged}}`
  )
}

function stepText(step: Step, now: number): string {
  let known = stepTexts.get(step.tool)
  if (known === undefined || known.effect !== step.effect || known.egress !== step.egress) known = rememberStep(step)
  return `${known.text},"ago":${number(Math.max(0, now - step.at), 'ago')}}`
}

/** Tool → what a step of it is, but for its age: a call shows five steps, mostly of the same few tools. Written by `rememberStep`. */
const stepTexts = new Map<string, { readonly effect: string; readonly egress: string; readonly text: string }>()
const mostKinds = 1024

function rememberStep({ tool, effect, egress }: Step): { readonly effect: string; readonly egress: string; readonly text: string } {
  const members = `{"tool":${text(tool, caps.name)},"effect":${text(effect, caps.name)},"egress":${text(egress, caps.name)}`
  const known = { effect, egress, text: onePiece(members) }
  if (stepTexts.size >= mostKinds) stepTexts.clear()
  stepTexts.set(tool, known)
  return known
}

/** `counts` and `steps`. The tool at hand is always there; past the cap the rest stands together under `*`. */
function toolsText(facts: TaskFacts, tool: string): string {
  const counts = new Members(caps.counts)
  let steps = ''
  if (Object.hasOwn(facts.counts, tool)) steps = stepsText(facts, tool, counts)
  let names = 1
  let rest = 0
  let first = Infinity
  let last = 0
  for (const name in facts.counts) {
    if (name === tool) continue
    if (name !== '*' && names++ < mostCounts) steps += `${steps === '' ? '' : ','}${stepsText(facts, name, counts)}`
    else {
      const [from, to] = spanOf(facts, name)
      rest += facts.counts[name] ?? 0
      first = Math.min(first, from)
      last = Math.max(last, to)
    }
  }
  if (rest > 0) {
    counts.add('*', number(rest, 'count'), caps.name)
    steps += `${steps === '' ? '' : ','}"*":[${first},${last}]`
  }
  return `"counts":${counts.end()},"steps":{${steps}}`
}

/** Adds a tool to the counts, which refuse one that is there, and gives its member of `steps`. */
function stepsText(facts: TaskFacts, name: string, counts: Members): string {
  counts.add(name, number(facts.counts[name] ?? 0, 'count'), caps.name)
  const [first, last] = spanOf(facts, name)
  return `${text(name, caps.name)}:[${first},${last}]`
}

/** A tool whose steps nobody kept may have been called at any of them. */
function spanOf({ steps, step }: TaskFacts, name: string): Span {
  return steps[name] ?? [1, step]
}

/** Data class → its latest read in this task. */
export function sourcesText(sources: Readonly<Record<string, Source>>, now: number): string {
  let members: Members | null = null
  for (const name in sources) {
    const source = sources[name]
    if (source === undefined) continue
    const { tool, at, step, only } = source
    const ago = number(Math.max(0, now - at), 'ago')
    members ??= new Members(caps.classes)
    members.add(name, `{"tool":${text(tool, caps.name)},"ago":${ago},"step":${number(step, 'step')},"only":${only}}`, caps.name)
  }
  return members === null ? '{}' : members.end()
}
