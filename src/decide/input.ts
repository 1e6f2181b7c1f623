/** Builds what policy reads about a call: input v1, as JSON text assembled from quoted fragments. */

import type { JudgedBody, Target } from '../match/match.ts'
import type { Route } from '../match/route.ts'
import type { Tool } from '../match/tools.ts'
import type { Task } from '../task/task.ts'
import type { Facts, TaskRow } from '../state/state.ts'
import type { SignalRow } from '../state/signals.ts'
import type { Agent } from '../task/agents.ts'
import type { Caller } from '../identify/identify.ts'
import type { Question } from './decide.ts'
import { approvalText } from './approval-input.ts'
import { delegationText } from './delegation.ts'
import { framedText, type Frame, type Framed } from './frame.ts'
import { exceeded, number, numbers, onePiece, text, textOrNull, texts, Members, type Cap } from './fragment.ts'
import { modeOf, type Moded, type Modes } from './mode.ts'
import { bodyText, isPlain, requestFrame, requestPieces } from './request.ts'
import { signalsText } from './signal-input.ts'
import { sequenceFrame, sequencePieces, sequencePlaces } from './sequence-text.ts'
import type { SumsOf } from './sums.ts'
import { agentMembers, callerText, intentMembers, partyMembers, proofPieces } from './subject.ts'

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
  /** What the engine gets, whole and in its parts: written when it is asked for. */
  readonly engine: string
  readonly framed: Framed
  /** Enough of it to find an answer that is known. Absent: that takes all of it. */
  readonly brief?: Framed
  /** The same without `request.body.parsed`, which the digest beside it stands for. */
  readonly record: string
}

const operator = (most: number, what: string): Cap => ({ most, what, fault: 'operator' })

const caps = {
  name: operator(256, 'a name'),
  classes: operator(64, 'a list of data classes'),
  meters: operator(64, 'the budget'),
  resource: { most: 4096, what: 'the resource', fault: 'agent' },
  // of each call another: not among the texts that are remembered
  digest: { most: 256, what: 'a digest', fault: 'agent' },
  subject: operator(512, 'the subject'),
  whole: operator(65_536, 'the input'),
} as const satisfies Record<string, Cap>

/**
 * Assembles input v1 (`rego/schemas/input.json`): closed, times in integer ms. Static parts are quoted once per agent, intent,
 * caller and tool. Throws `listen.too-large` or `decide.unavailable` when a part passes its cap: policy judges all or nothing.
 */
export function buildInput(question: Question, seen: Seen, setting: Setting): InputText {
  const { target, approval } = question
  const frame = frameOf(question, seen.revision, settingOf(question, setting))
  const body = bodyText(target.body)
  const own = [
    ...requestPieces(question.call, target.route),
    body,
    ...proofPieces(question.caller),
    ...taskPieces(target, seen),
    textOrNull(target.resource, caps.resource),
    argsText(target),
    ...sequencePieces(question, seen, setting.sums),
    approvalText(approval),
    signalsText(seen.signals, seen.now),
    number(seen.now, 'now'),
  ]
  const framed = { frame, own }
  const record = framedText(framed)
  if (record.length > caps.whole.most) throw exceeded(caps.whole)
  const { kind, judged, parsed } = target.body
  if (kind !== 'json' || !judged || parsed === undefined) return { engine: record, framed, record }
  return withDocument({ frame, own }, target.body, record)
}

function withDocument({ frame, own }: Framed, { bytes, parsed }: JudgedBody, record: string): InputText {
  const without = own[bodyAt] ?? ''
  const document = { piece: bodyAt, member: 'parsed', without }
  let whole: Framed | null = null
  const written = (): Framed =>
    (whole ??= {
      frame,
      own: own.with(bodyAt, `${without.slice(0, -1)},"parsed":${JSON.stringify(parsed)}}`),
      document: { ...document, left: false },
    })
  return {
    get engine() {
      return framedText(written())
    },
    get framed() {
      return written()
    },
    ...(isPlain(bytes) && { brief: { frame, own, document: { ...document, left: true } } }),
    record,
  }
}

/** The setting with the mode that holds for this call. */
export function settingOf(question: Moded, setting: Setting): Setting {
  const mode = modeOf(setting, question, null)
  return mode === setting.mode ? setting : { mode, environment: setting.environment }
}

/** `caller`, `agent` and `task` of a call. */
export function whoText({ who }: Pick<Standing, 'who'>, target: Target, seen: Pick<Seen, 'facts' | 'now'>): string {
  const [spent, debit, read, inherited] = taskPieces(target, seen)
  return `${who},"spent":${spent},"debit":${debit}},"sensitivity":${read},"inherited":${inherited}}`
}

/** The end of `task`: what was read. */
export function readText(facts: Facts, now: number): string {
  return `,"sensitivity":${texts(sensitivity(facts), caps.classes, caps.name)},"inherited":${inheritedText(facts, now)}}`
}

/** What changes in `task` from call to call: spent, debit, sensitivity, inherited. */
function taskPieces({ debit }: Target, { facts, now }: Pick<Seen, 'facts' | 'now'>): readonly [string, string, string, string] {
  return [
    numbers(facts.task.spent, caps.meters, caps.name),
    numbers(debit, caps.meters, caps.name),
    texts(sensitivity(facts), caps.classes, caps.name),
    inheritedText(facts, now),
  ]
}

