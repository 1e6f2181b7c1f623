import type { Approver } from '../../src/approve/answering.ts'
import type { ApprovalRow } from '../../src/state/approvals.ts'
import { anyTool, ask, freeAgent, routeTo, type Running, type Answered, type RunningOptions, type Settings } from './running.ts'

/** People who may answer; none of them is of a requesting chain. */
export const ada: Approver = { name: 'person:ada', method: 'oidc', groups: ['approvers'] }
export const ben: Approver = { name: 'person:ben', method: 'key-pair', groups: ['finance'] }

export const other = 'spiffe://acme.example/ns/test/sa/other'

/** A person answers refunds and what deletes; notes pass; events stream under an answer. */
export const askedTools: readonly Settings[] = [
  { name: 'pay.refund', match: 'POST /refunds', effect: 'write', risk: 'high', egress: 'internal', args: 'json' },
  { name: 'pay.refund.large', match: 'POST /refunds/large', effect: 'write', risk: 'critical', egress: 'internal', args: 'json' },
  { name: 'pay.upload', match: 'POST /files', effect: 'write', risk: 'high', egress: 'internal' },
  { name: 'pay.events', match: 'GET /events', effect: 'execute', risk: 'high', egress: 'internal' },
  anyTool('pay.any'),
]

export function askedOptions(to: string, more: Partial<RunningOptions> = {}, route: Settings = {}): RunningOptions {
  return {
    routes: { pay: routeTo(to, 'pay', { tools: askedTools, selects: ['x-op'], ...route }) },
    agents: [freeAgent(), freeAgent({ id: other })],
    ...more,
  }
}

export interface Refund {
  readonly body?: string
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly by?: string
  readonly task?: string
}

/** One call of the agent; a refund of 180 unless told otherwise. */
export async function refund(running: Running, { body, path, method, headers, by, task }: Refund = {}): Promise<Answered> {
  const verb = method ?? 'POST'
  return ask(running.port(), `${task === undefined ? '' : `/t/${task}`}${path ?? '/pay/refunds'}`, {
    method: verb,
    headers: { authorization: `Bearer ${await running.svid(by)}`, 'content-type': 'application/json', ...headers },
    ...(verb === 'POST' && { body: body ?? '{"amount":180}' }),
  })
}

export async function openTask(running: Running, more: Settings = {}, by?: string): Promise<string> {
  const headers = { authorization: `Bearer ${await running.svid(by)}` }
  const body = JSON.stringify({ purpose: 'refund order 1042', ...more })
  return String((await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body })).json['id'])
}

/** The handle that a refusal holds. */
export function handleOf({ json }: Answered): { readonly id: string; readonly status: string; readonly expires: string } {
  return json['approval'] as { id: string; status: string; expires: string }
}

/** Resolves with the next approval that becomes so. */
export function turned(running: Running, to: ApprovalRow['state']): Promise<ApprovalRow> {
  const { promise, resolve } = Promise.withResolvers<ApprovalRow>()
  const end = running.sidecar.foundation.approvals.watch((row) => {
    if (row.state !== to) return
    end()
    resolve(row)
  })
  return promise
}

export const yes = (reason = 'order 1042 was returned') => ({ verdict: 'approve', reason }) as const
export const no = (reason = 'not this month') => ({ verdict: 'decline', reason }) as const
