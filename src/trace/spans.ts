/** The spans of a finished call: ours, one of each stage, and our call of the upstream. */

import type { RecordStage, TracedCall } from '../record/entry.ts'
import { mcpOf, methodOf, modelOf, names, type Spoken } from './conventions.ts'

/** A value of an attribute. */
export type Value = string | number | boolean | readonly string[]

/** `internal`, `server` and `client` as OpenTelemetry numbers them. */
export const kindNumbers = { internal: 1, server: 2, client: 3 } as const

export interface Span {
  /** Lower-case hex. */
  readonly trace: string
  readonly id: string
  readonly parent: string | null
  readonly name: string
  readonly kind: keyof typeof kindNumbers
  /** Epoch ms, with fractions. */
  readonly began: number
  readonly ended: number
  readonly attributes: readonly (readonly [name: string, value: Value])[]
  /** Why it failed; null: it did not. */
  readonly failed: string | null
}

type Attributes = [name: string, value: Value][]

const stages: readonly RecordStage[] = ['identify', 'task', 'match', 'decide', 'approve', 'commit', 'credential', 'forward']

/** Gives the spans in the order of their beginnings. `newId` makes span ids: 16 lower-case hex digits. */
export function spansOf(traced: TracedCall, newId: () => string): Span[] {
  const { trace, call, stageMs, durationMs, refusal, outcome } = traced
  const began = call.received
  const spoken = mcpOf(traced.target?.body.parsed)
  const failed = refusal?.code ?? (outcome !== null && outcome.ended !== 'complete' ? outcome.ended : null)
  const own: Span = {
    trace: trace.id,
    id: trace.span,
    parent: trace.parent,
    name: titleOf(traced, spoken),
    kind: 'server',
    began,
    ended: began + durationMs,
    attributes: callAttributes(traced, spoken, failed),
    failed,
  }
  const spans = [own]
  let at = began
  for (const stage of stages) {
    const took = stageMs[stage]
    if (took === undefined) continue
    const end = at + took
    spans.push(
      stage === 'forward'
        ? upstreamSpan(traced, own, at, end)
        : {
            ...own,
            id: newId(),
            parent: own.id,
            name: stage,
            kind: 'internal',
            began: at,
            ended: end,
            attributes: [[names.stage, stage]],
            failed: null,
          },
    )
    at = end
  }
  return spans
}

/** GenAI §"Execute tool span" and §"Inference"; MCP: `{method} {tool}`. */
function titleOf({ call, target }: TracedCall, spoken: Spoken | null): string {
  if (spoken !== null) return spoken.name === null ? spoken.method : `${spoken.method} ${spoken.name}`
  if (target === null) return methodOf(call.method)
  const model = target.tool.prompt ? modelOf(target.body.parsed) : null
  if (target.tool.prompt) return model === null ? 'chat' : `chat ${model}`
  return target.tool.catalogued ? `execute_tool ${target.tool.name}` : `${methodOf(call.method)} ${target.route.name}`
}

function callAttributes(traced: TracedCall, spoken: Spoken | null, failed: string | null): Attributes {
  const { call, caller, task, target, decision, lease, refusal, outcome } = traced
  const list: Attributes = [
    [names.decisionId, call.id],
    [names.httpMethod, methodOf(call.method)],
  ]
  if (caller !== null) list.push([names.agentId, caller.id], [names.agentName, caller.id.slice(caller.id.lastIndexOf('/') + 1)])
  if (task !== null) list.push([names.task, task.row.id], [names.conversation, task.row.id])
  if (target !== null) list.push(...targetAttributes(target, spoken))
  const version = spoken === null ? undefined : call.header('mcp-protocol-version')
  if (version !== undefined && version.length <= 32) list.push([names.mcpVersion, version])
  if (decision !== null) {
    list.push([names.decision, decision.effect], [names.revision, decision.revision])
    if (decision.observed !== null) list.push([names.observed, decision.observed])
    if (decision.reasons.length > 0) {
      list.push([names.rules, [...new Set(decision.reasons.map(({ rule }) => rule))]])
      list.push([names.controls, [...new Set(decision.reasons.flatMap(({ controls }) => controls))].toSorted((a, b) => (a < b ? -1 : 1))])
    }
  }
  if (lease !== null) list.push([names.lease, lease.id], [names.provider, lease.provider])
  const status = refusal?.status ?? outcome?.status ?? null
  if (status !== null) list.push([names.httpStatus, status])
  if (failed !== null) list.push([names.errorType, failed])
  return list
}

function targetAttributes({ route, tool, body }: NonNullable<TracedCall['target']>, spoken: Spoken | null): Attributes {
  const list: Attributes = [[names.route, route.name]]
  if (tool.match !== null) list.push([names.httpRoute, tool.match.slice(tool.match.indexOf(' ') + 1)])
  if (spoken !== null) {
    list.push([names.mcpMethod, spoken.method])
    if (spoken.id !== null) list.push([names.rpcRequest, spoken.id])
    if (spoken.name !== null) list.push([names.toolName, spoken.name])
    if (spoken.method === 'tools/call') list.push([names.operation, 'execute_tool'])
    return list
  }
  const model = tool.prompt ? modelOf(body.parsed) : null
  list.push([names.operation, tool.prompt ? 'chat' : 'execute_tool'])
  if (!tool.prompt) list.push([names.toolName, tool.name])
  if (model !== null) list.push([names.requestModel, model])
  return list
}

function upstreamSpan({ trace, call, target, outcome }: TracedCall, own: Span, began: number, ended: number): Span {
  const attributes: Attributes = [[names.httpMethod, methodOf(call.method)]]
  if (target !== null) {
    const { name, to } = target.route
    attributes.push([names.route, name], [names.serverAddress, to.hostname], [names.serverPort, to.port])
  }
  if (outcome?.dialled != null) {
    const at = outcome.dialled.lastIndexOf(':')
    attributes.push([names.peerAddress, outcome.dialled.slice(0, at)], [names.peerPort, Number(outcome.dialled.slice(at + 1))])
  }
  if (outcome?.status != null) attributes.push([names.httpStatus, outcome.status])
  if (outcome !== null) attributes.push([names.ended, outcome.ended], [names.bytesOut, outcome.bytesOut], [names.bytesIn, outcome.bytesIn])
  const status = outcome?.status ?? null
  const failed = own.failed ?? (status !== null && status >= 400 ? String(status) : null)
  if (failed !== null) attributes.push([names.errorType, failed])
  const name = `${methodOf(call.method)} ${target?.route.name ?? 'upstream'}`
  return { ...own, id: trace.out, parent: own.id, name, kind: 'client', began, ended, attributes, failed }
}
