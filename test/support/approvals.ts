import type { ApprovalAnswer, ApprovalRow, Objective, Shown } from '../../src/state/approvals.ts'
import { agentId, minute, noon } from './task-rig.ts'

export function sketchShown(change: Partial<Shown> = {}): Shown {
  return {
    title: 'pay.refund: POST at pay.acme.example',
    purpose: 'refund order 1042',
    agent: agentId,
    caller: agentId,
    human: null,
    chain: [`agent:${agentId}`],
    tool: 'pay.refund',
    route: 'pay',
    destination: 'https://pay.acme.example',
    method: 'POST',
    target: '/refunds',
    parameters: [],
    resource: null,
    risk: 'high',
    effect: 'write',
    data: [],
    egress: 'internal',
    body: '{"amount":180}',
    bodySha256: 'ab',
    steps: [],
    sensitivity: [],
    reasons: [],
    owners: {},
    ...change,
  }
}

/** Pending, asked at noon. */
export function sketchApproval(change: Partial<ApprovalRow> = {}): ApprovalRow {
  return {
    id: 'a_1',
    state: 'pending',
    matter: 'call',
    task: 't_1',
    caller: agentId,
    call: 'c_1',
    digest: 'sha256:aa',
    tool: 'pay.refund',
    route: 'pay',
    shown: sketchShown(),
    approvers: [],
    quorum: 1,
    single: false,
    excluded: [`agent:${agentId}`],
    revision: 'r1',
    opened: noon,
    expires: noon + 15 * minute,
    objective: null,
    used: 0,
    answers: [],
    granted: null,
    closed: null,
    ...change,
  }
}

export function sketchObjective(change: Partial<Objective> = {}): Objective {
  return { tools: ['pay.refund'], calls: 5, until: noon + 10 * minute, ...change }
}

export function answerOf(change: Partial<ApprovalAnswer> = {}): ApprovalAnswer {
  return {
    by: 'person:ada',
    method: 'oidc',
    groups: [],
    verdict: 'approve',
    reason: 'fine',
    at: noon,
    breakGlass: false,
    objective: null,
    ...change,
  }
}

export const grantUntil = (expires: number) => ({ expires, objective: null })
