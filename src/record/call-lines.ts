/** The lines of one call: its decision, its outcome, or its refusal. */

import type { Call } from '../listen/call.ts'
import type { Caller } from '../identify/identify.ts'
import type { Task } from '../task/task.ts'
import type { Target } from '../match/match.ts'
import type { Decision } from '../decide/decide.ts'
import type { Lease } from '../credential/credential.ts'
import type { Outcome } from '../forward/forward.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { JudgedAnswer, Refusal } from '../refusal.ts'
import type { Part } from './chain.ts'
import { maskSpoken, type Masking, type Spoken } from './mask.ts'
import { quote, quoteAgain, quoteAll, remembered } from './json-text.ts'
import type { OpaForm } from './opa.ts'
import { agentText, answerableText } from './answerable.ts'
import { belongingText } from './belonging.ts'
import { traceId } from '../trace-context.ts'
import { callerText, proofText, taskText } from './subject-text.ts'
import { hiddenBy, nothing, veiled, type Hidden, type Veil } from './veil.ts'

/** What is known of a call so far. */
export interface CallFacts {
  readonly call: Call
  readonly caller: Caller | null
  readonly task: Task | null
  readonly target: Target | null
  readonly decision: Decision | null
  readonly lease: Lease | null
  /** JSON text of stage → µs. */
  readonly stages: string
}

/** How a call ended: as forwarded, or refused after its decision was written. */
export interface CallEnd {
  readonly outcome: Outcome
  readonly refusal: Refusal | null
  readonly durationMs: number
}

/** The decision line of a permitted call, masked by the policy that judged it. */
export function decisionPart(form: OpaForm, facts: CallFacts, masking: Masking): Part {
  return spokenPart(form, facts, { path: 'decision', kind: 'decision', rank: 'known', refusal: null }, masking)
}

/** The outcome line: same `decision_id`, what was observed, and the lease. */
export function outcomePart(form: OpaForm, facts: CallFacts, end: CallEnd): Part {
  const { call, caller, task, target, lease } = facts
  const { outcome, refusal } = end
  const hidden = hiding.get(call) ?? nothing
  const who = (caller === null ? '' : callerText(caller)) + (task === null ? '' : taskText(task, hidden))
  const what = target === null ? '' : targetText(target, hidden.resource)
  const code = refusal === null ? '' : refusedText(refusal)
  const sent = outcome.sentSha256 === undefined ? '' : `,"sent_sha256":"${outcome.sentSha256}"`
  const given = outcome.answerSha256 === undefined ? '' : `,"answer_sha256":"${outcome.answerSha256}"`
  const seen =
    `,"status":${outcome.status},"ended":"${outcome.ended}"${code},"bytes_out":${outcome.bytesOut},"bytes_in":${outcome.bytesIn}` +
    `,"duration_ms":${Math.round(end.durationMs * 1000) / 1000},"body_sha256":${hexText(outcome.bodySha256)}${sent}${given}` +
    `,"dialled":${outcome.dialled === null ? 'null' : quoteAgain(outcome.dialled)}` +
    `,"downstream_proven":${outcome.proven === null ? 'null' : quoteAgain(outcome.proven, 2048)}` +
    raisedText(target, outcome.answer) +
    (outcome.answer === undefined ? '' : answerText(outcome.answer))
  const tail = `,"kind":"outcome"${who}${what}${seen}${lease === null ? ',"lease":null' : leaseText(lease)},"stages":${facts.stages}}}}`
  return { kind: 'outcome', id: call.id, rank: 'own', head: form.head(call.id, 'outcome', ''), tail }
}

/** The only line of a call that ended before its decision was written; `masking.engine` masks what was never judged. */
export function refusalPart(form: OpaForm, facts: CallFacts, refusal: Refusal, masking: Masking): Part {
  const { caller, decision } = facts
  const rank = caller === null ? 'unknown' : 'known'
  return spokenPart(form, facts, { path: decision === null ? 'refusal' : 'decision', kind: 'refusal', rank, refusal }, masking)
}

/** What a line says besides what policy may mask. */
interface Own extends Pick<Part, 'kind' | 'rank'> {
  readonly path: string
  readonly refusal: Refusal | null
}

/** Calls of which something was masked: their outcome does not tell it either. */
const hiding = new WeakMap<Call, Hidden>()

