/** The calls of a set: each decision or refusal with how it ended. */
import { isRecord, valueAt } from '../../author/json-path.ts'
import { taskOf, type EvidenceLine } from '../line.ts'
import { flag, number, sorted, text, texts } from './plain.ts'

export interface Reason {
  readonly rule: string | null
  readonly effect: string | null
  readonly severity: string | null
  /** What the agent was told. */
  readonly message: string | null
  readonly controls: readonly string[]
}

export interface CallRow {
  readonly call: string
  /** Number of its decision or refusal; null when only its outcome is there. */
  readonly seq: number | null
  readonly outcome_seq: number | null
  readonly at: string
  readonly task: string | null
  readonly caller: string | null
  readonly trust_domain: string | null
  readonly proof: string | null
  readonly confirmed: string | null
  readonly human: { readonly subject: string | null; readonly issuer: string | null } | null
  readonly method: string | null
  readonly path: string | null
  readonly route: string | null
  readonly tool: string | null
  readonly resource: string | null
  readonly egress: string | null
  readonly downstream: string | null
  readonly downstream_proven: string | null
  /** `allow`, `deny`, `ask` or `defer`; null when policy was not asked. */
  readonly effect: string | null
  /** What observe mode let pass all the same. */
  readonly observed: string | null
  /** True: it was let through. */
  readonly permitted: boolean
  readonly revision: string | null
  readonly rules: readonly string[]
  readonly controls: readonly string[]
  readonly reasons: readonly Reason[]
  /** Why it was refused, or cut. */
  readonly code: string | null
  readonly told: readonly string[]
  readonly approval: string | null
  readonly approved_by: readonly string[]
  readonly break_glass: boolean
  /** Data classes that its tool names, and those that the answer raised besides. */
  readonly data: readonly string[]
  /** What was read before it, as policy saw it. */
  readonly read_before: readonly string[]
  readonly body: { readonly sha256: string | null; readonly size: number | null }
  readonly prompt: {
    readonly declared: string | null
    readonly model_call: string | null
    readonly request_sha256: string | null
    readonly answer_sha256: string | null
  } | null
  readonly trace: string | null
  readonly lease: string | null
  readonly standing: boolean
  readonly status: number | null
  /** Null: open, or refused. */
  readonly ended: string | null
  readonly bytes_out: number | null
  readonly bytes_in: number | null
  readonly duration_ms: number | null
  readonly answer: {
    readonly effect: string | null
    readonly rules: readonly string[]
    readonly masked: number | null
    readonly dropped: number | null
  } | null
}

/** In the order of their first lines; the lines of tasks that are not inside are none of these. */
export function callsOf(lines: readonly EvidenceLine[], inside: ReadonlySet<string>): readonly CallRow[] {
  const pairs = new Map<string, { spoke: EvidenceLine | null; outcome: EvidenceLine | null }>()
  for (const line of lines) {
    if (line.kind === 'event' || line.kind === 'checkpoint') continue
    const known = pairs.get(line.id)
    if (known === undefined && !inside.has(taskOf(line))) continue
    const pair = known ?? { spoke: null, outcome: null }
    pairs.set(line.id, pair)
    if (line.kind === 'outcome') pair.outcome = line
    else pair.spoke = line
  }
  return [...pairs].flatMap(([id, { spoke, outcome }]) => {
    const first = spoke ?? outcome
    return first === null ? [] : [{ ...identityOf(id, first), ...judgementOf(first, spoke), ...endOf(spoke, outcome) }]
  })
}

function identityOf(id: string, first: EvidenceLine) {
  const { own, event } = first
  const human = valueAt(own, 'human')
  return {
    call: id.toWellFormed(),
    at: first.time.toWellFormed(),
    task: text(own, 'task'),
    caller: text(own, 'caller'),
    trust_domain: text(own, 'trust_domain'),
    proof: text(own, 'method'),
    confirmed: text(own, 'confirmed'),
    human: isRecord(human) ? { subject: text(human, 'subject'), issuer: text(human, 'issuer') } : null,
    method: text(event, 'input.request.method'),
    path: text(event, 'input.request.path'),
    route: text(own, 'route'),
    tool: text(own, 'tool'),
    resource: text(own, 'resource'),
    egress: text(event, 'input.tool.egress'),
    downstream: text(own, 'downstream'),
    trace: text(event, 'trace_id'),
    body: { sha256: text(own, 'body.sha256'), size: number(own, 'body.size') },
  }
}

function judgementOf({ own, event }: EvidenceLine, spoke: EvidenceLine | null) {
  const prompt = valueAt(own, 'prompt')
  const reasons = valueAt(event, 'result.reasons')
  return {
    seq: spoke?.seq ?? null,
    effect: text(own, 'effect'),
    observed: text(own, 'observed'),
    permitted: spoke === null || spoke.kind === 'decision',
    revision: text(event, 'bundles.countersign.revision'),
    rules: texts(own, 'rules'),
    reasons: Array.isArray(reasons) ? reasons.map((reason) => reasonOf(reason)) : [],
    approval: text(own, 'approval') ?? text(own, 'asked.approval'),
    approved_by: texts(own, 'approved_by'),
    break_glass: flag(own, 'break_glass'),
    read_before: sorted(texts(event, 'input.task.sensitivity')),
    prompt: isRecord(prompt)
      ? {
          declared: text(prompt, 'declared'),
          model_call: text(prompt, 'model_call'),
          request_sha256: text(prompt, 'request_sha256'),
          answer_sha256: text(prompt, 'answer_sha256'),
        }
      : null,
  }
}

function reasonOf(reason: unknown): Reason {
  return {
    rule: text(reason, 'rule'),
    effect: text(reason, 'effect'),
    severity: text(reason, 'severity'),
    message: text(reason, 'message_agent'),
    controls: texts(reason, 'controls'),
  }
}

function endOf(spoke: EvidenceLine | null, outcome: EvidenceLine | null) {
  const end = outcome?.own
  const answer = valueAt(end, 'answer')
  const ended = outcome ?? spoke
  return {
    outcome_seq: outcome?.seq ?? null,
    downstream_proven: text(end, 'downstream_proven'),
    controls: sorted([...texts(spoke?.own, 'controls'), ...texts(answer, 'controls')]),
    code: text(ended?.own, 'code'),
    told: texts(ended?.own, 'reasons'),
    data: sorted([...texts(spoke?.event, 'input.tool.data'), ...texts(end, 'raised')]),
    lease: text(end, 'lease.id'),
    standing: flag(end, 'standing'),
    status: number(end, 'status'),
    ended: text(end, 'ended'),
    bytes_out: number(end, 'bytes_out'),
    bytes_in: number(end, 'bytes_in'),
    duration_ms: number(end, 'duration_ms'),
    answer: isRecord(answer)
      ? {
          effect: text(answer, 'effect'),
          rules: texts(answer, 'rules'),
          masked: number(answer, 'masked'),
          dropped: number(answer, 'dropped'),
        }
      : null,
  }
}