/** `context` of every entrypoint. */
export function contextText({ now, revision }: Pick<Seen, 'now' | 'revision'>, setting: Setting): string {
  return `{"now":${number(now, 'now')}${contextEnd(revision, setting)}`
}

function contextEnd(revision: string, { mode, environment }: Setting): string {
  return `,"mode":"${mode}","policy_revision":${text(revision, caps.name)},"environment":${text(environment, caps.name)}}`
}

/** What a task says of itself with every call, and for whom that was written down. */
interface Standing {
  readonly caller: Caller
  readonly agent: Agent
  /** From `caller` to the limits in `task.budget`. */
  readonly who: string
  readonly delegation: string
}

/** What the calls of a task have in common besides. */
interface CallFrame {
  readonly frame: Frame
  readonly tool: Tool
  readonly route: Route
  readonly method: string
  readonly scheme: string
  readonly host: string
  readonly port: number
  readonly revision: string
  readonly mode: string
  readonly environment: string
}

/** An agent chooses the method and the host. */
const mostFrames = 16

/** The frame of a call: the same object for calls that differ in nothing but their pieces. */
function frameOf({ call, caller, task, target }: Question, revision: string, setting: Setting): Frame {
  const frames = framesOf(caller, task)
  const { route, tool } = target
  const { method, scheme, host, listener } = call
  const { mode, environment } = setting
  for (const one of frames) {
    if (one.tool === tool && one.route === route && one.method === method && one.host === host && one.scheme === scheme)
      if (one.port === listener.port && one.revision === revision && one.mode === mode && one.environment === environment) return one.frame
  }
  const whole =
    `{"v":1,"request":${requestFrame(call)},"caller":{${partyMembers(caller)},"expires":\0,"claims":\0},"agent":{${agentMembers(task.agent)}}` +
    `,"task":${taskText(task.row)},"spent":\0,"debit":\0},"sensitivity":\0,"inherited":\0}` +
    `,"delegation":${standingText(caller, task).delegation},"tool":{${toolMembersOf(target)},"resource":\0,"args_sha256":\0}` +
    `,"sequence":${sequenceFrame},"approval":\0,"signals":\0,"context":{"now":\0${contextEnd(revision, setting)}}`
  // JSON text has no NUL in it: what is quoted has none, and what stands here has one for each piece
  const frame = { texts: onePiece(whole).split('\0'), places }
  if (frames.length >= mostFrames) frames.length = 0
  frames.push({ frame, tool, route, method, scheme, host, port: listener.port, revision, mode, environment })
  return frame
}

const places: readonly (readonly string[])[] = [
  'request.id request.path request.segments request.query request.headers request.body caller.expires caller.claims',
  'task.budget.spent task.budget.debit task.sensitivity task.inherited tool.resource tool.args_sha256',
  ...sequencePlaces.map((place) => `sequence.${place}`),
  'approval signals context.now',
]
  .join(' ')
  .split(' ')
  .map((place) => place.split('.'))

const bodyAt = 5

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

/** Row of a task → the frames of its calls lately, and whose they are. Written by `frameOf`. */
const framesOfTasks = new WeakMap<TaskRow, { readonly caller: Caller; readonly agent: Agent; readonly frames: CallFrame[] }>()

/** A caller that proves itself anew, with another token, is the same to all but what its proof says. */
function framesOf(caller: Caller, { row, agent }: Task): CallFrame[] {
  let known = framesOfTasks.get(row)
  if (known === undefined || known.agent !== agent || !isSameParty(known.caller, caller))
    framesOfTasks.set(row, (known = { caller, agent, frames: [] }))
  return known.frames
}

function isSameParty(one: Caller, other: Caller): boolean {
  if (one === other) return true
  const { id, trustDomain, method, confirmed, issuer, acting } = one
  const same = id === other.id && trustDomain === other.trustDomain && method === other.method && confirmed === other.confirmed
  // who acts through it stands in its delegation
  return same && issuer === other.issuer && acting === other.acting
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

export function toolText(target: Pick<Target, 'route' | 'tool' | 'resource' | 'body'>): string {
  return `{${toolMembersOf(target)},"resource":${textOrNull(target.resource, caps.resource)},"args_sha256":${argsText(target)}}`
}

function argsText({ body }: Pick<Target, 'body'>): string {
  return body.kind === 'json' && body.judged ? textOrNull(body.sha256, caps.digest) : 'null'
}

function toolMembersOf({ route, tool }: Pick<Target, 'route' | 'tool'>): string {
  let known = toolMembers.get(tool)
  if (known === undefined || known.route !== route.name) {
    const members =
      `"name":${text(tool.name, caps.name)},"kind":"${tool.kind}","effect":"${tool.effect}","risk":"${tool.risk}","data":${texts(tool.data, caps.classes, caps.name)}` +
      `,"egress":"${tool.egress}","accepts":${tool.accepts === null ? 'null' : texts(tool.accepts, caps.classes, caps.name)}` +
      `,"catalogued":${tool.catalogued},"prompt":${tool.prompt},"bound":${tool.bound},"route":${text(route.name, caps.name)}`
    toolMembers.set(tool, (known = { route: route.name, members: onePiece(members) }))
  }
  return known.members
}