function spokenPart(form: OpaForm, facts: CallFacts, of: Own, masking: Masking): Part {
  const { call, decision, stages } = facts
  const { id } = call
  const { path, kind, rank } = of
  const time = form.stamp()
  const headOf = (spoken: Spoken): string => form.head(id, path, spokenText(call, decision, spoken), time)
  const whole = decision === null ? asked(call) : judged(decision)
  const engine = decision === null ? masking.engine() : decision.engine
  const open = ownText(facts, of, nothing)
  const spoken = maskSpoken(whole, (said) => `${headOf(said)}${open.slice(1)}}}}`, engine, masking)
  const hidden = spoken === whole ? nothing : hiddenBy(spoken, masking.pseudonym)
  if (hidden.resource !== null || hidden.root !== null || hidden.human !== null) hiding.set(call, hidden)
  const own = hidden === nothing ? open : ownText(facts, of, hidden)
  const withheld = spoken.withheld ? ',"masking":"failed"' : ''
  return { kind, id, rank, head: headOf(spoken), tail: `${own}${withheld},"stages":${stages}}}}` }
}

/** Members under `custom.countersign`. */
function ownText(facts: CallFacts, { kind, refusal }: Own, hidden: Hidden): string {
  const { task, call } = facts
  const own = `,"kind":"${kind}"${known(facts, hidden)}`
  if (refusal === null) return own
  const named = task === null && call.address.task !== null ? `,"task_named":${quote(call.address.task, 128)}` : ''
  return `${own}${named}${refusedText(refusal, hidden.reasons)}`
}

function judged({ question, inputText, resultText }: Decision): Spoken {
  const erased = question.target.body.parsed === undefined ? [] : ['/input/request/body/parsed']
  return { input: inputText, result: resultText, erased, masked: [], hashed: [], withheld: false }
}

/** The request as far as a call that was never judged has one; the query may hold anything and stays out. */
function asked(call: Call): Spoken {
  const request =
    `"id":"${call.id}","method":${quote(call.method, 32)},"scheme":"${call.scheme}"` +
    `,"host":${quote(call.host, 255)},"path":${quote(call.address.path, 1024)}`
  return { input: `{"v":1,"request":{${request}}}`, result: null, erased: [], masked: [], hashed: [], withheld: false }
}

function spokenText(call: Call, decision: Decision | null, { input, result, erased, masked }: Spoken): string {
  const policy = decision === null ? '' : `,"bundles":{"countersign":{"revision":${quoteAgain(decision.revision)}}}`
  const said = result === null ? `,"input":${input}` : `,"input":${input},"result":${result}`
  const gone =
    (erased.length === 0 ? '' : `,"erased":${quoteAll(erased, 256)}`) + (masked.length === 0 ? '' : `,"masked":${quoteAll(masked, 256)}`)
  const metrics = decision === null ? '' : `,"metrics":{"timer_rego_query_eval_ns":${Math.round(decision.evalNs)}}`
  return `${policy}${said}${gone}${from(call)}${metrics}`
}

function from(call: Call): string {
  const traced = call.trace ?? null
  const trace = traced === null ? traceId(call.header('traceparent')) : traced.id
  const ids = trace === null ? '' : `,"trace_id":"${trace}"${traced === null ? '' : `,"span_id":"${traced.span}"`}`
  return `${ids},"requested_by":${quoteAgain(call.peer)}`
}

function known(facts: CallFacts, hidden: Hidden): string {
  const { call, caller, task, target, decision } = facts
  let text = remembered(listeners, call.listener, ({ name }) => `,"listener":${quote(name, 128)}`)
  if (caller !== null) text += callerText(caller)
  if (caller !== null) text += proofText(caller)
  if (task !== null) text += taskText(task, hidden) + agentText(task.agent)
  text += belongingText(call, task, decision)
  if (target !== null) text += targetText(target, hidden.resource) + answerableText(target) + bodyText(target)
  if (decision !== null) text += decisionText(decision)
  return text
}

// Callers, agents, tasks, leases, listeners, routes and tools live longer than a call: their fragments are made once.
const listeners = new WeakMap<Call['listener'], string>()
const leases = new WeakMap<Lease, string>()
const approvals = new WeakMap<ApprovalRow, string>()
const routes = new WeakMap<Target['route'], string>()
const tools = new WeakMap<Target['tool'], string>()

// Every line of a call names who called, through which tool, what was behind it, and for whom, as far as each is known.

function targetText(target: Target, hidden: Veil | null): string {
  const route = remembered(routes, target.route, ({ name, to, tls }) => {
    return `,"route":${quote(name)},"downstream":${quote(tls?.ids[0] ?? to.authority, 2048)}`
  })
  const tool = remembered(tools, target.tool, ({ name, data }) => `,"tool":${quote(name)},"data":${quoteAll(data, 64)}`)
  return `${route}${tool},"resource":${target.resource === null ? 'null' : veiled(target.resource, hidden, 512)}`
}

function bodyText(target: Target): string {
  const { kind, sha256, size, judged: whole } = target.body
  return `,"body":{"kind":"${kind}","sha256":${hexText(sha256)},"size":${size},"judged":${whole}}`
}

function decisionText(decision: Decision): string {
  const { effect, observed, reasons, question } = decision
  const seen =
    (observed === null ? '' : `,"observed":"${observed}"`) + (question.approval === undefined ? '' : approvalText(question.approval))
  if (reasons.length === 0) return `,"effect":"${effect}"${seen},"rules":[],"controls":[]`
  const rules = new Set<string>()
  const controls = new Set<string>()
  for (const reason of reasons) {
    rules.add(reason.rule)
    for (const control of reason.controls) controls.add(control)
  }
  return `,"effect":"${effect}"${seen},"rules":${quoteAll([...rules])},"controls":${quoteAll([...controls].sort(), 128)}`
}

/** By which answer the call was made, and whose that is. */
const approvalText = (row: ApprovalRow): string =>
  remembered(approvals, row, ({ id, answers, objective }) => {
    const names = answers.flatMap(({ verdict, by }) => (verdict === 'approve' ? [by] : []))
    const broken = answers.some(({ breakGlass }) => breakGlass) ? ',"break_glass":true' : ''
    const kind = objective === null ? 'action' : 'objective'
    return `,"approval":${quote(id, 64)},"approval_kind":"${kind}","approved_by":${quoteAll(names, 64)}${broken}`
  })

function refusedText(refusal: Refusal, hidden = false): string {
  const reasons = refusal.reasons.length === 0 || hidden ? '' : `,"reasons":${quoteAll(refusal.reasons, 16)}`
  const detail = refusal.detail === null ? '' : `,"detail":${quote(refusal.detail, 1024)}`
  // only the kind of the cause: its text may quote a provider, a secret or hostile bytes
  const cause = refusal.cause instanceof Error ? `,"cause":${quote(refusal.cause.name, 64)}` : ''
  const { approval } = refusal
  const people = approval === null ? '' : `,"asked":{"approval":${quote(approval.id, 64)},"expires":${quote(approval.expires, 64)}}`
  return `,"code":"${refusal.code}","refused":${refusal.status},"fault":"${refusal.fault}"${people}${reasons}${detail}${cause}`
}

const leaseText = (lease: Lease): string =>
  remembered(
    leases,
    lease,
    ({ id, provider, digest, expires, revocation, standing, scopes }) =>
      `,"standing":${standing},"lease":{"id":${quote(id, 128)},"provider":${quote(provider, 128)},"digest":${quote(digest, 128)}` +
      `,"expires":${expires},"revocation":"${revocation}","standing":${standing},"scopes":${quoteAll(scopes, 64)}}`,
  )

/** Data classes that count as read although the tool does not name them. */
function raisedText(target: Target | null, answer: JudgedAnswer | undefined): string {
  if (answer !== undefined) return answer.raised.length === 0 ? '' : `,"raised":${quoteAll(answer.raised, 64)}`
  if (target === null || target.tool.reads === target.tool.data) return ''
  return `,"raised":${quoteAll(target.tool.reads, 64)}`
}

/** How the answer was judged: who decided, and digests; never a byte of it. */
function answerText(answer: JudgedAnswer): string {
  const { status, effect, observed, rules, controls, obligations, judged: whole, truncated, masked, dropped, evalNs } = answer
  const obliged = obligations.map(({ id, type }) => `{"id":${quote(id, 128)},"type":"${type}"}`).join(',')
  return (
    `,"answer":{"status":${status},"effect":${effect === null ? 'null' : `"${effect}"`}${observed === null ? '' : `,"observed":"${observed}"`}` +
    `,"rules":${quoteAll([...rules])},"controls":${quoteAll([...controls], 128)},"obligations":[${obliged}],"judged":${whole},"truncated":${truncated}` +
    `,"masked":${masked},"dropped":${dropped},"sha256":${hexText(answer.sha256)},"sent_sha256":${hexText(answer.sent)}` +
    `${answer.fault === null ? '' : `,"fault":${quote(answer.fault, 1024)}`},"eval_ns":${Math.round(evalNs)}}`
  )
}

function hexText(digest: string | null): string {
  return digest === null ? 'null' : `"${digest}"`
}
